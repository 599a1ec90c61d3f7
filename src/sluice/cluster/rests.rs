//! Campaigns that are left alone for a while: they could not be opened, or need not be.

use std::collections::HashMap;
use std::time::Duration;

use runtime::retry::{Delays, Policy};
use tokio::time::Instant;

/// Between tries to open a campaign that could not be opened.
const REOPEN: Policy = Policy { first: Duration::from_secs(4), max: Duration::from_secs(60), tries: None };

/// When to look at which campaign again.
#[derive(Debug, Default)]
pub(super) struct Rests {
    campaigns: HashMap<String, Rest>,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    delays: Delays,
}

impl Rests {
    /// Whether the campaign `name` is left alone at this moment.
    pub(super) fn has(&self, name: &str) -> bool {
        self.campaigns.get(name).is_some_and(|rest| rest.until > Instant::now())
    }

    /// Leaves the campaign `name` alone from here on, longer each time until [`Rests::end`].
    pub(super) fn begin(&mut self, name: &str) {
        let rest = self.campaigns.entry(name.to_owned()).or_insert_with(|| Rest { until: Instant::now(), delays: REOPEN.delays() });
        rest.until = Instant::now() + rest.delays.next();
    }

    /// The campaign `name` could be opened.
    pub(super) fn end(&mut self, name: &str) {
        self.campaigns.remove(name);
    }
}
