//! The coordinator as a process: samples every campaign, rebuilds ledgers that were lost, and reads the queues that nobody else reads.
//!
//! It owns nothing: it may be killed, started again, or run twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coordinator::live::{Sample, Status};
use coordinator::server::{Board, STAGES};
use coordinator::{Aside, Census};
use model::{ControlState, Uid};
use runtime::ledger::{Registered, WorkerStatus};
use runtime::telemetry::Health;
use runtime::{Depth, Ledger, Queue, QueueName, Shutdown};
use tokio::time::{Instant, MissedTickBehavior};

use super::Connected;
use super::finding::{Finding, unfinished};
use super::leaving::Leaving;
use super::meters::Meters;
use crate::exit::{End, VerbError};
use crate::place::Loaded;

/// How often campaigns are sampled.
const ROUND: Duration = Duration::from_secs(5);
/// How long a campaign's settings are believed.
const LOADED: Duration = Duration::from_secs(30);
/// A campaign that is sealed whole and lies still for so long is over: broker and ledger forget it.
const STILL: Duration = Duration::from_secs(60);
/// How often parked messages are looked at anew: an older worker may have parked again what came back.
const UNPARK: Duration = Duration::from_secs(60);
/// Unroutable messages taken in one round.
const UNROUTABLE_MAX: usize = 256;
/// How often it is looked which later samples are worth it.
const DECIDE: Duration = Duration::from_secs(15);

/// A campaign under watch.
struct Watched {
    /// As the registry knows it.
    uid: Uid,
    loaded: Loaded,
    at: Instant,
    census: Census,
    unparked: Option<Unparked>,
    /// Since when it is sealed whole and nothing of it moves.
    still_since: Option<Instant>,
    /// When it was last looked which later samples are worth it.
    decided: Instant,
}

/// How the parked queue was left.
#[derive(Debug, Clone, Copy)]
struct Unparked {
    at: Instant,
    /// The newest message version that any worker read.
    readable: u32,
    /// Messages that nobody could read.
    kept: u64,
}

/// Watches a cluster.
pub(crate) struct Watch {
    connected: Connected,
    finding: Finding,
    watched: BTreeMap<String, Watched>,
    /// The newest status of each campaign. One that cannot be sampled keeps its last: nothing must look as if it had nothing to do.
    statuses: BTreeMap<String, Status>,
    leaving: Leaving,
    meters: Meters,
    board: Board,
    health: Health,
    shutdown: Shutdown,
}

impl Watch {
    pub(crate) fn new(connected: Connected, board: Board, health: Health, shutdown: Shutdown) -> Self {
        Self {
            connected,
            finding: Finding::default(),
            watched: BTreeMap::new(),
            statuses: BTreeMap::new(),
            leaving: Leaving::default(),
            meters: Meters::default(),
            board,
            health,
            shutdown,
        }
    }

    /// Watches until asked to stop, which does not wait for a round.
    pub(crate) async fn run(mut self) -> Result<End, VerbError> {
        let (health, shutdown) = (self.health.clone(), self.shutdown.clone());
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = health.alive_during(self.rounds()) => {}
        }
        self.leaving.give_back(&self.connected).await;
        self.connected.close().await;
        Ok(End::Done)
    }

    /// Comes round for ever.
    async fn rounds(&mut self) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            self.round().await;
        }
    }

    async fn round(&mut self) {
        let looked = self.look().await;
        if let Err(error) = &looked {
            tracing::warn!(%error, "the cluster could not be looked after; trying again");
        }
        self.health.came_round(looked.err().map(|error| error.to_string()));
    }

    /// Looks after everything that can be looked after. Of several troubles the last is returned, and the others are said.
    async fn look(&mut self) -> Result<(), VerbError> {
        let campaigns = self.finding.campaigns(&self.connected).await?;
        let workers = self.connected.registry.workers().await?;
        self.forget_vanished(&campaigns).await;
        let mut trouble = self.leaving.go_on(&self.connected, &campaigns, &workers).await.err();
        for campaign in &campaigns {
            // One campaign that cannot be read is no reason to leave the others alone.
            match self.look_at(campaign, &workers).await {
                Ok(status) => {
                    self.statuses.insert(campaign.name.clone(), status);
                }
                Err(error) => note(&mut trouble, VerbError::Unreachable(format!("look after campaign {}: {error}", campaign.name))),
            }
        }
        self.meters.show(self.statuses.values(), &workers);
        self.board.show(self.statuses.values().cloned());
        for stage in STAGES {
            let runnable = u32::try_from(self.board.runnable(stage).unwrap_or_default()).unwrap_or(u32::MAX);
            metrics::gauge!("sluice_runnable_jobs", "stage" => stage).set(runnable);
        }
        if let Err(error) = self.clear_unroutable(&campaigns).await {
            note(&mut trouble, error);
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Of campaigns that nobody works on any more (they are over, or were cancelled) nothing is kept, and this process's presence with them
    /// ends.
    async fn forget_vanished(&mut self, campaigns: &[Registered]) {
        let is_there = |name: &str, uid: &Uid| campaigns.iter().any(|campaign| campaign.name == name && campaign.uid == *uid);
        let gone = self.watched.iter().filter(|(name, watched)| !is_there(name, &watched.uid));
        let gone: Vec<(String, Uid)> = gone.map(|(name, watched)| (name.clone(), watched.uid.clone())).collect();
        for (name, uid) in gone {
            self.watched.remove(&name);
            self.statuses.remove(&name);
            self.connected.registry.leave(&uid).await;
        }
    }

    async fn look_at(&mut self, campaign: &Registered, workers: &[WorkerStatus]) -> Result<Status, VerbError> {
        let connected = self.connected.clone();
        let watched = self.watched(campaign).await?;
        let ledger = connected.registry.ledger(&campaign.uid);
        let (archive, grade) = (connected.archive.as_ref(), watched.loaded.grade.digest().clone());
        let progress = watched.census.count(archive, &watched.loaded.campaign, &grade).await?;
        let mut standing = ledger.standing().await?;
        if standing.control != Some(progress.state) {
            // Counting takes its time: what a person said meanwhile must not be undone.
            let state = dataset::frozen::control(archive, &campaign.name).await?.state;
            if standing.control != Some(state) {
                ledger.set_control(state).await?;
            }
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
        let has_messages = depths.iter().any(|(_, depth)| depth.ready + depth.unacked + depth.delayed > 0);
        let moves = standing.running > 0 || standing.yielded > 0 || has_messages;
        // First samples that are graded decide which others are worth it; whoever watches publishes those.
        let waits = watched.loaded.campaign.settings.campaign.samples_first.is_some() && progress.outstanding > 0;
        if waits && progress.state == ControlState::Running && watched.decided.elapsed() >= DECIDE {
            watched.decided = Instant::now();
            let (campaign, queue) = (&watched.loaded.campaign, connected.queue.as_ref());
            let publisher = coordinator::Publisher::new(archive, queue, ledger.as_ref(), campaign, &grade);
            // Whoever decided may have died before it published: when nothing moves, all that is outstanding is published again.
            let published = if moves { publisher.decided().await } else { publisher.outstanding().await };
            let published = published.map_err(VerbError::unreachable)?;
            if published.jobs > 0 {
                tracing::info!(campaign = %campaign.name, jobs = published.jobs, "published what is worth more samples");
            }
        }
        let is_still = !moves && progress.outstanding == 0 && progress.sealed.is_some();
        // The newest seal may be a partial one, or older than the newest samples.
        let is_over = watched.has_lain(is_still) && unfinished(archive, &campaign.name).await?.is_none();
        let budget = watched.loaded.campaign.settings.budget;
        let age = coordinator::age(&watched.loaded.control);
        if is_over {
            self.leaving.begin(&connected, campaign).await?;
            self.finding.let_go(&campaign.name);
        }
        let (depths, workers) = (Some(depths), Some(workers.to_vec()));
        let (standing, is_left) = (Some(standing), None);
        Ok(Status::of(Sample { progress, standing, depths, workers, budget, age, is_left, sampled_unix_ms: unix_ms() }))
    }

    async fn watched(&mut self, campaign: &Registered) -> Result<&mut Watched, VerbError> {
        let is_fresh = self.watched.get(&campaign.name).is_some_and(|watched| watched.at.elapsed() < LOADED);
        if !is_fresh {
            let loaded = Loaded::of(&self.connected.archive, &campaign.name).await?;
            let known = self.watched.remove(&campaign.name);
            let is_same = known.as_ref().is_some_and(|known| known.loaded.grade.digest() == loaded.grade.digest());
            let (census, unparked, still_since, decided) = match known {
                Some(known) if is_same => (known.census, known.unparked, known.still_since, known.decided),
                _ => (Census::default(), None, None, Instant::now()),
            };
            let watched = Watched { uid: campaign.uid.clone(), loaded, at: Instant::now(), census, unparked, still_since, decided };
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

impl Watched {
    /// Whether it has lain still long enough; `is_still`: it does at this moment.
    fn has_lain(&mut self, is_still: bool) -> bool {
        if !is_still {
            self.still_since = None;
            return false;
        }
        self.still_since.get_or_insert_with(Instant::now).elapsed() >= STILL
    }
}

impl Unparked {
    /// Whether some of `ready` parked messages may have found a reader, `since` then.
    fn is_old(&self, since: Duration, readable: u32, ready: u64) -> bool {
        readable > self.readable || (since >= UNPARK && ready > self.kept)
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
    let ready =
        |wanted: fn(&QueueName) -> bool| -> u64 { depths.iter().filter(|(queue, _)| wanted(queue)).map(|(_, depth)| depth.ready).sum() };
    if ready(|queue| matches!(queue, QueueName::Dead(_))) > 0 {
        let cleared = aside.clear_dead().await.map_err(VerbError::unreachable)?;
        tracing::info!(campaign = %campaign.name, ?cleared, "read the dead queue");
    }
    let readable = workers.iter().map(|worker| worker.message_version).max().unwrap_or_default();
    let parked = ready(|queue| matches!(queue, QueueName::Parked(_)));
    let is_due = watched.unparked.is_none_or(|unparked| unparked.is_old(unparked.at.elapsed(), readable, parked));
    if parked > 0 && is_due {
        let cleared = aside.unpark(readable).await.map_err(VerbError::unreachable)?;
        tracing::info!(campaign = %campaign.name, ?cleared, "read the parked queue");
        watched.unparked = Some(Unparked { at: Instant::now(), readable, kept: cleared.kept });
    }
    Ok(())
}

/// Keeps the newest trouble for whoever asks, and says the one before it.
fn note(trouble: &mut Option<VerbError>, error: VerbError) {
    if let Some(before) = trouble.replace(error) {
        tracing::warn!(error = %before, "the cluster could not be looked after; trying again");
    }
}

/// Milliseconds since 1970, for people and programs to see how old a sample is.
pub(crate) fn unix_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parked_messages_are_looked_at_anew_for_a_newer_worker_or_when_more_came_and_not_every_time() {
        let unparked = Unparked { at: Instant::now(), readable: 2, kept: 3 };
        assert!(unparked.is_old(Duration::ZERO, 3, 3));
        assert!(!unparked.is_old(UNPARK / 2, 2, 9) && unparked.is_old(UNPARK, 2, 4));
        assert!(!unparked.is_old(UNPARK, 2, 3), "nobody reads what was kept");
    }
}
