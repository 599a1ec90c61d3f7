//! Each thing a campaign needs is away for a while in the middle of it: no job fails, and little is asked twice.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tests::services::{OwnBroker, OwnRedis, OwnS3};

use super::door::{Act, Door};
use super::servers::Servers;
use super::town::{CONCURRENCY, LOOK, Town};
use super::worker::Worker;

/// How long it is away.
const AWAY: Duration = Duration::from_secs(120);
/// Jobs of each campaign.
const JOBS: usize = 24;
/// Slow enough that the campaign is in its middle when something breaks.
const LATENCY: Duration = Duration::from_millis(150);

/// This time is the fault itself, and no waiting for an effect. The workers live through it.
fn stays_away(what: &str, workers: &mut [&mut Worker]) {
    let gone = Instant::now();
    while gone.elapsed() < AWAY {
        for worker in workers.iter_mut() {
            assert!(!worker.is_over(), "{what}: a worker ended:\n{}", worker.said());
        }
        std::thread::sleep(LOOK);
    }
}

/// Runs a campaign, breaks something in its middle and mends it; proves the end.
fn survives(what: &str, town: &Town, again_max: usize, breaks: impl FnOnce(), mends: impl FnOnce()) {
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.terminal(3, JOBS, &mut [&mut synthesis, &mut filter]);
    breaks();
    stays_away(what, &mut [&mut synthesis, &mut filter]);
    mends();
    town.all_terminal(JOBS, &mut [&mut synthesis, &mut filter]);
    let sealed = town.seal_and_prove(JOBS as u64);
    assert_eq!(sealed.manifest["counts"]["failed"], 0, "{what}: {}", sealed.manifest["sums"]["failed_by"]);
    assert!(sealed.rows.iter().all(|row| row["provenance"]["attempts"] == 1), "{what}: an outage costs no attempt");
    assert!(town.asked_again() <= again_max, "{what}: {} requests were asked again", town.asked_again());
}

fn without_broker() {
    let broker = OwnBroker::start();
    let town = Town::new(Servers::shared().with_broker(&broker), JOBS as u32, LATENCY, "");
    // What runs goes on and is adopted when it is delivered again.
    survives("no broker", &town, 0, || broker.kill9(), || broker.restart());
}

fn without_redis() {
    let mut redis = OwnRedis::start();
    let town = Town::new(Servers::shared().with_redis(&redis), JOBS as u32, LATENCY, "");
    let redis = RefCell::new(&mut redis);
    // It comes back empty. What could not be appended was put into the archive's copy, with all that it lacked; in flight is what was asked.
    survives("no Redis", &town, CONCURRENCY, || redis.borrow_mut().kill(), || redis.borrow_mut().restart());
}

fn without_s3() {
    let mut s3 = OwnS3::start();
    let town = Town::new(Servers::shared().with_s3(&s3), JOBS as u32, LATENCY, "");
    let s3 = RefCell::new(&mut s3);
    // The journal has it all.
    survives("no S3", &town, 0, || s3.borrow_mut().kill(), || s3.borrow_mut().restart());
}

fn without_teacher() {
    let town = Town::without_plan(Servers::shared(), LATENCY);
    let door = RefCell::new(Door::open(&town.teacher.address, "no such marker", Act::Pass));
    town.write_campaign(JOBS as u32, &door.borrow().url(), "");
    survives("no teacher", &town, CONCURRENCY, || door.borrow_mut().close(), || door.borrow_mut().reopen());
}

#[test]
fn no_job_fails_when_broker_ledger_store_or_teacher_are_away_for_a_while() {
    std::thread::scope(|scope| {
        for outage in [without_broker, without_redis, without_s3, without_teacher] {
            scope.spawn(outage);
        }
    });
}
