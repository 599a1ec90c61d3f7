//! One death for each gap between two durable steps: a real worker aborts there, others finish, and nothing is lost or done twice.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::servers::Servers;
use super::town::{CONCURRENCY, Town, eventually};
use crate::faults::{failpoints, needs_samples};

/// Jobs of each campaign; the second seed's fails.
const JOBS: usize = 9;
/// Campaigns at once: they mostly wait for a holder to be given up as dead.
const AT_ONCE: usize = 6;

/// Who dies at a failpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    /// A synthesis worker that runs.
    Synthesis,
    /// A synthesis worker that was asked to stop, so that it hands its jobs on.
    Draining,
    /// A filter worker.
    Filter,
    /// `sluice seal`.
    Seal,
}

/// Every gap, with whoever passes it. What the loop itself passes is tried for both stages where it matters to both.
const GAPS: &[(&str, Who)] = &[
    ("claim.before", Who::Synthesis),
    ("claim.after", Who::Synthesis),
    ("claim.after", Who::Filter),
    ("journal.before", Who::Synthesis),
    ("journal.after", Who::Synthesis),
    ("handle.after", Who::Synthesis),
    ("synthesis.before_trajectory", Who::Synthesis),
    ("synthesis.after_trajectory", Who::Synthesis),
    ("synthesis.after_pointer", Who::Synthesis),
    ("finish.after", Who::Synthesis),
    ("finish.after", Who::Filter),
    ("ack.after", Who::Synthesis),
    ("ack.after", Who::Filter),
    ("release.before", Who::Draining),
    ("release.after", Who::Draining),
    ("publish.after", Who::Draining),
    ("synthesis.before_ended", Who::Synthesis),
    ("synthesis.after_ended", Who::Synthesis),
    ("give_up.after", Who::Synthesis),
    ("filter.before_verdict", Who::Filter),
    ("filter.after_verdict", Who::Filter),
    ("filter.before_seal_message", Who::Filter),
    ("filter.after_seal_message", Who::Filter),
    ("part.before_rows", Who::Filter),
    ("part.between_rows", Who::Filter),
    ("part.before_index", Who::Filter),
    ("part.after_index", Who::Filter),
    ("seal.before_manifest", Who::Seal),
    ("seal.between_manifests", Who::Seal),
    ("seal.after_manifests", Who::Seal),
];

#[test]
fn a_worker_that_dies_between_any_two_durable_steps_loses_nothing() {
    let named: BTreeSet<String> = GAPS.iter().map(|(gap, _)| (*gap).to_owned()).collect();
    // Who dies deciding which samples are spared: see `super::samples`.
    let of_sources: BTreeSet<String> = failpoints().into_iter().filter(|gap| !needs_samples(gap)).collect();
    assert_eq!(named, of_sources, "the table has every failpoint of the sources, and no other");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((gap, who)) = GAPS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    dies_at(gap, *who);
                }
            });
        }
    });
}

fn dies_at(gap: &str, who: Who) {
    let latency = if who == Who::Draining { Duration::from_millis(300) } else { Duration::from_millis(2) };
    let town = Town::without_plan(Servers::shared(), latency);
    eprintln!("{gap} of {who:?}: {}", town.name);
    town.write_seeds_with_a_spoilt_one(JOBS);
    town.write_campaign(JOBS as u32, &town.teacher.address, "");
    assert_eq!(town.submit(), (JOBS as u64, 0, 0), "{gap}");
    match who {
        Who::Synthesis => town.victim("synthesis", gap).aborted(gap),
        Who::Draining => {
            let mut victim = town.victim("synthesis", gap);
            town.asked(CONCURRENCY, &mut victim);
            victim.signal(Signal::TERM);
            victim.aborted(gap);
        }
        // Needs what the workers below make.
        Who::Filter | Who::Seal => {}
    }
    let mut synthesis = town.worker("synthesis");
    if who == Who::Filter {
        town.victim("filter", gap).aborted(gap);
        town.prove_indexes();
    }
    let mut filter = town.worker("filter");
    town.all_terminal(JOBS, &mut [&mut synthesis, &mut filter]);
    if who == Who::Seal {
        let died = town.command(&["seal", &town.name]).env("SLUICE_FAILPOINT", gap).output().expect("the program starts");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&died.status), Some(6), "{gap} is passed");
    }
    let sealed = town.seal_and_prove(JOBS as u64);
    assert_eq!(sealed.manifest["counts"]["failed"], 1, "{gap}: the spoilt seed's job");
    // Only completions in flight at the death of who asked for them are asked for again.
    let in_flight_max = if matches!(who, Who::Synthesis | Who::Draining) { CONCURRENCY } else { 0 };
    assert!(town.asked_again() <= in_flight_max, "{gap} of {who:?}: {} requests were asked again", town.asked_again());
    eventually(&format!("{gap} of {who:?}: an end of what the dead held"), || town.status()["running"] == 0);
}
