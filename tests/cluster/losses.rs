//! Broker and Redis lost together, with all they held: the campaign goes on from its archive alone, by a person's `resume`.

use std::time::Duration;

use tests::services::{OwnBroker, OwnRedis};

use super::servers::Servers;
use super::town::{CONCURRENCY, Town, eventually};

/// Jobs of each campaign.
const JOBS: usize = 24;
/// Slow enough that the campaign is in its middle when both go.
const LATENCY: Duration = Duration::from_millis(150);
/// Completions between two copies of a journal.
const SEGMENT: usize = 8;

/// Both come back without anything.
fn lose(broker: &OwnBroker, redis: &mut OwnRedis) {
    broker.kill9();
    redis.kill();
    redis.restart();
    broker.restart_empty();
}

/// A person's word. What was outstanding is published again, as far as it has not ended meanwhile.
fn resume(town: &Town) {
    let said = town.json(&["resume", &town.name, "--json"]);
    let number = |key: &str| said[key].as_u64().expect("a number");
    assert!(number("jobs") > 0 && number("jobs") + number("candidates") <= number("outstanding"), "{said}");
}

fn prove(town: &Town) {
    let sealed = town.seal_and_prove(JOBS as u64);
    assert_eq!(sealed.manifest["counts"]["failed"], 0, "{}", sealed.manifest["sums"]["failed_by"]);
    assert!(sealed.rows.iter().all(|row| row["provenance"]["attempts"] == 1), "a loss costs no attempt");
}

#[test]
fn a_campaign_that_loses_broker_and_ledger_under_its_workers_is_resumed_from_its_archive() {
    let (broker, mut redis) = (OwnBroker::start(), OwnRedis::start());
    let town = Town::new(Servers::shared().with_broker(&broker).with_redis(&redis), JOBS as u32, LATENCY, "");
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.terminal(4, JOBS, &mut [&mut synthesis, &mut filter]);
    lose(&broker, &mut redis);
    resume(&town);
    town.all_terminal(JOBS, &mut [&mut synthesis, &mut filter]);
    prove(&town);
    // What no segment of a job's copy had yet, and what was in flight.
    let again_max = SEGMENT * CONCURRENCY + CONCURRENCY;
    assert!(town.asked_again() <= again_max, "{} requests were asked again", town.asked_again());
}

#[test]
fn jobs_that_were_handed_on_before_broker_and_ledger_were_lost_ask_nothing_again() {
    let (broker, mut redis) = (OwnBroker::start(), OwnRedis::start());
    let town = Town::new(Servers::shared().with_broker(&broker).with_redis(&redis), JOBS as u32, LATENCY, "");
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.terminal(4, JOBS, &mut [&mut synthesis, &mut filter]);
    // Whoever hands a job on copies its journal.
    assert!(synthesis.drain().success() && filter.drain().success(), "{}\n{}", synthesis.said(), filter.said());
    let asked = town.teacher.teacher.counts().0;
    lose(&broker, &mut redis);
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    for worker in [&synthesis, &filter] {
        eventually("a worker that found the campaign in the archive", || worker.said().contains("works on the campaign"));
    }
    assert_eq!(town.teacher.teacher.counts().0, asked, "nothing is left that would bring them jobs");
    resume(&town);
    town.all_terminal(JOBS, &mut [&mut synthesis, &mut filter]);
    prove(&town);
    assert_eq!(town.asked_again(), 0, "every completion was in the copies");
}
