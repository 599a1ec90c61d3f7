//! Share of tool calls that came to nothing: the tool refused, or the call could not be read.

use model::settings::ToolErrorsRule;
use model::{Finding, Trajectory};

use super::{actions, hard};

const NAME: &str = "tool_errors";

pub(super) fn check(rule: &ToolErrorsRule, trajectory: &Trajectory) -> Vec<Finding> {
    let (errors, calls) = count(trajectory);
    let share = super::share(errors, calls);
    if share <= rule.share_max {
        return Vec::new();
    }
    vec![hard(NAME, format!("{errors} of {calls} tool calls failed: a share of {share:.3}, above {}", rule.share_max))]
}

/// Failed calls and all calls.
pub(crate) fn count(trajectory: &Trajectory) -> (u64, u64) {
    let mut errors = 0;
    let mut calls = 0;
    for (action, observation) in actions(trajectory) {
        calls += 1;
        let refused = observation.is_some_and(|observation| observation.error.is_some());
        errors += u64::from(refused || action.unreadable.is_some());
    }
    (errors, calls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn refused_and_unreadable_calls_are_errors_and_their_share_decides() {
        let mut trajectory = sample::trajectory();
        trajectory.threads[0].turns[0].observations[0].error = Some("not_found".into());
        trajectory.threads[0].turns[1].actions[0].unreadable = Some("no JSON".into());
        let at_most = |share_max| check(&ToolErrorsRule { share_max, ..ToolErrorsRule::default() }, &trajectory);
        assert!(at_most(0.5)[0].message.contains("2 of 3 tool calls failed: a share of 0.667"));
        assert_eq!(at_most(0.7), []);
    }

    #[test]
    fn a_trajectory_without_calls_has_no_errors() {
        let mut trajectory = sample::trajectory();
        trajectory.threads.clear();
        assert_eq!(check(&ToolErrorsRule { share_max: 0.0, ..ToolErrorsRule::default() }, &trajectory), []);
    }
}
