//! Samples that are spared in a cluster: decided once, by whoever looks first, and whoever dies there loses none.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Completion, FinishReason, Usage};
use teacher::{Request, Teacher, TeacherError};

use super::servers::Servers;
use super::town::{Town, eventually};
use crate::faults::Server;

/// Enough for some of each kind.
const SEEDS: u64 = 12;

/// Finds one sample right and the next one wrong, by its sampling seed: which follows from the campaign's, so it is always the same ones.
struct Torn;

#[async_trait]
impl Teacher for Torn {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        let is_right = request.sampling.seed.is_multiple_of(2);
        let text = format!("{{\"correct\": {is_right}, \"score\": 1.0, \"reasons\": \"by its number\"}}");
        let usage = Usage { prompt_tokens: 50, completion_tokens: 10, calls: 1, ..Usage::default() };
        Ok(Completion { text, reasoning: None, calls: Vec::new(), finish_reason: FinishReason::Stop, usage, model: None })
    }
}

#[test]
fn later_samples_wait_for_the_first_and_whoever_dies_deciding_is_followed_by_another() {
    let judge = Server::of(Arc::new(Torn), Duration::ZERO);
    let more =
        format!("samples_per_seed = 3\nsamples_first = 2\n[judge]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"torn\"", judge.address);
    let town = Town::new(Servers::shared(), SEEDS as u32, Duration::from_millis(2), &more);
    assert_eq!(town.submit(), (2 * SEEDS, 0, 0), "the first samples alone");
    let (_synthesis, _filter) = (town.worker("synthesis"), town.worker("filter"));
    eventually("the first samples graded", || town.status()["outstanding"] == SEEDS);
    // Before the decision is written; and when it is, before any of its jobs is published.
    for gap in ["spared.before", "spared.after"] {
        let died = town.command(&["resume", &town.name]).env("SLUICE_FAILPOINT", gap).output().expect("the program starts");
        assert_eq!(died.status.signal(), Some(6), "{gap} is passed: {}", String::from_utf8_lossy(&died.stderr));
    }
    // Nobody resumes it: whoever watches sees that nothing moves.
    let _coordinator = town.coordinator();
    eventually("all samples done or spared", || town.status()["outstanding"] == 0);
    let sealed = town.seal_and_prove(3 * SEEDS);
    let spared = sealed.manifest["counts"]["spared"].as_u64().unwrap_or(0);
    assert!(0 < spared && spared < SEEDS, "some are spared, and some have to be published: {}", sealed.manifest["counts"]);
    assert_eq!(sealed.rows.len() as u64 + spared, 3 * SEEDS);
    assert_eq!(town.asked_again(), 0);
}
