//! The ledger of a cluster: Redis, shared by all workers. One door per process, [`Registry`], with the ledger of each campaign behind it.
//!
//! Redis decides who holds what, by scripts that each touch one campaign; that a holder lives is told by a key that it beats. All of it is a
//! cache: what is lost is met as unknown and rebuilt from the archive. Not here: patience with an outage, which is the caller's.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ::redis::Client;
use model::Uid;

use super::{Ledger, LedgerError};

mod campaign;
mod holds;
mod keys;
mod line;
mod pulse;
mod roster;
mod scripts;
mod trouble;

use campaign::RedisLedger;
use holds::Holds;
use keys::Keys;
use line::Line;
use pulse::Pulse;
pub use roster::{EndpointHealth, Registered, Serving, WorkerStatus};
use scripts::Scripts;

/// Digits of a boot nonce: enough to tell the lives of one worker apart.
const NONCE_DIGITS: usize = 12;

/// How to reach Redis, and as whom. `Debug` shows no address, for there is a password in it.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user][:password@]host[:port][/db]`, or `rediss://` for TLS.
    pub url: String,
    /// This worker's id; each start of the process adds a nonce of its own.
    pub worker: String,
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// One process's door to Redis: the ledgers of all campaigns, its own presence, the registry of campaigns and workers.
///
/// Dropped with its ledgers and without [`Registry::close`] it stops to beat, and what it held is free 5 s later, as after a kill
/// [tests/contract `a_worker_that_dies_frees_its_jobs_within_seconds_and_is_fenced_when_it_wakes`].
pub struct Registry {
    line: Arc<Line>,
    pulse: Arc<Pulse>,
    scripts: Arc<Scripts>,
    holder: String,
    /// One for each campaign ever asked for: what is held must be known however often a ledger is asked for.
    ledgers: Mutex<HashMap<Uid, Arc<RedisLedger>>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("place", &self.line.place()).field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl Registry {
    /// Connects, and starts to beat.
    ///
    /// # Errors
    /// [`LedgerError::Unusable`] when the address is none or Redis refuses our credentials; [`LedgerError::Unreachable`] when it does not
    /// answer, which may pass.
    pub async fn connect(settings: RedisSettings) -> Result<Arc<Self>, LedgerError> {
        let client = Client::open(settings.url.as_str()).map_err(|error| trouble::unusable_address(&error))?;
        let nonce = crate::random_id().map_err(|error| LedgerError::Unreachable { reason: format!("draw a boot nonce: {error}") })?;
        let nonce: String = nonce.chars().take(NONCE_DIGITS).collect();
        let line = Line::new(client.clone());
        line.prove().await?;
        line.warn_of_eviction().await;
        Ok(Arc::new(Self {
            line: Arc::new(line),
            pulse: Arc::new(Pulse::start(client)?),
            scripts: Arc::new(Scripts::new()),
            holder: format!("{}@{nonce}", settings.worker),
            ledgers: Mutex::default(),
        }))
    }

    /// This process among all holders: the worker's id and a nonce of this start.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// The ledger of the campaign `uid`; from here on this process beats for it.
    pub fn ledger(self: &Arc<Self>, uid: &Uid) -> Arc<dyn Ledger> {
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = ledgers.entry(uid.clone()).or_insert_with(|| {
            Arc::new(RedisLedger {
                line: Arc::clone(&self.line),
                pulse: Arc::clone(&self.pulse),
                scripts: Arc::clone(&self.scripts),
                holder: self.holder.clone(),
                keys: Keys::of(uid),
                holds: Holds::default(),
            })
        });
        self.pulse.serve(&ledger.presence());
        Arc::clone(ledger) as Arc<dyn Ledger>
    }

    /// Stops beating for the campaign `uid`: what this process holds of it is free at once. Whoever claims of it again serves it again.
    pub async fn leave(&self, uid: &Uid) {
        let ledger = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned();
        if let Some(ledger) = ledger {
            ledger.holds.clear();
        }
        self.pulse.leave(&Keys::of(uid).alive(&self.holder)).await;
    }

    /// Whether Redis answers at this moment.
    pub async fn is_reachable(&self) -> bool {
        self.line.prove().await.is_ok()
    }

    /// Says goodbye: stops beating and takes this worker's report away, so what it held is free at once. Nothing is to be claimed after.
    pub async fn close(&self) {
        self.pulse.end().await;
        if let Err(error) = self.unreport().await {
            tracing::warn!(%error, "this worker's report was not taken away; it is shown for a few seconds more");
        }
    }
}
