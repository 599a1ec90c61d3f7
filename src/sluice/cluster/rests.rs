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
    /// How many revisions its control had when it was first asked for since.
    revisions: Option<usize>,
}

impl Rests {
    /// Whether the campaign `name`, whose control has so many `revisions`, is left alone at this moment. Another setting, a higher budget say,
    /// may be what it waited for.
    pub(super) fn has(&mut self, name: &str, revisions: usize) -> bool {
        let Some(rest) = self.campaigns.get_mut(name) else { return false };
        if *rest.revisions.get_or_insert(revisions) != revisions {
            self.end(name);
            return false;
        }
        rest.until > Instant::now()
    }

    /// Leaves the campaign `name` alone from here on, longer each time until [`Rests::end`].
    pub(super) fn begin(&mut self, name: &str) {
        let rest = self.campaigns.entry(name.to_owned()).or_insert_with(|| Rest {
            until: Instant::now(),
            delays: REOPEN.delays(),
            revisions: None,
        });
        rest.until = Instant::now() + rest.delays.next();
    }

    /// The campaign `name` could be opened.
    pub(super) fn end(&mut self, name: &str) {
        self.campaigns.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_that_could_not_be_opened_rests_until_its_settings_change() {
        let mut rests = Rests::default();
        assert!(!rests.has("c", 0));
        rests.begin("c");
        assert!(rests.has("c", 2));
        assert!(!rests.has("c", 3), "it was given more");
        assert!(!rests.has("c", 3), "and is left alone no longer");
    }
}
