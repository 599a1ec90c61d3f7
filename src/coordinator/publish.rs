//! Publishes what is outstanding: planned jobs minus what the archive has. This one function starts a campaign and resumes it after any loss.
//!
//! It lists shard by shard and publishes as it lists, waiting for room in the queue, so memory is one shard's whatever the campaign's size.
//! What is published twice finds its claim or its effect and is acknowledged.

use std::collections::BTreeSet;

use dataset::DatasetError;
use dataset::frozen::FrozenSeeds;
use dataset::part::{self, Listing};
use model::layout::{CampaignKeys, job_of_key};
use model::queue::MESSAGE_VERSION;
use model::{Campaign, CandidateMessage, Digest, Job, JobId, JobMessage, Seed, Step};
use runtime::{Archive, Ledger, LedgerError, Queue, QueueError, QueueName, WorkKey};

/// Jobs published in one go, confirmed together.
const RANGE_JOBS: usize = 512;

/// Why publishing stopped. Nothing is lost: it can be started again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The archive failed, or an object is damaged.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A message could not be written.
    #[error(transparent)]
    Wire(#[from] model::wire::WireError),
}

/// What was published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Published {
    /// Jobs to synthesise.
    pub jobs: u64,
    /// Trajectories that wait for a verdict.
    pub candidates: u64,
    /// Full shards that wait for their rows.
    pub seals: u64,
}

/// Publishes everything of `campaign` that is not terminal under `grade`.
///
/// # Errors
/// When archive, queue or ledger fail.
pub async fn publish_outstanding(
    archive: &dyn Archive,
    queue: &dyn Queue,
    ledger: &dyn Ledger,
    campaign: &Campaign,
    grade: &Digest,
) -> Result<Published, PublishError> {
    let keys = CampaignKeys::new(&campaign.name);
    let jobs = QueueName::Jobs(campaign.name.clone());
    let candidates = QueueName::Candidates(campaign.name.clone());
    let mut seeds = FrozenSeeds::new(archive, &campaign.name);
    let mut published = Published::default();
    for shard in 0..campaign.plan.shards() {
        let listing = Listing::of(archive, &keys, grade, shard).await?;
        let (members, sample) = campaign.plan.members(shard);
        if listing.terminal() >= members.end - members.start {
            if part::standing(archive, &keys, grade, shard, &listing).await?.is_none() {
                let seal = CandidateMessage::seal(&campaign.uid, shard);
                queue.publish(&candidates, vec![model::wire::encode_message("a seal message", &seal)?]).await?;
                published.seals += 1;
            }
            continue;
        }
        let synthesised = archive.list(&keys.trajectories(shard)).await.map_err(DatasetError::from)?;
        let synthesised: BTreeSet<JobId> = synthesised.iter().filter_map(|object| job_of_key(&object.key)).collect();
        let (mut pointers, mut fresh) = (Vec::new(), Vec::new());
        for number in members {
            let seed = seeds.get(number).await?;
            let job = Job { id: JobId::of(&campaign.uid, &seed.id, sample), place: campaign.plan.place(number, sample), sample };
            if listing.verdicts.contains(&job.id) || listing.ended.contains(&job.id) {
                continue;
            }
            if synthesised.contains(&job.id) {
                pointers.push(job);
            } else {
                fresh.push((job, seed));
            }
        }
        for range in pointers.chunks(RANGE_JOBS) {
            let work: Vec<WorkKey> = range.iter().map(|job| WorkKey::Filter(grade.short().to_owned(), job.id.clone())).collect();
            let steps = ledger.replan(&work).await?;
            let encode = |(job, step): (&Job, Step)| {
                model::wire::encode_message("a candidate message", &CandidateMessage::candidate(&campaign.uid, job.clone()).at(step))
            };
            let bodies: Vec<Vec<u8>> = range.iter().zip(steps).map(encode).collect::<Result<_, _>>()?;
            published.candidates += bodies.len() as u64;
            queue.publish(&candidates, bodies).await?;
        }
        for range in fresh.chunks(RANGE_JOBS) {
            // A job that got further than its first message would find this one stale otherwise.
            let work: Vec<WorkKey> = range.iter().map(|(job, _)| WorkKey::Synthesis(job.id.clone())).collect();
            let steps = ledger.replan(&work).await?;
            let encode = |((job, seed), step): (&(Job, Seed), Step)| {
                let message =
                    JobMessage { version: MESSAGE_VERSION, uid: campaign.uid.clone(), job: job.clone(), step, seed: seed.clone() };
                model::wire::encode_message("a job message", &message)
            };
            let bodies: Vec<Vec<u8>> = range.iter().zip(steps).map(encode).collect::<Result<_, _>>()?;
            published.jobs += bodies.len() as u64;
            queue.publish(&jobs, bodies).await?;
        }
    }
    Ok(published)
}
