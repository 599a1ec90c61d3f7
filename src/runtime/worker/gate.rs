//! Whether a worker takes new messages: not while a dependency is down, and not while the campaign is paused.
//!
//! Only intake waits here; what runs goes on. An outage that many jobs notice at once counts once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::retry::{Delays, Policy};

/// Intake rests at least an eighth of `first`, at most `max`, before it tries a dependency again.
const OUTAGE: Policy = Policy { first: Duration::from_secs(2), max: Duration::from_secs(60), tries: None };

#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
}

/// What noticing an outage led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outage {
    /// When to try again.
    pub(super) delay: Duration,
    /// Whether this closed the gate, and was not one of the many that notice the same outage.
    pub(super) is_first: bool,
}

#[derive(Debug)]
struct State {
    opens: Instant,
    delays: Delays,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { opens: Instant::now(), delays: OUTAGE.delays() }) }
    }

    /// Whether messages may be taken now.
    pub(super) fn is_open(&self) -> bool {
        self.state().opens <= Instant::now()
    }

    /// Returns when messages may be taken.
    pub(super) async fn open(&self) {
        loop {
            let opens = self.state().opens;
            if opens <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(opens).await;
        }
    }

    /// A dependency is down: closes for a while, longer each time until [`Gate::success`].
    pub(super) fn outage(&self, wished: Option<Duration>) -> Outage {
        let now = Instant::now();
        let mut state = self.state();
        let is_first = state.opens <= now;
        if is_first {
            let drawn = state.delays.next();
            state.opens = now + wished.map_or(drawn, |wished| OUTAGE.believed(wished).max(drawn));
        }
        Outage { delay: state.opens - now, is_first }
    }

    /// Closes for `time` at least.
    pub(super) fn pause(&self, time: Duration) {
        let mut state = self.state();
        state.opens = state.opens.max(Instant::now() + time);
    }

    /// The dependencies work: the next outage starts from a short delay.
    pub(super) fn success(&self) {
        self.state().delays.reset();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_noticed_by_many_counts_once_and_the_pause_is_bounded() {
        let gate = Gate::new();
        for _ in 0..200 {
            let first = gate.outage(None);
            assert!(first.is_first && first.delay <= OUTAGE.max);
            let others = Outage { is_first: false, ..first };
            assert!((0..64).all(|_| gate.outage(None) == others), "the others of that moment change nothing");
            gate.open().await;
        }
        gate.success();
        assert!(gate.outage(None).delay <= OUTAGE.first);
    }
}
