//! Samples that are spared in a cluster: decided once, by whoever looks first, and whoever dies there loses none.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use super::servers::Servers;
use super::town::{Town, eventually};

const SEEDS: u64 = 6;

#[test]
fn later_samples_wait_for_the_first_and_whoever_dies_deciding_is_followed_by_another() {
    let town = Town::new(Servers::shared(), SEEDS as u32, Duration::from_millis(2), "samples_per_seed = 3\nsamples_first = 2");
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
    assert!(spared > 0, "most samples of a seed are alike: {}", sealed.manifest["counts"]);
    assert_eq!(sealed.rows.len() as u64 + spared, 3 * SEEDS);
    assert_eq!(town.asked_again(), 0);
}
