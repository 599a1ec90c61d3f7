//! Number of reasoning steps: turns in which the model reasons or plans, in whatever thread.
//!
//! O-Researcher keeps trajectories of at least ten. A turn reasons when its server returned reasoning or its text holds a thought; it plans
//! when its text holds a plan, or says something before a call.

use model::protocol::{ProtocolTag, last_part};
use model::settings::StepsRule;
use model::{Finding, Trajectory, Turn};

use super::hard;

const NAME: &str = "steps";

pub(super) fn check(rule: &StepsRule, trajectory: &Trajectory) -> Vec<Finding> {
    let steps = count(trajectory);
    if steps >= rule.min {
        return Vec::new();
    }
    vec![hard(NAME, format!("{steps} reasoning steps, fewer than {}", rule.min))]
}

/// Turns that reason or plan.
pub(crate) fn count(trajectory: &Trajectory) -> u64 {
    let turns = trajectory.threads.iter().flat_map(|thread| &thread.turns);
    turns.filter(|turn| reasons(turn) || plans(turn)).count() as u64
}

/// Whether a turn holds a thought that is marked as one.
pub(super) fn reasons(turn: &Turn) -> bool {
    turn.reasoning.as_deref().is_some_and(has_words) || holds(&turn.text, ProtocolTag::Think)
}

fn plans(turn: &Turn) -> bool {
    holds(&turn.text, ProtocolTag::Plan) || (!turn.actions.is_empty() && has_words(&turn.text))
}

fn holds(text: &str, tag: ProtocolTag) -> bool {
    last_part(text, tag).is_some_and(has_words)
}

fn has_words(text: &str) -> bool {
    !text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn turns_with_reasoning_or_a_plan_are_counted_over_all_threads() {
        let mut trajectory = sample::decompose();
        assert_eq!(count(&trajectory), 12);
        let at_least = |min, trajectory: &Trajectory| check(&StepsRule { enabled: true, min }, trajectory);
        assert_eq!(at_least(12, &trajectory), []);
        assert!(at_least(13, &trajectory)[0].message.contains("12 reasoning steps, fewer than 13"));
        for turn in &mut trajectory.threads[1].turns {
            turn.reasoning = Some(" \n".into());
        }
        assert_eq!(count(&trajectory), 7);
        trajectory.threads[1].turns[0].text = "<plan>Search for the abbey's own records.</plan>".into();
        trajectory.threads[1].turns[1].text = "Now I open the first page.".into();
        trajectory.threads[1].turns[2].text = "<think></think>".into();
        assert_eq!(count(&trajectory), 10, "empty tags beside a call are still something said");
    }

    #[test]
    fn text_without_a_call_is_an_answer_and_no_plan() {
        let mut trajectory = sample::trajectory();
        trajectory.threads[0].turns[3].text = "It was 1170.".into();
        assert_eq!(count(&trajectory), 0);
    }
}
