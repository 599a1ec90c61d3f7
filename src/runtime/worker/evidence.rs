//! Whether a failure is the job's own, or that of something all jobs need: told by how other work fares.
//!
//! A server that answers every completion with an error looks, to one job, like a job that the server cannot do. So a transient failure spends
//! an attempt only where other work of this worker succeeded meanwhile. Without that it is an outage, of any length, except for the last few
//! jobs of a queue: nobody is left to speak for the server, so a bounded number of failures in a row has to.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ledger::WorkKey;

/// At most so many messages left in the queue are its last few.
pub(super) const LAST_FEW: u64 = 4;
/// So often in a row the last few wait as in an outage; at the gate's pace that is ten minutes and more.
pub(super) const LAST_FEW_PATIENCE: u32 = 20;
/// Failing work that is remembered. Forgetting costs patience, never a job.
const FAILING_MAX: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Evidence {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    successes: u64,
    failing: HashMap<WorkKey, Failing>,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    /// How many successes there had been at its last failure.
    successes: u64,
    /// Failures since, with no success of anybody in between.
    in_a_row: u32,
}

impl Evidence {
    /// How much work has succeeded so far.
    pub(super) fn successes(&self) -> u64 {
        self.state().successes
    }

    /// `key` got on: what it needs, works.
    pub(super) fn success(&self, key: &WorkKey) {
        let mut state = self.state();
        state.successes += 1;
        // Its own success says nothing about its later failures.
        state.failing.remove(key);
    }

    /// `key` fails no more: it ended.
    pub(super) fn forget(&self, key: &WorkKey) {
        self.state().failing.remove(key);
    }

    /// Notes that `key` failed, whose try began when there had been `before` successes, and says whether that is its own failure. `left`:
    /// messages in the queue, its own included.
    pub(super) fn blames(&self, key: &WorkKey, before: u64, left: u64) -> bool {
        let mut state = self.state();
        let successes = state.successes;
        if state.failing.len() >= FAILING_MAX && !state.failing.contains_key(key) {
            state.failing.clear();
        }
        let failing = state.failing.entry(key.clone()).or_insert(Failing { successes: before, in_a_row: 0 });
        let others_succeeded = successes > failing.successes;
        failing.successes = successes;
        failing.in_a_row = if others_succeeded { 0 } else { failing.in_a_row.saturating_add(1) };
        others_succeeded || (left <= LAST_FEW && failing.in_a_row > LAST_FEW_PATIENCE)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: u64 = 1000;

    fn key(number: u64) -> WorkKey {
        WorkKey::Seal("g".into(), number)
    }

    #[test]
    fn a_failure_is_the_job_s_own_only_where_others_succeeded_since_its_last_try() {
        let evidence = Evidence::default();
        let before = evidence.successes();
        assert!(!evidence.blames(&key(1), before, MANY), "nobody knows yet");
        evidence.success(&key(2));
        assert!(evidence.blames(&key(1), evidence.successes(), MANY), "another succeeded between its two failures");
        assert!((0..1000).all(|_| !evidence.blames(&key(1), evidence.successes(), MANY)), "one success speaks once");
        let before = evidence.successes();
        evidence.success(&key(2));
        assert!(evidence.blames(&key(3), before, MANY), "another succeeded while it ran");
    }

    #[test]
    fn its_own_slices_never_speak_against_a_job() {
        let evidence = Evidence::default();
        for _outage in 0..10 {
            assert!(!evidence.blames(&key(1), evidence.successes(), MANY));
            evidence.success(&key(1));
        }
    }

    #[test]
    fn patience_with_the_last_few_is_bounded_and_a_success_renews_it() {
        let evidence = Evidence::default();
        let alone = |number| evidence.blames(&key(number), evidence.successes(), LAST_FEW);
        assert!((0..LAST_FEW_PATIENCE).all(|_| !alone(1)));
        assert!(alone(1) && alone(1));
        evidence.success(&key(2));
        assert!(alone(1), "as others succeeded");
        assert!(!alone(1), "and then the patience is new");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let evidence = Evidence::default();
        for number in 0..3 * FAILING_MAX as u64 {
            assert!(!evidence.blames(&key(number), 0, MANY));
        }
        assert!(evidence.state().failing.len() <= FAILING_MAX);
    }
}
