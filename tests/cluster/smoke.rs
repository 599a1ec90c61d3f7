//! A campaign on a cluster where nothing goes wrong.

use std::time::Duration;

use super::servers::Servers;
use super::town::{Town, eventually};

#[test]
fn a_campaign_goes_through_a_cluster_and_leaves_nothing_but_its_data_set() {
    let town = Town::new(Servers::shared(), 10, Duration::ZERO, "samples_per_seed = 2");
    assert_eq!(town.submit(), (20, 0, 0));
    let mut workers = [town.worker("synthesis"), town.worker("synthesis"), town.worker("filter")];
    town.all_terminal(20, &mut workers.iter_mut().collect::<Vec<_>>());
    let sealed = town.seal_and_prove(20);
    assert_eq!((sealed.rows.len(), &sealed.manifest["number"]), (20, &1.into()));
    assert_eq!(town.asked_again(), 0, "nothing was asked twice");
    assert_eq!(town.submit(), (0, 0, 0), "all is done");
    assert_eq!(town.seal_and_prove(20).manifest, sealed.manifest, "sealing again seals the same");
    // Depths are told some seconds late.
    eventually("queues that are empty", || {
        let queues = town.status()["queues"].clone();
        queues.as_object().is_some_and(|queues| queues.values().all(|depth| depth["ready"] == 0 && depth["unacked"] == 0))
    });
    for worker in &mut workers {
        assert_eq!(worker.drain().code(), Some(0), "{}", worker.said());
    }
}
