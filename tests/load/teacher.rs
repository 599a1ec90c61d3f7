//! A teacher behind real HTTP that notes who asks and when: sim-teacher's own server around the heuristic teacher, with latency.
//!
//! A job is known by its sampling seed, which is a function of the campaign's seed and the job. A request is noted when it arrives and not
//! when it is answered, so that what a stopped worker still has open is not taken for another's.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use model::settings::Dialect;
use model::{Completion, FinishReason, Usage};
use serde_json::json;
use teacher::heuristic::HeuristicTeacher;
use teacher::sim::{Sim, SimSettings};
use teacher::{Request, Teacher, TeacherError};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// How the teacher is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Mean time of an answer; single ones are from half of it to one and a half.
    pub(crate) latency: Duration,
    /// Whether it searches for ever and never answers, which makes every job long.
    pub(crate) is_endless: bool,
}

/// What is noted.
pub(crate) struct Noting {
    manner: Manner,
    arrivals: Mutex<HashMap<u64, Vec<Instant>>>,
    answered: AtomicU64,
}

#[async_trait]
impl Teacher for Noting {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        let seed = request.sampling.seed;
        let turn = {
            let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            let noted = arrivals.entry(seed).or_default();
            noted.push(Instant::now());
            noted.len()
        };
        tokio::time::sleep(self.manner.latency.mul_f64(0.5 + share(seed, request.messages.len()))).await;
        let completion = if self.manner.is_endless { search(seed, turn) } else { HeuristicTeacher.complete(request).await? };
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(completion)
    }
}

impl Noting {
    /// When each job first asked.
    pub(crate) fn firsts(&self) -> HashMap<u64, Instant> {
        self.arrivals().iter().filter_map(|(seed, noted)| Some((*seed, *noted.first()?))).collect()
    }

    /// When each job first asked after `after`.
    pub(crate) fn firsts_after(&self, after: Instant) -> HashMap<u64, Instant> {
        let first = |noted: &[Instant]| noted.iter().find(|at| **at > after).copied();
        self.arrivals().iter().filter_map(|(seed, noted)| Some((*seed, first(noted)?))).collect()
    }

    /// When anybody last asked.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.arrivals().values().filter_map(|noted| noted.last().copied()).max()
    }

    /// Completions so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn arrivals(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<Instant>>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share of one that is the same for the same job and turn.
fn share(seed: u64, messages: usize) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, messages).hash(&mut hasher);
    (hasher.finish() % 1_000_000) as f64 / 1_000_000.0
}

/// Another search than the last: one that repeats itself is ended as a loop.
fn search(seed: u64, turn: usize) -> Completion {
    let arguments = json!({"query": format!("number {turn} of {seed}"), "topn": 1});
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let text = teacher::dialect::write(Dialect::Hermes, "search", &arguments);
    let usage = Usage { prompt_tokens: 100, completion_tokens: 20, calls: 1, ..Usage::default() };
    Completion { text, reasoning: None, calls: Vec::new(), finish_reason: FinishReason::Stop, usage, model: None }
}

/// A teacher that serves until it is dropped.
pub(crate) struct Server {
    /// What it noted.
    pub(crate) noting: Arc<Noting>,
    /// Where it serves.
    pub(crate) endpoint: String,
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// Serves on a free port.
    pub(crate) fn start(runtime: &Runtime, manner: Manner) -> Result<Self> {
        let noting = Arc::new(Noting { manner, arrivals: Mutex::default(), answered: AtomicU64::new(0) });
        let played = Arc::clone(&noting) as Arc<dyn Teacher>;
        let sim = runtime.block_on(Sim::bind(SimSettings::default(), played, corpus::count_tokens))?;
        let endpoint = format!("http://{}/v1", sim.address()?);
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(sim.serve(async move {
            // The sender is only ever dropped, and that means stop.
            drop(stopped.await);
        }));
        Ok(Self { noting, endpoint, _stop: stop })
    }
}
