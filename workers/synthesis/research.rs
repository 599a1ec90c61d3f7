//! One researcher's thread: think, call tools, read, until there is an answer or a budget forces one.
//!
//! A pure function of (job, corpus, journal): run again with the same journal it takes the same path, which is how a killed job resumes and
//! why nothing here may look at a clock. Every way a turn can go has its arm in `Step`; every budget ends in a forced answer, and whatever
//! happens the turns so far are kept.

use model::protocol::{self, ProtocolTag};
use model::{Action, Completion, FinishReason, JournalKey, Limit, Notice, NoticeKind, Observation, Outcome, Turn};
use runtime::{Failure, FailureKind};
use teacher::dialect::Reading;
use teacher::{Calls, JournalError, TeacherErrorKind};

use crate::budget::{Advice, Budget, Limits};
use crate::clock::{CLOCK_CALL, Clock};
use crate::desk::{Desk, ToolError};
use crate::extract::Extractor;
use crate::prompts::{Level, budget_notice, notice};
use crate::speaker::{Speaker, Work};
use crate::transcript::{NewTurn, Transcript};

/// Most calls of one turn that are carried out; the rest are answered with a refusal.
const CALLS_PER_TURN_MAX: usize = 32;
/// Most unreadable calls of one turn that are told apart.
const PROBLEMS_TOLD_MAX: usize = 3;
/// Most turns withdrawn when a server finds the conversation too long.
const WITHDRAWALS_MAX: u32 = 16;
/// How often an early answer is sent back for more evidence. A model that insists is taken at its word; the filter counts its calls.
const SENT_BACK_MAX: u32 = 2;

/// What is asked of a researcher.
pub(crate) struct Manner<'a> {
    /// What it may use up.
    pub(crate) limits: Limits,
    /// Fewest tool calls before an answer of its own accord is taken.
    pub(crate) min_tool_calls: u32,
    /// Whether it answers a subtask, between tags, or a question, in plain text.
    pub(crate) is_subtask: bool,
    /// Who reads crawled pages for it.
    pub(crate) extractor: Option<&'a Extractor<'a>>,
}

/// How a thread ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ending {
    /// Why.
    pub(crate) outcome: Outcome,
    /// The budget that was reached.
    pub(crate) limit: Option<Limit>,
    /// The answer.
    pub(crate) answer: Option<String>,
}

/// What one completion means.
enum Step {
    /// Calls to carry out.
    Act(Reading),
    /// An answer.
    Answer(Reading),
    /// Neither; tell the model why.
    Tell(Reading, Vec<Notice>),
    /// The provider withheld the text, or the model declined.
    Refused(Reading),
}

/// One thread being worked on.
pub(crate) struct Researcher<'a> {
    pub(crate) speaker: &'a Speaker,
    pub(crate) manner: &'a Manner<'a>,
    pub(crate) work: &'a Work<'a>,
    /// Number of the thread in its trajectory.
    pub(crate) thread: u32,
    /// What the thread is about, for whoever extracts from pages.
    pub(crate) goal: &'a str,
}

impl Researcher<'_> {
    /// Researches until there is an answer; `None` when the job must hand itself on before that. The turns are in `transcript`.
    ///
    /// # Errors
    /// The teacher's, the ledger's, or a corpus that cannot be read.
    pub(crate) async fn research(&self, transcript: &mut Transcript, desk: &mut Desk) -> Result<Option<Ending>, Failure> {
        let limits = &self.manner.limits;
        let mut budget = Budget::new(limits, self.speaker.sampling(0).max_completion_tokens);
        let mut clock = Clock::new(limits);
        let mut forced: Option<Limit> = None;
        let (mut withdrawals, mut sent_back) = (0, 0);
        // Bounded: each round takes a turn, which the budget limits, or withdraws one, which is limited too.
        for number in 0.. {
            if self.work.pace.must_yield() {
                return Ok(None);
            }
            let key = JournalKey { thread: self.thread, turn: number, call: 0 };
            transcript.note(clock.read(self.work, key).await?);
            if let Some(limit) = budget.full(&transcript.used()).filter(|_| number == 0) {
                return Ok(Some(Ending { outcome: fruitless(limit), limit: Some(limit), answer: None }));
            }
            if forced.is_none() {
                forced = self.heed(&mut budget, transcript);
            }
            let calls = if forced.is_some() { Calls::Forbidden } else { Calls::Offered };
            let mut completion = match self.speaker.complete(self.work, key, transcript, calls).await {
                Ok(completion) => completion,
                Err(JournalError::Teacher(error)) if error.kind == TeacherErrorKind::ContextOverflow => {
                    withdrawals += 1;
                    if withdrawals > WITHDRAWALS_MAX || !transcript.withdraw() {
                        return Ok(Some(Ending { outcome: Outcome::TokenLimit, limit: Some(Limit::ContextTokens), answer: None }));
                    }
                    desk.rebuild(transcript.turns()).await.map_err(tool_failed)?;
                    self.demand(transcript, Limit::ContextTokens, limits.context_tokens);
                    forced = Some(Limit::ContextTokens);
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            let reading = self.speaker.read(&mut completion);
            if let Some(limit) = forced {
                return Ok(Some(self.close_forced(transcript, limit, completion, reading)));
            }
            match self.interpret(&completion, reading) {
                Step::Act(reading) => {
                    if !self.act(transcript, &budget, desk, key, completion, reading).await? {
                        return Ok(None);
                    }
                }
                Step::Tell(reading, notices) => push(transcript, completion, reading, notices),
                Step::Answer(reading) => {
                    if sent_back < SENT_BACK_MAX && transcript.used().tool_calls < u64::from(self.manner.min_tool_calls) {
                        sent_back += 1;
                        let level =
                            Level { limit: Limit::ToolCalls, used: transcript.used().tool_calls, most: self.manner.min_tool_calls.into() };
                        push(transcript, completion, reading, vec![budget_notice(NoticeKind::TooFewCalls, level)]);
                        continue;
                    }
                    return Ok(Some(self.close(transcript, Outcome::Answered, None, completion, reading)));
                }
                Step::Refused(reading) => return Ok(Some(self.close(transcript, Outcome::Refused, None, completion, reading))),
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
                transcript.push_notice(self.demanded(level));
                Some(level.limit)
            }
        }
    }

    fn demand(&self, transcript: &mut Transcript, limit: Limit, most: u32) {
        let level = Level { limit, used: transcript.used().context_tokens.max(u64::from(most)), most: u64::from(most) };
        transcript.push_notice(self.demanded(level));
    }

    fn demanded(&self, level: Level) -> Notice {
        if self.manner.is_subtask {
            crate::prompts::decompose::subtask_answer_demanded(level)
        } else {
            budget_notice(NoticeKind::FinalAnswerDemanded, level)
        }
    }

    fn interpret(&self, completion: &Completion, reading: Reading) -> Step {
        if !reading.actions.is_empty() {
            return Step::Act(reading);
        }
        if !reading.problems.is_empty() {
            let notices = unreadable(&reading);
            return Step::Tell(reading, notices);
        }
        let reading = self.out_of_reasoning(reading);
        let text = reading.text.trim();
        match completion.finish_reason {
            FinishReason::ContentFilter => Step::Refused(reading),
            // A cut thought is no answer.
            FinishReason::Length => Step::Tell(reading, vec![notice(NoticeKind::Truncated, "")]),
            _ if text.is_empty() => Step::Tell(reading, vec![notice(NoticeKind::EmptyTurn, "")]),
            _ if self.is_in_answer_form(text) => Step::Answer(reading),
            _ if self.announces_a_call(text) => Step::Tell(reading, vec![notice(NoticeKind::NarratedCall, "")]),
            _ if teacher::dialect::refuses(text) => Step::Refused(reading),
            _ => Step::Answer(reading),
        }
    }

    /// Whether the text is the plan of a call, and no call.
    fn announces_a_call(&self, text: &str) -> bool {
        let tools: Vec<&str> = self.speaker.tools.iter().map(String::as_str).collect();
        teacher::dialect::announces_a_call(text, &tools)
    }

    /// Whether an answer that the token limit cut is all there.
    fn is_whole(&self, text: &str) -> bool {
        match self.manner.is_subtask {
            true => protocol::tags(text).iter().any(|at| at.tag == ProtocolTag::SubtaskAnswer && at.closes),
            // Its line is whole where another begins behind it.
            false => text.rsplit_once("Exact Answer:").is_some_and(|(_, rest)| rest.trim_start().contains('\n')),
        }
    }

    /// `reading`, with an answer that a server took for reasoning put back into the text. Its `raw` says that the text was empty.
    fn out_of_reasoning(&self, mut reading: Reading) -> Reading {
        let Some(reasoning) = reading.reasoning.as_deref().filter(|_| reading.text.trim().is_empty()) else { return reading };
        let from = match self.manner.is_subtask {
            true => protocol::tags(reasoning)
                .into_iter()
                .rfind(|at| {
                    at.tag == ProtocolTag::SubtaskAnswer
                        && !at.closes
                        && reasoning.get(at.range.start..).is_some_and(|rest| self.is_whole(rest))
                })
                .map(|at| at.range.start),
            false => answer_line(reasoning),
        };
        let Some(from) = from else { return reading };
        let Some((before, answer)) = reasoning.split_at_checked(from) else { return reading };
        let (before, answer) = (before.trim().to_owned(), answer.trim().to_owned());
        reading.raw.get_or_insert_with(String::new);
        (reading.reasoning, reading.text) = ((!before.is_empty()).then_some(before), answer);
        reading
    }

    /// Whether the text says of itself that it is the answer.
    fn is_in_answer_form(&self, text: &str) -> bool {
        match self.manner.is_subtask {
            true => protocol::last_part(text, ProtocolTag::SubtaskAnswer).is_some(),
            false => text.contains("Exact Answer:"),
        }
    }

    /// Carries out what was called for. False when the job must hand itself on first: then it is all done again from the journal.
    async fn act(
        &self,
        transcript: &mut Transcript,
        budget: &Budget,
        desk: &mut Desk,
        key: JournalKey,
        completion: Completion,
        mut reading: Reading,
    ) -> Result<bool, Failure> {
        let left = usize::try_from(budget.tool_calls_left(&transcript.used())).unwrap_or(usize::MAX);
        for action in reading.actions.iter_mut().skip(left.min(CALLS_PER_TURN_MAX)) {
            action.unreadable = Some("too many calls: this one was not carried out".into());
        }
        let (actions, mut observations) = desk.perform(std::mem::take(&mut reading.actions)).await.map_err(tool_failed)?;
        if !self.extract(transcript, key, &reading, &actions, &mut observations).await? {
            return Ok(false);
        }
        let mut notices = unreadable(&reading);
        let is_repetition = transcript.repeats(&actions, &observations);
        if is_repetition {
            notices.push(notice(NoticeKind::Repetition, ""));
        }
        let mut turn = turn_of(&completion, reading, notices);
        turn.retrieval = desk.retrieval(&actions, &observations);
        turn.actions = actions;
        turn.observations = observations;
        transcript.push(NewTurn { turn, completion, is_repetition });
        Ok(true)
    }

    /// Has crawled pages read by the extractor, where there is one. False when the job must hand itself on before all of them are read.
    async fn extract(
        &self,
        transcript: &mut Transcript,
        key: JournalKey,
        reading: &Reading,
        actions: &[Action],
        observations: &mut [Observation],
    ) -> Result<bool, Failure> {
        let Some(extractor) = self.manner.extractor else { return Ok(true) };
        let wanted = reading.reasoning.as_deref().filter(|reasoning| !reasoning.trim().is_empty()).unwrap_or(&reading.text);
        for (number, observation) in observations.iter_mut().enumerate().take(CALLS_PER_TURN_MAX) {
            let is_page = observation.url_opened.is_some() && actions.get(number).is_some_and(|action| action.tool.trim() == "crawl_page");
            if !is_page {
                continue;
            }
            if self.work.pace.must_yield() {
                return Ok(false);
            }
            let call = CLOCK_CALL + 1 + u32::try_from(number).unwrap_or(u32::MAX - CLOCK_CALL - 1);
            let (extract, usage) = extractor.read_page(self.work, JournalKey { call, ..key }, self.goal, wanted, observation).await?;
            transcript.charge(usage);
            observation.extract = extract;
        }
        Ok(true)
    }

    /// The turn after a demand: its text is the answer unless it plans to go on or declines; its calls are not carried out.
    fn close_forced(&self, transcript: &mut Transcript, limit: Limit, completion: Completion, mut reading: Reading) -> Ending {
        reading.actions.clear();
        let reading = self.out_of_reasoning(reading);
        let text = reading.text.trim();
        let outcome = match completion.finish_reason {
            FinishReason::ContentFilter => Outcome::Refused,
            // A cut thought is no answer here either, nor is half an answer.
            FinishReason::Length if !self.is_whole(text) => fruitless(limit),
            _ if self.is_in_answer_form(text) => Outcome::ForcedAnswer,
            _ if text.is_empty() || self.announces_a_call(text) => fruitless(limit),
            _ if teacher::dialect::refuses(text) => Outcome::Refused,
            _ => Outcome::ForcedAnswer,
        };
        self.close(transcript, outcome, Some(limit), completion, reading)
    }

    fn close(
        &self,
        transcript: &mut Transcript,
        outcome: Outcome,
        limit: Option<Limit>,
        completion: Completion,
        reading: Reading,
    ) -> Ending {
        let answer = outcome.has_answer().then(|| self.answer_in(&reading.text).to_owned());
        push(transcript, completion, reading, Vec::new());
        Ending { outcome, limit, answer }
    }

    /// The answer in a text: what stands between the tags where a subtask is answered, else all of it.
    fn answer_in<'t>(&self, text: &'t str) -> &'t str {
        let between = self.manner.is_subtask.then(|| protocol::last_part(text, ProtocolTag::SubtaskAnswer)).flatten();
        between.unwrap_or_else(|| text.trim())
    }
}

/// Where the answer begins in a text whose last paragraphs are one: at `Explanation:` where the model wrote that, else at its line.
fn answer_line(text: &str) -> Option<usize> {
    let at = text.rfind("\nExact Answer:").map(|at| at + 1).or_else(|| text.starts_with("Exact Answer:").then_some(0))?;
    let said = text.get(at..)?.lines().next()?.split_once(':')?.1.trim();
    let explained = text
        .get(..at)?
        .rfind("Explanation:")
        .filter(|from| text.get(..*from).is_some_and(|before| before.is_empty() || before.ends_with('\n')));
    said.chars().any(char::is_alphanumeric).then(|| explained.unwrap_or(at))
}

/// How a thread ends that reached `limit` and has no answer.
fn fruitless(limit: Limit) -> Outcome {
    match limit {
        Limit::Turns => Outcome::TurnLimit,
        Limit::ToolCalls => Outcome::ToolCallLimit,
        Limit::ContextTokens | Limit::CompletionTokens | Limit::PromptTokens | Limit::Money => Outcome::TokenLimit,
        Limit::Calls => Outcome::TurnLimit,
        Limit::WallTime => Outcome::TimeLimit,
        Limit::Repetition => Outcome::Loop,
        Limit::FruitlessTurns => Outcome::Empty,
    }
}

pub(crate) fn push(transcript: &mut Transcript, completion: Completion, reading: Reading, notices: Vec<Notice>) {
    let turn = turn_of(&completion, reading, notices);
    transcript.push(NewTurn { turn, completion, is_repetition: false });
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

fn tool_failed(error: ToolError) -> Failure {
    match error {
        ToolError::CorpusFault => Failure::outage("corpus_fault", error.to_string()),
        ToolError::Panic(_) => Failure::transient("tool_panic", error.to_string()),
    }
}

/// What the worker loop does about a journal's error.
pub(crate) fn failed(error: JournalError) -> Failure {
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
