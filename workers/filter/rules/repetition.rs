//! Share of tool calls that repeat an earlier one: the same call with the same result, as `model::repetition` says.

use std::collections::HashSet;

use model::repetition::sameness;
use model::settings::RepetitionRule;
use model::{Finding, Trajectory};

use super::{actions, hard};

const NAME: &str = "repetition";

pub(super) fn check(rule: &RepetitionRule, trajectory: &Trajectory) -> Vec<Finding> {
    let (repeated, calls) = count(trajectory);
    let share = super::share(repeated, calls);
    if share <= rule.share_max {
        return Vec::new();
    }
    vec![hard(NAME, format!("{repeated} of {calls} tool calls repeat an earlier one: a share of {share:.3}, above {}", rule.share_max))]
}

/// Calls that repeat an earlier one, and all calls.
pub(crate) fn count(trajectory: &Trajectory) -> (u64, u64) {
    let mut seen = HashSet::new();
    let mut repeated = 0;
    let mut calls = 0;
    for (action, observation) in actions(trajectory) {
        calls += 1;
        let is_new = observation.is_none_or(|observation| seen.insert(sameness(action, observation)));
        repeated += u64::from(!is_new);
    }
    (repeated, calls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn repeated_calls_above_the_share_are_rejected() {
        let mut trajectory = sample::trajectory();
        let again = trajectory.threads[0].turns[0].clone();
        trajectory.threads[0].turns.extend([again.clone(), again]);
        assert_eq!(count(&trajectory), (2, 5));
        let at_most = |share_max| check(&RepetitionRule { share_max, ..RepetitionRule::default() }, &trajectory);
        assert_eq!(at_most(0.4), []);
        assert!(at_most(0.3)[0].message.contains("2 of 5 tool calls repeat an earlier one: a share of 0.400"));
    }

    #[test]
    fn the_same_link_number_on_another_page_is_no_repetition() {
        let mut trajectory = sample::trajectory();
        let mut again = trajectory.threads[0].turns[1].clone();
        again.observations[0].url_opened = Some("https://example.org/another".into());
        trajectory.threads[0].turns.push(again);
        assert_eq!(count(&trajectory), (0, 4));
    }
}
