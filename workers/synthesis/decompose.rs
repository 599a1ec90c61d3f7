//! The recipe `decompose`: planner → orthogonal subtasks → a researcher for each, side by side → one report (O-Researcher's way of working).
//!
//! Threads are numbered as they stand in the trajectory: the planner is 0, the researchers follow in the order of the list, the summarizer is
//! the last. Each is a pure function of its own journal entries, so it does not matter in which order they run, and a job that is killed
//! resumes every thread where it was.

mod citing;
mod planning;
mod report;
mod subtasks;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use model::settings::{Crawl, DecomposeSettings, SubtaskMode};
use model::{Outcome, Seed, Thread, ThreadRole, Usage};
use runtime::{Failure, FailureKind};

use self::citing::Merged;
use self::planning::Planned;
use crate::budget::Limits;
use crate::desk::Desk;
use crate::extract::Extractor;
use crate::recipe::Research;
use crate::research::{Ending, Manner, Researcher};
use crate::speaker::{Speaker, Work};
use crate::transcript::Transcript;

/// What all jobs of a campaign share.
pub(crate) struct Decompose {
    /// The budgets.
    pub(crate) settings: DecomposeSettings,
    /// Divides the question.
    pub(crate) planner: Speaker,
    /// Researches a subtask.
    pub(crate) researcher: Speaker,
    /// Writes the report.
    pub(crate) summarizer: Speaker,
    /// Reads crawled pages, where the settings want extracts.
    pub(crate) extractor: Speaker,
}

/// What came of one subtask.
pub(super) struct Found {
    pub(super) thread: Thread,
    pub(super) usage: Usage,
    /// As the researcher wrote it.
    pub(super) answer: Option<String>,
}

impl Decompose {
    /// See [`Recipe::research`](crate::recipe::Recipe::research).
    pub(crate) async fn research(&self, work: &Work<'_>, seed: &Seed, desk: &mut Desk) -> Result<Option<Research>, Failure> {
        let Some(planned) = planning::plan(self, work, &seed.question).await? else { return Ok(None) };
        let Planned { thread: planner, usage, subtasks, ending } = planned;
        let mut research =
            Research { threads: vec![planner], usage, outcome: ending.outcome, limit: ending.limit, answer: None, citations: Vec::new() };
        if subtasks.is_empty() {
            return Ok(Some(research));
        }
        // An equal share for each, whatever the order: so a job takes the same path when it is taken up again.
        let limits = Limits::share(&self.settings, &research.usage, subtasks.len() as u64);
        let found = match self.settings.mode {
            SubtaskMode::Parallel => self.side_by_side(work, seed, &subtasks, limits, desk).await?,
            SubtaskMode::Sequential => self.one_after_the_other(work, seed, &subtasks, limits, desk).await?,
        };
        let Some(found) = found else { return Ok(None) };
        let Merged { threads, usage, references } = citing::merge(desk, found).await?;
        research.usage += usage;
        let number = u32::try_from(threads.len() + 1).unwrap_or(u32::MAX);
        let left = Limits::share(&self.settings, &research.usage, 1);
        let Some(report) = report::write(self, work, number, &seed.question, &threads, &references, &left).await? else { return Ok(None) };
        research.threads.extend(threads);
        research.threads.push(report.thread);
        research.usage += report.usage;
        research.outcome = report.ending.outcome;
        research.limit = report.ending.limit;
        research.answer = report.ending.answer;
        research.citations = report.citations;
        Ok(Some(research))
    }

    /// All subtasks, as many at once as the settings allow. One that fails, or has to hand itself on, lets the others finish the turn they are
    /// in: what is paid for is journaled before the job ends.
    async fn side_by_side(
        &self,
        work: &Work<'_>,
        seed: &Seed,
        subtasks: &[String],
        limits: Limits,
        desk: &Desk,
    ) -> Result<Option<Vec<Found>>, Failure> {
        let pace = work.pace.of_a_group();
        let work = &Work { pace: &pace, ..*work };
        let mut threads: Vec<BoxFuture<'_, Result<Option<Found>, Failure>>> = Vec::with_capacity(subtasks.len());
        for (number, subtask) in subtasks.iter().enumerate() {
            let mut desk = desk.beside();
            threads.push(Box::pin(async move {
                let mut transcript = self.researcher.open(&opening(&seed.question, subtask));
                let found = self.subtask(work, seed, number, subtask, limits, &mut transcript, &mut desk, false).await;
                if !matches!(found, Ok(Some(_))) {
                    work.pace.halt();
                }
                found
            }));
        }
        let limit = usize::try_from(self.settings.parallel).unwrap_or(1).max(1);
        together(stream::iter(threads).buffered(limit).collect().await)
    }

    /// All subtasks in one conversation.
    async fn one_after_the_other(
        &self,
        work: &Work<'_>,
        seed: &Seed,
        subtasks: &[String],
        limits: Limits,
        desk: &mut Desk,
    ) -> Result<Option<Vec<Found>>, Failure> {
        let mut all: Vec<Found> = Vec::with_capacity(subtasks.len());
        let mut transcript: Option<Transcript> = None;
        for (number, subtask) in subtasks.iter().enumerate() {
            let continues = transcript.is_some();
            let mut conversation = match transcript.take() {
                None => self.researcher.open(&opening(&seed.question, subtask)),
                Some(mut conversation) => {
                    conversation.go_on(&crate::prompts::decompose::next_subtask(subtask));
                    conversation
                }
            };
            let found = self.subtask(work, seed, number, subtask, limits, &mut conversation, desk, continues).await?;
            let Some(found) = found else { return Ok(None) };
            all.push(found);
            transcript = Some(conversation);
        }
        Ok(Some(all))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one subtask of one job, in a conversation and at a desk that two callers make differently"
    )]
    async fn subtask(
        &self,
        work: &Work<'_>,
        seed: &Seed,
        number: usize,
        subtask: &str,
        limits: Limits,
        transcript: &mut Transcript,
        desk: &mut Desk,
        continues: bool,
    ) -> Result<Option<Found>, Failure> {
        let extractor = Extractor { speaker: &self.extractor, question: &seed.question };
        let manner = Manner {
            limits,
            min_tool_calls: self.settings.min_tool_calls,
            is_subtask: true,
            extractor: (self.settings.crawl == Crawl::Extract).then_some(&extractor),
        };
        let thread = u32::try_from(number + 1).unwrap_or(u32::MAX);
        let researcher = Researcher { speaker: &self.researcher, manner: &manner, work, thread, goal: subtask };
        let Some(ending) = researcher.research(transcript, desk).await? else { return Ok(None) };
        let (turns, usage) = transcript.take();
        let Ending { outcome, limit, answer } = ending;
        let thread = Thread {
            subtask: Some(subtask.to_owned()),
            extractor: (self.settings.crawl == Crawl::Extract).then(|| self.extractor.introduction(work.seed)),
            continues,
            outcome: Some(outcome),
            limit,
            ..Thread::new(ThreadRole::Researcher, self.researcher.prompt(), turns)
        };
        Ok(Some(Found { thread, usage, answer }))
    }

    /// A thread of another role than the researcher's, and who spoke in it where that is not the job's own teacher.
    pub(super) fn thread_of(&self, role: ThreadRole, speaker: &Speaker, work: &Work<'_>, turns: Vec<model::Turn>) -> Thread {
        let own = speaker.introduction(work.seed);
        let teacher = (own != self.researcher.introduction(work.seed)).then_some(own);
        Thread { teacher, ..Thread::new(role, speaker.prompt(), turns) }
    }
}

fn opening(question: &str, subtask: &str) -> String {
    format!("Question: {question}\n\nSubtask: {subtask}")
}

/// What came of threads that ran side by side. A failure stands for all: the one that leaves least to be done about it.
fn together(ended: Vec<Result<Option<Found>, Failure>>) -> Result<Option<Vec<Found>>, Failure> {
    let mut found = Some(Vec::with_capacity(ended.len()));
    let mut worst: Option<Failure> = None;
    for each in ended {
        match each {
            Ok(Some(one)) => {
                if let Some(all) = &mut found {
                    all.push(one);
                }
            }
            Ok(None) => found = None,
            Err(failure) if worst.as_ref().is_none_or(|known| gravity(failure.kind) > gravity(known.kind)) => worst = Some(failure),
            Err(_) => {}
        }
    }
    match worst {
        Some(failure) => Err(failure),
        None => Ok(found),
    }
}

fn gravity(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Transient => 0,
        FailureKind::Outage => 1,
        FailureKind::Permanent => 2,
        // Somebody else goes on: nothing that is said here counts.
        FailureKind::Fenced => 3,
    }
}

/// An ending without an answer.
pub(super) fn ending(outcome: Outcome) -> Ending {
    Ending { outcome, limit: None, answer: None }
}
