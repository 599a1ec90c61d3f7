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
use crate::ledger::{Ask, Claim, Lease, WorkKey};
use crate::queue::memory::MemoryQueue;

mod claims;
mod ends;
mod outcomes;
mod slots;

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
    /// Waits for `go`, then fails with an outage.
    Outage,
    /// Hands itself on because of an outage.
    HandOn,
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
            Act::Outage => {
                self.go.notified().await;
                return Err(Failure::outage("scripted", "as scripted"));
            }
            Act::HandOn => return Ok(Disposition::Outage { continuation }),
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

    fn worker_of(&self, from: QueueName) -> Worker<Scripted> {
        self.worker_with(from, Slots::fixed(4))
    }

    fn worker_with(&self, from: QueueName, slots: Slots) -> Worker<Scripted> {
        let settings = WorkerSettings { from, slots, worker: "w".into() };
        let (queue, ledger) = (Arc::new(self.queue.clone()), Arc::clone(&self.ledger));
        Worker::new(Arc::clone(&self.handler), queue, ledger, settings, self.shutdown.clone())
    }

    fn start(&self) -> (Arc<Counters>, JoinHandle<Result<WorkerReport, QueueError>>) {
        let worker = self.worker_of(jobs());
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
