//! The servers, the proxies before them and the processes between them: where faults are done and healed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tests::services::{OwnBroker, OwnRedis, OwnS3, port_of};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::allowance::Allowance;
use super::fleet::Fleet;
use super::proxy::Proxy;
use super::schedule::{Act, Kind, Target};

/// A worker is taken for dead when its presence was not renewed for five seconds; it renews each second.
const SILENCE: Duration = Duration::from_secs(3);

/// Everything that can be made to fail.
pub(crate) struct Stage {
    /// Ends first, so that nobody outlives its servers.
    pub(crate) fleet: Fleet,
    pub(crate) allowance: Allowance,
    pub(crate) done: BTreeMap<Kind, u64>,
    broker: OwnBroker,
    broker_proxy: Proxy,
    redis: OwnRedis,
    redis_proxy: Proxy,
    pub(crate) s3: OwnS3,
    down: Vec<usize>,
    /// Somebody wants this to end.
    is_interrupted: Arc<AtomicBool>,
    _proxies: Runtime,
}

/// Where the archive lies in the bucket.
const PREFIX: &str = "archive";

impl Stage {
    /// Starts servers and proxies; the processes, which `fleet` makes of their environment, are started later.
    pub(crate) fn start(fleet: impl FnOnce(Vec<(String, String)>) -> Fleet) -> std::io::Result<Self> {
        let proxies = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (broker, redis, s3) = (OwnBroker::start(), OwnRedis::start(), OwnS3::start());
        let broker_proxy = Proxy::start(proxies.handle(), port_of(broker.url()))?;
        let redis_proxy = Proxy::start(proxies.handle(), port_of(&redis.url()))?;
        let place = s3.place();
        let environment = [
            ("SLUICE_AMQP_URL", broker_proxy.before(broker.url())),
            ("SLUICE_AMQP_MANAGEMENT_URL", broker.management_url().to_owned()),
            ("SLUICE_REDIS_URL", redis_proxy.before(&redis.url())),
            ("SLUICE_ARCHIVE", format!("s3://{}/{PREFIX}", place.bucket)),
            ("AWS_ENDPOINT_URL", place.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", place.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", place.secret_key.clone()),
            ("AWS_REGION", place.region.clone()),
            ("SLUICE_LOG", std::env::var("SLUICE_LOG").unwrap_or_else(|_| "info,lapin=error,tantivy=warn".to_owned())),
        ];
        let fleet = fleet(environment.map(|(name, value)| (name.to_owned(), value)).to_vec());
        Ok(Self {
            fleet,
            allowance: Allowance::default(),
            done: BTreeMap::new(),
            broker,
            broker_proxy,
            redis,
            redis_proxy,
            s3,
            down: Vec::new(),
            is_interrupted: interrupted(&proxies)?,
            _proxies: proxies,
        })
    }

    /// Whether somebody wants this to end: then servers have to be stopped, since not all of them end with us.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Relaxed)
    }

    /// The archive's folder.
    pub(crate) fn archive(&self) -> std::path::PathBuf {
        self.s3.folder().join(&self.s3.place().bucket).join(PREFIX)
    }

    /// Does what `act` says.
    pub(crate) fn begin(&mut self, act: &Act) {
        *self.done.entry(act.kind).or_default() += 1;
        if let Target::Worker(number) = act.target {
            return self.begin_worker(act.kind, number);
        }
        match act.kind {
            Kind::CoordinatorKill9 => self.kill(self.fleet.coordinator()),
            Kind::BrokerStop => self.broker.stop(),
            Kind::BrokerKill9 => self.broker.kill9(),
            Kind::BrokerCut => self.broker_proxy.cut(),
            Kind::BrokerCutMidFrame => self.broker_proxy.cut_mid_frame(),
            Kind::BrokerStall => self.broker_proxy.stall(true),
            Kind::RedisCut => self.redis_proxy.cut(),
            Kind::RedisCutMidFrame => self.redis_proxy.cut_mid_frame(),
            Kind::RedisStall => self.redis_proxy.stall(true),
            Kind::RedisRestart => {
                self.count_loss();
                self.redis.kill();
            }
            Kind::RedisFlush => {
                self.count_loss();
                let said = self.redis.ask("FLUSHALL");
                assert!(said.as_ref().is_some_and(|said| said.matches("+OK").count() >= 2), "Redis flushes: {said:?}");
            }
            kind => {
                let mode = kind.s3_mode().expect("all others are faults of S3");
                let share = act.share_percent as f64 / 100.0;
                self.s3.place().order(&json!({ "mode": mode, "share": share, "seed": act.at.as_millis() as u64, "hang_seconds": 10 }));
            }
        }
        if matches!(act.kind, Kind::RedisStall | Kind::RedisRestart) && act.lasts >= SILENCE {
            self.allowance.silenced(self.fleet.all_in_flight_max());
        }
    }

    fn begin_worker(&mut self, kind: Kind, number: usize) {
        match kind {
            Kind::Kill9 => {
                self.allowance.killed(self.fleet.in_flight_max(number));
                self.kill(number);
            }
            Kind::Sigterm => {
                self.down.push(number);
                self.fleet.signal(number, Signal::TERM);
            }
            _ => {
                self.allowance.stopped(self.fleet.in_flight_max(number));
                self.fleet.signal(number, Signal::STOP);
            }
        }
    }

    fn kill(&mut self, number: usize) {
        self.down.push(number);
        self.fleet.kill9(number);
    }

    /// Undoes what `act` did.
    pub(crate) fn heal(&mut self, act: &Act) {
        match (act.kind, act.target) {
            (Kind::Sigstop, Target::Worker(number)) => self.fleet.signal(number, Signal::CONT),
            (_, Target::Worker(number)) => self.bring_back(number),
            (_, Target::Coordinator) => self.bring_back(self.fleet.coordinator()),
            (Kind::BrokerStop | Kind::BrokerKill9, _) => self.broker.restart(),
            (Kind::BrokerStall, _) => self.broker_proxy.stall(false),
            (Kind::RedisStall, _) => self.redis_proxy.stall(false),
            (Kind::RedisRestart, _) => self.redis.restart(),
            (_, Target::S3) => self.s3.place().heal(),
            // A cut and a flush are over at once.
            (_, Target::Broker | Target::Redis) => {}
        }
    }

    fn bring_back(&mut self, number: usize) {
        if !self.fleet.ended_in_time(number) {
            self.allowance.killed(self.fleet.in_flight_max(number));
        }
        self.fleet.start(number);
        self.down.retain(|down| *down != number);
    }

    /// Starts again what ended by itself.
    pub(crate) fn tend(&mut self) -> Vec<String> {
        self.fleet.tend(&self.down)
    }

    /// Notes what Redis is about to forget.
    fn count_loss(&mut self) {
        // The answers: to AUTH, then how many keys follow.
        let said = self.redis.ask("KEYS *:j:*").unwrap_or_default();
        let journals = said.lines().find_map(|line| line.strip_prefix('*')).and_then(|count| count.trim().parse().ok()).unwrap_or(0);
        self.allowance.lost(journals, self.fleet.all_in_flight_max());
    }
}

/// A flag that the first SIGINT or SIGTERM sets.
fn interrupted(runtime: &Runtime) -> std::io::Result<Arc<AtomicBool>> {
    let _entered = runtime.enter();
    let (mut interrupts, mut terminations) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let flag = Arc::<AtomicBool>::default();
    let set = Arc::clone(&flag);
    runtime.spawn(async move {
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {}
        }
        set.store(true, Ordering::Relaxed);
    });
    Ok(flag)
}
