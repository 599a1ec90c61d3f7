//! The recipe `browse`: one researcher, three tools, as many turns as the budgets allow (OpenResearcher's way of working).
//!
//! A pure function of (job, corpus, journal): run again with the same journal it takes the same path, which is how a killed job resumes and
//! why nothing here may look at a clock. Every way a turn can go has its arm in `Step`; every budget ends in a forced answer, and whatever
//! happens the turns so far are kept.

use std::sync::Arc;

use model::settings::{BrowseSettings, Dialect};
use model::{
    Citation, Completion, Decision, FinishReason, JobId, JournalKey, Limit, Notice, NoticeKind, Outcome, Sampling, Seed, ToolDefinition,
    Turn, Usage,
};
use runtime::{Failure, FailureKind};
use teacher::dialect::Reading;
use teacher::{Calls, Journal, JournalError, Request, Teacher, TeacherErrorKind};

use crate::budget::{Advice, Budget};
use crate::desk::{Desk, ToolError};
use crate::pace::Pace;
use crate::prompts::{Level, budget_notice, notice};
use crate::transcript::{NewTurn, Transcript};

/// Most calls of one turn that are carried out; the rest are answered with a refusal.
const CALLS_PER_TURN_MAX: usize = 32;
/// Most unreadable calls of one turn that are told apart.
const PROBLEMS_TOLD_MAX: usize = 3;
/// Most turns withdrawn when a server finds the conversation too long.
const WITHDRAWALS_MAX: u32 = 16;
/// Call number, within a turn, of the journal's clock.
const CLOCK_CALL: u32 = 1;

/// What all jobs of a campaign share.
pub(crate) struct Browse {
    /// The budgets.
    pub(crate) settings: BrowseSettings,
    /// How calls are written.
    pub(crate) dialect: Dialect,
    /// The system prompt as sent.
    pub(crate) system: String,
    /// The tools as offered; text dialects describe them in the system prompt instead.
    pub(crate) tools: Arc<Vec<ToolDefinition>>,
    /// Who researches.
    pub(crate) teacher: Arc<dyn Teacher>,
}

/// What came of a job.
pub(crate) struct Research {
    /// The turns.
    pub(crate) turns: Vec<Turn>,
    /// What all completions cost, withdrawn ones included.
    pub(crate) usage: Usage,
    /// Why it ended.
    pub(crate) outcome: Outcome,
    /// The budget that was reached.
    pub(crate) limit: Option<Limit>,
    /// The answer.
    pub(crate) answer: Option<String>,
    /// Its citations.
    pub(crate) citations: Vec<Citation>,
}

/// What one completion means.
enum Step {
    /// Calls to carry out.
    Act(Reading),
    /// An answer.
    Answer(Reading),
    /// Neither; tell the model why.
    Tell(Reading, Vec<Notice>),
    /// The provider withheld the text.
    Withheld(Reading),
}

impl Browse {
    /// Researches one job; `None` when it must hand itself on before it is done.
    ///
    /// # Errors
    /// The teacher's, the ledger's, or a corpus that cannot be read.
    pub(crate) async fn research(
        &self,
        job: &JobId,
        seed: &Seed,
        sampling: &Sampling,
        desk: &mut Desk,
        journal: &Journal,
        pace: &Pace,
    ) -> Result<Option<Research>, Failure> {
        let mut transcript = Transcript::open(self.dialect, &self.system, &seed.question);
        let mut budget = Budget::new(&self.settings, sampling.max_completion_tokens);
        let mut forced: Option<Limit> = None;
        let mut withdrawals = 0;
        // Bounded: each round takes a turn, which the budget limits, or withdraws one, which is limited too.
        for number in 0.. {
            if pace.must_yield() {
                return Ok(None);
            }
            let key = JournalKey { thread: 0, turn: number, call: 0 };
            if self.settings.wall_s.is_some() {
                transcript.note_busy(clock(journal, key, pace).await?);
            }
            if forced.is_none() {
                forced = self.heed(&mut budget, &mut transcript);
            }
            let completion = match self.complete(job, key, sampling, &transcript, forced.is_some(), journal).await {
                Ok(completion) => completion,
                Err(JournalError::Teacher(error)) if error.kind == TeacherErrorKind::ContextOverflow => {
                    withdrawals += 1;
                    if withdrawals > WITHDRAWALS_MAX || !transcript.withdraw() {
                        return Ok(Some(close(transcript, desk, Outcome::TokenLimit, Some(Limit::ContextTokens), None)));
                    }
                    desk.rebuild(transcript.turns()).await.map_err(tool_failed)?;
                    demand(&mut transcript, Limit::ContextTokens, self.settings.context_tokens);
                    forced = Some(Limit::ContextTokens);
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            let reading = teacher::dialect::read(self.dialect, &completion);
            if let Some(limit) = forced {
                return Ok(Some(close_forced(transcript, desk, limit, completion, reading)));
            }
            match interpret(&completion, reading) {
                Step::Act(reading) => self.act(&mut transcript, &budget, desk, completion, reading).await?,
                Step::Tell(reading, notices) => {
                    let turn = turn_of(&completion, reading, notices);
                    transcript.push(NewTurn { turn, completion, is_repetition: false });
                }
                Step::Answer(reading) => return Ok(Some(close_with(transcript, desk, Outcome::Answered, None, completion, reading))),
                Step::Withheld(reading) => return Ok(Some(close_with(transcript, desk, Outcome::Refused, None, completion, reading))),
            }
        }
        unreachable!("the loop above ends by its budgets")
    }

    /// Does what the budgets advise; returns the limit that forces an answer.
    fn heed(&self, budget: &mut Budget, transcript: &mut Transcript) -> Option<Limit> {
        match budget.advise(&transcript.used()) {
            Advice::GoOn => None,
            Advice::Warn(level) => {
                transcript.push_notice(budget_notice(NoticeKind::BudgetWarning, level));
                None
            }
            Advice::Force(level) => {
                transcript.push_notice(budget_notice(NoticeKind::FinalAnswerDemanded, level));
                Some(level.limit)
            }
        }
    }

    async fn complete(
        &self,
        job: &JobId,
        key: JournalKey,
        sampling: &Sampling,
        transcript: &Transcript,
        is_forced: bool,
        journal: &Journal,
    ) -> Result<Completion, JournalError> {
        let tools = if self.dialect == Dialect::Openai { Arc::clone(&self.tools) } else { Arc::default() };
        let calls = if is_forced { Calls::Forbidden } else { Calls::Offered };
        let conversation = transcript.conversation();
        let digest = conversation.request_digest(&tools, calls, sampling);
        let request = Request { job: job.clone(), key, messages: conversation.messages(), tools, calls, sampling: sampling.clone() };
        journal.complete(self.teacher.as_ref(), &request, digest).await
    }

    async fn act(
        &self,
        transcript: &mut Transcript,
        budget: &Budget,
        desk: &mut Desk,
        completion: Completion,
        mut reading: Reading,
    ) -> Result<(), Failure> {
        let left = usize::try_from(budget.tool_calls_left(&transcript.used())).unwrap_or(usize::MAX);
        for action in reading.actions.iter_mut().skip(left.min(CALLS_PER_TURN_MAX)) {
            action.unreadable = Some("too many calls: this one was not carried out".into());
        }
        let (actions, observations) = desk.perform(std::mem::take(&mut reading.actions)).await.map_err(tool_failed)?;
        let mut notices = unreadable(&reading);
        let is_repetition = transcript.repeats(&actions, &observations);
        if is_repetition {
            notices.push(notice(NoticeKind::Repetition, ""));
        }
        let mut turn = turn_of(&completion, reading, notices);
        turn.retrieval = desk.retrieval(&observations);
        turn.actions = actions;
        turn.observations = observations;
        transcript.push(NewTurn { turn, completion, is_repetition });
        Ok(())
    }
}

fn interpret(completion: &Completion, reading: Reading) -> Step {
    if !reading.actions.is_empty() {
        return Step::Act(reading);
    }
    if !reading.problems.is_empty() {
        let notices = unreadable(&reading);
        return Step::Tell(reading, notices);
    }
    match completion.finish_reason {
        FinishReason::ContentFilter => Step::Withheld(reading),
        // A cut thought is no answer.
        FinishReason::Length => Step::Tell(reading, vec![notice(NoticeKind::Truncated, "")]),
        _ if reading.text.trim().is_empty() => Step::Tell(reading, vec![notice(NoticeKind::EmptyTurn, "")]),
        _ => Step::Answer(reading),
    }
}

fn unreadable(reading: &Reading) -> Vec<Notice> {
    reading.problems.iter().take(PROBLEMS_TOLD_MAX).map(|problem| notice(NoticeKind::ParseError, problem)).collect()
}

fn turn_of(completion: &Completion, reading: Reading, notices: Vec<Notice>) -> Turn {
    Turn {
        reasoning: reading.reasoning,
        text: reading.text,
        raw: reading.raw,
        actions: Vec::new(),
        observations: Vec::new(),
        notices,
        retrieval: model::Retrieval::default(),
        finish_reason: completion.finish_reason,
        usage: completion.usage,
    }
}

fn demand(transcript: &mut Transcript, limit: Limit, most: u32) {
    let level = Level { limit, used: transcript.used().context_tokens.max(u64::from(most)), most: u64::from(most) };
    transcript.push_notice(budget_notice(NoticeKind::FinalAnswerDemanded, level));
}

/// The turn after a demand: its text is the answer, its calls are not carried out.
fn close_forced(transcript: Transcript, desk: &Desk, limit: Limit, completion: Completion, mut reading: Reading) -> Research {
    reading.actions.clear();
    let is_withheld = completion.finish_reason == FinishReason::ContentFilter;
    let outcome = match limit {
        _ if is_withheld => Outcome::Refused,
        _ if !reading.text.trim().is_empty() => Outcome::ForcedAnswer,
        Limit::Turns => Outcome::TurnLimit,
        Limit::ToolCalls => Outcome::ToolCallLimit,
        Limit::ContextTokens | Limit::CompletionTokens => Outcome::TokenLimit,
        Limit::WallTime => Outcome::TimeLimit,
        Limit::Repetition => Outcome::Loop,
        Limit::FruitlessTurns => Outcome::Empty,
    };
    close_with(transcript, desk, outcome, Some(limit), completion, reading)
}

fn close_with(
    mut transcript: Transcript,
    desk: &Desk,
    outcome: Outcome,
    limit: Option<Limit>,
    completion: Completion,
    reading: Reading,
) -> Research {
    let answer = outcome.has_answer().then(|| reading.text.trim().to_owned());
    let turn = turn_of(&completion, reading, Vec::new());
    transcript.push(NewTurn { turn, completion, is_repetition: false });
    close(transcript, desk, outcome, limit, answer)
}

fn close(transcript: Transcript, desk: &Desk, outcome: Outcome, limit: Option<Limit>, answer: Option<String>) -> Research {
    let citations = answer.as_deref().map(|answer| desk.citations(answer)).unwrap_or_default();
    let (turns, usage) = transcript.close();
    Research { turns, usage, outcome, limit, answer, citations }
}

/// Milliseconds of work on this job, as the journal has it for this turn.
async fn clock(journal: &Journal, key: JournalKey, pace: &Pace) -> Result<u64, Failure> {
    let key = JournalKey { call: CLOCK_CALL, ..key };
    let Decision::Elapsed { busy_ms } = journal.decide(key, || Decision::Elapsed { busy_ms: pace.busy_ms() }).await.map_err(failed)?;
    pace.at_least(busy_ms);
    Ok(busy_ms)
}

fn tool_failed(error: ToolError) -> Failure {
    match error {
        ToolError::CorpusFault => Failure::outage("corpus_fault", error.to_string()),
        ToolError::Panic(_) => Failure::transient("tool_panic", error.to_string()),
    }
}

/// What the worker loop does about a journal's error.
fn failed(error: JournalError) -> Failure {
    let message = error.to_string();
    let (kind, name, retry_after) = match error {
        JournalError::Mismatch { .. } => (FailureKind::Permanent, "journal_mismatch", None),
        JournalError::Ledger(error) => return error.into(),
        JournalError::Teacher(error) => match error.kind {
            TeacherErrorKind::Transient => (FailureKind::Transient, "teacher_transient", error.retry_after),
            TeacherErrorKind::Outage => (FailureKind::Outage, "teacher_outage", error.retry_after),
            TeacherErrorKind::ContextOverflow | TeacherErrorKind::Permanent => (FailureKind::Permanent, "teacher_refused", None),
            TeacherErrorKind::Journal(_) => unreachable!("only a journaled teacher says so, and this one is not"),
        },
    };
    Failure { kind, name, message, retry_after }
}
