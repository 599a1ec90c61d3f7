//! From a job message to a durable trajectory and a confirmed pointer.
//!
//! Order of effects: trajectory put → pointer published and confirmed → copy of the journal dropped → (the loop) done and acknowledged. Every
//! step may run twice: the key of a trajectory is a function of the job, a second pointer finds the verdict and is acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use corpus::{Corpus, ToolLimits};
use model::layout::CampaignKeys;
use model::queue::MESSAGE_VERSION;
use model::seed::{SEEDS_PER_PART, in_part, read_part};
use model::{
    Campaign, CandidateMessage, Digest, Ended, GoldMet, Job, JobId, JobMessage, JournalEntry, Provenance, Sampling, Seed, Step, Trajectory,
};
use runtime::{
    Archive, ArchiveError, Context, Disposition, Failure, FailureKind, Handler, Lease, Ledger, Opened, Queue, QueueName, WorkKey, failpoint,
};
use teacher::journaled::{Copied, JournalCopy};
use teacher::{Journal, Purse};
use tokio::sync::OnceCell;

use crate::desk::{Desk, DeskError};
use crate::pace::{Pace, SLICE};
use crate::recipe::{Recipe, Research};
use crate::speaker::{Voices, Work};

/// Turns jobs of one campaign into trajectories.
pub struct SynthesisHandler {
    campaign: Arc<Campaign>,
    keys: CampaignKeys,
    grade: Digest,
    corpus: Corpus,
    recipe: Recipe,
    purse: Arc<Purse>,
    ledger: Arc<dyn Ledger>,
    archive: Arc<dyn Archive>,
    queue: Arc<dyn Queue>,
    /// Shards in which there were copies of journals when this handler took up its first job.
    copied_shards: OnceCell<BTreeSet<u64>>,
    slice: Duration,
}

impl SynthesisHandler {
    /// A handler for `campaign`, whose candidates are graded under `grade`.
    pub fn new(
        campaign: Arc<Campaign>,
        grade: Digest,
        corpus: Corpus,
        voices: Voices,
        ledger: Arc<dyn Ledger>,
        archive: Arc<dyn Archive>,
        queue: Arc<dyn Queue>,
    ) -> Self {
        let recipe = Recipe::new(&campaign.settings, &voices);
        let keys = CampaignKeys::new(&campaign.name);
        Self {
            campaign,
            keys,
            grade,
            corpus,
            recipe,
            purse: Arc::new(Purse::bottomless()),
            ledger,
            archive,
            queue,
            copied_shards: OnceCell::new(),
            slice: SLICE,
        }
    }

    /// The same, with another longest slice than twenty minutes.
    pub fn with_slice(self, slice: Duration) -> Self {
        Self { slice, ..self }
    }

    /// The same, spending from `purse`.
    pub fn paid_from(self, purse: Arc<Purse>) -> Self {
        Self { purse, ..self }
    }

    /// The journal of the job, the archive's copy included where that may hold more than the ledger.
    async fn open_journal(&self, job: &Job, lease: &Lease, context: &Context) -> Result<Journal, Failure> {
        let is_expected = context.is_second_hand || self.copied_shards().await?.contains(&job.place.shard);
        let journal = Journal::open(Arc::clone(&self.ledger), lease.clone(), Some(self.copy_of(job, is_expected))).await?;
        Ok(journal.paid_from(Arc::clone(&self.purse)))
    }

    fn copy_of(&self, job: &Job, is_expected: bool) -> JournalCopy {
        let folder = self.keys.journal_folder(job.place.shard, &job.id);
        JournalCopy { archive: Arc::clone(&self.archive), folder, is_expected }
    }

    /// One listing a process. A ledger that was lost together with its process (a folder removed, a whole cluster gone) does not know that
    /// it forgot, and no message says so: only what was copied before this process does. What others copy later they hand on in a
    /// message with a later step, or leave behind in one that is delivered again.
    async fn copied_shards(&self) -> Result<&BTreeSet<u64>, Failure> {
        let list = || async {
            let names = self.archive.folders(&self.keys.journals()).await?;
            Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
        };
        self.copied_shards.get_or_try_init(list).await
    }

    /// What to do about a failure after which the copy of the journal may hold more than the ledger. The message of an outage comes back as
    /// it was, at its first step and not as redelivered, to any worker, which would not look for a copy; a continuation says by its step
    /// that there is one. It costs no attempt either, and waits: the loop gives the lease back first, for which it needs the ledger.
    fn after_outage(message: &JobMessage, failure: Failure) -> Result<Disposition, Failure> {
        match failure.kind {
            FailureKind::Outage if message.step == Step::default() => {
                tracing::warn!(job.id = %message.job.id, error = %failure, "goes on from the copy of its journal");
                Ok(Disposition::Outage { continuation: continuation(message)? })
            }
            _ => Err(failure),
        }
    }

    /// Researches the job as far as this slice goes, and makes what comes of it durable.
    async fn research(&self, message: &JobMessage, seed: Seed, journal: &Journal, context: &Context) -> Result<Disposition, Failure> {
        let settings = &self.campaign.settings;
        let limits = ToolLimits::of(&settings.recipe);
        let mut desk = Desk::new(self.corpus.clone(), limits, &seed).await.map_err(corpus_failed)?;
        let pace = Pace::new(context.shutdown.clone(), self.slice, Arc::clone(&self.purse));
        let sampling = Sampling::seed_of(settings.campaign.seed, &seed.id, message.job.sample);
        let work = Work { job: &message.job.id, seed: sampling, journal, pace: &pace };
        let research = self.recipe.research(&work, &seed, &mut desk).await?;
        let Some(research) = research else {
            journal.copy().await;
            return Ok(Disposition::Yield { continuation: continuation(message)? });
        };
        let provenance = Provenance {
            busy_ms: pace.busy_ms(),
            attempts: message.step.attempt + 1,
            slices: message.step.slice + 1,
            replayed: journal.replayed(),
            worker: context.worker.clone(),
        };
        let gold = desk.met(&seed, &research.threads);
        let trajectory = self.trajectory(message, seed, research, gold, provenance);
        let key = self.keys.trajectory(message.job.place.shard, &message.job.id);
        let bytes = blocking(move || model::wire::encode_object("a trajectory", &trajectory)).await?;
        let bytes = bytes.map_err(|error| Failure::permanent("unencodable", error.to_string()))?;
        failpoint::hit("synthesis.before_trajectory");
        self.archive.put(&key, bytes).await?;
        failpoint::hit("synthesis.after_trajectory");
        self.publish_pointer(message).await?;
        failpoint::hit("synthesis.after_pointer");
        note_discarded(&message.job.id, journal.discard_copy().await);
        Ok(Disposition::Done)
    }

    /// The job's journal as far as ledger or archive have it, and what the archive has.
    async fn paid_for(&self, lease: &Lease, job: &Job) -> (Vec<JournalEntry>, Copied) {
        let copy = self.copy_of(job, true);
        let mut journal = self.ledger.journal(&lease.key).await.unwrap_or_else(|error| {
            // The end is recorded even when what was paid for cannot be read.
            tracing::warn!(job.id = %job.id, %error, "the journal of a failed job could not be read");
            Vec::new()
        });
        let copied = copy.read().await.unwrap_or_else(|error| {
            tracing::warn!(job.id = %job.id, %error, "the copy of a failed job's journal could not be read");
            Copied::default()
        });
        journal.extend(copied.lacking(&journal));
        (journal, copied)
    }

    async fn publish_pointer(&self, message: &JobMessage) -> Result<(), Failure> {
        let body = encode(&pointer(message))?;
        self.queue.publish(&QueueName::Candidates(self.campaign.name.clone()), vec![body]).await?;
        Ok(())
    }

    /// The seed of the message, or the frozen one where that was too large to travel.
    async fn seed(&self, message: &JobMessage) -> Result<Seed, Failure> {
        if let Some(seed) = &message.seed {
            return Ok(seed.clone());
        }
        let number = self.campaign.plan.seed_at(message.job.place);
        let key = self.keys.seeds(number / SEEDS_PER_PART);
        let damaged = |reason: String| Failure::permanent("seed_damaged", format!("read seed number {number} in {key}: {reason}"));
        let Some(bytes) = self.archive.get(&key).await? else { return Err(damaged("there is no such object".to_owned())) };
        let read = blocking(move || read_part(&bytes).map_err(|error| error.to_string()).and_then(|text| in_part(&text, number))).await?;
        read.map_err(damaged)
    }

    fn trajectory(
        &self,
        message: &JobMessage,
        seed: Seed,
        research: Research,
        gold: Option<GoldMet>,
        provenance: Provenance,
    ) -> Trajectory {
        let settings = &self.campaign.settings;
        Trajectory {
            schema_version: model::trajectory::SCHEMA_VERSION,
            job_id: message.job.id.clone(),
            rank: message.job.place.rank,
            campaign: self.campaign.name.clone(),
            sample: message.job.sample,
            recipe: settings.recipe.name().to_owned(),
            corpus_id: self.campaign.corpus_id.clone(),
            teacher: self.recipe.introduction(Sampling::seed_of(settings.campaign.seed, &seed.id, message.job.sample)),
            gold,
            seed,
            threads: research.threads,
            outcome: research.outcome,
            limit: research.limit,
            answer: research.answer,
            citations: research.citations,
            usage: research.usage,
            provenance,
        }
    }
}

#[async_trait]
impl Handler for SynthesisHandler {
    type Message = JobMessage;

    fn open(&self, body: &[u8]) -> Opened<JobMessage> {
        let message: JobMessage = match model::wire::decode_message("a job message", body) {
            Ok(message) => message,
            Err(error) => return Opened::Unreadable(error.to_string()),
        };
        if message.version > MESSAGE_VERSION {
            return Opened::TooNew(format!("a job message of version {}; this build reads {MESSAGE_VERSION}", message.version));
        }
        if message.uid != self.campaign.uid {
            return Opened::Foreign(message.uid);
        }
        Opened::Work { key: WorkKey::Synthesis(message.job.id.clone()), step: message.step, message }
    }

    async fn is_effected(&self, message: &JobMessage) -> Result<bool, Failure> {
        let (shard, job) = (message.job.place.shard, &message.job.id);
        if self.archive.exists(&self.keys.verdict(&self.grade, shard, job)).await? {
            return Ok(true);
        }
        if let Some(bytes) = self.archive.get(&self.keys.ended(shard, job)).await? {
            // An unreadable record of the end is no end: the job runs again and writes a new one.
            let ended_round = serde_json::from_slice::<Ended>(&bytes).ok().map(|ended| ended.round);
            return Ok(ended_round.is_some_and(|round| round >= message.step.round));
        }
        if self.archive.exists(&self.keys.trajectory(shard, job)).await? {
            self.publish_pointer(message).await?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn handle(&self, message: JobMessage, lease: &Lease, context: &Context) -> Result<Disposition, Failure> {
        let seed = self.seed(&message).await?;
        if let Some(reason) = &seed.invalid {
            return Err(Failure::permanent("invalid_seed", format!("research seed {}: {reason}", seed.id)));
        }
        // Whoever waits for a higher budget waits as in any outage: nothing fails, and intake rests.
        if self.purse.is_empty() {
            return Err(Failure::outage("budget_spent", "go on: the campaign's budget is spent; raise it and resume"));
        }
        let journal = match self.open_journal(&message.job, lease, context).await {
            Ok(journal) => journal,
            Err(failure) if context.is_second_hand => return Self::after_outage(&message, failure),
            Err(failure) => return Err(failure),
        };
        let done = self.research(&message, seed, &journal, context).await;
        for warning in journal.take_warnings() {
            tracing::warn!(job.id = %message.job.id, warning, "trouble with the copy of a journal");
        }
        match done {
            Err(failure) if journal.is_ahead_of_ledger() => Self::after_outage(&message, failure),
            done => done,
        }
    }

    fn next_attempt(&self, message: &JobMessage) -> Vec<u8> {
        let next = JobMessage { step: message.step.next_attempt(), ..message.clone() };
        // What was decoded from a message encodes to one again.
        model::wire::encode_message("a job message", &next).unwrap_or_default()
    }

    async fn give_up(&self, message: &JobMessage, lease: &Lease, failure: &Failure) -> Result<(), Failure> {
        let (shard, job) = (message.job.place.shard, &message.job.id);
        let (journal, copied) = self.paid_for(lease, &message.job).await;
        let ended = Ended {
            job_id: job.clone(),
            rank: message.job.place.rank,
            kind: failure.name.to_owned(),
            message: failure.message.clone(),
            attempts: message.step.attempt + 1,
            round: message.step.round,
            journal,
        };
        let bytes = serde_json::to_vec(&ended).map_err(|error| Failure::permanent("unencodable", error.to_string()))?;
        failpoint::hit("synthesis.before_ended");
        self.archive.put(&self.keys.ended(shard, job), bytes).await?;
        failpoint::hit("synthesis.after_ended");
        let known = self.ledger.note_terminal(self.grade.short(), shard, &[message.job.place.rank]).await?;
        let (members, _) = self.campaign.plan.members(shard);
        if known >= members.end - members.start {
            let seal = CandidateMessage::seal(&message.uid, shard);
            let body = encode(&seal)?;
            self.queue.publish(&QueueName::Candidates(self.campaign.name.clone()), vec![body]).await?;
        }
        // Last: asked to give up again after a failure above, this puts the end on record again, with all that was paid for.
        note_discarded(job, self.copy_of(&message.job, true).discard(&copied.segments).await);
        Ok(())
    }
}

/// Tolerated: what stays costs some bytes until the campaign is sealed.
fn note_discarded(job: &JobId, discarded: Result<(), ArchiveError>) {
    if let Err(error) = discarded {
        tracing::debug!(job.id = %job, %error, "some of the copy of a journal stays until the campaign is sealed");
    }
}

/// It carries the round: of a job that was tried again, a pointer of an earlier round is stale to the filter.
fn pointer(message: &JobMessage) -> CandidateMessage {
    let step = Step { round: message.step.round, ..Step::default() };
    CandidateMessage::candidate(&message.uid, message.job.clone()).at(step)
}

fn continuation(message: &JobMessage) -> Result<Vec<u8>, Failure> {
    encode(&JobMessage { step: message.step.next_slice(), ..message.clone() })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let outage = |error: tokio::task::JoinError| Failure {
        kind: FailureKind::Transient,
        name: "panic",
        message: format!("encode a trajectory: {error}"),
        retry_after: None,
    };
    tokio::task::spawn_blocking(work).await.map_err(outage)
}

fn encode<T: serde::Serialize>(message: &T) -> Result<Vec<u8>, Failure> {
    model::wire::encode_message("a message", message).map_err(|error| Failure::permanent("unencodable", error.to_string()))
}

fn corpus_failed(error: DeskError) -> Failure {
    match error {
        // The index cannot be read at the moment, as when a tool meets it: no job is failed by a disk.
        DeskError::Corpus(_) => Failure::outage("corpus_fault", error.to_string()),
        DeskError::Panic(_) => Failure::transient("tool_panic", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Uid;

    fn message(step: Step) -> JobMessage {
        let seed: Seed = serde_json::from_value(serde_json::json!({"id": "s", "question": "q"})).expect("a seed");
        let uid = Uid("u".into());
        let plan = model::Plan { seeds: 1, rows_per_shard: 1, samples: 1 };
        let job = Job { id: JobId::of(&uid, "s", 0), place: plan.place(0, 0), sample: 0 };
        JobMessage::new(uid, job, step, seed).expect("written")
    }

    #[test]
    fn a_pointer_belongs_to_the_round_of_its_job_and_to_no_attempt_or_slice() {
        let step = Step { round: 2, attempt: 1, slice: 3 };
        assert_eq!(pointer(&message(step)).step(), Step { round: 2, ..Step::default() });
    }

    #[test]
    fn an_outage_that_left_something_in_the_copy_alone_is_handed_on_at_a_later_step() {
        let first = message(Step::default());
        let outage = || Failure::outage("ledger_outage", "it is down");
        let Ok(Disposition::Outage { continuation }) = SynthesisHandler::after_outage(&first, outage()) else {
            panic!("whoever takes the first message would not look for the copy");
        };
        let next: JobMessage = model::wire::decode_message("a job message", &continuation).expect("decoded");
        assert_eq!((next.step, next.job == first.job), (first.step.next_slice(), true));
        // A message at a later step says that there may be a copy: it waits as any does in an outage, and intake rests.
        assert!(SynthesisHandler::after_outage(&next, outage()).is_err_and(|failure| failure.kind == FailureKind::Outage));
        assert!(SynthesisHandler::after_outage(&first, Failure::permanent("p", "m")).is_err());
    }
}
