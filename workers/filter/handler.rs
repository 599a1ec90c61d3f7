//! From a pointer to a verdict, and from a full shard to its rows.
//!
//! Order of effects: verdict put → shard looked at, seal message confirmed → (the loop) acknowledged. A verdict has one key, so grading twice is
//! harmless; it is looked for before grading, and again before putting, only to save work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use dataset::DatasetError;
use dataset::part::{self, Listing};
use model::layout::CampaignKeys;
use model::queue::MESSAGE_VERSION;
use model::{Campaign, CandidateMessage, Ended, Job, Step, Trajectory, Uid, VerdictObject};
use runtime::{Archive, Context, Disposition, Failure, FailureKind, Handler, Lease, Ledger, Opened, Queue, QueueName, WorkKey, failpoint};
use teacher::journaled::JournalCopy;
use teacher::{Journal, JournalFault, JournaledTeacher, Purse, Teacher, TeacherErrorKind};

use crate::grade::{Grade, JudgeError};

/// An outage after which the copy of the judge's journal may hold what the ledger lacks. The message would come back as it was, and nobody
/// would look for the copy: a continuation says by its step that there is one.
const COPIED: &str = "judge_outage_copied";

/// Grades candidates of one campaign and writes its shards.
pub struct FilterHandler {
    campaign: Arc<Campaign>,
    keys: CampaignKeys,
    grade: Arc<Grade>,
    judge: Option<Arc<dyn Teacher>>,
    ledger: Arc<dyn Ledger>,
    archive: Arc<dyn Archive>,
    queue: Arc<dyn Queue>,
    purse: Arc<Purse>,
    graded: AtomicU64,
}

impl FilterHandler {
    /// A handler for `campaign` under `grade`; `judge` is the model, where the grade wants one.
    pub fn new(
        campaign: Arc<Campaign>,
        grade: Arc<Grade>,
        judge: Option<Arc<dyn Teacher>>,
        ledger: Arc<dyn Ledger>,
        archive: Arc<dyn Archive>,
        queue: Arc<dyn Queue>,
    ) -> Self {
        let keys = CampaignKeys::new(&campaign.name);
        let purse = Arc::new(Purse::bottomless());
        Self { campaign, keys, grade, judge, ledger, archive, queue, purse, graded: AtomicU64::new(0) }
    }

    /// The same, with a model judge paid from `purse`: once that is empty, candidates wait. Rules and a lexical judge cost nothing, and go on.
    #[must_use]
    pub fn paid_from(self, purse: Arc<Purse>) -> Self {
        Self { purse, ..self }
    }

    /// Candidates that have their verdict, as far as this handler saw; for progress.
    pub fn graded(&self) -> u64 {
        self.graded.load(Ordering::Relaxed)
    }

    async fn filter(&self, uid: &Uid, job: &Job, lease: &Lease, context: &Context) -> Result<(), Failure> {
        let key = self.keys.verdict(self.grade.digest(), job.place.shard, &job.id);
        // A first message that the ledger gave us has no verdict: whoever wrote one was given it before, and has told the ledger or died of it.
        let may_be_there = context.is_second_hand || lease.step != Step::default();
        if !(may_be_there && self.archive.exists(&key).await?) {
            let bytes = self.judged(job, lease, context).await?;
            // While a model thought, another worker may have finished this job: what stands, stands.
            if self.judge.is_none() || !self.archive.exists(&key).await? {
                failpoint::hit("filter.before_verdict");
                self.archive.put(&key, bytes).await?;
                failpoint::hit("filter.after_verdict");
            }
        }
        self.graded.fetch_add(1, Ordering::Relaxed);
        self.look_at_shard(uid, job).await
    }

    /// The bytes of the verdict object.
    async fn judged(&self, job: &Job, lease: &Lease, context: &Context) -> Result<Vec<u8>, Failure> {
        let key = self.keys.trajectory(job.place.shard, &job.id);
        let Some(bytes) = self.archive.get(&key).await? else {
            return Err(Failure::permanent("trajectory_missing", format!("read {key}: there is no such object, and no verdict either")));
        };
        let trajectory: Trajectory = model::wire::decode_object("a trajectory", &bytes)
            .map_err(|error| Failure::permanent("trajectory_damaged", format!("read {key}: {error}")))?;
        let verdict = match &self.judge {
            None => self.grade.evaluate(&trajectory, None).await.map_err(judge_failed)?,
            Some(_) if self.purse.is_empty() => return Err(spent()),
            Some(judge) => {
                let folder = self.keys.judge_journal_folder(self.grade.digest(), job.place.shard, &job.id);
                let copy = JournalCopy { archive: Arc::clone(&self.archive), folder, is_expected: context.is_second_hand };
                let opened = Journal::open(Arc::clone(&self.ledger), lease.clone(), Some(copy)).await;
                let journal = opened.map_err(|error| copied(error.into(), context.is_second_hand))?;
                let judge = JournaledTeacher::new(Arc::clone(judge), journal.paid_from(Arc::clone(&self.purse)));
                let evaluated = self.grade.evaluate(&trajectory, Some(&judge)).await;
                evaluated.map_err(|error| copied(judge_failed(error), judge.journal().is_ahead_of_ledger()))?
            }
        };
        let object = VerdictObject { verdict, trajectory };
        let encoded = tokio::task::spawn_blocking(move || model::wire::encode_object("a verdict", &object)).await;
        let encoded = encoded.map_err(|error| Failure::transient("panic", format!("encode a verdict: {error}")))?;
        encoded.map_err(|error| Failure::permanent("unencodable", error.to_string()))
    }

    /// Notes that the job is terminal, and asks for the shard to be sealed when it seems to be its last.
    async fn look_at_shard(&self, uid: &Uid, job: &Job) -> Result<(), Failure> {
        let shard = job.place.shard;
        let known = self.ledger.note_terminal(self.grade.digest().short(), shard, &[job.place.rank]).await?;
        let (members, _) = self.campaign.plan.members(shard);
        if known < members.end - members.start {
            return Ok(());
        }
        let seal = CandidateMessage::seal(uid, shard);
        let body =
            model::wire::encode_message("a seal message", &seal).map_err(|error| Failure::permanent("unencodable", error.to_string()))?;
        failpoint::hit("filter.before_seal_message");
        self.queue.publish_urgent(&QueueName::Candidates(self.campaign.name.clone()), body).await?;
        failpoint::hit("filter.after_seal_message");
        Ok(())
    }

    /// Writes the shard's rows and index, if its ranks are all terminal and no index says so yet.
    async fn seal(&self, shard: u64) -> Result<(), Failure> {
        let grade = self.grade.digest();
        let archive = self.archive.as_ref();
        let listing = Listing::of(archive, &self.keys, grade, shard).await.map_err(dataset_failed)?;
        let (members, _) = self.campaign.plan.members(shard);
        if listing.terminal() < members.end - members.start {
            // The counter was a hint, the listing decides: the rank that is missing will ask again.
            return Ok(());
        }
        if part::standing(archive, &self.keys, grade, shard, &listing).await.map_err(dataset_failed)?.is_some() {
            return Ok(());
        }
        part::write(&self.archive, &self.campaign, grade, shard, &listing).await.map_err(dataset_failed)?;
        Ok(())
    }
}

#[async_trait]
impl Handler for FilterHandler {
    type Message = CandidateMessage;

    fn open(&self, body: &[u8]) -> Opened<CandidateMessage> {
        let message: CandidateMessage = match model::wire::decode_message("a candidate message", body) {
            Ok(message) => message,
            Err(error) => return Opened::Unreadable(error.to_string()),
        };
        let grade = self.grade.digest().short().to_owned();
        let (version, uid, key) = match &message {
            CandidateMessage::Candidate { version, uid, job, .. } => (*version, uid, WorkKey::Filter(grade, job.id.clone())),
            CandidateMessage::Seal { version, uid, shard, .. } => (*version, uid, WorkKey::Seal(grade, *shard)),
        };
        if version > MESSAGE_VERSION {
            return Opened::TooNew(format!("a candidate message of version {version}; this build reads {MESSAGE_VERSION}"));
        }
        if *uid != self.campaign.uid {
            return Opened::Foreign(uid.clone());
        }
        Opened::Work { key, step: message.step(), message }
    }

    async fn is_effected(&self, _message: &CandidateMessage) -> Result<bool, Failure> {
        // A verdict alone is not the whole effect: its shard may wait for a seal. `handle` looks for both, cheaply.
        Ok(false)
    }

    async fn handle(&self, message: CandidateMessage, lease: &Lease, context: &Context) -> Result<Disposition, Failure> {
        let done = match &message {
            CandidateMessage::Candidate { uid, job, .. } => self.filter(uid, job, lease, context).await,
            CandidateMessage::Seal { shard, .. } => self.seal(*shard).await,
        };
        match done {
            Ok(()) => Ok(Disposition::Done),
            Err(failure) if failure.name == COPIED && message.step() == Step::default() => {
                let next = message.at(Step::default().next_slice());
                let continuation = model::wire::encode_message("a candidate message", &next);
                let continuation = continuation.map_err(|error| Failure::permanent("unencodable", error.to_string()))?;
                Ok(Disposition::Outage { continuation })
            }
            Err(failure) => Err(failure),
        }
    }

    fn next_attempt(&self, message: &CandidateMessage) -> Vec<u8> {
        // What was decoded from a message encodes to one again.
        let next = message.clone().at(message.step().next_attempt());
        model::wire::encode_message("a candidate message", &next).unwrap_or_default()
    }

    async fn give_up(&self, message: &CandidateMessage, lease: &Lease, failure: &Failure) -> Result<(), Failure> {
        let CandidateMessage::Candidate { uid, job, .. } = message else {
            // The final seal rebuilds every index that disagrees with the archive, and reports what it cannot.
            tracing::error!(campaign = %self.campaign.name, reason = %failure.message, "a shard could not be written; sealing the campaign will try again");
            return Ok(());
        };
        let journal = self.ledger.journal(&lease.key).await.unwrap_or_else(|error| {
            // The end is recorded even when what was paid for cannot be read.
            tracing::warn!(job.id = %job.id, %error, "the judge's journal of a failed job could not be read");
            Vec::new()
        });
        let ended = Ended {
            job_id: job.id.clone(),
            rank: job.place.rank,
            kind: failure.name.to_owned(),
            message: failure.message.clone(),
            attempts: message.step().attempt + 1,
            round: message.step().round,
            journal,
        };
        let bytes = serde_json::to_vec(&ended).map_err(|error| Failure::permanent("unencodable", error.to_string()))?;
        // Below the grade: the trajectory is there, and another grade may fare better with it.
        self.archive.put(&self.keys.grade_ended(self.grade.digest(), job.place.shard, &job.id), bytes).await?;
        self.look_at_shard(uid, job).await
    }
}

/// The campaign's budget is spent: nothing is asked of a model until it is given more.
fn spent() -> Failure {
    let message = "ask the judge: the campaign's budget is spent; raise [budget] and resume it".to_owned();
    Failure { kind: FailureKind::Outage, name: "budget_spent", message, retry_after: None }
}

/// The failure, marked when it leaves something in the copy alone.
fn copied(failure: Failure, may_be_in_copy: bool) -> Failure {
    match failure.kind {
        FailureKind::Outage if may_be_in_copy => Failure { name: COPIED, ..failure },
        _ => failure,
    }
}

fn dataset_failed(error: DatasetError) -> Failure {
    match error {
        DatasetError::Archive(error) => error.into(),
        error => Failure::transient("shard", error.to_string()),
    }
}

fn judge_failed(error: JudgeError) -> Failure {
    let (kind, name) = match error.kind {
        TeacherErrorKind::Transient => (FailureKind::Transient, "judge_transient"),
        TeacherErrorKind::Outage => (FailureKind::Outage, "judge_outage"),
        TeacherErrorKind::ContextOverflow | TeacherErrorKind::Permanent => (FailureKind::Permanent, "judge_refused"),
        TeacherErrorKind::Journal(JournalFault::Fenced) => (FailureKind::Fenced, "fenced"),
        TeacherErrorKind::Journal(JournalFault::Damaged) => (FailureKind::Permanent, "journal_damaged"),
        TeacherErrorKind::Journal(JournalFault::Mismatch) => (FailureKind::Permanent, "journal_mismatch"),
    };
    Failure { kind, name, message: error.message, retry_after: error.retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_was_taken_over_is_dropped_and_a_ruined_journal_is_named() {
        for (fault, expected) in [
            (JournalFault::Fenced, (FailureKind::Fenced, "fenced")),
            (JournalFault::Damaged, (FailureKind::Permanent, "journal_damaged")),
            (JournalFault::Mismatch, (FailureKind::Permanent, "journal_mismatch")),
        ] {
            let failure = judge_failed(JudgeError { kind: TeacherErrorKind::Journal(fault), message: "m".into(), retry_after: None });
            assert_eq!((failure.kind, failure.name), expected);
        }
    }
}
