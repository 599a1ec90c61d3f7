//! Number of reasoning steps: turns in which the model reasons or plans, in whatever thread.
//!
//! O-Researcher keeps trajectories of at least ten. A turn reasons when its server returned reasoning or its text holds a thought; it plans
//! when its text holds a plan, or says something before a call. A turn that was sent back is no step: it led to nothing, and the merged trace
//! does not hold it.

use model::protocol::{ProtocolTag, last_part};
use model::settings::StepsRule;
use model::{Finding, Thread, ThreadRole, Trajectory, Turn};

use super::hard;

const NAME: &str = "steps";

pub(super) fn check(rule: &StepsRule, trajectory: &Trajectory) -> Vec<Finding> {
    let steps = count(trajectory);
    if steps >= rule.min {
        return Vec::new();
    }
    vec![hard(NAME, format!("{steps} reasoning steps, fewer than {}", rule.min))]
}

/// Turns that reason or plan, of those that count.
pub(crate) fn count(trajectory: &Trajectory) -> u64 {
    let turns = trajectory.threads.iter().flat_map(|thread| counted(thread, ends_in_an_answer(trajectory, thread)));
    turns.filter(|turn| reasons(turn) || plans(turn)).count() as u64
}

/// The turns of a thread that count: those with a call that could be read, and the last one where it gives what the thread was for. A trace
/// holds the same, and besides them turns whose calls could none of them be read.
fn counted(thread: &Thread, ends_in_an_answer: bool) -> impl Iterator<Item = &Turn> {
    let is_last = move |n: usize| n + 1 == thread.turns.len();
    let turns = thread.turns.iter().enumerate();
    turns.filter(move |(n, turn)| acts(turn) || (ends_in_an_answer && is_last(*n))).map(|(_, turn)| turn)
}

/// Whether the last turn of a thread gives what the thread was for. A researcher without a subtask gives the trajectory's answer.
fn ends_in_an_answer(trajectory: &Trajectory, thread: &Thread) -> bool {
    match (thread.role, &thread.subtask) {
        (ThreadRole::Planner | ThreadRole::Summarizer, _) => true,
        (ThreadRole::Researcher, Some(_)) => thread.answer.is_some(),
        (ThreadRole::Researcher, None) => trajectory.answer.is_some(),
    }
}

fn acts(turn: &Turn) -> bool {
    turn.actions.iter().any(|action| action.unreadable.is_none())
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
    use model::{Notice, NoticeKind};

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
    fn a_turn_that_was_sent_back_is_no_step() {
        let notices = vec![Notice { kind: NoticeKind::EmptyTurn, text: "Call a tool, or answer.".into() }];
        for thread in 0..4 {
            let mut trajectory = sample::decompose();
            let turns = &mut trajectory.threads[thread].turns;
            let last = turns.last().expect("a turn").clone();
            turns.insert(0, Turn { reasoning: Some("Where was I?".into()), notices: notices.clone(), ..last });
            assert_eq!(count(&trajectory), 12, "thread {thread}");
        }
    }

    #[test]
    fn a_turn_counts_when_one_of_its_calls_could_be_read() {
        let mut trajectory = sample::decompose();
        let turn = &mut trajectory.threads[1].turns[0];
        let mut spoilt = turn.actions[0].clone();
        spoilt.unreadable = Some("no query".into());
        turn.actions.push(spoilt.clone());
        assert_eq!(count(&trajectory), 12);
        trajectory.threads[1].turns[0].actions = vec![spoilt];
        assert_eq!(count(&trajectory), 11);
    }

    #[test]
    fn the_last_turn_of_a_thread_counts_when_it_gave_an_answer() {
        let mut trajectory = sample::decompose();
        trajectory.threads[1].answer = None;
        assert_eq!(count(&trajectory), 11);

        let mut trajectory = sample::trajectory();
        trajectory.threads[0].turns[3].reasoning = Some("That is enough.".into());
        assert_eq!(count(&trajectory), 1, "a thread without a subtask gives the answer of all");
        trajectory.answer = None;
        assert_eq!(count(&trajectory), 0);
    }

    #[test]
    fn text_without_a_call_is_an_answer_and_no_plan() {
        let mut trajectory = sample::trajectory();
        trajectory.threads[0].turns[3].text = "It was 1170.".into();
        assert_eq!(count(&trajectory), 0);
    }
}
