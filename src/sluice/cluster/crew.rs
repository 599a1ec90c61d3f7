//! One worker process: finds campaigns, keeps a station for each that runs, shares its slots among them, and tells how it is.
//!
//! The loop comes round every second and waits for nothing long: stations open and close beside it. What it cannot reach it says once, and
//! tries again; a campaign that cannot be looked after keeps no other from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use model::ControlState;
use model::queue::MESSAGE_VERSION;
use runtime::ledger::{Registered, Serving, WorkerStatus};
use runtime::telemetry::Health;
use runtime::{Queue, QueueName, Shutdown, WorkerReport};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::controls::Controls;
use super::corpora::Corpora;
use super::finding::Finding;
use super::rests::Rests;
use super::shares::{Claimant, shares};
use super::station::{Ground, Station};
use super::{Connected, Role, Stage, unix_ms};
use crate::exit::{End, VerbError};

/// How often the loop comes round: a pause takes hold within two rounds and a turn.
const ROUND: Duration = Duration::from_secs(1);
/// How often it tells the registry how it is; the registry forgets after fifteen seconds.
const REPORT: Duration = Duration::from_secs(3);
/// How often a campaign's control is read from the archive, which decides.
const CONTROL: Duration = Duration::from_secs(15);
/// How long the broker is asked how many candidates wait.
const DEPTH_MAX: Duration = Duration::from_secs(2);
/// Candidates that wait beyond this number: synthesis rests until the filters have caught up.
const BACKLOG_MAX: u64 = 20_000;

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
    /// With what hurries them.
    in_closing: BTreeMap<String, Shutdown>,
    resting: Rests,
    controls: Controls,
    health: Health,
    began_ms: u64,
    reported: Option<Instant>,
    trouble: Option<String>,
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
            in_closing: BTreeMap::new(),
            resting: Rests::default(),
            controls: Controls::default(),
            health,
            began_ms: unix_ms(),
            reported: None,
            trouble: None,
        }
    }

    /// Works until asked to stop, then drains.
    pub(crate) async fn run(mut self) -> Result<End, VerbError> {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (shutdown, health) = (self.ground.shutdown.clone(), self.health.clone());
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                Some(opened) = self.opening.next() => self.note_opened(opened),
                Some(closed) = self.closing.join_next() => self.note_closed(closed.map_err(anyhow::Error::from)?),
                _ = round.tick() => health.alive_during(self.round()).await,
            }
        }
        health.came_round(Some("it drains".to_owned()));
        health.alive_during(self.drain()).await;
        Ok(End::Done)
    }

    async fn round(&mut self) {
        let looked = self.look().await;
        self.note_trouble(looked.err());
        self.share().await;
        self.tell().await;
    }

    /// Opens and closes stations as the registry, the ledgers and the archive say. Of several troubles the first is returned.
    async fn look(&mut self) -> Result<(), VerbError> {
        self.controls.begin_round();
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
        let mut trouble = None;
        for found in wanted {
            let name = found.name.clone();
            if let Err(error) = self.look_at(found).await {
                tracing::debug!(campaign = %name, %error, "the campaign could not be looked after");
                trouble.get_or_insert(error);
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    async fn look_at(&mut self, found: Registered) -> Result<(), VerbError> {
        let Some(station) = self.stations.get(&found.name) else { return self.take_up(found).await };
        let name = found.name;
        if station.has_ended() {
            self.close(&name, "its queue cannot be used", false);
            self.resting.begin(&name);
            return Ok(());
        }
        let ledger = Arc::clone(&station.ledger);
        let standing = ledger.standing().await?;
        // What the ledger says takes hold before the archive is asked, which may hang.
        if let Some(state @ (ControlState::Paused | ControlState::Cancelled)) = standing.control {
            self.controls.forget(&name);
            self.close(&name, "it was told to stop", state == ControlState::Cancelled);
            return Ok(());
        }
        if let Some(why) = station.why_spend_nothing(&standing) {
            self.close(&name, why, false);
            self.resting.begin(&name);
            return Ok(());
        }
        // A ledger that knows nothing is told what the archive says at this moment.
        let believed = if standing.control.is_some() { CONTROL } else { Duration::ZERO };
        let control = self.controls.of(self.ground.connected.archive.as_ref(), &name, believed).await?;
        let is_revised = control.revisions.len() != station.revisions || station.counts_from(&control);
        if standing.control.is_none() {
            // The archive decides; a ledger that says otherwise was lost, or not told.
            ledger.set_control(control.state).await?;
        }
        if control.state != ControlState::Running {
            self.close(&name, "it was told to stop", control.state == ControlState::Cancelled);
        } else if is_revised {
            self.close(&name, "its settings changed", false);
        }
        Ok(())
    }

    /// Opens a station, unless the campaign is told otherwise or was tried in vain a moment ago.
    async fn take_up(&mut self, found: Registered) -> Result<(), VerbError> {
        let Registered { name, uid, .. } = found;
        // Whoever stands still is waiting for just this news.
        let control = self.controls.of(self.ground.connected.archive.as_ref(), &name, 2 * ROUND).await?;
        // A cancellation waits for nothing, and may come while the station closes for another reason.
        if control.state == ControlState::Cancelled
            && let Some(closing) = self.in_closing.get(&name)
        {
            closing.request();
        }
        let is_told_otherwise = control.state != ControlState::Running;
        let is_moving = self.in_opening.contains(&name) || self.in_closing.contains_key(&name);
        if !self.resting.has(&name, &control) && !is_told_otherwise && !is_moving {
            self.in_opening.push(name.clone());
            let ground = Arc::clone(&self.ground);
            self.opening.push(async move { (name.clone(), Station::open(ground, name, uid).await) }.boxed_local());
        }
        Ok(())
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
        self.in_closing.insert(name.to_owned(), station.shutdown.clone());
        let (ground, name, uid) = (Arc::clone(&self.ground), name.to_owned(), station.uid.clone());
        self.closing.spawn(async move {
            let ended = station.ended(&name, ground.role.name()).await;
            ground.connected.registry.leave(&uid).await;
            (name, ended)
        });
    }

    fn note_opened(&mut self, (name, opened): Opened) {
        self.in_opening.retain(|opening| *opening != name);
        match opened {
            Ok(Some(station)) => {
                tracing::info!(campaign = %name, role = self.ground.role.name(), "works on the campaign");
                self.resting.end(&name);
                self.stations.insert(name, station);
            }
            // Paused since, or spent.
            Ok(None) => self.resting.begin(&name),
            Err(error) => {
                tracing::error!(campaign = %name, %error, "the campaign cannot be worked on here; its jobs wait");
                self.resting.begin(&name);
            }
        }
    }

    fn note_closed(&mut self, (name, ended): (String, Result<WorkerReport, VerbError>)) {
        self.in_closing.remove(&name);
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
        let depth = timeout(DEPTH_MAX, self.ground.connected.queue.depth(&candidates)).await;
        // A broker that does not say holds nobody back.
        matches!(depth, Ok(Ok(depth)) if depth.ready > BACKLOG_MAX)
    }

    /// Tells the registry and the metrics how this process is.
    async fn tell(&mut self) {
        let role = self.ground.role.name();
        let mut counters = BTreeMap::new();
        let mut campaigns = Vec::new();
        let mut endpoints = Vec::new();
        for (name, station) in &mut self.stations {
            campaigns.push(station.tell(name, role, &mut counters));
            endpoints.extend(station.endpoints(name));
        }
        // Whoever waits until a campaign is left by all has to see those that are still leaving.
        let leaving = self.in_closing.keys().filter(|name| !self.stations.contains_key(*name));
        campaigns.extend(leaving.map(|name| Serving { campaign: name.clone(), ..Serving::default() }));
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
            counters,
            endpoints,
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
