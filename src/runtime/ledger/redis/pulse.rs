//! The beat of this process: one short write a second for each campaign it serves, from a thread and a connection of its own.
//!
//! Its own, because a beat that waits behind a long journal or a busy runtime tells all others that we died, and they take our jobs. When the
//! process stops, or is stopped, the keys expire and what it held is free.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::{Notify, oneshot};
use tokio::time::MissedTickBehavior;

use super::super::LedgerError;

/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);
/// After so long without a beat we count as dead.
pub(super) const ALIVE_MS: u64 = 5000;
/// For one answer or one connection: two may fail before we count as dead.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long somebody waits for a beat to end: past that the key ends by itself.
const END_MAX: Duration = Duration::from_secs(6);

/// Beats until it is ended or dropped. Dropped, it leaves its keys to expire, as a killed process does.
#[derive(Debug)]
pub(super) struct Pulse {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    orders: Mutex<Orders>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Orders {
    /// Presence keys: one for each campaign served.
    served: BTreeSet<String>,
    /// To be removed, and who waits for it.
    ending: Vec<(Vec<String>, oneshot::Sender<()>)>,
    is_over: bool,
}

impl Pulse {
    /// Starts to beat, for nothing yet.
    pub(super) fn start(client: Client) -> Result<Self, LedgerError> {
        let shared = Arc::new(Shared::default());
        let unreachable = |error: std::io::Error| LedgerError::Unreachable { reason: format!("start the thread that beats: {error}") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
        let beating = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("sluice-beat".to_owned());
        thread.spawn(move || runtime.block_on(beat_until_over(&client, &beating))).map_err(unreachable)?;
        Ok(Self { shared })
    }

    /// Beats `key` from here on.
    pub(super) fn serve(&self, key: &str) {
        let is_fresh = {
            let mut orders = self.shared.lock();
            !orders.served.contains(key) && orders.served.insert(key.to_owned())
        };
        if is_fresh {
            self.shared.wake.notify_one();
        }
    }

    /// Beats `key` no more, and removes it.
    pub(super) async fn leave(&self, key: &str) {
        let ended = {
            let mut orders = self.shared.lock();
            orders.served.remove(key);
            orders.end(vec![key.to_owned()])
        };
        self.wait(ended).await;
    }

    /// Stops beating, and removes all keys.
    pub(super) async fn end(&self) {
        let ended = {
            let mut orders = self.shared.lock();
            let keys = std::mem::take(&mut orders.served).into_iter().collect();
            orders.is_over = true;
            orders.end(keys)
        };
        self.wait(ended).await;
    }

    async fn wait(&self, ended: oneshot::Receiver<()>) {
        self.shared.wake.notify_one();
        if !matches!(tokio::time::timeout(END_MAX, ended).await, Ok(Ok(()))) {
            tracing::warn!("a presence key was not removed from Redis; it expires within {ALIVE_MS} ms");
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let mut orders = self.shared.lock();
        orders.served.clear();
        orders.is_over = true;
        self.shared.wake.notify_one();
    }
}

impl Orders {
    fn end(&mut self, keys: Vec<String>) -> oneshot::Receiver<()> {
        let (tell, ended) = oneshot::channel();
        self.ending.push((keys, tell));
        ended
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn beat_until_over(client: &Client, shared: &Shared) {
    let mut beat = Beat { client, connection: None, is_up: None };
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.wake.notified() => {}
        }
        let (served, ending, is_over) = {
            let mut orders = shared.lock();
            (orders.served.clone(), std::mem::take(&mut orders.ending), orders.is_over)
        };
        if is_over && ending.is_empty() {
            return;
        }
        let removed: Vec<&String> = ending.iter().flat_map(|(keys, _)| keys).collect();
        beat.once(&served, &removed).await;
        for (_, tell) in ending {
            if tell.send(()).is_err() {
                tracing::debug!("whoever left did not wait for its presence key to go");
            }
        }
        if is_over {
            return;
        }
    }
}

struct Beat<'a> {
    client: &'a Client,
    connection: Option<MultiplexedConnection>,
    /// What was told last: said once when it changes.
    is_up: Option<bool>,
}

impl Beat<'_> {
    async fn once(&mut self, served: &BTreeSet<String>, removed: &[&String]) {
        let beaten = self.try_once(served, removed).await;
        let is_up = beaten.is_ok();
        metrics::gauge!("sluice_redis_up").set(f64::from(u8::from(is_up)));
        match beaten {
            Ok(()) if self.is_up == Some(false) => tracing::info!("Redis answers again"),
            Ok(()) => {}
            Err(error) => {
                self.connection = None;
                if self.is_up != Some(false) {
                    let place = self.client.get_connection_info().addr();
                    tracing::warn!(%place, %error, "Redis does not hear that this process lives; what it holds may be taken over");
                }
            }
        }
        self.is_up = Some(is_up);
    }

    async fn try_once(&mut self, served: &BTreeSet<String>, removed: &[&String]) -> RedisResult<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let config = AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER_MAX)).set_response_timeout(Some(ANSWER_MAX));
                none.insert(self.client.get_multiplexed_async_connection_with_config(&config).await?)
            }
        };
        let mut pipe = ::redis::pipe();
        pipe.cmd("PING").ignore();
        for key in removed {
            pipe.cmd("UNLINK").arg(key).ignore();
        }
        for key in served {
            pipe.cmd("SET").arg(key).arg("1").arg("PX").arg(ALIVE_MS).ignore();
        }
        pipe.query_async(connection).await
    }
}
