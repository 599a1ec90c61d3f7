//! Messages that nobody here can use: random bytes, and versions to come.

use std::time::Duration;

use model::Step;
use runtime::QueueName;
use runtime::ledger::WorkerStatus;

use super::servers::Servers;
use super::town::{Town, eventually};

#[test]
fn random_bytes_cost_nobody_anything_and_are_reported() {
    let town = Town::new(Servers::shared(), 5, Duration::ZERO, "");
    town.submit();
    let noise = |seed: u8| (0..200_u8).map(|at| at.wrapping_mul(seed).wrapping_add(seed)).collect::<Vec<u8>>();
    for seed in [0, 7, 77] {
        town.publish(QueueName::Jobs, noise(seed));
        town.publish(QueueName::Candidates, noise(seed));
    }
    let (mut synthesis, mut filter, mut coordinator) = (town.worker("synthesis"), town.worker("filter"), town.coordinator());
    town.all_terminal(5, &mut [&mut synthesis, &mut filter, &mut coordinator]);
    eventually("the dead queue is read", || coordinator.said().matches("a message that is none was dropped").count() == 6);
    eventually("the dead queue is empty", || town.status()["queues"]["dead"]["ready"] == 0);
    assert_eq!(town.seal_and_prove(5).manifest["counts"]["failed"], 0);
}

#[test]
fn a_message_of_a_later_version_waits_for_a_worker_that_reads_it() {
    let town = Town::new(Servers::shared(), 5, Duration::ZERO, "");
    town.submit();
    let mut message = town.job_message(0, Step::default());
    message.version = 99;
    town.publish(QueueName::Jobs, model::wire::encode_message("a message", &message).expect("encoded"));
    let (mut synthesis, mut filter, mut coordinator) = (town.worker("synthesis"), town.worker("filter"), town.coordinator());
    town.all_terminal(5, &mut [&mut synthesis, &mut filter, &mut coordinator]);
    eventually("it is parked", || town.status()["queues"]["parked"]["ready"] == 1 && town.counter(0, "parked") >= 1);
    let parked = town.counter(0, "parked");
    // Whoever reads it registers; here nobody takes the message from our worker, who parks it again.
    town.wait(async {
        let registry = town.registry("later").await;
        let later = WorkerStatus { id: "later".into(), role: "synthesis".into(), message_version: 99, ..WorkerStatus::default() };
        registry.report(&later).await.expect("reported");
    });
    eventually("it comes back", || town.counter(0, "parked") > parked);
    assert_eq!(town.seal_and_prove(5).manifest["counts"]["failed"], 0);
}
