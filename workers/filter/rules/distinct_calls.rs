//! Number of distinct tool calls: the same tool with the same arguments, however they are written, counts once.
//!
//! O-Researcher asks for at least five distinct tool uses. Its protocol has two tools, so what is distinct is the call and not the tool.

use std::collections::HashSet;

use model::repetition::same_call;
use model::settings::DistinctCallsRule;
use model::{Finding, Trajectory};

use super::{actions, hard};

const NAME: &str = "distinct_calls";

pub(super) fn check(rule: &DistinctCallsRule, trajectory: &Trajectory) -> Vec<Finding> {
    let distinct = count(trajectory);
    if distinct >= rule.min {
        return Vec::new();
    }
    vec![hard(NAME, format!("{distinct} distinct tool calls, fewer than {}", rule.min))]
}

/// Distinct calls among those that could be read.
pub(crate) fn count(trajectory: &Trajectory) -> u64 {
    let readable = actions(trajectory).map(|(action, _)| action).filter(|action| action.unreadable.is_none());
    readable.map(same_call).collect::<HashSet<_>>().len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn calls_written_differently_are_one_and_calls_of_all_threads_count() {
        let mut trajectory = sample::decompose();
        assert_eq!(count(&trajectory), 8);
        let at_least = |min, trajectory: &Trajectory| check(&DistinctCallsRule { enabled: true, min }, trajectory);
        assert_eq!(at_least(8, &trajectory), []);
        assert!(at_least(9, &trajectory)[0].message.contains("8 distinct tool calls, fewer than 9"));
        let mut again = trajectory.threads[1].turns[0].clone();
        let query = again.actions[0].arguments["query"][0].as_str().expect("a text").to_owned();
        again.actions[0].arguments["query"] = serde_json::json!([format!("  {query}\n")]);
        trajectory.threads[2].turns.push(again.clone());
        assert_eq!(count(&trajectory), 8);
        again.actions[0].tool = "crawl_page".into();
        trajectory.threads[2].turns.push(again.clone());
        assert_eq!(count(&trajectory), 9);
        again.actions[0].arguments.clear();
        again.actions[0].unreadable = Some("no query".into());
        trajectory.threads[2].turns.push(again);
        assert_eq!(count(&trajectory), 9, "what could not be read is no use of a tool");
    }
}
