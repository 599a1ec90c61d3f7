//! Whoever comes late: zombies that wake, messages that come twice, words that were overtaken, and a person's retry after a seal.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{CandidateMessage, Step};
use runtime::QueueName;
use rustix::process::Signal;
use serde_json::json;
use tests::services::OwnRedis;

use super::door::{Act, Door};
use super::servers::Servers;
use super::town::{Town, eventually};

/// Every object that stands for a job or a shard, by key.
fn effects(town: &Town) -> BTreeMap<String, Vec<u8>> {
    let root = format!("campaigns/{}/", town.name);
    let mut folders = vec![format!("{root}datasets/"), format!("{root}trajectories/0/")];
    for grade in town.folders(&format!("{root}grades/")) {
        folders
            .extend(["verdicts/0/", "shards/", "shards/accepted/", "shards/rejected/"].map(|name| format!("{root}grades/{grade}/{name}")));
    }
    let keys = folders.iter().flat_map(|folder| town.keys(folder));
    keys.map(|key| (key.clone(), town.object(&key).expect("it was just listed"))).collect()
}

/// A campaign of three jobs whose teacher stands behind a door that does `act` to the first seed's job.
fn behind_a_door(servers: Servers, act: Act) -> (Town, Door) {
    let town = Town::without_plan(servers, Duration::ZERO);
    let question = "Which composer wrote the";
    let seeds = format!(
        "{{\"id\": \"marked\", \"question\": \"{question} marked question?\"}}\n{{\"id\": \"b\", \"question\": \"When was the bridge opened?\"}}\n\
         {{\"id\": \"c\", \"question\": \"Who designed the lighthouse?\"}}\n"
    );
    std::fs::write(town.path("seeds.jsonl"), seeds).expect("written");
    let door = Door::open(&town.teacher.address, "marked question", act);
    town.write_campaign(3, &door.url(), "");
    (town, door)
}

/// A worker is stopped in the middle of a job; others finish and seal. What it does when it wakes changes nothing.
#[test]
fn a_zombie_that_wakes_after_its_job_was_sealed_changes_nothing() {
    let (town, door) = behind_a_door(Servers::shared(), Act::Hold);
    town.submit();
    let zombie = town.worker("synthesis");
    eventually("a completion in flight", || door.held() == 1);
    // Then what it tells of when it wakes is the held job and nothing else.
    eventually("the zombie's other two jobs are done", || town.counter(0, "done") == 2);
    zombie.signal(Signal::STOP);
    door.rule(Act::Pass);
    // The broker waits for heartbeats, longer than this test would: a second message stands for its redelivery.
    town.submit();
    let (mut other, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.all_terminal(3, &mut [&mut other, &mut filter]);
    let sealed = town.seal_and_prove(3);
    let (before, asked) = (effects(&town), town.teacher.teacher.counts());
    door.answer_held(Act::Pass);
    zombie.signal(Signal::CONT);
    eventually("the zombie learns that its job was taken", || town.counter(0, "lost") + town.counter(0, "done") >= 3);
    let (asked_since, distinct_since) = town.teacher.teacher.counts();
    assert_eq!(distinct_since, asked.1, "it asked nothing that was not known");
    assert!(asked_since <= asked.0 + 1, "only what it had in flight was answered twice");
    assert_eq!(effects(&town), before, "no object is another");
    assert_eq!(town.seal_and_prove(3).manifest, sealed.manifest);
}

/// A worker is stopped while it hears that its job is refused for good; others get an answer and seal. It records the failure all the same.
#[test]
fn a_failure_recorded_after_anothers_verdict_counts_for_nothing() {
    let (town, door) = behind_a_door(Servers::shared(), Act::Hold);
    town.submit();
    let zombie = town.worker("synthesis");
    eventually("a completion in flight", || door.held() == 1);
    zombie.signal(Signal::STOP);
    door.answer_held(Act::Refuse);
    door.rule(Act::Pass);
    town.submit();
    let (mut other, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.all_terminal(3, &mut [&mut other, &mut filter]);
    let sealed = town.seal_and_prove(3);
    zombie.signal(Signal::CONT);
    let ended = format!("campaigns/{}/ended/0/", town.name);
    eventually("the zombie records its failure", || !town.keys(&ended).is_empty());
    assert_eq!(town.status()["failed"], 0, "a verdict wins");
    assert_eq!(town.seal_and_prove(3).manifest, sealed.manifest);
    eventually("the zombie is through with it", || town.counter(0, "failed") + town.counter(0, "lost") >= 1);
    assert_eq!(town.seal_and_prove(3).manifest, sealed.manifest);
}

/// A job is refused, sealed as failed, and retried when the teacher takes it.
#[test]
fn a_retry_after_a_seal_is_sealed_anew_and_the_first_seal_stands() {
    let (town, door) = behind_a_door(Servers::shared(), Act::Refuse);
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.all_terminal(3, &mut [&mut synthesis, &mut filter]);
    let first = town.seal_and_prove(3);
    assert_eq!((&first.manifest["number"], &first.manifest["counts"]["failed"]), (&1.into(), &1.into()));
    let before = effects(&town);
    door.rule(Act::Pass);
    let retried = town.json(&["retry", &town.name, "--json"]);
    assert_eq!(
        retried["retried"].as_object().map(|kinds| kinds.values().filter_map(serde_json::Value::as_u64).sum()),
        Some(1_u64),
        "{retried}"
    );
    let (job, _) = town.job(0);
    eventually("a verdict for the retried job", || {
        effects(&town).keys().any(|key| key.contains("/verdicts/") && key.contains(job.id.as_str()))
    });
    let second = town.seal_and_prove(3);
    assert_eq!((&second.manifest["number"], &second.manifest["counts"]["failed"]), (&2.into(), &0.into()));
    let root = format!("campaigns/{}/", town.name);
    for (key, bytes) in before {
        // The index that stands is another; the one that the first seal named is kept under its digest.
        if key != format!("{root}dataset.json") && !key.contains("/shards/part-") {
            assert_eq!(town.object(&key), Some(bytes), "{key}: what was sealed stays");
        }
    }
    let verified = town.json(&["verify", &format!("{}/{root}datasets/1.json", town.archive), "--json"]);
    assert_eq!(verified["differences"], 0, "the first seal is still whole: {verified}");
}

/// Two jobs failed, each of its own kind, and a person means one of the kinds.
#[test]
fn a_retry_of_one_kind_leaves_failures_of_other_kinds_as_they_are() {
    let (town, door) = behind_a_door(Servers::shared(), Act::Refuse);
    let seeds = std::fs::read_to_string(town.path("seeds.jsonl")).expect("the seeds");
    let mut lines: Vec<String> = seeds.lines().map(str::to_owned).collect();
    lines[1] = "{\"id\": \"bad\"}".to_owned();
    town.write_seeds(&lines);
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.all_terminal(3, &mut [&mut synthesis, &mut filter]);
    let first = town.seal_and_prove(3);
    assert_eq!(first.manifest["sums"]["failed_by"], json!({"invalid_seed": 1, "teacher_refused": 1}));
    let retry = |kind: &str| town.json(&["retry", &town.name, "--kind", kind, "--json"])["retried"].clone();
    assert_eq!(retry("no_such_kind"), json!({}));
    door.rule(Act::Pass);
    assert_eq!(retry("teacher_refused"), json!({"teacher_refused": 1}));
    let (job, _) = town.job(0);
    eventually("a verdict for the retried job", || {
        effects(&town).keys().any(|key| key.contains("/verdicts/") && key.contains(job.id.as_str()))
    });
    let second = town.seal_and_prove(3);
    assert_eq!(second.manifest["sums"]["failed_by"], json!({"invalid_seed": 1}), "the other failure stands");
    assert_eq!(second.rows.len(), 2);
}

/// All that a ledger would answer is gone, and every message comes once more.
#[test]
fn messages_that_come_again_after_everything_was_forgotten_do_nothing() {
    let redis = OwnRedis::start();
    let town = Town::new(Servers::shared().with_redis(&redis), 4, Duration::ZERO, "");
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.all_terminal(4, &mut [&mut synthesis, &mut filter]);
    assert!(synthesis.drain().success() && filter.drain().success());
    let asked = town.teacher.teacher.counts();
    let root = format!("campaigns/{}/", town.name);
    // Dropped, as after sealing; and verdicts that are marked, so that one written again is seen.
    for key in town.keys(&format!("{root}trajectories/0/")) {
        town.delete(&key);
    }
    let grade = town.folders(&format!("{root}grades/")).remove(0);
    let verdicts = format!("{root}grades/{grade}/verdicts/0/");
    for key in town.keys(&verdicts) {
        let content = zstd::decode_all(town.object(&key).expect("a verdict").as_slice()).expect("a whole frame");
        town.put(&key, zstd::encode_all(content.as_slice(), 19).expect("compressed"));
    }
    let before = effects(&town);
    assert!(redis.ask("FLUSHALL").is_some_and(|said| said.contains("+OK")));
    let encode = |message| model::wire::encode_message("a message", &message).expect("encoded");
    for number in 0..4 {
        // The first message of each job, and a continuation of an earlier slice.
        for step in [Step::default(), Step { slice: 1, ..Step::default() }] {
            let message = town.job_message(number, step);
            town.publish(QueueName::Jobs, model::wire::encode_message("a message", &message).expect("encoded"));
        }
        town.publish(QueueName::Candidates, encode(CandidateMessage::candidate(&town.plan().uid, town.job(number).0)));
    }
    town.publish(QueueName::Candidates, encode(CandidateMessage::seal(&town.plan().uid, 0)));
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    eventually("all jobs are spared", || town.counter(2, "spared") == 8);
    eventually("all candidates are looked at", || town.counter(3, "done") + town.counter(3, "spared") >= 5);
    assert!(synthesis.drain().success() && filter.drain().success());
    assert_eq!(town.teacher.teacher.counts(), asked, "nothing is researched again");
    assert_eq!(effects(&town), before, "nothing is graded or written again");
    town.seal_and_prove(4);
}

/// The ledger forgets while a job is under way, and a continuation that was overtaken comes again: two workers may believe in the job, and
/// one of them learns that it has it no more.
#[test]
fn a_stale_continuation_after_a_flush_is_never_finished_beside_the_job() {
    let redis = OwnRedis::start();
    // A slice a turn.
    let town = Town::new(Servers::shared().with_redis(&redis), 1, Duration::from_millis(1200), "");
    town.submit();
    let mut sliced = town.worker_with("synthesis", &["--slice-s", "1"], &[]);
    town.asked(2, &mut sliced);
    let (mut first, mut second) = (town.worker("synthesis"), town.worker("synthesis"));
    for worker in [&first, &second] {
        eventually("another worker at the same queue", || worker.said().contains("works on the campaign"));
    }
    assert!(sliced.drain().success(), "{}", sliced.said());
    let asked = town.teacher.teacher.counts().0;
    town.asked(asked + 1, &mut first);
    let stale = town.job_message(0, Step { slice: 1, ..Step::default() });
    let stale = model::wire::encode_message("a message", &stale).expect("encoded");
    assert!(redis.ask("FLUSHALL").is_some_and(|said| said.contains("+OK")));
    town.publish(QueueName::Jobs, stale);
    let mut filter = town.worker("filter");
    town.all_terminal(1, &mut [&mut first, &mut second, &mut filter]);
    let counted = |names: &[&str]| -> u64 { [1, 2].iter().flat_map(|worker| names.iter().map(|name| town.counter(*worker, name))).sum() };
    eventually("both are through with it", || counted(&["done", "lost", "spared"]) >= 2);
    assert_eq!(counted(&["done"]), 1, "one of them had it to the end");
    town.seal_and_prove(1);
    // What was journaled since the last slice ended, two turns at most, and one in flight.
    assert!(town.asked_again() <= 3, "{} requests were asked again", town.asked_again());
}
