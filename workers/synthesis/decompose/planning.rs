//! The planner's thread: a list of subtasks, asked for again while it cannot be used.

use model::{FinishReason, JournalKey, NoticeKind, Outcome, Thread, ThreadRole, Usage};
use runtime::Failure;
use teacher::{Calls, JournalError, TeacherErrorKind};

use super::{Decompose, ending, subtasks};
use crate::budget::Limits;
use crate::clock::Clock;
use crate::prompts::notice;
use crate::research::{Ending, failed, push};
use crate::speaker::Work;

/// Lists that a planner may write. What is wrong with the last one is mended by leaving out.
const LISTS_MAX: u32 = 4;
/// The planner's place in the trajectory.
const THREAD: u32 = 0;

/// What the planner came to.
pub(super) struct Planned {
    pub(super) thread: Thread,
    pub(super) usage: Usage,
    /// Empty when there is nothing to research; then the trajectory ends so:
    pub(super) subtasks: Vec<String>,
    pub(super) ending: Ending,
}

/// Divides `question`; `None` when the job must hand itself on.
pub(super) async fn plan(recipe: &Decompose, work: &Work<'_>, question: &str) -> Result<Option<Planned>, Failure> {
    let mut transcript = recipe.planner.open(question);
    let mut usable = Vec::new();
    let mut outcome = Outcome::Empty;
    let limits = Limits::share(&recipe.settings, &Usage::default(), 1);
    let mut clock = Clock::new(&limits);
    let mut refused: Option<String> = None;
    for turn in 0..LISTS_MAX {
        let key = JournalKey { thread: THREAD, turn, call: 0 };
        let elapsed = clock.read(work, key).await?;
        if let Some(problem) = refused.take() {
            if limits.are_reached(&transcript.used().usage, elapsed) {
                break;
            }
            transcript.push_notice(notice(NoticeKind::SubtasksRefused, &problem));
        }
        if work.pace.must_yield() {
            return Ok(None);
        }
        let mut completion = match recipe.planner.complete(work, key, &transcript, Calls::Offered).await {
            Ok(completion) => completion,
            // What was listed so far stands.
            Err(JournalError::Teacher(error)) if error.kind == TeacherErrorKind::ContextOverflow => {
                outcome = Outcome::TokenLimit;
                break;
            }
            Err(error) => return Err(failed(error)),
        };
        let reading = recipe.planner.read(&mut completion);
        let listed = subtasks::read(&reading.text);
        let withheld = completion.finish_reason == FinishReason::ContentFilter;
        if withheld || listed.is_empty() && teacher::dialect::refuses(&reading.text) {
            outcome = Outcome::Refused;
            push(&mut transcript, completion, reading, Vec::new());
            break;
        }
        let cut = completion.finish_reason == FinishReason::Length;
        let problem = if cut {
            Some("It was cut off at the length limit; be brief.".to_owned())
        } else {
            subtasks::problem(&listed, &recipe.settings)
        };
        let Some(problem) = problem else {
            outcome = Outcome::Answered;
            usable = listed;
            push(&mut transcript, completion, reading, Vec::new());
            break;
        };
        let mended = subtasks::mended(listed, &recipe.settings);
        // The last list stands for what it is worth; of a cut one the last line may be half a subtask.
        if !mended.is_empty() && !cut {
            usable = mended;
        }
        push(&mut transcript, completion, reading, Vec::new());
        refused = Some(problem);
    }
    let (turns, usage) = transcript.take();
    let thread = recipe.thread_of(ThreadRole::Planner, &recipe.planner, work, turns);
    Ok(Some(Planned { thread, usage, subtasks: usable, ending: ending(outcome) }))
}
