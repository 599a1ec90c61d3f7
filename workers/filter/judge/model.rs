//! The model judge: a teacher with a rubric. It is shown the answer, not the trajectory, and replies with a JSON object.
//!
//! A reply that cannot be read is sent back once with what was wrong with it. Each call has its own journal key, so a judgement that was
//! paid for is never asked for again.

use std::sync::Arc;

use model::{Completion, Digest, FinishReason, JournalKey, JudgeReport, Message, Role, Sampling, Trajectory, Usage};
use teacher::{Calls, Request, Teacher, TeacherErrorKind};

use super::JudgeError;
use super::judgement::{self, Judgement};
use super::request::{fill, request};

/// The built-in rubric.
pub(super) const RUBRIC: &str = include_str!("../prompts/rubric.txt");
/// What a judge is told when its reply could not be read.
pub(super) const AGAIN: &str = include_str!("../prompts/judge_again.txt");
/// Replies that are read before giving up.
const REPLIES_MAX: u32 = 2;

/// A model with a rubric.
#[derive(Debug, Clone)]
pub(crate) struct ModelJudge {
    pub(super) name: String,
    pub(super) rubric: String,
    pub(super) max_completion_tokens: u32,
}

impl ModelJudge {
    pub(super) async fn judge(&self, trajectory: &Trajectory, teacher: &dyn Teacher) -> Result<JudgeReport, JudgeError> {
        let mut messages = vec![Message::text(Role::System, self.rubric.as_str()), Message::text(Role::User, request(trajectory))];
        let mut usage = Usage::default();
        let mut problem = String::new();
        for call in 0..REPLIES_MAX {
            let completion = teacher.complete(&self.request(trajectory, call, &messages)).await?;
            usage += completion.usage;
            match read(&completion) {
                Ok(judgement) => return Ok(self.report(judgement, completion.text, usage)),
                Err(said) => problem = said,
            }
            messages.push(Message::text(Role::Assistant, completion.text));
            messages.push(Message::text(Role::User, fill(AGAIN, &[("problem", problem.clone())])));
        }
        // Both replies are in the journal: another attempt would read the same two.
        Err(JudgeError {
            kind: TeacherErrorKind::Permanent,
            message: format!("read the judgement of `{}` on job {}: after {REPLIES_MAX} replies, {problem}", self.name, trajectory.job_id),
            retry_after: None,
        })
    }

    /// Greedy, and seeded by the job, so that a judge that can repeat itself does.
    fn request(&self, trajectory: &Trajectory, call: u32, messages: &[Message]) -> Request {
        Request {
            job: trajectory.job_id.clone(),
            key: JournalKey { thread: JournalKey::JUDGE, turn: 0, call },
            messages: Arc::new(messages.to_vec()),
            tools: Arc::default(),
            calls: Calls::Forbidden,
            sampling: Sampling {
                temperature: 0.0,
                top_p: 1.0,
                max_completion_tokens: self.max_completion_tokens,
                seed: trajectory.teacher.sampling.seed,
            },
        }
    }

    fn report(&self, judgement: Judgement, words: String, usage: Usage) -> JudgeReport {
        JudgeReport {
            judge: self.name.clone(),
            rubric: Digest::of(self.rubric.as_bytes()),
            score: judgement.score,
            correct: judgement.correct,
            extracted_answer: judgement.extracted_answer,
            words,
            usage,
        }
    }
}

fn read(completion: &Completion) -> Result<Judgement, String> {
    judgement::read(&completion.text).map_err(|problem| match completion.finish_reason {
        FinishReason::Length => format!("{problem}, because it was cut off at the token limit"),
        FinishReason::ContentFilter => format!("{problem}, because it was withheld by its provider"),
        _ => problem,
    })
}
