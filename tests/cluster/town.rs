//! One campaign on a cluster: its folder, its servers, its teacher, its workers. What there is to ask of its archive is in `archive.rs`.
//!
//! Nothing here waits for a fixed time: a condition is asked for again and again, and a bound says when it has failed.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dataset::frozen::FrozenSeeds;
use model::{Job, JobId, JobMessage, Seed, Step};
use runtime::archive::s3::S3Archive;
use runtime::ledger::{RedisSettings, Registry};
use runtime::queue::rabbitmq::{AmqpSettings, RabbitQueue};
use runtime::{Queue, QueueName};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::servers::Servers;
use super::worker::Worker;
use crate::faults::Server;
use crate::house::{self, Ran};

/// How long anything may take: far more than it does, on a machine with other things to do.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// Between two questions.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// Jobs in flight of each worker.
pub(crate) const CONCURRENCY: usize = 4;

/// Asks until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come about within {PATIENCE:?}");
        std::thread::sleep(LOOK);
    }
}

/// One campaign and all around it.
pub(crate) struct Town {
    pub(crate) name: String,
    /// `s3://bucket/prefix`, nobody else's.
    pub(crate) archive: String,
    pub(crate) servers: Servers,
    /// The teacher, counting.
    pub(crate) teacher: Server,
    folder: tempfile::TempDir,
    runtime: Runtime,
    pub(super) store: OnceLock<Arc<S3Archive>>,
    workers: Cell<u32>,
    pub(super) shards: OnceLock<u64>,
}

/// A folder that all towns of this build share: the snapshot they name, and the corpora that their workers fetch.
fn commons() -> &'static Path {
    static COMMONS: OnceLock<PathBuf> = OnceLock::new();
    COMMONS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("town");
        let corpus = folder.join("corpus");
        let sluice = |args: &[&str]| {
            let ran = Command::new(env!("CARGO_BIN_EXE_sluice-under-test")).args(args).arg(&corpus).output().expect("the program starts");
            (ran.status.success(), String::from_utf8_lossy(&ran.stderr).into_owned())
        };
        if !sluice(&["corpus", "verify"]).0 {
            if corpus.exists() {
                std::fs::remove_dir_all(&corpus).expect("a snapshot of another build goes");
            }
            let documents = house::examples().join("documents.jsonl");
            let (is_built, said) = sluice(&["corpus", "build", "--source", &documents.to_string_lossy(), "--out"]);
            assert!(is_built, "{said}");
        }
        folder
    })
}

impl Town {
    /// A campaign of the quickstart's first `seeds` seeds, four ranks a shard, whose teacher answers after `latency`; `campaign` is added to its
    /// table, and tables behind it with it.
    pub(crate) fn new(servers: Servers, seeds: u32, latency: Duration, campaign: &str) -> Self {
        let town = Self::without_plan(servers, latency);
        town.write_campaign(seeds, &town.teacher.address, campaign);
        town
    }

    /// A town whose campaign file is still to be written.
    pub(crate) fn without_plan(servers: Servers, latency: Duration) -> Self {
        let id: String = runtime::random_id().expect("randomness").chars().take(12).collect();
        Self {
            name: format!("town-{id}"),
            archive: format!("s3://{}/town-{id}", servers.s3.bucket),
            servers,
            teacher: Server::start(latency),
            folder: tempfile::tempdir().expect("a folder"),
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"),
            store: OnceLock::new(),
            workers: Cell::new(0),
            shards: OnceLock::new(),
        }
    }

    /// Writes `campaign.toml`, for a teacher at `endpoint`.
    pub(crate) fn write_campaign(&self, seeds: u32, endpoint: &str, campaign: &str) {
        self.write_campaign_with(seeds, endpoint, campaign, CONCURRENCY);
    }

    /// As [`Town::write_campaign`], for at most `concurrency` jobs in flight of each worker.
    pub(crate) fn write_campaign_with(&self, seeds: u32, endpoint: &str, campaign: &str, concurrency: usize) {
        let mine = self.path("seeds.jsonl");
        let seeds_file = if mine.exists() { mine } else { house::examples().join("seeds.jsonl") };
        let text = format!(
            "[campaign]\nname = \"{}\"\nseeds = \"{}\"\nlimit = {seeds}\nrows_per_shard = 4\n{campaign}\n[corpus]\npath = \"{}\"\n\
             [teacher]\nkind = \"http\"\nendpoints = [\"{endpoint}\"]\nmodel = \"heuristic\"\nconcurrency = {concurrency}\ndialect = \"openai\"\n",
            self.name,
            seeds_file.display(),
            commons().join("corpus").display(),
        );
        std::fs::write(self.path("campaign.toml"), text).expect("written");
    }

    /// Adds to the campaign file, behind its teacher.
    pub(crate) fn add_to_campaign(&self, more: &str) {
        let path = self.path("campaign.toml");
        let text = std::fs::read_to_string(&path).expect("a campaign");
        std::fs::write(path, text + more).expect("written");
    }

    /// A path in the town's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of the program, for this town's servers.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice-under-test"));
        command.args(args).current_dir(self.folder.path()).env_remove("RUST_LOG").env_remove("SLUICE_FAILPOINT");
        command
            .envs(self.servers.environment())
            .env("SLUICE_ARCHIVE", &self.archive)
            .env("SLUICE_LOG", std::env::var("SLUICE_LOG").unwrap_or_else(|_| "info".to_owned()));
        command.env("SLUICE_CORPORA", commons().join("corpora"));
        command
    }

    /// Runs the program to its end.
    pub(crate) fn sluice(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().expect("the program starts"))
    }

    /// Runs a verb that must succeed and print JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ran = self.sluice(args);
        assert!(matches!(ran.code, Some(0 | 4)), "{args:?}: {}", ran.text());
        serde_json::from_str(&ran.out).expect("JSON")
    }

    /// Plans the campaign and publishes what is outstanding: (jobs, candidates, seals).
    pub(crate) fn submit(&self) -> (u64, u64, u64) {
        let said = self.json(&["submit", "campaign.toml", "--json"]);
        let number = |key: &str| said[key].as_u64().expect("a number");
        (number("jobs"), number("candidates"), number("seals"))
    }

    /// Starts a worker of a role with four slots.
    pub(crate) fn worker(&self, role: &str) -> Worker {
        self.worker_with(role, &[], &[])
    }

    /// Starts a worker that dies at `failpoint`.
    pub(crate) fn victim(&self, role: &str, failpoint: &str) -> Worker {
        self.worker_with(role, &[], &[("SLUICE_FAILPOINT", failpoint)])
    }

    /// Starts a worker with more flags and environment. A later flag wins.
    pub(crate) fn worker_with(&self, role: &str, flags: &[&str], environment: &[(&str, &str)]) -> Worker {
        self.worker_by(role, flags, |mut command| {
            command.envs(environment.iter().copied());
            command
        })
    }

    /// Starts a worker with more flags by the command that `by` makes of its own.
    pub(crate) fn worker_by(&self, role: &str, flags: &[&str], by: impl FnOnce(Command) -> Command) -> Worker {
        let number = self.workers.replace(self.workers.get() + 1);
        let mut command = self.command(&["worker", role, "--id", &self.worker_id(number)]);
        if !flags.contains(&"--concurrency") {
            command.args(["--concurrency", &CONCURRENCY.to_string()]);
        }
        command.args(flags);
        Worker::start(by(command), &self.path(&format!("worker-{number}.log")))
    }

    /// Starts the coordinator, on a port of its own.
    pub(crate) fn coordinator(&self) -> Worker {
        Worker::start(self.command(&["serve", "--listen", "127.0.0.1:0"]), &self.path("serve.log"))
    }

    /// The id of the worker that was started as number `number`, from 0.
    pub(crate) fn worker_id(&self, number: u32) -> String {
        format!("{}-w{number}", self.name)
    }

    /// What `status` says of the cluster.
    pub(crate) fn status(&self) -> Value {
        self.json(&["status", &self.name, "--json"])
    }

    /// A counter of the worker number `number`, as it told the registry; 0 while it has told nothing.
    pub(crate) fn counter(&self, number: u32, name: &str) -> u64 {
        let (status, id) = (self.status(), self.worker_id(number));
        let workers = status["workers"].as_array().expect("workers");
        let worker = workers.iter().find(|worker| worker["id"] == id.as_str());
        worker.and_then(|worker| worker["counters"][name].as_u64()).unwrap_or(0)
    }

    /// Seed number `number`, and its job of sample 0.
    pub(crate) fn job(&self, number: u64) -> (Job, Seed) {
        let (plan, store) = (self.plan(), Arc::clone(self.store()));
        let seed = self.wait(async { FrozenSeeds::new(store.as_ref(), &plan.name).get(number).await }).expect("a frozen seed");
        (Job { id: JobId::of(&plan.uid, &seed.id, 0), place: plan.plan.place(number, 0), sample: 0 }, seed)
    }

    /// The message of the job of seed number `number`, at a step.
    pub(crate) fn job_message(&self, number: u64, step: Step) -> JobMessage {
        let (job, seed) = self.job(number);
        JobMessage::new(self.plan().uid, job, step, seed).expect("written")
    }

    /// Publishes bytes to one of the campaign's queues.
    pub(crate) fn publish(&self, to: fn(String) -> QueueName, body: Vec<u8>) {
        let to = to(self.name.clone());
        self.wait(async {
            let queue = self.queue().await;
            queue.publish(&to, vec![body]).await.expect("published");
            queue.close().await;
        });
    }

    async fn queue(&self) -> Arc<RabbitQueue> {
        let (urls, management) = (vec![self.servers.amqp.clone()], Some(self.servers.management.clone()));
        runtime::queue::connect(AmqpSettings { urls, management, name: self.name.clone() }).await.expect("a broker")
    }

    pub(crate) async fn registry(&self, worker: &str) -> Arc<Registry> {
        let settings = RedisSettings { url: self.servers.redis.clone(), worker: worker.to_owned() };
        runtime::ledger::connect(settings).await.expect("a Redis")
    }

    /// Waits for a future on the town's own runtime.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Requests that were asked again.
    pub(crate) fn asked_again(&self) -> usize {
        let (asked, distinct) = self.teacher.teacher.counts();
        asked - distinct
    }

    /// Waits until the teacher was asked `requests` times in all.
    pub(crate) fn asked(&self, requests: usize, worker: &mut Worker) {
        eventually(&format!("{requests} requests to the teacher"), || {
            assert!(!worker.is_over(), "it ended first:\n{}", worker.said());
            self.teacher.teacher.counts().0 >= requests
        });
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let shared = Servers::shared();
        // What is the town's own goes with it.
        let (shares_broker, shares_redis) = (self.servers.amqp == shared.amqp, self.servers.redis == shared.redis);
        self.wait(async {
            let (mut is_removed, mut is_unregistered) = (true, true);
            if shares_broker {
                let queue = self.queue().await;
                is_removed = queue.remove(&self.name).await.is_ok();
                queue.close().await;
            }
            if shares_redis {
                let registry = self.registry("tests").await;
                is_unregistered = registry.unregister(&self.name).await.is_ok();
                registry.close().await;
            }
            if !(is_removed && is_unregistered) {
                eprintln!("{} left something behind at the shared servers", self.name);
            }
        });
    }
}
