//! From a job message to a durable trajectory and a confirmed pointer.
//!
//! Order of effects: trajectory put → pointer published and confirmed → (the loop) done and acknowledged. Every step may run twice: the key of a
//! trajectory is a function of the job, a second pointer finds the verdict and is acknowledged.

use std::sync::Arc;

use async_trait::async_trait;
use corpus::Corpus;
use model::layout::CampaignKeys;
use model::queue::MESSAGE_VERSION;
use model::{
    Campaign, CandidateMessage, Digest, Ended, JobId, JobMessage, Provenance, Sampling, TeacherRecord, Thread, ThreadRole, Trajectory,
};
use runtime::{Archive, Context, Disposition, Failure, FailureKind, Handler, Lease, Ledger, Opened, Queue, QueueName, WorkKey, failpoint};
use teacher::{Journal, Teacher};

use crate::browse::{Browse, Research};
use crate::desk::{Desk, DeskError};
use crate::pace::{Pace, SLICE};
use crate::prompts::browse_system;

/// Turns jobs of one campaign into trajectories.
pub struct SynthesisHandler {
    campaign: Arc<Campaign>,
    keys: CampaignKeys,
    grade: Digest,
    corpus: Corpus,
    browse: Browse,
    prompt: Digest,
    ledger: Arc<dyn Ledger>,
    archive: Arc<dyn Archive>,
    queue: Arc<dyn Queue>,
}

impl SynthesisHandler {
    /// A handler for `campaign`, whose candidates are graded under `grade`.
    pub fn new(
        campaign: Arc<Campaign>,
        grade: Digest,
        corpus: Corpus,
        teacher: Arc<dyn Teacher>,
        ledger: Arc<dyn Ledger>,
        archive: Arc<dyn Archive>,
        queue: Arc<dyn Queue>,
    ) -> Self {
        let model::settings::RecipeSettings::Browse(settings) = campaign.settings.recipe.clone();
        let dialect = campaign.settings.teacher.dialect;
        let tools = corpus::definitions();
        let system = browse_system(&settings, dialect, &tools);
        let prompt = system.digest();
        let browse = Browse { settings, dialect, system: system.text, tools: Arc::new(tools), teacher };
        let keys = CampaignKeys::new(&campaign.name);
        Self { campaign, keys, grade, corpus, browse, prompt, ledger, archive, queue }
    }

    async fn publish_pointer(&self, message: &JobMessage) -> Result<(), Failure> {
        let pointer = CandidateMessage::candidate(&message.uid, message.job.clone());
        let body = encode(&pointer)?;
        self.queue.publish(&QueueName::Candidates(self.campaign.name.clone()), vec![body]).await?;
        Ok(())
    }

    fn trajectory(&self, message: &JobMessage, sampling: Sampling, research: Research, provenance: Provenance) -> Trajectory {
        let settings = &self.campaign.settings;
        Trajectory {
            schema_version: model::trajectory::SCHEMA_VERSION,
            job_id: message.job.id.clone(),
            rank: message.job.place.rank,
            campaign: self.campaign.name.clone(),
            seed: message.seed.clone(),
            sample: message.job.sample,
            recipe: settings.recipe.name().to_owned(),
            corpus_id: self.campaign.corpus_id.clone(),
            teacher: TeacherRecord { model: settings.teacher.model.clone(), sampling, dialect: settings.teacher.dialect.name().to_owned() },
            threads: vec![Thread { role: ThreadRole::Researcher, subtask: None, prompt: self.prompt.clone(), turns: research.turns }],
            outcome: research.outcome,
            limit: research.limit,
            answer: research.answer,
            citations: research.citations,
            usage: research.usage,
            provenance,
        }
    }
}

/// How this job is sampled: the seed depends on the campaign's seed and the job, and on nothing else.
fn sampling(campaign: &Campaign, job: &JobId) -> Sampling {
    let teacher = &campaign.settings.teacher;
    let seed = Sampling::seed_of(campaign.settings.campaign.seed, job);
    Sampling { temperature: teacher.temperature, top_p: teacher.top_p, max_completion_tokens: teacher.max_completion_tokens, seed }
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
        if let Some(reason) = &message.seed.invalid {
            return Err(Failure::permanent("invalid_seed", format!("research seed {}: {reason}", message.seed.id)));
        }
        let journal = Journal::open(Arc::clone(&self.ledger), lease.clone()).await?;
        let mut desk = Desk::new(self.corpus.clone(), &message.seed).await.map_err(corpus_failed)?;
        let pace = Pace::new(context.shutdown.clone(), SLICE);
        let sampling = sampling(&self.campaign, &message.job.id);
        let research = self.browse.research(&message.job.id, &message.seed, &sampling, &mut desk, &journal, &pace).await?;
        let Some(research) = research else {
            let continuation = encode(&JobMessage { step: message.step.next_slice(), ..message })?;
            return Ok(Disposition::Yield { continuation });
        };
        let provenance = Provenance {
            busy_ms: pace.busy_ms(),
            attempts: message.step.attempt + 1,
            slices: message.step.slice + 1,
            replayed: journal.replayed(),
            worker: context.worker.clone(),
        };
        let trajectory = self.trajectory(&message, sampling, research, provenance);
        let key = self.keys.trajectory(message.job.place.shard, &message.job.id);
        let bytes = blocking(move || model::wire::encode_object("a trajectory", &trajectory)).await?;
        let bytes = bytes.map_err(|error| Failure::permanent("unencodable", error.to_string()))?;
        failpoint::hit("synthesis.before_trajectory");
        self.archive.put(&key, bytes).await?;
        failpoint::hit("synthesis.after_trajectory");
        self.publish_pointer(&message).await?;
        failpoint::hit("synthesis.after_pointer");
        Ok(Disposition::Done)
    }

    fn next_attempt(&self, message: &JobMessage) -> Vec<u8> {
        let next = JobMessage { step: message.step.next_attempt(), ..message.clone() };
        // What was decoded from a message encodes to one again.
        model::wire::encode_message("a job message", &next).unwrap_or_default()
    }

    async fn give_up(&self, message: &JobMessage, lease: &Lease, failure: &Failure) -> Result<(), Failure> {
        let (shard, job) = (message.job.place.shard, &message.job.id);
        let journal = self.ledger.journal(&lease.key).await.unwrap_or_else(|error| {
            // The end is recorded even when what was paid for cannot be read.
            tracing::warn!(job.id = %job, %error, "the journal of a failed job could not be read");
            Vec::new()
        });
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
        Ok(())
    }
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
