//! Verbs beside running workers: what is said twice, or while the work it is about ends, costs nothing.

use std::time::Duration;

use super::servers::Servers;
use super::town::Town;

/// Jobs end between the listing of the archive and the question to the ledger: those must not be taken for undone.
#[test]
fn resuming_again_and_again_beside_running_workers_has_nothing_done_twice() {
    const JOBS: usize = 48;
    let town = Town::new(Servers::shared(), JOBS as u32, Duration::from_millis(5), "");
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    for round in 1..=12 {
        town.terminal(JOBS * round / 12, JOBS, &mut [&mut synthesis, &mut filter]);
        town.json(&["resume", &town.name, "--json"]);
    }
    let sealed = town.seal_and_prove(JOBS as u64);
    assert_eq!((sealed.rows.len(), &sealed.manifest["counts"]["failed"]), (JOBS, &0.into()));
    assert_eq!(town.asked_again(), 0, "no job was researched again");
    assert!(sealed.rows.iter().all(|row| row["provenance"]["attempts"] == 1));
}
