//! What was answered so far, under the names that vLLM gives its metrics, so that dashboards and autoscalers can be rehearsed too.

use std::sync::atomic::{AtomicU64, Ordering};

use super::played::Played;

/// Counted since the start.
#[derive(Default)]
pub(super) struct Tally {
    prompt_tokens: AtomicU64,
    generation_tokens: AtomicU64,
    stopped: AtomicU64,
    cut: AtomicU64,
}

impl Tally {
    /// Counts an answer.
    pub(super) fn answered(&self, prompt_tokens: u64, played: &Played) {
        self.prompt_tokens.fetch_add(prompt_tokens, Ordering::Relaxed);
        self.generation_tokens.fetch_add(played.tokens, Ordering::Relaxed);
        // To an engine a call is a stop like any other.
        let ended = if played.finish_reason == "length" { &self.cut } else { &self.stopped };
        ended.fetch_add(1, Ordering::Relaxed);
    }

    /// The Prometheus text. Each metric is one of vLLM's.
    pub(super) fn exposition(&self, model: &str, running: u32, waiting: u32) -> String {
        let model = model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let metric = |name: &str, kind: &str, help: &str, values: &[(&str, u64)]| {
            let mut text = format!("# HELP vllm:{name} {help}\n# TYPE vllm:{name} {kind}\n");
            for (label, value) in values {
                text.push_str(&format!("vllm:{name}{{engine=\"0\",{label}model_name=\"{model}\"}} {value}\n"));
            }
            text
        };
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let ended = [("finished_reason=\"stop\",", load(&self.stopped)), ("finished_reason=\"length\",", load(&self.cut))];
        [
            metric("num_requests_running", "gauge", "Requests in a slot.", &[("", u64::from(running))]),
            metric("num_requests_waiting", "gauge", "Requests in the queue.", &[("", u64::from(waiting))]),
            metric("prompt_tokens_total", "counter", "Tokens of prompts.", &[("", load(&self.prompt_tokens))]),
            metric("generation_tokens_total", "counter", "Tokens of completions.", &[("", load(&self.generation_tokens))]),
            metric("request_success_total", "counter", "Completions.", &ended),
        ]
        .concat()
    }
}
