//! The loop with a scripted handler, over the real memory queue and the real embedded ledger, with the clock paused.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use model::{ControlState, JobId, Step, Uid, wire};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::ledger::embedded::EmbeddedLedger;
use crate::ledger::{Claim, Lease, WorkKey};
use crate::queue::memory::MemoryQueue;

const DRAIN: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Errand {
    uid: String,
    name: String,
    step: Step,
}

impl Errand {
    fn new(name: &str) -> Self {
        Self { uid: "ours".into(), name: name.into(), step: Step::default() }
    }

    fn bytes(&self) -> Vec<u8> {
        wire::encode_message("errand", self).expect("plain data")
    }

    fn key(&self) -> WorkKey {
        WorkKey::Synthesis(JobId::of(&Uid(self.uid.clone()), &self.name, 0))
    }
}

/// What the handler does at one call.
#[derive(Debug, Clone, Copy)]
enum Act {
    Finish,
    Yield,
    Fail(FailureKind),
    Panic,
    /// Waits for `go`, then finishes.
    Wait,
    /// Waits for the shutdown, then yields.
    Drain,
    /// Never returns.
    Hang,
}

#[derive(Debug, Default)]
struct Scripted {
    acts: Mutex<HashMap<String, VecDeque<Act>>>,
    handled: Mutex<Vec<(String, Step)>>,
    effects: Mutex<BTreeSet<String>>,
    given_up: Mutex<Vec<(String, &'static str)>>,
    started: Notify,
    go: Notify,
}

#[async_trait]
impl Handler for Scripted {
    type Message = Errand;

    fn open(&self, body: &[u8]) -> Opened<Errand> {
        match wire::decode_message::<Errand>("errand", body) {
            Ok(errand) if errand.uid != "ours" => Opened::Foreign(Uid(errand.uid)),
            Ok(errand) => Opened::Work { key: errand.key(), step: errand.step, message: errand },
            Err(error) => Opened::Unreadable(error.to_string()),
        }
    }

    async fn is_effected(&self, errand: &Errand) -> Result<bool, Failure> {
        Ok(self.effects.lock().expect("no panic inside").contains(&errand.name))
    }

    async fn handle(&self, errand: Errand, _lease: &Lease, context: &Context) -> Result<Disposition, Failure> {
        self.handled.lock().expect("no panic inside").push((errand.name.clone(), errand.step));
        let act = self.acts.lock().expect("no panic inside").get_mut(&errand.name).and_then(VecDeque::pop_front);
        let continuation = Errand { step: errand.step.next_slice(), ..errand.clone() }.bytes();
        self.started.notify_one();
        match act.unwrap_or(Act::Finish) {
            Act::Finish => {}
            Act::Yield => return Ok(Disposition::Yield { continuation }),
            Act::Fail(kind) => return Err(Failure { kind, name: "scripted", message: "as scripted".into(), retry_after: None }),
            Act::Panic => panic!("as scripted"),
            Act::Wait => self.go.notified().await,
            Act::Drain => {
                context.shutdown.requested().await;
                return Ok(Disposition::Yield { continuation });
            }
            Act::Hang => std::future::pending().await,
        }
        self.effects.lock().expect("no panic inside").insert(errand.name);
        Ok(Disposition::Done)
    }

    fn next_attempt(&self, errand: &Errand) -> Vec<u8> {
        Errand { step: errand.step.next_attempt(), ..errand.clone() }.bytes()
    }

    async fn give_up(&self, errand: &Errand, _lease: &Lease, failure: &Failure) -> Result<(), Failure> {
        self.given_up.lock().expect("no panic inside").push((errand.name.clone(), failure.name));
        Ok(())
    }
}

/// A house with one worker that is not running yet.
struct House {
    folder: TempDir,
    queue: MemoryQueue,
    ledger: Arc<EmbeddedLedger>,
    handler: Arc<Scripted>,
    shutdown: Shutdown,
}

impl House {
    async fn new(script: &[(&str, &[Act])]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ledger = Arc::new(EmbeddedLedger::open(folder.path()).await.expect("a fresh ledger"));
        let handler = Scripted::default();
        let acts = script.iter().map(|(name, acts)| ((*name).to_owned(), acts.iter().copied().collect())).collect();
        *handler.acts.lock().expect("just made") = acts;
        Self { folder, queue: MemoryQueue::new(100), ledger, handler: Arc::new(handler), shutdown: Shutdown::new(DRAIN) }
    }

    fn worker_of(&self, from: QueueName, looks_first: bool) -> Worker<Scripted> {
        let settings = WorkerSettings { from, concurrency: 4, worker: "w".into(), looks_first };
        let (queue, ledger) = (Arc::new(self.queue.clone()), Arc::clone(&self.ledger));
        Worker::new(Arc::clone(&self.handler), queue, ledger, settings, self.shutdown.clone())
    }

    fn start(&self) -> (Arc<Counters>, JoinHandle<Result<WorkerReport, QueueError>>) {
        let worker = self.worker_of(jobs(), false);
        (worker.counters(), tokio::spawn(worker.run()))
    }

    async fn publish(&self, errand: &Errand) {
        self.queue.publish(&jobs(), vec![errand.bytes()]).await.expect("room");
    }

    /// Runs a worker until nothing is left in its queue, and returns its report.
    async fn work_off(&self, errands: &[Errand]) -> WorkerReport {
        for errand in errands {
            self.publish(errand).await;
        }
        let (_, running) = self.start();
        self.settle(&jobs()).await;
        self.shutdown.request();
        running.await.expect("no panic").expect("the queue is open")
    }

    async fn settle(&self, queue: &QueueName) {
        while self.queue.depth(queue).await.expect("in memory") != crate::queue::Depth::default() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn handled(&self) -> usize {
        self.handler.handled.lock().expect("no panic inside").len()
    }

    fn given_up(&self) -> Vec<(String, &'static str)> {
        self.handler.given_up.lock().expect("no panic inside").clone()
    }
}

fn jobs() -> QueueName {
    QueueName::Jobs("c".into())
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_acknowledged_and_a_second_message_for_it_does_not_run() {
    let house = House::new(&[]).await;
    let report = house.work_off(&[Errand::new("a"), Errand::new("b"), Errand::new("a")]).await;
    assert_eq!((report.done, house.handled()), (2, 2));
    assert_eq!((report.received, report.spared + report.adopted), (3 + report.postponed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_yield_is_continued_by_the_next_slice_and_its_old_message_is_stale() {
    let house = House::new(&[("a", &[Act::Yield, Act::Yield])]).await;
    let report = house.work_off(&[Errand::new("a")]).await;
    let slices: Vec<u32> = house.handler.handled.lock().expect("no panic inside").iter().map(|(_, step)| step.slice).collect();
    assert_eq!((slices, report.yielded, report.done), (vec![0, 1, 2], 2, 1));

    let house = House::new(&[("a", &[Act::Yield, Act::Wait])]).await;
    house.publish(&Errand::new("a")).await;
    let (counters, running) = house.start();
    until(|| house.handled() == 2).await;
    house.publish(&Errand::new("a")).await;
    until(|| counters.report().spared == 1).await;
    house.handler.go.notify_one();
    house.settle(&jobs()).await;
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("open").done, 1);
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_tried_again_a_bounded_number_of_times() {
    let house = House::new(&[("often", &[Act::Fail(FailureKind::Transient); 9]), ("once", &[Act::Fail(FailureKind::Transient)])]).await;
    let start = Instant::now();
    let report = house.work_off(&[Errand::new("often"), Errand::new("once")]).await;
    assert_eq!((report.retried, report.failed, report.done), (4 + 1, 1, 1));
    assert_eq!(house.given_up(), [("often".to_owned(), "scripted")]);
    assert!(start.elapsed() >= Duration::from_secs(1), "attempts are spaced");
    assert_eq!(house.ledger.claim(&Errand::new("often").key(), Step::default()).await.expect("open"), Claim::Done);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_put_on_record_at_once() {
    let house = House::new(&[("a", &[Act::Fail(FailureKind::Permanent)])]).await;
    let report = house.work_off(&[Errand::new("a")]).await;
    assert_eq!((report.failed, report.retried, house.handled()), (1, 0, 1));
    assert_eq!(house.given_up(), [("a".to_owned(), "scripted")]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_spends_no_attempt_however_long_it_lasts() {
    let house = House::new(&[("a", &[Act::Fail(FailureKind::Outage); 50])]).await;
    let start = Instant::now();
    let report = house.work_off(&[Errand::new("a"), Errand::new("b")]).await;
    assert_eq!((report.outages, report.done, report.failed), (50, 2, 0));
    let steps = house.handler.handled.lock().expect("no panic inside").iter().map(|(_, step)| *step).collect::<BTreeSet<_>>();
    assert_eq!(steps, BTreeSet::from([Step::default()]));
    assert!(start.elapsed() > Duration::from_secs(300), "the pauses grow: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(50 * 2 * 61), "and are bounded: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn intake_rests_during_an_outage() {
    let house = House::new(&[("a", &[Act::Fail(FailureKind::Outage)])]).await;
    house.publish(&Errand::new("a")).await;
    let (counters, running) = house.start();
    until(|| counters.report().outages == 1).await;
    house.publish(&Errand::new("b")).await;
    assert_eq!(house.handled(), 1);
    let depth = house.queue.depth(&jobs()).await.expect("in memory");
    assert_eq!((depth.ready, depth.unacked), (1, 0), "nothing is hoarded meanwhile");
    house.settle(&jobs()).await;
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("open").done, 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_own_job_and_never_the_worker() {
    let house = House::new(&[("bad", &[Act::Panic; 9])]).await;
    let report = house.work_off(&[Errand::new("bad"), Errand::new("good")]).await;
    assert_eq!((report.panics, report.done, report.failed), (5, 1, 1));
    assert_eq!(house.given_up(), [("bad".to_owned(), "panic")]);
}

#[tokio::test(start_paused = true)]
async fn work_that_was_taken_over_is_dropped_quietly() {
    let house = House::new(&[("a", &[Act::Fail(FailureKind::Fenced)])]).await;
    let report = house.work_off(&[Errand::new("a")]).await;
    assert_eq!((report.lost, report.done, report.failed), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn foreign_messages_are_acknowledged_and_unreadable_ones_are_kept_with_the_reason() {
    let house = House::new(&[]).await;
    house.queue.publish(&jobs(), vec![vec![0xc1, 0xff]]).await.expect("room");
    let report = house.work_off(&[Errand { uid: "theirs".into(), ..Errand::new("a") }]).await;
    assert_eq!((report.foreign, report.dead, house.handled()), (1, 1, 0));
    let dead = house.queue.dead_letters("c");
    assert!(dead.len() == 1 && dead[0].reason.contains("errand") && dead[0].from == "jobs.c", "{dead:?}");
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_message_whose_effect_is_in_the_archive_does_not_run_again() {
    let house = House::new(&[]).await;
    house.handler.effects.lock().expect("no panic inside").insert("a".into());
    house.publish(&Errand::new("a")).await;
    let mut other = house.queue.subscribe(&jobs(), 1).await.expect("in memory");
    drop(other.next().await.expect("one message"));
    drop(other);
    let report = house.work_off(&[Errand::new("fresh")]).await;
    assert_eq!((report.spared, report.done, house.handled()), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn with_a_young_ledger_every_message_is_looked_up_first() {
    let house = House::new(&[]).await;
    house.handler.effects.lock().expect("no panic inside").insert("a".into());
    house.publish(&Errand::new("a")).await;
    let running = tokio::spawn(house.worker_of(jobs(), true).run());
    house.settle(&jobs()).await;
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("open").spared, 1);
    assert_eq!(house.handled(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_of_running_work_is_adopted_and_the_work_runs_once() {
    let house = House::new(&[("a", &[Act::Wait])]).await;
    house.publish(&Errand::new("a")).await;
    let (counters, running) = house.start();
    house.handler.started.notified().await;
    house.publish(&Errand::new("a")).await;
    until(|| counters.report().adopted == 1).await;
    let depth = house.queue.depth(&jobs()).await.expect("in memory");
    assert_eq!((depth.ready, depth.unacked), (0, 1), "one delivery stands for the work");
    house.handler.go.notify_one();
    house.settle(&jobs()).await;
    house.shutdown.request();
    let report = running.await.expect("no panic").expect("open");
    assert_eq!((report.done, house.handled()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_paused_campaign_keeps_its_messages_and_goes_on_when_it_may() {
    let house = House::new(&[]).await;
    house.ledger.set_control(ControlState::Paused).await.expect("open");
    for name in ["a", "b", "c", "d", "e", "f"] {
        house.publish(&Errand::new(name)).await;
    }
    let (counters, running) = house.start();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(house.handled(), 0);
    assert!(counters.report().postponed <= 600, "a paused campaign is looked at now and then: {:?}", counters.report());
    house.ledger.set_control(ControlState::Running).await.expect("open");
    house.settle(&jobs()).await;
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("open").done, 6);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_campaign_drops_its_messages() {
    let house = House::new(&[]).await;
    house.ledger.set_control(ControlState::Cancelled).await.expect("open");
    let report = house.work_off(&[Errand::new("a")]).await;
    assert_eq!((report.spared, house.handled()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_takes_nothing_new_and_lets_what_runs_yield() {
    let house = House::new(&[("a", &[Act::Drain])]).await;
    house.publish(&Errand::new("a")).await;
    let (_, running) = house.start();
    house.handler.started.notified().await;
    let start = Instant::now();
    house.shutdown.request();
    house.publish(&Errand::new("late")).await;
    let report = running.await.expect("no panic").expect("open");
    assert_eq!((report.yielded, report.abandoned, house.handled()), (1, 0, 1));
    assert!(start.elapsed() < Duration::from_secs(1), "a drain does not wait for its deadline");
    let depth = house.queue.depth(&jobs()).await.expect("in memory");
    assert_eq!((depth.ready, depth.unacked), (2, 0), "the continuation and the late one");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_yield_is_cut_off_at_the_deadline_and_can_be_taken_up_again() {
    let house = House::new(&[("a", &[Act::Hang])]).await;
    house.publish(&Errand::new("a")).await;
    let (_, running) = house.start();
    house.handler.started.notified().await;
    let start = Instant::now();
    house.shutdown.request();
    let report = running.await.expect("no panic").expect("open");
    assert_eq!((report.abandoned, start.elapsed().as_secs()), (1, DRAIN.as_secs()));
    let depth = house.queue.depth(&jobs()).await.expect("in memory");
    assert_eq!((depth.ready, depth.unacked), (1, 0));
    assert!(matches!(house.ledger.claim(&Errand::new("a").key(), Step::default()).await, Ok(Claim::Taken(_))));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_kills_ends_in_quarantine_as_poison() {
    let mut house = House::new(&[]).await;
    let (poison, key) = (Errand::new("poison"), Errand::new("poison").key());
    for _death in 0..3 {
        assert!(matches!(house.ledger.claim(&key, Step::default()).await, Ok(Claim::Taken(_))));
        house.ledger.close().await;
        house.ledger = Arc::new(EmbeddedLedger::open(house.folder.path()).await.expect("our own ledger"));
    }
    let report = house.work_off(&[poison.clone(), Errand::new("good")]).await;
    assert_eq!((report.suspected, report.done, house.handled()), (1, 1, 1));

    let quarantine = jobs().quarantine();
    assert!(matches!(house.ledger.claim_suspect(&key, Step::default()).await, Ok(Claim::Taken(_))), "one last chance");
    house.ledger.close().await;
    house.ledger = Arc::new(EmbeddedLedger::open(house.folder.path()).await.expect("our own ledger"));
    house.shutdown = Shutdown::new(DRAIN);
    let running = tokio::spawn(house.worker_of(quarantine.clone(), false).run());
    house.settle(&quarantine).await;
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("open").failed, 1);
    assert_eq!(house.given_up(), [("poison".to_owned(), "poison")]);
    assert_eq!(house.handled(), 1, "poison never ran again");
}

#[tokio::test(start_paused = true)]
async fn a_suspect_that_is_innocent_finishes_in_quarantine() {
    let mut house = House::new(&[("suspect", &[Act::Yield])]).await;
    let key = Errand::new("suspect").key();
    for _death in 0..3 {
        assert!(matches!(house.ledger.claim(&key, Step::default()).await, Ok(Claim::Taken(_))));
        house.ledger.close().await;
        house.ledger = Arc::new(EmbeddedLedger::open(house.folder.path()).await.expect("our own ledger"));
    }
    house.work_off(&[Errand::new("suspect")]).await;
    house.shutdown = Shutdown::new(DRAIN);
    let running = tokio::spawn(house.worker_of(jobs().quarantine(), false).run());
    house.settle(&jobs().quarantine()).await;
    house.shutdown.request();
    let report = running.await.expect("no panic").expect("open");
    assert_eq!((report.yielded, report.done, house.handled()), (1, 1, 2), "its continuation stays in quarantine");
}
