//! Number of tool calls that could be read, over all threads. Calls that could not be read are the business of `tool_errors`.

use model::settings::ToolCallsRule;
use model::{Finding, Trajectory};

use super::{actions, hard};

const NAME: &str = "tool_calls";

pub(super) fn check(rule: &ToolCallsRule, trajectory: &Trajectory) -> Vec<Finding> {
    let calls = count(trajectory);
    if calls < rule.min {
        return vec![hard(NAME, format!("{calls} tool calls, fewer than {}", rule.min))];
    }
    if calls > rule.max {
        return vec![hard(NAME, format!("{calls} tool calls, more than {}", rule.max))];
    }
    Vec::new()
}

/// Tool calls that could be read.
pub(crate) fn count(trajectory: &Trajectory) -> u64 {
    actions(trajectory).filter(|(action, _)| action.unreadable.is_none()).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn too_few_and_too_many_calls_are_rejected() {
        let trajectory = sample::trajectory();
        assert_eq!(count(&trajectory), 3);
        let within = |min, max| check(&ToolCallsRule { min, max, ..ToolCallsRule::default() }, &trajectory);
        assert_eq!(within(3, 3), []);
        assert!(within(4, 9)[0].message.contains("3 tool calls, fewer than 4"));
        assert!(within(1, 2)[0].message.contains("3 tool calls, more than 2"));
    }

    #[test]
    fn a_call_that_could_not_be_read_is_no_use_of_a_tool() {
        let mut trajectory = sample::trajectory();
        trajectory.threads[0].turns[0].actions[0].unreadable = Some("no JSON".into());
        assert_eq!(count(&trajectory), 2);
    }
}
