//! Messages that were set aside: those nobody could use, those too new, those whose queue was gone. None of their queues is without a
//! reader, and this is the reader.
//!
//! A message of the dead queue whose job has ended by now is dropped. One that the broker gave up delivering is suspected and goes to the
//! quarantine. Any other gets its end on record, so that the campaign has one for each of its jobs. Bytes that are no message name no job: they
//! are reported, and the job they may have been is outstanding until somebody resumes the campaign.

use std::time::Duration;

use model::layout::CampaignKeys;
use model::{Campaign, CandidateMessage, Digest, Ended, Job, JobMessage, Step};
use runtime::{Archive, Delivery, Ledger, Queue, QueueName, WorkKey};
use serde::Deserialize;

use crate::publish::PublishError;

/// Messages taken in one go.
const TAKEN_MAX: usize = 64;
/// How long an empty queue is listened to.
const LISTEN: Duration = Duration::from_millis(500);
/// Of bytes that are no message, so many are shown.
const SHOWN_BYTES: usize = 48;

/// What became of messages set aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Their work had ended.
    pub dropped: u64,
    /// To the quarantine.
    pub quarantined: u64,
    /// Their end is on record.
    pub ended: u64,
    /// No message at all.
    pub unreadable: u64,
    /// Back to where they came from.
    pub returned: u64,
    /// Too new still: they stay.
    pub kept: u64,
}

/// A campaign's queues and archive, for clearing what was set aside.
pub struct Aside<'a> {
    /// Where ends are put on record.
    pub archive: &'a dyn Archive,
    /// The queues.
    pub queue: &'a dyn Queue,
    /// Told of terminal ranks.
    pub ledger: &'a dyn Ledger,
    /// The campaign.
    pub campaign: &'a Campaign,
    /// The grade it is filtered under.
    pub grade: &'a Digest,
}

/// The one thing that messages of every version have.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// What a dead message was about.
enum Subject {
    Synthesis(Box<JobMessage>),
    Grading(Job, Step),
    /// A seal is asked for again by sealing the campaign.
    Seal,
    Foreign,
    Nothing(String),
}

impl Aside<'_> {
    /// Empties the dead queue as it is now.
    ///
    /// # Errors
    /// When queue, ledger or archive fail; what was not settled comes back.
    pub async fn clear_dead(&self) -> Result<Cleared, PublishError> {
        let mut cleared = Cleared::default();
        let dead = QueueName::Dead(self.campaign.name.clone());
        let mut subscription = self.queue.subscribe(&dead, TAKEN_MAX).await?;
        while let Ok(Some(delivery)) = tokio::time::timeout(LISTEN, subscription.next()).await {
            self.clear(delivery, &mut cleared).await?;
        }
        Ok(cleared)
    }

    async fn clear(&self, delivery: Delivery, cleared: &mut Cleared) -> Result<(), PublishError> {
        let from = delivery.aside.as_ref().and_then(|aside| QueueName::parse(&aside.from));
        let reason = delivery.aside.as_ref().map(|aside| aside.reason.clone()).unwrap_or_default();
        let subject = self.subject(from.as_ref(), &delivery.body);
        let is_over = match &subject {
            Subject::Synthesis(message) => self.is_over(&message.job, message.step.round).await?,
            Subject::Grading(job, step) => self.is_over(job, step.round).await?,
            Subject::Seal | Subject::Foreign => true,
            Subject::Nothing(why) => {
                let bytes: Vec<String> = delivery.body.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
                tracing::error!(
                    campaign = %self.campaign.name, reason, why, bytes = bytes.concat(), length = delivery.body.len(),
                    "a message that is none was dropped; if it was a job, `sluice resume` publishes that again"
                );
                cleared.unreadable += 1;
                delivery.ack().await?;
                return Ok(());
            }
        };
        if is_over {
            cleared.dropped += 1;
        } else if reason.contains("delivery_limit") {
            let quarantine = from.unwrap_or(QueueName::Jobs(self.campaign.name.clone())).quarantine();
            self.queue.publish_urgent(&quarantine, delivery.body.clone()).await?;
            cleared.quarantined += 1;
        } else {
            self.put_on_record(&subject, &reason).await?;
            cleared.ended += 1;
        }
        delivery.ack().await?;
        Ok(())
    }

    fn subject(&self, from: Option<&QueueName>, body: &[u8]) -> Subject {
        let is_foreign = |uid: &model::Uid| *uid != self.campaign.uid;
        let candidate = || match model::wire::decode_message::<CandidateMessage>("a candidate message", body) {
            Ok(CandidateMessage::Candidate { uid, .. } | CandidateMessage::Seal { uid, .. }) if is_foreign(&uid) => Subject::Foreign,
            Ok(CandidateMessage::Candidate { job, step, .. }) => Subject::Grading(job, step),
            Ok(CandidateMessage::Seal { .. }) => Subject::Seal,
            Err(error) => Subject::Nothing(error.to_string()),
        };
        let job = || match model::wire::decode_message::<JobMessage>("a job message", body) {
            Ok(message) if is_foreign(&message.uid) => Subject::Foreign,
            Ok(message) => Subject::Synthesis(Box::new(message)),
            Err(error) => Subject::Nothing(error.to_string()),
        };
        match from {
            Some(QueueName::Candidates(_) | QueueName::QuarantineCandidates(_)) => candidate(),
            Some(QueueName::Jobs(_) | QueueName::Quarantine(_)) => job(),
            _ => match job() {
                Subject::Nothing(_) => candidate(),
                subject => subject,
            },
        }
    }

    /// Whether the job has its verdict, or failed in this round or a later one.
    async fn is_over(&self, job: &Job, round: u32) -> Result<bool, PublishError> {
        let keys = CampaignKeys::new(&self.campaign.name);
        let shard = job.place.shard;
        if self.archive.exists(&keys.verdict(self.grade, shard, &job.id)).await.map_err(dataset::DatasetError::from)? {
            return Ok(true);
        }
        for key in [keys.ended(shard, &job.id), keys.grade_ended(self.grade, shard, &job.id)] {
            let bytes = self.archive.get(&key).await.map_err(dataset::DatasetError::from)?;
            let ended = bytes.and_then(|bytes| serde_json::from_slice::<Ended>(&bytes).ok());
            if ended.is_some_and(|ended| ended.round >= round) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn put_on_record(&self, subject: &Subject, reason: &str) -> Result<(), PublishError> {
        let keys = CampaignKeys::new(&self.campaign.name);
        let (job, step, key, work) = match subject {
            Subject::Synthesis(message) => {
                let (shard, job) = (message.job.place.shard, &message.job);
                (job, message.step, keys.ended(shard, &job.id), WorkKey::Synthesis(job.id.clone()))
            }
            Subject::Grading(job, step) => {
                let work = WorkKey::Filter(self.grade.short().to_owned(), job.id.clone());
                (job, *step, keys.grade_ended(self.grade, job.place.shard, &job.id), work)
            }
            Subject::Seal | Subject::Foreign | Subject::Nothing(_) => return Ok(()),
        };
        let ended = Ended {
            job_id: job.id.clone(),
            rank: job.place.rank,
            kind: "dead".into(),
            message: format!("its message was set aside: {reason}"),
            attempts: step.attempt + 1,
            round: step.round,
            journal: Vec::new(),
        };
        dataset::frozen::put_json(self.archive, &key, &ended).await?;
        self.ledger.note_effect(&work, step).await?;
        let known = self.ledger.note_terminal(self.grade.short(), job.place.shard, &[job.place.rank]).await?;
        let (members, _) = self.campaign.plan.members(job.place.shard);
        if known >= members.end - members.start {
            let seal = CandidateMessage::seal(&self.campaign.uid, job.place.shard);
            let body = model::wire::encode_message("a seal message", &seal)?;
            self.queue.publish_urgent(&QueueName::Candidates(self.campaign.name.clone()), body).await?;
        }
        Ok(())
    }

    /// Sends parked messages of at most version `readable` back to where they came from; the others stay.
    ///
    /// # Errors
    /// When the queue fails; what was not settled comes back.
    pub async fn unpark(&self, readable: u32) -> Result<Cleared, PublishError> {
        let mut cleared = Cleared::default();
        let parked = QueueName::Parked(self.campaign.name.clone());
        let mut subscription = self.queue.subscribe(&parked, TAKEN_MAX).await?;
        // Held until the end, so that one that stays does not come again in this pass.
        let mut staying = Vec::new();
        while let Ok(Some(delivery)) = tokio::time::timeout(LISTEN, subscription.next()).await {
            let version = model::wire::decode_message::<Versioned>("a parked message", &delivery.body).map(|message| message.version);
            let origin = delivery.aside.as_ref().and_then(|aside| QueueName::parse(&aside.from));
            match (version, origin) {
                (Ok(version), Some(origin)) if version <= readable => {
                    self.queue.publish_urgent(&origin, delivery.body.clone()).await?;
                    cleared.returned += 1;
                    delivery.ack().await?;
                }
                _ if staying.len() + 1 >= TAKEN_MAX => break,
                _ => staying.push(delivery),
            }
        }
        drop(subscription);
        cleared.kept = staying.len() as u64;
        for delivery in staying {
            delivery.put_back().await?;
        }
        Ok(cleared)
    }
}
