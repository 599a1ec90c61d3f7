//! One campaign as one process works on it: its handler, its worker loop, its slots, its own shutdown.
//!
//! Pausing a campaign is closing its station: jobs yield at their next turn, and what waits stays in the queue. Cancelling does not even wait
//! for the turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use coordinator::live::{DONE_PER_MINUTE, counter_name};
use filter::FilterHandler;
use model::settings::{BudgetSettings, JudgeKind};
use model::{Control, ControlState, Settings, Uid};
use runtime::ledger::{EndpointHealth, Serving};
use runtime::worker::Counters;
use runtime::{
    Handler, Holds, Ledger, LedgerStanding, Queue, QueueError, QueueName, Shutdown, Slots, Worker, WorkerReport, WorkerSettings,
};
use synthesis::SynthesisHandler;
use teacher::{Purse, Teacher};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Connected;
use super::corpora::Corpora;
use crate::exit::VerbError;
use crate::place::Loaded;
use crate::voices::{self, Files};

/// Held work that is told of.
const HOLDS_TOLD_MAX: usize = 64;
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
    /// What limits it; nothing where it costs nothing.
    limits: BudgetSettings,
    opened: Instant,
    /// How long ago the campaign was submitted or last resumed, when the station was opened.
    opened_at_age: Duration,
    began_unix_s: Option<u64>,
    pub(super) counters: Arc<Counters>,
    /// What its counters said when they were shown last.
    shown: WorkerReport,
    holds: Holds,
    pub(super) share: watch::Sender<usize>,
    rate: Rate,
    /// The models it asks, for how their servers do.
    asked: Vec<Arc<dyn Teacher>>,
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
        let limits = limits(ground.role.stage, &loaded.campaign.settings);
        if !limits.is_unlimited()
            && let Some(why) = why_spend_nothing(&limits, &ledger.standing().await?, coordinator::age(&loaded.control))
        {
            tracing::warn!(campaign = %name, why, "no jobs are taken");
            ground.connected.registry.leave(&uid).await;
            return Ok(None);
        }
        match ground.role.stage {
            Stage::Synthesis => Self::synthesis(&ground, loaded, ledger).await,
            Stage::Filter => Self::filter(&ground, loaded, ledger),
        }
        .map(Some)
    }

    async fn synthesis(ground: &Ground, loaded: Loaded, ledger: Arc<dyn Ledger>) -> Result<Self, VerbError> {
        let archive = ground.connected.archive.as_ref();
        let voices = voices::connect(&loaded.campaign.settings, Files::Kept(archive), Some(Arc::clone(&ledger))).await?;
        let asked = voices.teachers();
        let corpus = ground.corpora.get(&ground.connected.archive, &loaded.campaign.corpus_id).await?;
        let handler = SynthesisHandler::new(
            Arc::clone(&loaded.campaign),
            loaded.grade.digest().clone(),
            corpus,
            voices,
            Arc::clone(&ledger),
            Arc::clone(&ground.connected.archive),
            Arc::clone(&ground.connected.queue) as Arc<dyn Queue>,
        )
        .with_slice(ground.slice)
        .paid_from(purse(&loaded));
        let cap = usize::try_from(loaded.campaign.settings.teacher.concurrency).unwrap_or(1);
        Ok(Self::start(ground, &loaded, ledger, handler, cap, asked))
    }

    fn filter(ground: &Ground, loaded: Loaded, ledger: Arc<dyn Ledger>) -> Result<Self, VerbError> {
        let judge = voices::connect_judge(&loaded.campaign.settings, Some(Arc::clone(&ledger)))?;
        let asked = judge.iter().cloned().collect();
        let handler = FilterHandler::new(
            Arc::clone(&loaded.campaign),
            Arc::clone(&loaded.grade),
            judge,
            Arc::clone(&ledger),
            Arc::clone(&ground.connected.archive),
            Arc::clone(&ground.connected.queue) as Arc<dyn Queue>,
        )
        .paid_from(purse(&loaded));
        Ok(Self::start(ground, &loaded, ledger, handler, usize::MAX, asked))
    }

    fn start<H: Handler>(
        ground: &Ground,
        loaded: &Loaded,
        ledger: Arc<dyn Ledger>,
        handler: H,
        cap: usize,
        asked: Vec<Arc<dyn Teacher>>,
    ) -> Self {
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
            limits: limits(ground.role.stage, &loaded.campaign.settings),
            opened: Instant::now(),
            opened_at_age: coordinator::age(&loaded.control),
            began_unix_s: loaded.control.began_unix_s,
            counters: worker.counters(),
            shown: WorkerReport::default(),
            holds: worker.holds(),
            share,
            rate: Rate::default(),
            asked,
            ledger,
            shutdown: shutdown.clone(),
            running: tokio::spawn(worker.run()),
            watching: tokio::spawn(follow(ground.shutdown.clone(), shutdown)),
        }
    }

    /// Whether its time counts from another moment by now: it was resumed.
    pub(super) fn counts_from(&self, control: &Control) -> bool {
        self.limits.wall_s.is_some() && control.began_unix_s != self.began_unix_s
    }

    /// Whether its worker came to an end by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.running.is_finished()
    }

    /// Why no more may be spent here, as the ledger stands, if so.
    pub(super) fn why_spend_nothing(&self, standing: &LedgerStanding) -> Option<&'static str> {
        why_spend_nothing(&self.limits, standing, self.opened_at_age + self.opened.elapsed())
    }

    /// What it does for the campaign `name`: shown as metrics, returned, and its counters put into `counters`.
    pub(super) fn tell(&mut self, name: &str, role: &'static str, counters: &mut BTreeMap<String, u64>) -> Serving {
        let report = self.counters.report();
        report.show(&self.shown, name, role);
        self.shown = report;
        counters.extend(report.named().map(|(counter, count)| (counter_name(name, counter), count)));
        counters.insert(counter_name(name, DONE_PER_MINUTE), self.rate.per_minute(report.done));
        let share = *self.share.borrow();
        metrics::gauge!("sluice_slots", "campaign" => name.to_owned(), "role" => role).set(u32::try_from(share).unwrap_or(u32::MAX));
        let holds = self.holds.keys(HOLDS_TOLD_MAX).iter().map(ToString::to_string).collect();
        Serving { campaign: name.to_owned(), running: report.running, slots: share as u64, holds }
    }

    /// How the servers of its models do, as servers of the campaign `name`.
    pub(super) fn endpoints(&self, name: &str) -> impl Iterator<Item = EndpointHealth> {
        let all = self.asked.iter().flat_map(|teacher| teacher.health());
        all.map(|health| EndpointHealth { campaign: name.to_owned(), ..health })
    }

    /// Waits for its worker's end, and shows it as metrics: nobody else sets these again.
    pub(super) async fn ended(self, name: &str, role: &'static str) -> Result<WorkerReport, VerbError> {
        metrics::gauge!("sluice_slots", "campaign" => name.to_owned(), "role" => role).set(0.0);
        let ended = self.running.await;
        self.watching.abort();
        if let Ok(Ok(report)) = &ended {
            report.show(&self.shown, name, role);
        }
        metrics::gauge!("sluice_running", "campaign" => name.to_owned(), "role" => role).set(0.0);
        ended.map_err(anyhow::Error::from)?.map_err(VerbError::unreachable)
    }
}

/// What the campaign may still spend.
fn purse(loaded: &Loaded) -> Arc<Purse> {
    Arc::new(Purse::new(loaded.campaign.settings.budget, coordinator::age(&loaded.control)))
}

/// What limits a station. Filters grade what was paid for, whatever was spent, unless that is paid for too.
fn limits(stage: Stage, settings: &Settings) -> BudgetSettings {
    let is_judge_paid = matches!(settings.judge.kind, JudgeKind::Http { .. });
    match stage {
        Stage::Filter if !is_judge_paid => BudgetSettings::default(),
        Stage::Filter | Stage::Synthesis => settings.budget,
    }
}

fn why_spend_nothing(limits: &BudgetSettings, standing: &LedgerStanding, age: Duration) -> Option<&'static str> {
    if limits.is_unlimited() {
        return None;
    }
    // A ledger that was lost knows at most what was spent since.
    if !standing.is_whole {
        return Some("what it spent is not known until its ledger is rebuilt: sluice resume, or serve");
    }
    if limits.wall_s.is_some_and(|limit| age.as_secs() >= limit) {
        return Some("its time is over: raise budget.wall_hours, or resume it");
    }
    limits.is_reached(&standing.usage).then_some("its budget is spent")
}

/// How much was done in the last minute.
#[derive(Debug, Default)]
struct Rate {
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// `done` so far; returns how much of it in the last minute, or since it began if that is less.
    fn per_minute(&mut self, done: u64) -> u64 {
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

#[cfg(test)]
mod tests {
    use model::Usage;

    use super::*;

    #[test]
    fn nothing_is_spent_past_the_budget_or_while_it_is_unknown_what_was() {
        let standing =
            |calls, is_whole| LedgerStanding { is_whole, usage: Usage { calls, ..Usage::default() }, ..LedgerStanding::default() };
        let limited = BudgetSettings { calls: Some(5), ..BudgetSettings::default() };
        let now = Duration::ZERO;
        assert_eq!(why_spend_nothing(&limited, &standing(4, true), now), None);
        assert!(why_spend_nothing(&limited, &standing(5, true), now).is_some());
        assert!(why_spend_nothing(&limited, &standing(0, false), now).is_some());
        assert_eq!(why_spend_nothing(&BudgetSettings::default(), &standing(5, false), now), None);
        let timed = BudgetSettings { wall_s: Some(60), ..BudgetSettings::default() };
        assert_eq!(why_spend_nothing(&timed, &standing(5, true), Duration::from_secs(59)), None);
        assert!(why_spend_nothing(&timed, &standing(5, true), Duration::from_secs(60)).is_some());
    }
}
