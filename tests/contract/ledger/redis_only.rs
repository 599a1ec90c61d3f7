//! What the ledger in Redis promises beyond its port: who lives holds, who died frees, and what was lost is met as unknown.

use std::process::Command;
use std::sync::Arc;

use model::{Completion, ControlState, Fact, FinishReason, JobId, JournalEntry, Uid, Usage};
use runtime::ledger::Registry;
use runtime::ledger::redis::{RedisSettings, Registered, Serving, WorkerStatus};
use runtime::{Ask, Claim, Ledger, LedgerError, LedgerStanding, WorkKey};

use super::{entry, job, step, take};
use crate::services::{self, OwnRedis};

mod deaths;
mod losses;

pub(super) fn shared_url() -> String {
    services::redis_url()
}

pub(super) fn fresh_uid() -> Uid {
    Uid(runtime::random_id().expect("random bits"))
}

/// A process of its own, as Redis sees it.
pub(super) async fn worker(url: &str, name: &str) -> Arc<Registry> {
    let settings = RedisSettings { url: url.to_owned(), worker: name.to_owned() };
    runtime::ledger::connect(settings).await.expect("a Redis that answers")
}

/// The campaign's ledger, whole from its beginning.
pub(super) async fn begun(registry: &Arc<Registry>, uid: &Uid) -> Arc<dyn Ledger> {
    let ledger = registry.ledger(uid);
    ledger.set_control(ControlState::Running).await.expect("reachable");
    ledger.set_whole(Usage::default()).await.expect("reachable");
    ledger
}

/// The answer of `redis-cli`, a value a line.
fn cli(url: &str, args: &[&str]) -> Vec<String> {
    let parts = url.strip_prefix("redis://:").and_then(|rest| rest.split_once('@')).and_then(|(password, place)| {
        let (host, port) = place.split_once(':')?;
        Some((password, host, port))
    });
    let (password, host, port) = parts.expect("redis://:password@host:port");
    let mut command = Command::new("redis-cli");
    command.env("REDISCLI_AUTH", password).args(["-e", "-h", host, "-p", port]).args(args);
    let output = command.output().expect("redis-cli starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
    said.lines().map(str::to_owned).collect()
}

/// All keys of the campaign.
fn keys_of(url: &str, uid: &Uid) -> Vec<String> {
    cli(url, &["--scan", "--pattern", &format!("sluice:{{{uid}}}:*")])
}

async fn claim(ledger: &dyn Ledger, key: &WorkKey, ask: impl Into<Ask>) -> Claim {
    ledger.claim(key, ask.into()).await.expect("reachable")
}

/// Puts the campaign away: nothing waits a week in a server that tests share.
async fn forget(registry: &Arc<Registry>, uid: &Uid) {
    registry.ledger(uid).forget().await.expect("reachable");
}

/// A completion of `tokens`.
fn paid(turn: u32, tokens: u64) -> JournalEntry {
    let usage = Usage { prompt_tokens: 10 * tokens, completion_tokens: tokens, calls: 1, ..Usage::default() };
    let completion =
        Completion { text: "t".into(), reasoning: None, calls: Vec::new(), finish_reason: FinishReason::Stop, usage, model: None };
    JournalEntry { fact: Fact::Completion(Box::new(completion)), ..entry(turn) }
}

#[tokio::test]
async fn everything_of_a_campaign_expires_and_a_forgotten_one_leaves_nothing() {
    let (url, uid) = (shared_url(), fresh_uid());
    let (here, there) = (worker(&url, "here").await, worker(&url, "there").await);
    let ledger = begun(&here, &uid).await;
    let (running, waiting) = (take(&*ledger, &job("a"), step(0, 0)).await, take(&*ledger, &job("b"), step(0, 0)).await);
    ledger.append(&running, vec![paid(0, 1)]).await.expect("held");
    ledger.append(&waiting, vec![paid(0, 1)]).await.expect("held");
    ledger.release(&waiting).await.expect("held");
    let done = take(&*ledger, &job("c"), step(0, 0)).await;
    ledger.finish(&done).await.expect("held");
    ledger.mark_done(&[job("d")]).await.expect("reachable");
    ledger.replan(&[job("d"), job("e")]).await.expect("reachable");
    ledger.mark_done(&[job("d")]).await.expect("reachable");
    ledger.reopen(&job("c")).await.expect("reachable");
    ledger.note_terminal("g", 0, &[1, 2]).await.expect("reachable");
    take(&*there.ledger(&uid), &job("f"), step(0, 0)).await;
    ledger.set_control(ControlState::Paused).await.expect("reachable");

    let keys = keys_of(&url, &uid);
    // Four of the campaign, two presences, one shard, three works that are claimed and one reopened, two journals.
    assert_eq!(keys.len(), 13, "{keys:?}");
    for key in &keys {
        let left: i64 = cli(&url, &["TTL", key])[0].parse().expect("a number");
        assert!((0..=7 * 24 * 3600).contains(&left), "{key} expires in {left} s");
    }
    there.leave(&uid).await;
    ledger.forget().await.expect("reachable");
    assert_eq!(keys_of(&url, &uid), Vec::<String>::new());
    assert_eq!(ledger.standing().await.expect("reachable"), LedgerStanding::default());
}

#[tokio::test]
async fn an_entry_appended_twice_is_stored_and_paid_once_and_the_first_of_a_key_stands() {
    let (url, uid) = (shared_url(), fresh_uid());
    let registry = worker(&url, "w").await;
    let ledger = begun(&registry, &uid).await;
    let lease = take(&*ledger, &job("a"), step(0, 0)).await;
    for _ in 0..3 {
        ledger.append(&lease, vec![paid(0, 3), paid(1, 4)]).await.expect("held");
    }
    ledger.append(&lease, vec![paid(1, 500), paid(2, 5)]).await.expect("held");
    assert_eq!(ledger.journal(&job("a")).await.expect("readable"), [paid(0, 3), paid(1, 4), paid(2, 5)]);
    let usage = ledger.standing().await.expect("reachable").usage;
    assert_eq!(usage, Usage { prompt_tokens: 120, completion_tokens: 12, calls: 3, ..Usage::default() });
    forget(&registry, &uid).await;
}

#[tokio::test]
async fn campaigns_and_workers_are_listed_while_they_last() {
    let redis = OwnRedis::start();
    let (here, there) = (worker(&redis.url(), "here").await, worker(&redis.url(), "there").await);
    let campaign = |name: &str, weight| Registered { name: name.into(), uid: Uid(format!("uid-{name}")), archive: "a".into(), weight };
    for (name, weight) in [("b", 1), ("a", 1), ("a", 2)] {
        here.register(&campaign(name, weight)).await.expect("reachable");
    }
    cli(&redis.url(), &["HSET", "sluice:campaigns", "of a later version", "{\"name\": 7}"]);
    assert_eq!(there.campaigns().await.expect("reachable"), [campaign("a", 2), campaign("b", 1)]);
    here.unregister("a").await.expect("reachable");
    assert_eq!(there.campaigns().await.expect("reachable"), [campaign("b", 1)]);

    let status = |id: &str, running| WorkerStatus {
        id: id.into(),
        role: "synthesis".into(),
        message_version: 1,
        started_unix_ms: 5,
        campaigns: vec![Serving {
            campaign: "b".into(),
            running,
            slots: 64,
            holds: (0..100).map(|number| format!("s/{number}")).collect(),
        }],
        counters: [("done".to_owned(), 3)].into(),
        endpoints: Vec::new(),
    };
    here.report(&status("here", 1)).await.expect("reachable");
    here.report(&status("here", 2)).await.expect("reachable");
    there.report(&status("there", 3)).await.expect("reachable");
    let workers = here.workers().await.expect("reachable");
    let seen: Vec<(&str, u64, usize)> =
        workers.iter().map(|w| (w.id.as_str(), w.campaigns[0].running, w.campaigns[0].holds.len())).collect();
    assert_eq!(seen, [("here", 2, 64), ("there", 3, 64)]);
    there.close().await;
    let ids: Vec<String> = here.workers().await.expect("reachable").into_iter().map(|worker| worker.id).collect();
    assert_eq!(ids, ["here"]);
    for key in cli(&redis.url(), &["--scan", "--pattern", "sluice:*"]) {
        let left: i64 = cli(&redis.url(), &["TTL", &key])[0].parse().expect("a number");
        assert!(left >= 0, "{key} stays for ever");
    }
}

#[tokio::test]
async fn a_hundred_thousand_finished_jobs_of_two_stages_fit_into_forty_megabytes() {
    let redis = OwnRedis::start();
    let used = || {
        let told = cli(&redis.url(), &["INFO", "memory"]);
        let line = told.iter().find_map(|line| line.strip_prefix("used_memory:")).expect("Redis tells");
        line.trim().parse::<u64>().expect("a number")
    };
    let (registry, uid) = (worker(&redis.url(), "w").await, fresh_uid());
    let ledger = begun(&registry, &uid).await;
    let before = used();
    for shard in 0..200 {
        let jobs = (0..500).map(|number| JobId::of(&uid, &format!("{shard}/{number}"), 0));
        let keys: Vec<WorkKey> =
            jobs.flat_map(|job| [WorkKey::Synthesis(job.clone()), WorkKey::Filter("0123456789ab".into(), job)]).collect();
        ledger.mark_done(&keys).await.expect("reachable");
        let ranks: Vec<u64> = (shard * 512..shard * 512 + 500).collect();
        assert_eq!(ledger.note_terminal("0123456789ab", shard, &ranks).await.expect("reachable"), 500);
    }
    let cost = used() - before;
    println!("100,000 finished jobs cost {:.1} MB", cost as f64 / 1e6);
    assert!(cost < 40_000_000, "{cost} bytes");
}

#[tokio::test]
async fn what_cannot_be_reached_or_used_is_told_apart_and_no_password_is_shown() {
    let redis = OwnRedis::start();
    let place = redis.url().rsplit_once('@').map(|(_, place)| place.to_owned()).expect("a password in front");
    let connect = async |url: String| {
        let settings = RedisSettings { url, worker: "w".into() };
        assert!(!format!("{settings:?}").contains("secret"));
        runtime::ledger::connect(settings).await.expect_err("nobody is let in there")
    };
    for url in [format!("redis://:secret@{place}"), format!("redis://user:secret@{place}"), format!("redis://{place}")] {
        let error = connect(url).await;
        assert!(matches!(error, LedgerError::Unusable { .. }), "{error:?}");
        assert!(error.to_string().contains(&place) && error.to_string().contains("SLUICE_REDIS_URL"), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let error = connect("http://:secret@127.0.0.1".into()).await;
    assert!(matches!(error, LedgerError::Unusable { .. }) && !error.to_string().contains("secret"), "{error:?}");
    drop(redis);
    let error = connect(format!("redis://:secret@{place}")).await;
    assert!(matches!(error, LedgerError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&place) && error.to_string().contains("start Redis"), "{error}");
}
