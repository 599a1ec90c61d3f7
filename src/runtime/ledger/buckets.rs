//! Rates that this process keeps by itself: the embedded ledger's, and those of whoever's ledger does not answer.
//!
//! Each limit is the moment at which all that was drawn is paid for (GCRA without a burst): what is drawn goes at that moment, and moves it on
//! by its own share of a minute. So a limit is spent evenly, and any minute sees at most what it allows and the overhang of one draw.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::DRAW_WAIT_MAX;

/// When each limit is free again, by its name. There are as many as settings name.
#[derive(Debug, Default)]
pub struct Buckets {
    free: Mutex<HashMap<String, Instant>>,
}

impl Buckets {
    /// As [`super::Ledger::draw`], for this process alone.
    pub fn draw(&self, limit: &str, amount: u64, per_minute: u64) -> Duration {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let free = free.entry(limit.to_owned()).or_insert(now);
        let wait = free.saturating_duration_since(now);
        if wait <= DRAW_WAIT_MAX {
            *free = (*free).max(now) + share_of_minute(amount, per_minute);
        }
        wait
    }
}

/// How long `amount` takes at `per_minute`; at most a day, so that no arithmetic overflows.
fn share_of_minute(amount: u64, per_minute: u64) -> Duration {
    const DAY_MICROS: u128 = 86_400_000_000;
    let micros = (u128::from(amount) * 60_000_000).div_ceil(u128::from(per_minute.max(1)));
    Duration::from_micros(u64::try_from(micros.min(DAY_MICROS)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_spent_evenly_and_what_was_not_used_is_not_saved_up() {
        let buckets = Buckets::default();
        let seconds = |limit| buckets.draw(limit, 1, 60).as_secs();
        assert_eq!([seconds("a"), seconds("a"), seconds("a"), seconds("b")], [0, 1, 2, 0]);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(seconds("a"), 1);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!([seconds("a"), seconds("a")], [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_would_wait_longer_than_a_minute_has_drawn_nothing() {
        let buckets = Buckets::default();
        assert_eq!(buckets.draw("a", 180, 60), Duration::ZERO, "an amount above the limit passes, and is paid for by those after it");
        for _ in 0..3 {
            assert_eq!(buckets.draw("a", 1, 60), Duration::from_secs(180));
        }
        tokio::time::advance(Duration::from_secs(130)).await;
        assert_eq!([buckets.draw("a", 7, 60).as_secs(), buckets.draw("a", 1, 60).as_secs()], [50, 57]);
    }

    #[tokio::test(start_paused = true)]
    async fn strange_numbers_do_no_harm() {
        let buckets = Buckets::default();
        assert_eq!(buckets.draw("a", u64::MAX, 0), Duration::ZERO);
        assert_eq!(buckets.draw("a", 0, u64::MAX), Duration::from_secs(86_400));
    }
}
