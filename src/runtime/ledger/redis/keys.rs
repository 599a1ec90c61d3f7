//! Names of keys. Everything of a campaign carries its hash tag `{uid}`, so one script touches one slot of a Redis cluster.

use model::{Step, Uid};

use super::super::WorkKey;

/// Campaigns that workers may serve: name → what was registered.
pub(super) const CAMPAIGNS: &str = "sluice:campaigns";
/// When each worker reported last, and what it said.
pub(super) const WORKERS_SEEN: &str = "sluice:{workers}:seen";
pub(super) const WORKERS_SAID: &str = "sluice:{workers}:said";

/// When a limit per minute is free again. Its name says of which model at which servers: those do not care whose campaign asks.
pub(super) fn limit(name: &str) -> String {
    format!("sluice:{{limits}}:{name}")
}

/// The keys of one campaign.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
    /// Control state, whether the ledger is whole, usage: a hash.
    pub(super) meta: String,
    /// Names of finished work: a set.
    pub(super) done: String,
    /// Names of work that is claimed: a set.
    pub(super) held: String,
    /// Names of work that waits for its next message: a set.
    pub(super) waiting: String,
    /// Names of completions that were wasted: a set.
    pub(super) wasted: String,
    /// What every presence key of the campaign begins with; the holder follows.
    pub(super) alive_prefix: String,
}

impl Keys {
    pub(super) fn of(uid: &Uid) -> Self {
        let prefix = format!("sluice:{{{uid}}}:");
        let named = |name| format!("{prefix}{name}");
        Self {
            meta: named("meta"),
            done: named("done"),
            held: named("held"),
            waiting: named("waiting"),
            wasted: named("wasted"),
            alive_prefix: named("alive:"),
            prefix,
        }
    }

    /// That `holder` is alive: beaten while it serves the campaign.
    pub(super) fn alive(&self, holder: &str) -> String {
        format!("{}{holder}", self.alive_prefix)
    }

    /// What is known of unfinished work: epoch, step, holder, suspicions.
    pub(super) fn work(&self, key: &WorkKey) -> String {
        format!("{}w:{key}", self.prefix)
    }

    /// Its journal: (thread, turn, call) → number and entry.
    pub(super) fn journal(&self, key: &WorkKey) -> String {
        format!("{}j:{key}", self.prefix)
    }

    /// Ranks of a shard that are terminal under a grade: a set.
    pub(super) fn terminal(&self, grade: &str, shard: u64) -> String {
        format!("{}t:{grade}/{shard}", self.prefix)
    }

    /// A glob that all keys of the campaign match, and no others.
    pub(super) fn all(&self) -> String {
        let escaped = self.prefix.chars().flat_map(|c| matches!(c, '*' | '?' | '[' | ']' | '\\').then_some('\\').into_iter().chain([c]));
        escaped.chain(['*']).collect()
    }
}

/// A step as text that compares as the step does, in scripts too.
pub(super) fn step_text(step: Step) -> String {
    format!("{:010}.{:010}.{:010}", step.round, step.attempt, step.slice)
}

/// The step that [`step_text`] wrote.
pub(super) fn parse_step(text: &str) -> Option<Step> {
    let mut parts = text.split('.').map(str::parse::<u32>);
    let (round, attempt, slice) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    parts.next().is_none().then_some(Step { round, attempt, slice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_compare_as_text_as_they_do_as_numbers_and_come_back() {
        let numbers = [0, 1, 9, 10, 4_294_967_295];
        let steps: Vec<Step> = numbers
            .iter()
            .flat_map(|round| numbers.iter().flat_map(move |attempt| numbers.map(|slice| Step { round: *round, attempt: *attempt, slice })))
            .collect();
        assert!(steps.windows(2).all(|pair| step_text(pair[0]) < step_text(pair[1])));
        assert!(steps.iter().all(|step| parse_step(&step_text(*step)) == Some(*step)));
        assert_eq!([parse_step(""), parse_step("1.2"), parse_step("1.2.3.4"), parse_step("1.2.x")], [None; 4]);
    }

    #[test]
    fn all_keys_of_a_campaign_share_one_slot_and_a_strange_uid_matches_itself_only() {
        let keys = Keys::of(&Uid("a*b".into()));
        assert_eq!(keys.all(), "sluice:{a\\*b}:*");
        let job = WorkKey::Seal("g".into(), 3);
        for key in [&keys.meta, &keys.alive("w"), &keys.work(&job), &keys.journal(&job), &keys.terminal("g", 3)] {
            assert!(key.starts_with("sluice:{a*b}:"), "{key}");
        }
    }
}
