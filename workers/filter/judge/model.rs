//! The model judge: a teacher with a rubric. It is shown the answer, or the report with an outline of the research, and replies with a JSON object.
//!
//! A reply that cannot be read is sent back once with what was wrong with it. What is too long for the judge's context is shown to it at half the
//! length, a few times. Each call has its own journal key, so a judgement that was paid for is never asked for again.

use std::sync::Arc;

use model::settings::Graded;
use model::{Completion, Digest, FinishReason, JournalKey, JudgeReport, Message, Role, Sampling, Trajectory, Usage};
use teacher::{Calls, Request, Teacher, TeacherErrorKind};

use super::judgement::{self, Judgement};
use super::lexical::Comparison;
use super::marks::{self, Marks};
use super::request::{self, REQUEST, RESEARCH_REQUEST, fill};
use super::{JudgeError, Judged};

/// The built-in rubrics, and what a judge is told when its reply could not be read.
const RUBRIC: &str = include_str!("../prompts/rubric.txt");
const AGAIN: &str = include_str!("../prompts/judge_again.txt");
const RESEARCH_RUBRIC: &str = include_str!("../prompts/research_rubric.txt");
const RESEARCH_AGAIN: &str = include_str!("../prompts/research_again.txt");
/// Replies that are read before giving up.
const REPLIES_MAX: u32 = 2;
/// How often the material is halved for a judge with a short context.
const HALVINGS_MAX: u32 = 4;

/// A model with a rubric.
#[derive(Debug, Clone)]
pub(crate) struct ModelJudge {
    name: String,
    rubric: String,
    grades: Graded,
    max_completion_tokens: u32,
}

/// A reply that could be read.
enum Reply {
    Judgement(Judgement),
    Marks(Marks),
}

impl ModelJudge {
    /// `rubric` replaces the built-in one.
    pub(super) fn new(name: &str, rubric: Option<String>, grades: Graded, max_completion_tokens: u32) -> Self {
        let built_in = match grades {
            Graded::Answer => RUBRIC,
            Graded::Research { .. } => RESEARCH_RUBRIC,
        };
        Self { name: name.to_owned(), rubric: rubric.unwrap_or_else(|| built_in.to_owned()), grades, max_completion_tokens }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Rubric, request and what follows a reply that could not be read.
    pub(super) fn prompts(&self) -> [(&'static str, &str); 3] {
        let (request, again) = match self.grades {
            Graded::Answer => (REQUEST, AGAIN),
            Graded::Research { .. } => (RESEARCH_REQUEST, RESEARCH_AGAIN),
        };
        [("judge.rubric", self.rubric.as_str()), ("judge.request", request), ("judge.again", again)]
    }

    /// `comparison` is that of the answer with its references: marks on the research leave open whether the answer is right.
    pub(super) async fn judge(
        &self,
        trajectory: &Trajectory,
        comparison: Option<&Comparison>,
        teacher: &dyn Teacher,
    ) -> Result<Judged, JudgeError> {
        let mut usage = Usage::default();
        let mut halvings = 0;
        // Ends with the shortest material.
        loop {
            match self.judge_at(halvings, trajectory, comparison, teacher, &mut usage).await {
                Err(error) if error.kind == TeacherErrorKind::ContextOverflow && halvings < HALVINGS_MAX => halvings += 1,
                Err(error) if error.kind == TeacherErrorKind::ContextOverflow => {
                    let message = format!(
                        "{}; halved {halvings} times it is still too long: give the judge a longer context, or lower judge.max_completion_tokens",
                        error.message
                    );
                    return Err(JudgeError { message, ..error });
                }
                judged => return judged,
            }
        }
    }

    /// Judges by material that was halved so often.
    async fn judge_at(
        &self,
        halvings: u32,
        trajectory: &Trajectory,
        comparison: Option<&Comparison>,
        teacher: &dyn Teacher,
        usage: &mut Usage,
    ) -> Result<Judged, JudgeError> {
        let [.., (_, again)] = self.prompts();
        let request = match self.grades {
            Graded::Answer => request::about_answer(trajectory, halvings),
            Graded::Research { trace_tokens } => request::about_research(trajectory, trace_tokens, halvings),
        };
        let mut messages = vec![Message::text(Role::System, self.rubric.as_str()), Message::text(Role::User, request)];
        let mut problem = String::new();
        for call in 0..REPLIES_MAX {
            let completion = teacher
                .complete(&self.request(trajectory, JournalKey { thread: JournalKey::JUDGE, turn: halvings, call }, &messages))
                .await?;
            *usage += completion.usage;
            match self.read(&completion) {
                Ok(reply) => return Ok(self.judged(reply, comparison, completion.text, halvings, *usage)),
                Err(said) => problem = said,
            }
            messages.push(Message::text(Role::Assistant, completion.text));
            messages.push(Message::text(Role::User, fill(again, &[("problem", problem.clone())])));
        }
        // Both replies are in the journal: another attempt would read the same two.
        Err(JudgeError {
            kind: TeacherErrorKind::Permanent,
            message: format!("read the judgement of `{}` on job {}: after {REPLIES_MAX} replies, {problem}", self.name, trajectory.job_id),
            retry_after: None,
        })
    }

    /// Greedy, and seeded by the job, so that a judge that can repeat itself does.
    fn request(&self, trajectory: &Trajectory, key: JournalKey, messages: &[Message]) -> Request {
        Request {
            job: trajectory.job_id.clone(),
            key,
            messages: Arc::new(messages.to_vec()),
            rendered: teacher::Rendered::default(),
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

    fn read(&self, completion: &Completion) -> Result<Reply, String> {
        let reply = match self.grades {
            Graded::Answer => judgement::read(&completion.text).map(Reply::Judgement),
            Graded::Research { .. } => marks::read(&completion.text).map(Reply::Marks),
        };
        reply.map_err(|problem| match completion.finish_reason {
            FinishReason::Length => format!("{problem}, because it was cut off at the token limit"),
            FinishReason::ContentFilter => format!("{problem}, because it was withheld by its provider"),
            _ => problem,
        })
    }

    fn judged(&self, reply: Reply, comparison: Option<&Comparison>, words: String, halvings: u32, usage: Usage) -> Judged {
        let (judgement, marks) = match reply {
            Reply::Judgement(judgement) => (judgement, Vec::new()),
            Reply::Marks(marks) => {
                let correct = comparison.map(Comparison::is_correct);
                (Judgement { extracted_answer: None, correct, score: marks.score() }, marks.named())
            }
        };
        let report = JudgeReport {
            judge: self.name.clone(),
            rubric: Digest::of(self.rubric.as_bytes()),
            score: judgement.score,
            correct: judgement.correct,
            extracted_answer: judgement.extracted_answer,
            words,
            halvings,
            usage,
        };
        Judged { report, marks }
    }
}
