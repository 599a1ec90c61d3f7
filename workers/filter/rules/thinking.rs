//! Researchers think before they plan or call: the share of their turns with a call that begin with a thought.
//!
//! A thought is reasoning from the server, or a `<think>` in the text that stands before every plan and call. Plain text beside a call is none:
//! in the merged trace it is a plan.

use model::protocol::{ProtocolTag, tags};
use model::settings::ThinkingRule;
use model::{Finding, ThreadRole, Trajectory, Turn};

use super::steps::reasons;
use super::{hard, share};

const NAME: &str = "thinking";

pub(super) fn check(rule: &ThinkingRule, trajectory: &Trajectory) -> Vec<Finding> {
    let (thoughtful, calling) = count(trajectory);
    let found = share(thoughtful, calling);
    if calling == 0 || found >= rule.share_min {
        return Vec::new();
    }
    let message =
        format!("{thoughtful} of {calling} turns with a tool call begin with a thought: a share of {found:.3}, below {}", rule.share_min);
    vec![hard(NAME, message)]
}

/// Researchers' turns with a call that begin with a thought, and all their turns with a call.
pub(crate) fn count(trajectory: &Trajectory) -> (u64, u64) {
    let researchers = trajectory.threads.iter().filter(|thread| thread.role == ThreadRole::Researcher);
    let calling: Vec<&Turn> = researchers.flat_map(|thread| &thread.turns).filter(|turn| !turn.actions.is_empty()).collect();
    (calling.iter().filter(|turn| thinks_first(turn)).count() as u64, calling.len() as u64)
}

fn thinks_first(turn: &Turn) -> bool {
    let written = tags(turn.raw.as_deref().unwrap_or(&turn.text));
    let first = |is_wanted: fn(ProtocolTag) -> bool| written.iter().position(|at| !at.closes && is_wanted(at.tag));
    let thought = first(|tag| tag == ProtocolTag::Think);
    let acted = first(|tag| matches!(tag, ProtocolTag::Plan | ProtocolTag::WebSearch | ProtocolTag::CrawlPage));
    // Reasoning that is not in the text came before all of it.
    let comes_late = thought.is_some_and(|thought| acted.is_some_and(|acted| acted < thought));
    reasons(turn) && !comes_late
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn spoilt(spoil: fn(&mut Turn)) -> Trajectory {
        let mut trajectory = sample::decompose();
        spoil(&mut trajectory.threads[1].turns[0]);
        trajectory
    }

    #[test]
    fn a_call_without_a_thought_is_counted_and_the_share_decides() {
        assert_eq!(count(&sample::decompose()), (8, 8));
        let trajectory = spoilt(|turn| turn.reasoning = None);
        let at_least = |share_min| check(&ThinkingRule { enabled: true, share_min }, &trajectory);
        assert!(at_least(1.0)[0].message.contains("7 of 8 turns with a tool call begin with a thought: a share of 0.875, below 1"));
        assert_eq!(at_least(0.8), []);
        assert_eq!(check(&ThinkingRule { enabled: true, share_min: 1.0 }, &sample::decompose()), []);
    }

    #[test]
    fn a_thought_after_the_plan_or_the_call_comes_too_late() {
        for raw in ["<plan>p</plan><think>t</think><web_search>q</web_search>", "<web_search>q</web_search><think>t</think>"] {
            let mut trajectory = sample::decompose();
            trajectory.threads[1].turns[0].raw = Some(raw.into());
            assert_eq!(count(&trajectory), (7, 8), "{raw}");
        }
        let ordered = spoilt(|turn| turn.raw = Some("<think>t</think><plan>p</plan><web_search>q</web_search>".into()));
        assert_eq!(count(&ordered), (8, 8));
        let from_the_server = spoilt(|turn| turn.raw = Some("<plan>p</plan><web_search>q</web_search>".into()));
        assert_eq!(count(&from_the_server), (8, 8), "reasoning from the server stands in no text");
    }

    #[test]
    fn a_thought_in_tags_is_one_and_a_plan_alone_is_none() {
        let said = |text: &str| {
            let mut trajectory = sample::decompose();
            let turn = &mut trajectory.threads[1].turns[0];
            turn.reasoning = None;
            turn.text = text.into();
            count(&trajectory)
        };
        assert_eq!(said("The abbey may have kept records; I look for them."), (7, 8));
        assert_eq!(said("<plan>Look for records.</plan>"), (7, 8));
        assert_eq!(said("<think>Records?</think>"), (8, 8));
    }

    #[test]
    fn without_calls_there_is_nothing_to_think_about() {
        let mut trajectory = sample::decompose();
        trajectory.threads.retain(|thread| thread.role != ThreadRole::Researcher);
        assert_eq!(check(&ThinkingRule { enabled: true, share_min: 1.0 }, &trajectory), []);
    }
}
