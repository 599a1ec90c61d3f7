//! One worker process: finds campaigns, keeps a station for each that runs, shares its slots among them, and tells how it is.
//!
//! The loop comes round every second and waits for nothing long: stations open and close beside it. What it cannot reach it says once, and
//! tries again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use model::ControlState;
use model::queue::MESSAGE_VERSION;
use runtime::ledger::{Registered, Serving, WorkerStatus};
use runtime::retry::{Delays, Policy};
use runtime::telemetry::Health;
use runtime::{Queue, QueueName, Shutdown, WorkerReport};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::corpora::Corpora;
use super::finding::Finding;
use super::shares::{Claimant, shares};
use super::station::{Ground, Station};
use super::{Connected, Role, Stage};
use crate::exit::{End, VerbError};

/// How often the loop comes round: a pause takes hold within two rounds and a turn.
const ROUND: Duration = Duration::from_secs(1);
/// How often it tells the registry how it is; the registry forgets after fifteen seconds.
const REPORT: Duration = Duration::from_secs(3);
/// How often a campaign's control is read from the archive, which decides.
const CONTROL: Duration = Duration::from_secs(15);
/// Candidates that wait beyond this number: synthesis rests until the filters have caught up.
const BACKLOG_MAX: u64 = 20_000;
/// Between tries to open a campaign that could not be opened.
const REOPEN: Policy = Policy { first: Duration::from_secs(4), max: Duration::from_secs(60), tries: None };
/// Held work that is told of.
const HOLDS_TOLD_MAX: usize = 64;

/// How a worker process is set up.
pub(crate) struct CrewSettings {
    pub(crate) role: Role,
    /// Its id.
    pub(crate) worker: String,
    pub(crate) slots: usize,
    pub(crate) drain: Duration,
    pub(crate) slice: Duration,
    /// Campaigns it serves; all when empty.
    pub(crate) only: Vec<String>,
    pub(crate) corpora: Corpora,
}

/// A campaign by name, and its station, unless it need not or cannot be opened.
type Opened = (String, Result<Option<Station>, VerbError>);

/// A worker process.
pub(crate) struct Crew {
    ground: Arc<Ground>,
    slots: usize,
    only: Vec<String>,
    finding: Finding,
    known: Vec<Registered>,
    stations: BTreeMap<String, Station>,
    /// Driven by the loop itself, beside everything else.
    opening: FuturesUnordered<LocalBoxFuture<'static, Opened>>,
    in_opening: Vec<String>,
    closing: JoinSet<(String, Result<WorkerReport, VerbError>)>,
    in_closing: Vec<String>,
    /// Campaigns that could not be opened, or need not be: when to look again.
    resting: HashMap<String, Rest>,
    controls: HashMap<String, (Instant, model::Control)>,
    health: Health,
    began_ms: u64,
    reported: Option<Instant>,
    trouble: Option<String>,
}

struct Rest {
    until: Instant,
    delays: Delays,
}

impl Crew {
    /// A crew, ready to work.
    pub(crate) fn new(connected: Connected, settings: CrewSettings, health: Health, shutdown: Shutdown) -> Self {
        let slots = if settings.role.quarantine { 1 } else { settings.slots.max(1) };
        let ground = Ground {
            connected,
            corpora: settings.corpora,
            role: settings.role,
            worker: settings.worker,
            drain: settings.drain,
            slice: settings.slice,
            common: Arc::new(Semaphore::new(slots)),
            shutdown,
        };
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            ground: Arc::new(ground),
            slots,
            only: settings.only,
            finding: Finding::default(),
            known: Vec::new(),
            stations: BTreeMap::new(),
            opening: FuturesUnordered::new(),
            in_opening: Vec::new(),
            closing: JoinSet::new(),
            in_closing: Vec::new(),
            resting: HashMap::new(),
            controls: HashMap::new(),
            health,
            began_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            reported: None,
            trouble: None,
        }
    }

    /// Works until asked to stop, then drains.
    pub(crate) async fn run(mut self) -> Result<End, VerbError> {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.ground.shutdown.clone();
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                Some(opened) = self.opening.next() => self.note_opened(opened),
                Some(closed) = self.closing.join_next() => self.note_closed(closed.map_err(anyhow::Error::from)?),
                _ = round.tick() => {
                    let looked = self.look().await;
                    self.note_trouble(looked.err());
                    self.share().await;
                    self.tell().await;
                }
            }
        }
        self.health.came_round(Some("it drains".to_owned()));
        self.drain().await;
        Ok(End::Done)
    }

    /// Opens and closes stations as the registry, the ledgers and the archive say.
    async fn look(&mut self) -> Result<(), VerbError> {
        self.known = self.finding.campaigns(&self.ground.connected).await?;
        let (only, known) = (&self.only, &self.known);
        let wanted: Vec<Registered> = known.iter().filter(|found| only.is_empty() || only.contains(&found.name)).cloned().collect();
        let over: Vec<String> = self
            .stations
            .iter()
            .filter(|(name, station)| !wanted.iter().any(|found| found.name == **name && found.uid == station.uid))
            .map(|(name, _)| name.clone())
            .collect();
        for name in over {
            self.close(&name, "it is over", false);
        }
        for found in wanted {
            self.look_at(found).await?;
        }
        Ok(())
    }

    async fn look_at(&mut self, found: Registered) -> Result<(), VerbError> {
        let name = found.name;
        let control = self.control(&name).await?;
        let Some(station) = self.stations.get(&name) else {
            let is_resting = self.resting.get(&name).is_some_and(|rest| rest.until > Instant::now());
            let is_told_otherwise = control.state != ControlState::Running;
            let is_moving = self.in_opening.contains(&name) || self.in_closing.contains(&name);
            if !is_resting && !is_told_otherwise && !is_moving {
                self.in_opening.push(name.clone());
                let (ground, uid) = (Arc::clone(&self.ground), found.uid);
                self.opening.push(async move { (name.clone(), Station::open(ground, name, uid).await) }.boxed_local());
            }
            return Ok(());
        };
        if station.has_ended() {
            self.close(&name, "its queue cannot be used", false);
            self.rest(&name);
            return Ok(());
        }
        let standing = station.ledger.standing().await?;
        match standing.control {
            // The archive decides; a ledger that says otherwise was lost, or not told.
            None => station.ledger.set_control(control.state).await?,
            Some(state) if state == ControlState::Running && control.revisions.len() != station.revisions => {
                self.close(&name, "its settings changed", false);
            }
            Some(ControlState::Running) if station.budget.is_reached(&standing.usage) => {
                self.close(&name, "its budget is spent", false);
                self.rest(&name);
            }
            Some(ControlState::Running) if !station.budget.is_unlimited() && !standing.is_whole => {
                self.close(&name, "what it spent is not known until its ledger is rebuilt", false);
                self.rest(&name);
            }
            Some(ControlState::Running) => {}
            Some(state) => {
                self.controls.remove(&name);
                self.close(&name, "it was told to stop", state == ControlState::Cancelled);
            }
        }
        Ok(())
    }

    /// The campaign's control as the archive has it, read now and then, or when the ledger says that it changed.
    async fn control(&mut self, name: &str) -> Result<model::Control, VerbError> {
        if let Some((read, control)) = self.controls.get(name) {
            // A station that stands still is waiting for just this news.
            let believed = if self.stations.contains_key(name) { CONTROL } else { 2 * ROUND };
            if read.elapsed() < believed {
                return Ok(control.clone());
            }
        }
        let control = dataset::frozen::control(self.ground.connected.archive.as_ref(), name).await?;
        self.controls.insert(name.to_owned(), (Instant::now(), control.clone()));
        Ok(control)
    }

    fn close(&mut self, name: &str, why: &str, at_once: bool) {
        let Some(station) = self.stations.remove(name) else { return };
        tracing::info!(campaign = name, why, "leaves the campaign");
        // A process that was asked to stop asks its stations itself, and a second request would end their drain at once.
        if !self.ground.shutdown.is_requested() {
            station.shutdown.request();
        }
        if at_once {
            station.shutdown.request();
        }
        self.in_closing.push(name.to_owned());
        let (ground, name, uid) = (Arc::clone(&self.ground), name.to_owned(), station.uid.clone());
        self.closing.spawn(async move {
            let ended = station.ended().await;
            ground.connected.registry.leave(&uid).await;
            (name, ended)
        });
    }

    fn rest(&mut self, name: &str) {
        let rest = self.resting.entry(name.to_owned()).or_insert_with(|| Rest { until: Instant::now(), delays: REOPEN.delays() });
        rest.until = Instant::now() + rest.delays.next();
    }

    fn note_opened(&mut self, (name, opened): Opened) {
        self.in_opening.retain(|opening| *opening != name);
        match opened {
            Ok(Some(station)) => {
                tracing::info!(campaign = %name, role = self.ground.role.name(), "works on the campaign");
                self.resting.remove(&name);
                self.stations.insert(name, station);
            }
            // Paused since, or spent.
            Ok(None) => self.rest(&name),
            Err(error) => {
                tracing::error!(campaign = %name, %error, "the campaign cannot be worked on here; its jobs wait");
                self.rest(&name);
            }
        }
    }

    fn note_closed(&mut self, (name, ended): (String, Result<WorkerReport, VerbError>)) {
        self.in_closing.retain(|closing| *closing != name);
        match ended {
            Ok(report) => tracing::info!(campaign = %name, done = report.done, abandoned = report.abandoned, "left the campaign"),
            Err(error) => tracing::error!(campaign = %name, %error, "the campaign's worker ended"),
        }
    }

    /// Says what is wrong once, and when it is over.
    fn note_trouble(&mut self, trouble: Option<VerbError>) {
        let trouble = trouble.map(|error| error.to_string());
        match (&self.trouble, &trouble) {
            (None, Some(error)) => tracing::warn!(error, "cannot look after campaigns; what runs goes on"),
            (Some(_), None) => tracing::info!("looks after campaigns again"),
            _ => {}
        }
        self.trouble = trouble;
        let unready = match (&self.trouble, self.ground.connected.queue.is_connected()) {
            (Some(error), _) => Some(error.clone()),
            (None, false) => Some("the broker cannot be reached".to_owned()),
            (None, true) => None,
        };
        self.health.came_round(unready);
    }

    async fn share(&mut self) {
        let claimants: Vec<Claimant> = self.stations.values().map(claimant).collect();
        let shares = shares(self.slots, &claimants);
        for ((name, station), share) in self.stations.iter().zip(shares) {
            let share = if self.is_backed_up(name).await { 0 } else { share };
            station.share.send_if_modified(|known| std::mem::replace(known, share) != share);
        }
    }

    /// Whether the filters are so far behind that more trajectories would only pile up.
    async fn is_backed_up(&self, name: &str) -> bool {
        if self.ground.role.stage == Stage::Filter {
            return false;
        }
        let candidates = QueueName::Candidates(name.to_owned());
        // A broker that does not say holds nobody back.
        self.ground.connected.queue.depth(&candidates).await.is_ok_and(|depth| depth.ready > BACKLOG_MAX)
    }

    /// Tells the registry and the metrics how this process is.
    async fn tell(&mut self) {
        let role = self.ground.role.name();
        let mut counters = BTreeMap::new();
        let (mut campaigns, mut holds) = (Vec::new(), Vec::new());
        for (name, station) in &mut self.stations {
            let report = station.counters.report();
            report.show(name, role);
            for (counter, count) in report.named() {
                *counters.entry(counter.to_owned()).or_default() += count;
            }
            counters.insert(coordinator::live::rate_name(name), station.rate.per_minute(report.done));
            let share = *station.share.borrow();
            metrics::gauge!("sluice_slots", "campaign" => name.clone(), "role" => role).set(u32::try_from(share).unwrap_or(u32::MAX));
            campaigns.push(Serving { campaign: name.clone(), running: report.running, slots: share as u64 });
            holds.extend(station.holds.keys(HOLDS_TOLD_MAX - holds.len()).iter().map(ToString::to_string));
        }
        if self.reported.is_some_and(|at| at.elapsed() < REPORT) {
            return;
        }
        self.reported = Some(Instant::now());
        let status = WorkerStatus {
            id: self.ground.worker.clone(),
            role: role.to_owned(),
            message_version: MESSAGE_VERSION,
            started_unix_ms: self.began_ms,
            campaigns,
            holds,
            counters,
        };
        if let Err(error) = self.ground.connected.registry.report(&status).await {
            tracing::debug!(%error, "the registry was not told how this worker is");
        }
    }

    async fn drain(mut self) {
        let names: Vec<String> = self.stations.keys().cloned().collect();
        for name in names {
            self.close(&name, "this worker drains", false);
        }
        // An opening that is under way holds nothing yet.
        self.opening.clear();
        while let Some(closed) = self.closing.join_next().await {
            match closed {
                Ok(closed) => self.note_closed(closed),
                Err(error) => tracing::error!(%error, "a station panicked while it closed"),
            }
        }
        self.ground.connected.close().await;
    }
}

fn claimant(station: &Station) -> Claimant {
    let running = usize::try_from(station.counters.report().running).unwrap_or(usize::MAX);
    Claimant { weight: station.weight, share: *station.share.borrow(), running, cap: station.cap }
}
