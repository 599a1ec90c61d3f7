//! Which requests are to fail, and how: one kind at a time, for a seeded share of the requests in the order they come, and counted.

use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// It is answered.
    None,
    /// The connection is closed before anything is done.
    Refuse,
    /// 500 with an S3 error, nothing done.
    Error500,
    /// 503 with the code `SlowDown`, nothing done.
    SlowDown,
    /// An upload is read to its half and the connection closed, nothing done; of another answer's body half is sent. Without bodies it is answered.
    Truncate,
    /// No answer for `hang_seconds`, then the connection is closed, nothing done.
    Hang,
    /// The operation is done, and the connection closed instead of an answer.
    Late,
}

/// What `POST /faults` takes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) mode: Mode,
    /// The share of requests, 0 to 1.
    #[serde(default = "all")]
    pub(crate) share: f64,
    #[serde(default)]
    pub(crate) seed: u64,
    /// At most an hour.
    #[serde(default = "half_a_minute")]
    pub(crate) hang_seconds: u64,
}

/// What `GET /counts` gives: requests since the start, and how many of them met which fault.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) refuse: u64,
    pub(crate) error500: u64,
    pub(crate) slowdown: u64,
    pub(crate) truncate: u64,
    pub(crate) hang: u64,
    pub(crate) late: u64,
}

/// The order in force.
pub(crate) struct Faults {
    state: Mutex<State>,
}

struct State {
    order: Order,
    /// Requests since the order was given.
    drawn: u64,
    counts: Counts,
}

impl Default for Faults {
    fn default() -> Self {
        let order = Order { mode: Mode::None, share: all(), seed: 0, hang_seconds: half_a_minute() };
        Self { state: Mutex::new(State { order, drawn: 0, counts: Counts::default() }) }
    }
}

impl Faults {
    /// Puts an order in force, from the next request on.
    pub(crate) fn order(&self, order: Order) {
        let mut state = self.lock();
        (state.order, state.drawn) = (order, 0);
    }

    /// The order in force.
    pub(crate) fn current(&self) -> Order {
        self.lock().order
    }

    /// What has been counted.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// The fate of the next request, and how long it hangs if it does.
    pub(crate) fn draw(&self) -> (Mode, Duration) {
        let mut state = self.lock();
        state.counts.requests += 1;
        state.drawn += 1;
        // 53 bits of the mixed number, as a share of one.
        let lot = (mixed(state.order.seed.wrapping_add(state.drawn)) >> 11) as f64 / (1_u64 << 53) as f64;
        let mode = if lot < state.order.share { state.order.mode } else { Mode::None };
        (mode, Duration::from_secs(state.order.hang_seconds.min(3600)))
    }

    /// Counts a fault that has happened.
    pub(crate) fn count(&self, mode: Mode) {
        let counts = &mut self.lock().counts;
        match mode {
            Mode::None => {}
            Mode::Refuse => counts.refuse += 1,
            Mode::Error500 => counts.error500 += 1,
            Mode::SlowDown => counts.slowdown += 1,
            Mode::Truncate => counts.truncate += 1,
            Mode::Hang => counts.hang += 1,
            Mode::Late => counts.late += 1,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn all() -> f64 {
    1.0
}

fn half_a_minute() -> u64 {
    30
}

/// A number that looks random and depends on all bits of `n` (the finisher of SplitMix64).
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(faults: &Faults, seed: u64) -> Vec<bool> {
        faults.order(Order { mode: Mode::Late, share: 0.25, seed, hang_seconds: 1 });
        (0..4000).map(|_| faults.draw().0 == Mode::Late).collect()
    }

    #[test]
    fn a_seed_decides_which_requests_fail_and_the_share_how_many() {
        let faults = Faults::default();
        let first = drawn(&faults, 1);
        assert_eq!(first, drawn(&faults, 1));
        assert_ne!(first, drawn(&faults, 2));
        let failed = first.iter().filter(|failed| **failed).count();
        assert!((900..1100).contains(&failed), "{failed} of 4000 for a share of a quarter");
    }
}
