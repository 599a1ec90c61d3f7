//! What all campaigns share: which campaigns there are, and which workers live. For discovery and for people; no decision about a job rests on
//! it, and the archive knows the campaigns too.

use std::collections::{BTreeMap, HashMap};

use ::redis::Pipeline;
use model::Uid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::LedgerError;
use super::Registry;
use super::keys::{CAMPAIGNS, WORKERS_SAID, WORKERS_SEEN};
use super::line::Sent;

/// How long the list of campaigns is kept when nobody reads or writes it.
const CAMPAIGNS_KEPT_S: u64 = 7 * 24 * 3600;
/// A worker that has not reported for so long is not shown.
const REPORT_KEPT_MS: u64 = 15_000;
/// Work keys of one campaign in one report.
const HOLDS_MAX: usize = 64;
/// Servers in one report.
const ENDPOINTS_MAX: usize = 64;

/// A campaign that workers may serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Its name.
    pub name: String,
    /// Its random identity.
    pub uid: Uid,
    /// The archive it lives in, by the archive's own id.
    pub archive: String,
    /// Its share of the workers, relative to that of others.
    pub weight: u32,
}

/// What a worker tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its id.
    pub id: String,
    /// What it does: `synthesis`, `filter`, …
    pub role: String,
    /// The highest version of messages it reads.
    pub message_version: u32,
    /// When it started, in milliseconds since 1970; for people.
    pub started_unix_ms: u64,
    /// What it serves.
    #[serde(default)]
    pub campaigns: Vec<Serving>,
    /// What it has counted for each campaign since it came to it, by the campaign's and the counter's name.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// The servers of its models, as it sees them; the first 64 are kept.
    #[serde(default)]
    pub endpoints: Vec<EndpointHealth>,
}

/// How one server of a model does, as one process sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointHealth {
    /// The campaign for which it is asked; whoever tells of several fills it in.
    #[serde(default)]
    pub campaign: String,
    /// Its base URL, without secrets.
    pub endpoint: String,
    /// Whether its circuit is closed: `up`, `down`, or `probing` while one request tries whether it is back.
    pub state: String,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests that may be in flight at once by now.
    pub window: u32,
    /// Requests that wait until one more may be in flight.
    #[serde(default)]
    pub waiting: u32,
    /// Requests answered since the campaign was opened here.
    pub answered: u64,
    /// Requests that failed since then.
    pub failed: u64,
    /// Mean seconds of an answer, of late; 0 before the first.
    pub seconds_mean: f64,
}

/// A worker's part in one campaign.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// The campaign's name.
    pub campaign: String,
    /// Jobs it runs.
    pub running: u64,
    /// Jobs it would run at most.
    pub slots: u64,
    /// Names of the work it holds; the first 64 are kept.
    #[serde(default)]
    pub holds: Vec<String>,
}

impl Registry {
    /// Tells workers of `campaign`; one of the same name is replaced.
    ///
    /// # Errors
    /// When Redis cannot be reached.
    pub async fn register(&self, campaign: &Registered) -> Result<(), LedgerError> {
        let mut pipe = ::redis::pipe();
        pipe.cmd("HSET").arg(CAMPAIGNS).arg(&campaign.name).arg(json(campaign)?).ignore();
        keep_campaigns(&mut pipe);
        self.line.ask("register", Sent::Pipe(&pipe)).await
    }

    /// The campaigns there are, by name. One that cannot be read is left out, and said so: it costs no other.
    ///
    /// # Errors
    /// When Redis cannot be reached.
    pub async fn campaigns(&self) -> Result<Vec<Registered>, LedgerError> {
        let mut pipe = ::redis::pipe();
        pipe.cmd("HGETALL").arg(CAMPAIGNS);
        keep_campaigns(&mut pipe);
        let (stored,): (HashMap<String, Vec<u8>>,) = self.line.ask("campaigns", Sent::Pipe(&pipe)).await?;
        let mut campaigns: Vec<Registered> = stored.values().filter_map(|bytes| readable(CAMPAIGNS, bytes)).collect();
        campaigns.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(campaigns)
    }

    /// Workers need not serve the campaign `name` any more.
    ///
    /// # Errors
    /// When Redis cannot be reached.
    pub async fn unregister(&self, name: &str) -> Result<(), LedgerError> {
        let mut pipe = ::redis::pipe();
        pipe.cmd("HDEL").arg(CAMPAIGNS).arg(name).ignore();
        self.line.ask("unregister", Sent::Pipe(&pipe)).await
    }

    /// Tells of this worker; shown for 15 s, or until [`Registry::close`].
    ///
    /// # Errors
    /// When Redis cannot be reached.
    pub async fn report(&self, status: &WorkerStatus) -> Result<(), LedgerError> {
        let mut told = status.clone();
        for serving in &mut told.campaigns {
            serving.holds.truncate(HOLDS_MAX);
        }
        told.endpoints.truncate(ENDPOINTS_MAX);
        self.ask_workers("report", Some(&json(&told)?)).await.map(drop)
    }

    /// The workers that live, by id.
    ///
    /// # Errors
    /// When Redis cannot be reached.
    pub async fn workers(&self) -> Result<Vec<WorkerStatus>, LedgerError> {
        let stored = self.ask_workers("workers", None).await?;
        let mut workers: Vec<WorkerStatus> = stored.iter().filter_map(|bytes| readable(WORKERS_SAID, bytes)).collect();
        workers.sort_by(|a, b| (&a.id, a.started_unix_ms).cmp(&(&b.id, b.started_unix_ms)));
        Ok(workers)
    }

    /// Takes this worker's report away.
    pub(super) async fn unreport(&self) -> Result<(), LedgerError> {
        self.ask_workers("unreport", Some(b"gone")).await.map(drop)
    }

    async fn ask_workers(&self, op: &'static str, report: Option<&[u8]>) -> Result<Vec<Vec<u8>>, LedgerError> {
        let mut call = self.scripts.workers.prepare_invoke();
        call.key(WORKERS_SEEN).key(WORKERS_SAID).arg(REPORT_KEPT_MS).arg(self.holder());
        if let Some(report) = report {
            call.arg(report);
        }
        self.line.ask(op, Sent::Script(&call)).await
    }
}

fn keep_campaigns(pipe: &mut Pipeline) {
    pipe.cmd("EXPIRE").arg(CAMPAIGNS).arg(CAMPAIGNS_KEPT_S).ignore();
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, LedgerError> {
    serde_json::to_vec(value)
        .map_err(|error| LedgerError::Damaged { what: "what is to be registered".to_owned(), reason: error.to_string() })
}

/// What somebody of another version wrote may not be readable here.
fn readable<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).inspect_err(|error| tracing::warn!(key, %error, "something in the registry cannot be read")).ok()
}
