//! The coordinator as a process: samples every campaign, rebuilds ledgers that were lost, and reads the queues that nobody else reads.
//!
//! It owns nothing: it may be killed, started again, or run twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coordinator::live::{Sample, Status};
use coordinator::server::{Board, STAGES};
use coordinator::{Aside, Census};
use runtime::ledger::{Registered, WorkerStatus};
use runtime::telemetry::Health;
use runtime::{Depth, Ledger, Queue, QueueName, Shutdown};
use tokio::time::{Instant, MissedTickBehavior};

use super::Connected;
use super::finding::Finding;
use crate::exit::{End, VerbError};
use crate::place::Loaded;

/// How often campaigns are sampled.
const ROUND: Duration = Duration::from_secs(5);
/// How long a campaign's settings are believed.
const LOADED: Duration = Duration::from_secs(30);
/// A campaign that is sealed whole and lies still for so long is over: broker and ledger forget it.
const STILL: Duration = Duration::from_secs(60);
/// Unroutable messages taken in one round.
const UNROUTABLE_MAX: usize = 256;

/// A campaign under watch.
struct Watched {
    loaded: Loaded,
    at: Instant,
    census: Census,
    /// The newest message version that any worker reads, at the last unparking.
    unparked_for: u32,
    /// Since when it is sealed whole and nothing of it moves.
    still_since: Option<Instant>,
}

/// Watches a cluster.
pub(crate) struct Watch {
    connected: Connected,
    finding: Finding,
    watched: BTreeMap<String, Watched>,
    board: Board,
    health: Health,
    shutdown: Shutdown,
}

impl Watch {
    pub(crate) fn new(connected: Connected, board: Board, health: Health, shutdown: Shutdown) -> Self {
        Self { connected, finding: Finding::default(), watched: BTreeMap::new(), board, health, shutdown }
    }

    /// Watches until asked to stop.
    pub(crate) async fn run(mut self) -> Result<End, VerbError> {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.shutdown.clone();
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                _ = round.tick() => {
                    let looked = self.look().await;
                    if let Err(error) = &looked {
                        tracing::warn!(%error, "the cluster could not be looked after; trying again");
                    }
                    self.health.came_round(looked.err().map(|error| error.to_string()));
                }
            }
        }
        self.connected.close().await;
        Ok(End::Done)
    }

    async fn look(&mut self) -> Result<(), VerbError> {
        let campaigns = self.finding.campaigns(&self.connected).await?;
        let workers = self.connected.registry.workers().await?;
        self.watched.retain(|name, _| campaigns.iter().any(|campaign| campaign.name == *name));
        let mut statuses = Vec::new();
        for campaign in &campaigns {
            // One campaign that cannot be read is no reason to leave the others alone.
            match self.look_at(campaign, &workers).await {
                Ok(status) => statuses.push(status),
                Err(error) => tracing::warn!(campaign = %campaign.name, %error, "the campaign could not be looked after"),
            }
        }
        show(&statuses, &workers);
        self.board.show(statuses);
        for stage in STAGES {
            let runnable = u32::try_from(self.board.runnable(stage)).unwrap_or(u32::MAX);
            metrics::gauge!("sluice_runnable_jobs", "stage" => stage).set(runnable);
        }
        self.clear_unroutable(&campaigns).await
    }

    async fn look_at(&mut self, campaign: &Registered, workers: &[WorkerStatus]) -> Result<Status, VerbError> {
        let connected = self.connected.clone();
        let watched = self.watched(campaign).await?;
        let ledger = connected.registry.ledger(&campaign.uid);
        let (archive, grade) = (connected.archive.as_ref(), watched.loaded.grade.digest().clone());
        let progress = watched.census.count(archive, &watched.loaded.campaign, &grade).await?;
        let mut standing = ledger.standing().await?;
        if standing.control != Some(progress.state) {
            ledger.set_control(progress.state).await?;
        }
        if !standing.is_whole {
            let (campaign, settings) = (&watched.loaded.campaign, &watched.loaded.campaign.settings);
            let rebuilt = coordinator::rebuild(archive, ledger.as_ref(), campaign, settings, &grade).await;
            rebuilt.map_err(VerbError::unreachable)?;
            tracing::info!(campaign = %campaign.name, "rebuilt the campaign's ledger from the archive");
            standing = ledger.standing().await?;
        }
        let depths = connected.queue.depths(&campaign.name).await.map_err(VerbError::unreachable)?;
        clear(&connected, watched, Arc::clone(&ledger), &grade, &depths, workers).await?;
        let moves = standing.running > 0 || depths.iter().any(|(_, depth)| depth.ready + depth.unacked + depth.delayed > 0);
        if moves || progress.outstanding > 0 || progress.sealed.is_none() {
            watched.still_since = None;
        } else if watched.still_since.get_or_insert_with(Instant::now).elapsed() >= STILL {
            connected.registry.unregister(&campaign.name).await?;
            connected.queue.remove(&campaign.name).await.map_err(VerbError::unreachable)?;
            ledger.forget().await?;
            tracing::info!(campaign = %campaign.name, "the campaign is over: broker and ledger forget it");
        }
        let sample = Sample {
            progress,
            standing: Some(standing),
            depths: Some(depths),
            workers: workers.to_vec(),
            budget: watched.loaded.campaign.settings.budget,
            sampled_unix_ms: unix_ms(),
        };
        Ok(Status::of(sample))
    }

    async fn watched(&mut self, campaign: &Registered) -> Result<&mut Watched, VerbError> {
        let is_fresh = self.watched.get(&campaign.name).is_some_and(|watched| watched.at.elapsed() < LOADED);
        if !is_fresh {
            let loaded = Loaded::of(&self.connected.archive, &campaign.name).await?;
            let known = self.watched.remove(&campaign.name);
            let is_same = known.as_ref().is_some_and(|known| known.loaded.grade.digest() == loaded.grade.digest());
            let (census, unparked_for, still_since) = match known {
                Some(known) if is_same => (known.census, known.unparked_for, known.still_since),
                _ => (Census::default(), 0, None),
            };
            let watched = Watched { loaded, at: Instant::now(), census, unparked_for, still_since };
            self.watched.insert(campaign.name.clone(), watched);
        }
        let missing = || VerbError::Bug(anyhow::anyhow!("watch campaign {}: it was just there", campaign.name));
        self.watched.get_mut(&campaign.name).ok_or_else(missing)
    }

    /// Messages whose queue was gone when their delay was over: back to it if it is a campaign's, else dropped.
    async fn clear_unroutable(&self, campaigns: &[Registered]) -> Result<(), VerbError> {
        let queue = &self.connected.queue;
        let mut subscription = queue.unroutable(UNROUTABLE_MAX).await.map_err(VerbError::unreachable)?;
        for _ in 0..UNROUTABLE_MAX {
            let next = tokio::time::timeout(Duration::from_millis(200), subscription.next()).await;
            let Ok(Some(delivery)) = next else { break };
            let key = delivery.aside.as_ref().map(|aside| aside.from.clone()).unwrap_or_default();
            let known = QueueName::parse(&key).filter(|name| campaigns.iter().any(|campaign| campaign.name == name.campaign()));
            match known {
                Some(name) => queue.publish_urgent(&name, delivery.body.clone()).await.map_err(VerbError::unreachable)?,
                None => tracing::info!(queue = key, "dropped a message of a campaign that is over"),
            }
            delivery.ack().await.map_err(VerbError::unreachable)?;
        }
        Ok(())
    }
}

/// Reads what was set aside, where there is anything.
async fn clear(
    connected: &Connected,
    watched: &mut Watched,
    ledger: Arc<dyn Ledger>,
    grade: &model::Digest,
    depths: &[(QueueName, Depth)],
    workers: &[WorkerStatus],
) -> Result<(), VerbError> {
    let campaign = Arc::clone(&watched.loaded.campaign);
    let aside =
        Aside { archive: connected.archive.as_ref(), queue: connected.queue.as_ref(), ledger: ledger.as_ref(), campaign: &campaign, grade };
    let waits = |wanted: fn(&QueueName) -> bool| depths.iter().any(|(queue, depth)| wanted(queue) && depth.ready > 0);
    if waits(|queue| matches!(queue, QueueName::Dead(_))) {
        let cleared = aside.clear_dead().await.map_err(VerbError::unreachable)?;
        tracing::info!(campaign = %campaign.name, ?cleared, "read the dead queue");
    }
    let readable = workers.iter().map(|worker| worker.message_version).max().unwrap_or_default();
    if waits(|queue| matches!(queue, QueueName::Parked(_))) && readable > watched.unparked_for {
        let cleared = aside.unpark(readable).await.map_err(VerbError::unreachable)?;
        tracing::info!(campaign = %campaign.name, ?cleared, "read the parked queue");
        watched.unparked_for = readable;
    }
    Ok(())
}

/// Metrics of campaigns and workers.
fn show(statuses: &[Status], workers: &[WorkerStatus]) {
    let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    for status in statuses {
        let name = || status.campaign.clone();
        let states = [
            ("outstanding", status.outstanding),
            ("synthesized", status.synthesized),
            ("graded", status.graded),
            ("accepted", status.accepted),
            ("rejected", status.rejected),
            ("failed", status.failed),
            ("cancelled", status.cancelled),
            ("running", status.running.unwrap_or_default()),
            ("yielded", status.yielded.unwrap_or_default()),
        ];
        for (state, count) in states {
            metrics::gauge!("sluice_jobs", "campaign" => name(), "state" => state).set(number(count));
        }
        metrics::gauge!("sluice_jobs_planned", "campaign" => name()).set(number(status.planned));
        for (queue, depth) in status.queues.iter().flatten() {
            metrics::gauge!("sluice_queue_messages", "campaign" => name(), "queue" => *queue, "state" => "ready").set(number(depth.ready));
            metrics::gauge!("sluice_queue_messages", "campaign" => name(), "queue" => *queue, "state" => "unacked")
                .set(number(depth.unacked));
        }
        for (kind, count) in &status.failed_by {
            metrics::gauge!("sluice_failed_jobs", "campaign" => name(), "kind" => kind.clone()).set(number(*count));
        }
        if let Some(usage) = status.usage {
            metrics::counter!("sluice_tokens_total", "campaign" => name(), "kind" => "prompt").absolute(usage.prompt_tokens);
            metrics::counter!("sluice_tokens_total", "campaign" => name(), "kind" => "completion").absolute(usage.completion_tokens);
            metrics::counter!("sluice_completions_total", "campaign" => name()).absolute(usage.calls);
            metrics::gauge!("sluice_wasted_completions", "campaign" => name()).set(number(usage.wasted));
        }
        let per_minute = status.rates.map(|rates| rates.per_minute).unwrap_or_default();
        metrics::gauge!("sluice_jobs_per_minute", "campaign" => name()).set(number(per_minute));
        metrics::gauge!("sluice_eta_seconds", "campaign" => name()).set(status.eta_seconds.map_or(f64::NAN, number));
    }
    let mut roles: HashMap<&str, u32> = HashMap::new();
    for worker in workers {
        *roles.entry(&worker.role).or_default() += 1;
    }
    for role in ["synthesis", "filter", "synthesis-quarantine", "filter-quarantine"] {
        metrics::gauge!("sluice_workers", "role" => role).set(roles.get(role).copied().unwrap_or_default());
    }
}

/// Milliseconds since 1970, for people and programs to see how old a sample is.
pub(crate) fn unix_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
