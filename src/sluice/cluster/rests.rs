//! Campaigns that are left alone for a while: they could not be opened, or need not be.

use std::collections::HashMap;
use std::time::Duration;

use model::Control;
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
    /// What its control said when it was first asked for since: how many revisions, and when it was resumed.
    control: Option<(usize, Option<u64>)>,
}

impl Rests {
    /// Whether the campaign `name`, whose control is this, is left alone at this moment. Another setting, a higher budget say, or that it was
    /// resumed, may be what it waited for.
    pub(super) fn has(&mut self, name: &str, control: &Control) -> bool {
        let Some(rest) = self.campaigns.get_mut(name) else { return false };
        let now = (control.revisions.len(), control.began_unix_s);
        if *rest.control.get_or_insert(now) != now {
            self.end(name);
            return false;
        }
        rest.until > Instant::now()
    }

    /// Leaves the campaign `name` alone from here on, longer each time until [`Rests::end`].
    pub(super) fn begin(&mut self, name: &str) {
        let rest =
            self.campaigns.entry(name.to_owned()).or_insert_with(|| Rest { until: Instant::now(), delays: REOPEN.delays(), control: None });
        rest.until = Instant::now() + rest.delays.next();
    }

    /// The campaign `name` could be opened.
    pub(super) fn end(&mut self, name: &str) {
        self.campaigns.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use model::Revision;

    use super::*;

    #[test]
    fn a_campaign_that_could_not_be_opened_rests_until_its_settings_change() {
        let mut rests = Rests::default();
        let control = |began| Control { began_unix_s: Some(began), ..Control::default() };
        assert!(!rests.has("c", &control(0)));
        rests.begin("c");
        assert!(rests.has("c", &control(2)));
        assert!(!rests.has("c", &control(3)), "it was resumed");
        assert!(!rests.has("c", &control(3)), "and is left alone no longer");
        rests.begin("c");
        assert!(rests.has("c", &control(3)));
        let revised = Control { revisions: vec![Revision { changed: [].into() }], ..control(3) };
        assert!(!rests.has("c", &revised), "it was given more");
    }
}
