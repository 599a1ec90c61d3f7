//! The heuristic teacher behind real HTTP, counting what it is asked: in a thread and a runtime of its own, and spared by all faults.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::Completion;
use teacher::heuristic::HeuristicTeacher;
use teacher::sim::{Sim, SimSettings};
use teacher::{Conversation, Request, Teacher, TeacherError};

/// Digest of a request → how often it was asked.
#[derive(Default)]
pub(crate) struct Counting {
    asked: Mutex<HashMap<String, u64>>,
}

/// What was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) requests: u64,
    pub(crate) distinct: u64,
}

impl Counting {
    pub(crate) fn counts(&self) -> Asked {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        Asked { requests: asked.values().sum(), distinct: asked.len() as u64 }
    }
}

#[async_trait]
impl Teacher for Counting {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        let conversation = Conversation::new(request.messages.iter().cloned());
        let digest = conversation.request_digest(&request.tools, request.calls, &request.sampling).to_string();
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner).entry(digest).or_default() += 1;
        HeuristicTeacher.complete(request).await
    }
}

/// Starts one on a free port; returns it with its URL. It ends with the program.
pub(crate) fn start(latency_mean: Duration) -> std::io::Result<(Arc<Counting>, String)> {
    let counting = Arc::new(Counting::default());
    let played: Arc<dyn Teacher> = Arc::clone(&counting) as Arc<dyn Teacher>;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let settings = SimSettings { latency_mean, latency_jitter: 0.5, ..SimSettings::default() };
    let sim = runtime.block_on(Sim::bind(settings, played, corpus::count_tokens))?;
    let url = format!("http://{}/v1", sim.address()?);
    std::thread::spawn(move || {
        if let Err(error) = runtime.block_on(sim.serve(std::future::pending())) {
            eprintln!("the teacher ended: {error}");
        }
    });
    Ok((counting, url))
}
