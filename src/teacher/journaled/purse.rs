//! What a campaign may still spend, as far as one process knows what was spent: every completion that is journaled tells it the sum of all
//! workers.
//!
//! Asked before a turn, it bounds what is spent beyond a budget by the completions that are in flight when the budget is reached.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Usage;
use model::settings::BudgetSettings;
use tokio::time::Instant;

/// A campaign's budget, and what is known of it to be spent.
#[derive(Debug)]
pub struct Purse {
    limits: BudgetSettings,
    /// When the campaign's time is over; `None` without such a limit.
    until: Option<Instant>,
    spent: Mutex<Usage>,
}

impl Purse {
    /// A purse with these limits, `age` after the campaign began or was last resumed.
    pub fn new(limits: BudgetSettings, age: Duration) -> Self {
        let until = limits.wall_s.map(|seconds| Instant::now() + Duration::from_secs(seconds).saturating_sub(age));
        Self { limits, until, spent: Mutex::default() }
    }

    /// A purse that is never empty.
    pub fn bottomless() -> Self {
        Self::new(BudgetSettings::default(), Duration::ZERO)
    }

    /// So much was spent in all. Numbers that come late change nothing.
    pub fn note(&self, total: Usage) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.prompt_tokens = spent.prompt_tokens.max(total.prompt_tokens);
        spent.completion_tokens = spent.completion_tokens.max(total.completion_tokens);
        spent.calls = spent.calls.max(total.calls);
        spent.cost_micros = spent.cost_micros.max(total.cost_micros);
    }

    /// Whether nothing may be spent any more.
    pub fn is_empty(&self) -> bool {
        self.is_over() || self.limits.is_reached(&self.spent())
    }

    /// Whether it is the campaign's time alone that is over.
    pub fn is_late(&self) -> bool {
        self.is_over() && !self.limits.is_reached(&self.spent())
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// What is known to be spent.
    pub fn spent(&self) -> Usage {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_purse_is_empty_when_any_limit_is_reached_or_its_time_is_over() {
        let purse = Purse::new(BudgetSettings { calls: Some(3), ..BudgetSettings::default() }, Duration::ZERO);
        purse.note(Usage { calls: 2, ..Usage::default() });
        assert!(!purse.is_empty());
        purse.note(Usage { calls: 3, ..Usage::default() });
        purse.note(Usage { calls: 1, ..Usage::default() });
        assert!(purse.is_empty(), "an older sum changes nothing");

        let purse = Purse::new(BudgetSettings { wall_s: Some(60), ..BudgetSettings::default() }, Duration::from_secs(50));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!purse.is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(purse.is_empty());
        assert!(!Purse::bottomless().is_empty());
    }
}
