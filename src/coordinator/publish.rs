//! Publishes what is outstanding: planned jobs minus what the archive has. This one function starts a campaign and resumes it after any loss.
//!
//! It lists shard by shard and publishes as it lists, waiting for room in the queue, so memory is one shard's whatever the campaign's size.
//! What is published twice finds its claim or its effect and is acknowledged.

use std::collections::BTreeSet;

use dataset::DatasetError;
use dataset::frozen::FrozenSeeds;
use dataset::part::{self, Listing};
use model::layout::{CampaignKeys, job_of_key};
use model::settings::JudgeKind;
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
    /// Shards that wait until the first samples of their seeds are terminal: publish again then.
    pub waiting_shards: u64,
}

/// What a shard lacks, as the archive shows it at one moment.
struct Lacking {
    /// Trajectories without a verdict.
    pointers: Vec<Job>,
    /// Jobs without a trajectory.
    fresh: Vec<(Job, Seed)>,
    /// Jobs with a copy of their journal, or of their judge's: whoever takes one has to look for it, and a message at a first step would not
    /// tell a process that looked before it was written.
    copied: BTreeSet<JobId>,
}

/// Publishes what is outstanding of one campaign under one grade.
pub struct Publisher<'a> {
    archive: &'a dyn Archive,
    queue: &'a dyn Queue,
    ledger: &'a dyn Ledger,
    campaign: &'a Campaign,
    grade: &'a Digest,
    keys: CampaignKeys,
}

/// Which jobs without a trajectory are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fresh {
    All,
    None,
}

impl<'a> Publisher<'a> {
    /// A publisher of `campaign` under `grade`.
    pub fn new(archive: &'a dyn Archive, queue: &'a dyn Queue, ledger: &'a dyn Ledger, campaign: &'a Campaign, grade: &'a Digest) -> Self {
        Self { archive, queue, ledger, campaign, grade, keys: CampaignKeys::new(&campaign.name) }
    }

    /// Publishes everything that is not terminal.
    ///
    /// # Errors
    /// When archive, queue or ledger fail.
    pub async fn outstanding(&self) -> Result<Published, PublishError> {
        self.shards(0..self.campaign.plan.shards(), Fresh::All).await
    }

    /// Publishes what is synthesised and has no verdict, and no job that is not: for a campaign whose budget is spent.
    ///
    /// # Errors
    /// When archive, queue or ledger fail.
    pub async fn paid_for(&self) -> Result<Published, PublishError> {
        self.shards(0..self.campaign.plan.shards(), Fresh::None).await
    }

    /// Publishes the shards of later samples that could be decided about since, and only those: their first samples are all terminal by now.
    ///
    /// # Errors
    /// When archive, queue or ledger fail.
    pub async fn decided(&self) -> Result<Published, PublishError> {
        let Some(first) = self.campaign.settings.campaign.samples_first else { return Ok(Published::default()) };
        let mut undecided = Vec::new();
        for shard in u64::from(first) * self.campaign.plan.shards_per_sample()..self.campaign.plan.shards() {
            if dataset::spared::read(self.archive, &self.keys, shard).await?.is_none() {
                undecided.push(shard);
            }
        }
        self.shards(undecided, Fresh::All).await
    }

    async fn shards(&self, shards: impl IntoIterator<Item = u64>, fresh: Fresh) -> Result<Published, PublishError> {
        let mut seeds = FrozenSeeds::new(self.archive, &self.campaign.name);
        let mut published = Published::default();
        for shard in shards {
            self.publish(shard, fresh, &mut seeds, &mut published).await?;
        }
        Ok(published)
    }

    async fn publish(&self, shard: u64, wanted: Fresh, seeds: &mut FrozenSeeds<'_>, published: &mut Published) -> Result<(), PublishError> {
        if !dataset::spared::decide(self.archive, self.campaign, self.grade, shard, seeds).await? {
            published.waiting_shards += 1;
            return Ok(());
        }
        let candidates = QueueName::Candidates(self.campaign.name.clone());
        let listing = Listing::of(self.archive, &self.keys, self.grade, shard).await?;
        let (members, _) = self.campaign.plan.members(shard);
        if listing.terminal() >= members.end - members.start {
            if part::standing(self.archive, &self.keys, self.grade, shard, &listing).await?.is_none() {
                let seal = CandidateMessage::seal(&self.campaign.uid, shard);
                self.queue.publish(&candidates, vec![model::wire::encode_message("a seal message", &seal)?]).await?;
                published.seals += 1;
            }
            return Ok(());
        }
        if !listing.spared.is_empty() {
            // A hint, so that the last job of the shard brings its seal.
            let jobs = seeds.jobs(self.campaign, shard).await?;
            let ranks: Vec<u64> = jobs.iter().filter(|(_, job)| listing.spared.contains(job)).map(|(rank, _)| *rank).collect();
            self.ledger.note_terminal(self.grade.short(), shard, &ranks).await?;
        }
        let Lacking { pointers, fresh, copied } = self.lacking(shard, &listing, seeds).await?;
        for range in pointers.chunks(RANGE_JOBS) {
            let work: Vec<WorkKey> = range.iter().map(|job| WorkKey::Filter(self.grade.short().to_owned(), job.id.clone())).collect();
            let steps = self.replan(shard, &work, range.iter(), &copied, seeds).await?;
            let bodies = range.iter().zip(steps).filter_map(|(job, step)| {
                let message = CandidateMessage::candidate(&self.campaign.uid, job.clone()).at(step?);
                Some(model::wire::encode_message("a candidate message", &message))
            });
            let bodies: Vec<Vec<u8>> = bodies.collect::<Result<_, _>>()?;
            published.candidates += bodies.len() as u64;
            self.queue.publish(&candidates, bodies).await?;
        }
        let jobs = QueueName::Jobs(self.campaign.name.clone());
        let fresh = if wanted == Fresh::All { fresh } else { Vec::new() };
        for range in fresh.chunks(RANGE_JOBS) {
            let work: Vec<WorkKey> = range.iter().map(|(job, _)| WorkKey::Synthesis(job.id.clone())).collect();
            let steps = self.replan(shard, &work, range.iter().map(|(job, _)| job), &copied, seeds).await?;
            let bodies = range.iter().zip(steps).filter_map(|((job, seed), step)| {
                let (uid, job, seed) = (self.campaign.uid.clone(), job.clone(), seed.clone());
                let message = JobMessage::new(uid, job, step?, seed);
                Some(message.and_then(|message| model::wire::encode_message("a job message", &message)))
            });
            let bodies: Vec<Vec<u8>> = bodies.collect::<Result<_, _>>()?;
            published.jobs += bodies.len() as u64;
            self.queue.publish(&jobs, bodies).await?;
        }
        Ok(())
    }

    async fn lacking(&self, shard: u64, listing: &Listing, seeds: &mut FrozenSeeds<'_>) -> Result<Lacking, PublishError> {
        let synthesised = self.archive.list(&self.keys.trajectories(shard)).await.map_err(DatasetError::from)?;
        let synthesised: BTreeSet<JobId> = synthesised.iter().filter_map(|object| job_of_key(&object.key)).collect();
        let mut folders = vec![self.keys.shard_journals(shard)];
        if matches!(self.campaign.settings.judge.kind, JudgeKind::Http { .. }) {
            folders.push(self.keys.shard_judge_journals(self.grade, shard));
        }
        let mut copied = BTreeSet::new();
        for folder in folders {
            let names = self.archive.folders(&folder).await.map_err(DatasetError::from)?;
            copied.extend(names.iter().filter_map(|name| JobId::parse(name)));
        }
        let mut lacking = Lacking { pointers: Vec::new(), fresh: Vec::new(), copied };
        let (members, sample) = self.campaign.plan.members(shard);
        for number in members {
            let seed = seeds.get(number).await?;
            let job = Job { id: JobId::of(&self.campaign.uid, &seed.id, sample), place: self.campaign.plan.place(number, sample), sample };
            if listing.verdicts.contains(&job.id) || listing.ended.contains(&job.id) || listing.spared.contains(&job.id) {
                continue;
            }
            if synthesised.contains(&job.id) {
                lacking.pointers.push(job);
            } else {
                lacking.fresh.push((job, seed));
            }
        }
        Ok(lacking)
    }

    /// At which step each of `jobs` is published, or that it is not: it ended between the listing and the question to the ledger, which would
    /// otherwise have it done all over again.
    async fn replan<'j>(
        &self,
        shard: u64,
        work: &[WorkKey],
        jobs: impl Iterator<Item = &'j Job>,
        copied: &BTreeSet<JobId>,
        seeds: &mut FrozenSeeds<'_>,
    ) -> Result<Vec<Option<Step>>, PublishError> {
        let replanned = self.ledger.replan(work).await?;
        // A job that got further than its first message would find this one stale otherwise.
        let step = |job: &Job, step: Step| if step == Step::default() && copied.contains(&job.id) { step.next_slice() } else { step };
        let mut steps: Vec<Option<Step>> = jobs.zip(&replanned).map(|(job, known)| Some(step(job, known.step))).collect();
        if !replanned.iter().any(|known| known.was_done) {
            return Ok(steps);
        }
        let listing = Listing::of(self.archive, &self.keys, self.grade, shard).await?;
        let lacking = self.lacking(shard, &listing, seeds).await?;
        let fresh = lacking.fresh.into_iter().map(|(job, _)| WorkKey::Synthesis(job.id));
        let pointers = lacking.pointers.into_iter().map(|job| WorkKey::Filter(self.grade.short().to_owned(), job.id));
        let lacking: BTreeSet<WorkKey> = fresh.chain(pointers).collect();
        let mut ended = Vec::new();
        for ((key, known), step) in work.iter().zip(&replanned).zip(&mut steps) {
            if known.was_done && !lacking.contains(key) {
                ended.push(key.clone());
                *step = None;
            }
        }
        self.ledger.mark_done(&ended).await?;
        Ok(steps)
    }
}
