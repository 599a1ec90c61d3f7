//! One campaign as one process works on it: its handler, its worker loop, its slots, its own shutdown.
//!
//! Pausing a campaign is closing its station: jobs yield at their next turn, and what waits stays in the queue. Cancelling does not even wait
//! for the turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use filter::FilterHandler;
use model::settings::JudgeKind;
use model::{ControlState, Uid};
use runtime::worker::Counters;
use runtime::{Handler, Holds, Ledger, Queue, QueueError, QueueName, Shutdown, Slots, Worker, WorkerReport, WorkerSettings};
use synthesis::SynthesisHandler;
use teacher::Teacher;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Connected;
use super::corpora::Corpora;
use crate::exit::VerbError;
use crate::place::Loaded;

/// What rates are over.
const MINUTE: Duration = Duration::from_secs(60);

/// What a process does with campaigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) stage: Stage,
    /// Serves what is suspected of killing workers, one at a time.
    pub(crate) quarantine: bool,
}

/// The two kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Stage {
    /// Turns jobs into trajectories.
    Synthesis,
    /// Turns trajectories into verdicts, and shards into rows.
    Filter,
}

impl Role {
    /// Its name in status and metrics.
    pub(crate) fn name(self) -> &'static str {
        match (self.stage, self.quarantine) {
            (Stage::Synthesis, false) => "synthesis",
            (Stage::Filter, false) => "filter",
            (Stage::Synthesis, true) => "synthesis-quarantine",
            (Stage::Filter, true) => "filter-quarantine",
        }
    }

    fn queue(self, campaign: &str) -> QueueName {
        let name = campaign.to_owned();
        match (self.stage, self.quarantine) {
            (Stage::Synthesis, false) => QueueName::Jobs(name),
            (Stage::Filter, false) => QueueName::Candidates(name),
            (Stage::Synthesis, true) => QueueName::Quarantine(name),
            (Stage::Filter, true) => QueueName::QuarantineCandidates(name),
        }
    }
}

/// What is needed to open stations.
pub(super) struct Ground {
    pub(super) connected: Connected,
    pub(super) corpora: Corpora,
    pub(super) role: Role,
    pub(super) worker: String,
    pub(super) drain: Duration,
    pub(super) slice: Duration,
    /// All slots of the process.
    pub(super) common: Arc<Semaphore>,
    pub(super) shutdown: Shutdown,
}

/// A campaign being worked on.
pub(super) struct Station {
    pub(super) uid: Uid,
    /// How many revisions its control had: more of them call for a new station.
    pub(super) revisions: usize,
    pub(super) weight: u32,
    /// Most slots it may have here.
    pub(super) cap: usize,
    pub(super) budget: model::settings::BudgetSettings,
    pub(super) counters: Arc<Counters>,
    pub(super) holds: Holds,
    pub(super) share: watch::Sender<usize>,
    pub(super) rate: Rate,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) shutdown: Shutdown,
    running: JoinHandle<Result<WorkerReport, QueueError>>,
    watching: JoinHandle<()>,
}

impl Station {
    /// Opens the campaign `name`; `None` when it is paused, cancelled or spent.
    pub(super) async fn open(ground: Arc<Ground>, name: String, uid: Uid) -> Result<Option<Self>, VerbError> {
        let loaded = Loaded::of(&ground.connected.archive, &name).await?;
        if loaded.campaign.uid != uid {
            let message = format!("serve campaign {name}: the registry means {uid}, and the archive has {}", loaded.campaign.uid);
            return Err(VerbError::Unreachable(message));
        }
        if loaded.campaign.archive != ground.connected.archive.id() {
            let (theirs, ours) = (&loaded.campaign.archive, ground.connected.archive.id());
            let message = format!("serve campaign {name}: it was planned in the archive {theirs}, and this one is {ours}");
            return Err(VerbError::Unreachable(message));
        }
        if loaded.control.state != ControlState::Running {
            return Ok(None);
        }
        let ledger = ground.connected.registry.ledger(&uid);
        let budget = loaded.campaign.settings.budget;
        if !budget.is_unlimited() {
            let standing = ledger.standing().await?;
            if budget.is_reached(&standing.usage) || !standing.is_whole {
                let why =
                    if standing.is_whole { "its budget is spent" } else { "its ledger is to be rebuilt first: sluice resume, or serve" };
                tracing::warn!(campaign = %name, why, "no jobs are taken");
                ground.connected.registry.leave(&uid).await;
                return Ok(None);
            }
        }
        match ground.role.stage {
            Stage::Synthesis => Self::synthesis(&ground, loaded, ledger).await,
            Stage::Filter => Self::filter(&ground, loaded, ledger),
        }
        .map(Some)
    }

    async fn synthesis(ground: &Ground, loaded: Loaded, ledger: Arc<dyn Ledger>) -> Result<Self, VerbError> {
        let teacher = teacher::connect(&loaded.campaign.settings.teacher).map_err(VerbError::usage)?;
        let corpus = ground.corpora.get(&ground.connected.archive, &loaded.campaign.corpus_id).await?;
        let handler = SynthesisHandler::new(
            Arc::clone(&loaded.campaign),
            loaded.grade.digest().clone(),
            corpus,
            teacher,
            Arc::clone(&ledger),
            Arc::clone(&ground.connected.archive),
            Arc::clone(&ground.connected.queue) as Arc<dyn Queue>,
        )
        .with_slice(ground.slice);
        let cap = usize::try_from(loaded.campaign.settings.teacher.concurrency).unwrap_or(1);
        Ok(Self::start(ground, &loaded, ledger, handler, cap))
    }

    fn filter(ground: &Ground, loaded: Loaded, ledger: Arc<dyn Ledger>) -> Result<Self, VerbError> {
        let judge: Option<Arc<dyn Teacher>> = match &loaded.campaign.settings.judge.kind {
            JudgeKind::Http { http, model, .. } => Some(teacher::connect::connect_http(http, model).map_err(VerbError::usage)?),
            JudgeKind::Lexical | JudgeKind::Off => None,
        };
        let handler = FilterHandler::new(
            Arc::clone(&loaded.campaign),
            Arc::clone(&loaded.grade),
            judge,
            Arc::clone(&ledger),
            Arc::clone(&ground.connected.archive),
            Arc::clone(&ground.connected.queue) as Arc<dyn Queue>,
        );
        Ok(Self::start(ground, &loaded, ledger, handler, usize::MAX))
    }

    fn start<H: Handler>(ground: &Ground, loaded: &Loaded, ledger: Arc<dyn Ledger>, handler: H, cap: usize) -> Self {
        let shutdown = Shutdown::new(ground.drain);
        let (share, shares) = watch::channel(1);
        let settings = WorkerSettings {
            from: ground.role.queue(&loaded.campaign.name),
            slots: Slots::shared(shares, Arc::clone(&ground.common)),
            worker: ground.worker.clone(),
        };
        let queue = Arc::clone(&ground.connected.queue) as Arc<dyn Queue>;
        let worker = Worker::new(Arc::new(handler), queue, Arc::clone(&ledger), settings, shutdown.clone());
        Self {
            uid: loaded.campaign.uid.clone(),
            revisions: loaded.control.revisions.len(),
            weight: loaded.campaign.settings.campaign.weight,
            cap,
            budget: loaded.campaign.settings.budget,
            counters: worker.counters(),
            holds: worker.holds(),
            share,
            rate: Rate::default(),
            ledger,
            shutdown: shutdown.clone(),
            running: tokio::spawn(worker.run()),
            watching: tokio::spawn(follow(ground.shutdown.clone(), shutdown)),
        }
    }

    /// Whether its worker came to an end by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.running.is_finished()
    }

    /// Waits for its worker's end.
    pub(super) async fn ended(self) -> Result<WorkerReport, VerbError> {
        let ended = self.running.await;
        self.watching.abort();
        ended.map_err(anyhow::Error::from)?.map_err(VerbError::unreachable)
    }
}

/// How much was done in the last minute.
#[derive(Debug, Default)]
pub(super) struct Rate {
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// `done` so far; returns how much of it in the last minute, or since it began if that is less.
    pub(super) fn per_minute(&mut self, done: u64) -> u64 {
        let now = Instant::now();
        self.samples.push_back((now, done));
        // The oldest that stays is a minute old at least, so the rate is over a minute.
        while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= MINUTE) {
            self.samples.pop_front();
        }
        let Some((at, before)) = self.samples.front() else { return 0 };
        let millis = u64::try_from(now.duration_since(*at).as_millis()).unwrap_or(u64::MAX);
        ((done - before) * 60_000).checked_div(millis).unwrap_or_default()
    }
}

/// What the process is asked, the station is asked.
async fn follow(process: Shutdown, station: Shutdown) {
    process.requested().await;
    if !station.is_requested() {
        station.request();
    }
    process.expired().await;
    station.request();
}
