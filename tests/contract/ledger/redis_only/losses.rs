//! What Redis loses: answers, its connections, itself, and everything it knew.

use std::time::{Duration, Instant};

use model::{ControlState, Step, Usage};
use runtime::{Ask, Claim, LedgerError, WorkKey};

use super::super::{counts, entry, job, step, take};
use super::{begun, claim, cli, fresh_uid, paid, worker};
use crate::services::OwnRedis;

/// How long a healed server may go unnoticed.
const HEALING_MAX: Duration = Duration::from_secs(10);

fn has_looked(step: Step) -> Ask {
    Ask { has_looked: true, ..step.into() }
}

#[tokio::test]
async fn a_wiped_ledger_is_unsure_until_somebody_looked_or_rebuilt_it() {
    let redis = OwnRedis::start();
    let (registry, uid) = (worker(&redis.url(), "w").await, fresh_uid());
    let ledger = begun(&registry, &uid).await;
    let before = take(&*ledger, &job("done"), step(0, 0)).await;
    ledger.append(&before, vec![paid(0, 1)]).await.expect("held");
    ledger.finish(&before).await.expect("held");
    let before = take(&*ledger, &job("open"), step(0, 3)).await;
    ledger.release(&before).await.expect("held");
    cli(&redis.url(), &["FLUSHALL"]);

    let standing = ledger.standing().await.expect("reachable");
    assert_eq!((standing.control, standing.is_whole, standing.usage), (None, false, Usage::default()));
    assert_eq!(claim(&*ledger, &job("done"), step(0, 0)).await, Claim::Unsure);
    ledger.set_whole(Usage::default()).await.expect("reachable");
    assert!(!ledger.standing().await.expect("reachable").is_whole, "whoever rebuilds begins with the control state");
    let Claim::Taken(after) = claim(&*ledger, &job("open"), has_looked(step(0, 1))).await else { panic!("nobody holds it") };
    assert!(after.epoch > before.epoch, "epochs grow through a loss");

    ledger.set_control(ControlState::Paused).await.expect("reachable");
    assert_eq!(claim(&*ledger, &job("other"), step(0, 0)).await, Claim::Unsure);
    assert_eq!(claim(&*ledger, &job("other"), has_looked(step(0, 0))).await, Claim::Paused);
    ledger.set_control(ControlState::Running).await.expect("reachable");
    ledger.mark_done(&[job("done")]).await.expect("reachable");
    assert_eq!(claim(&*ledger, &job("done"), step(0, 0)).await, Claim::Done, "what is known to be done needs no look");
    let spent = Usage { prompt_tokens: 10, completion_tokens: 1, calls: 1, ..Usage::default() };
    ledger.set_whole(spent).await.expect("reachable");
    let standing = ledger.standing().await.expect("reachable");
    assert_eq!((standing.control, standing.is_whole, standing.usage), (Some(ControlState::Running), true, spent));
    take(&*ledger, &job("other"), step(0, 0)).await;
}

#[tokio::test]
async fn who_held_work_through_a_wipe_goes_on_unless_another_took_it() {
    let redis = OwnRedis::start();
    let (here, there) = (worker(&redis.url(), "here").await, worker(&redis.url(), "there").await);
    let uid = fresh_uid();
    let (ledger, other) = (begun(&here, &uid).await, there.ledger(&uid));
    let names = ["appends", "releases", "finishes", "is taken over", "was done by others"];
    let mut leases = Vec::new();
    for name in names {
        let lease = take(&*ledger, &job(name), step(0, 2)).await;
        ledger.append(&lease, vec![paid(0, 1)]).await.expect("held");
        leases.push(lease);
    }
    cli(&redis.url(), &["FLUSHALL"]);

    ledger.append(&leases[0], vec![paid(1, 1)]).await.expect("nobody claimed it since");
    assert_eq!(claim(&*ledger, &job("appends"), has_looked(step(0, 2))).await, Claim::Mine);
    assert_eq!(claim(&*other, &job("appends"), has_looked(step(0, 2))).await, Claim::Held);
    ledger.release(&leases[1]).await.expect("nobody claimed it since");
    assert_eq!(claim(&*other, &job("releases"), has_looked(step(0, 1))).await, Claim::Stale);
    ledger.set_control(ControlState::Running).await.expect("reachable");
    ledger.set_whole(Usage::default()).await.expect("reachable");
    // The ledger is whole again, and the journal of this job is not: who takes it has to look for the archive's copy.
    assert_eq!(claim(&*other, &job("releases"), step(0, 2)).await, Claim::Unsure);
    assert!(matches!(claim(&*other, &job("releases"), has_looked(step(0, 2))).await, Claim::Taken(_)));
    ledger.finish(&leases[2]).await.expect("nobody claimed it since");
    assert_eq!(claim(&*other, &job("finishes"), step(0, 2)).await, Claim::Done);
    assert!(matches!(claim(&*other, &job("is taken over"), has_looked(step(0, 2))).await, Claim::Taken(_)));
    other.mark_done(&[job("was done by others")]).await.expect("reachable");
    for lease in &leases[3..] {
        let late = ledger.append(lease, vec![paid(1, 1)]).await;
        assert!(matches!(late, Err(LedgerError::Fenced { .. })), "{}: {late:?}", lease.key);
    }
    assert_eq!(counts(&*other).await, (3, 0));

    // Its first entries are lost, so nobody could replay it.
    assert_eq!(ledger.journal(&job("appends")).await.expect("readable"), [paid(1, 1)]);
    ledger.release(&leases[0]).await.expect("held");
    let Claim::Taken(_) = claim(&*other, &job("appends"), has_looked(step(0, 2))).await else { panic!("it was given back") };
    assert_eq!(other.journal(&job("appends")).await.expect("readable"), []);
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_taken_up_again_by_the_same_worker_alone() {
    let redis = OwnRedis::start();
    let (here, there) = (worker(&redis.url(), "here").await, worker(&redis.url(), "there").await);
    let uid = fresh_uid();
    let (ledger, other) = (begun(&here, &uid).await, there.ledger(&uid));
    // So that Redis knows the script, and one message is all of a claim.
    take(&*ledger, &job("before"), step(0, 0)).await;
    cli(&redis.url(), &["CLIENT", "PAUSE", "400", "WRITE"]);
    let (key, at) = (job("a"), step(0, 0));
    let unanswered = tokio::time::timeout(Duration::from_millis(100), ledger.claim(&key, at.into())).await;
    assert!(unanswered.is_err(), "Redis answers no writer yet: {unanswered:?}");
    // Ran after the first on the same connection.
    let answers = futures::future::join_all((0..8).map(|_| ledger.claim(&key, at.into()))).await;
    let taken: Vec<_> = answers.iter().filter(|answer| matches!(answer, Ok(Claim::Taken(_)))).collect();
    assert_eq!(taken.len(), 1, "{answers:?}");
    assert_eq!(claim(&*other, &key, at).await, Claim::Held);
    assert_eq!(claim(&*ledger, &key, at).await, Claim::Mine);
    let Some(Ok(Claim::Taken(lease))) = taken.first() else { panic!("counted above") };
    ledger.finish(lease).await.expect("held");
}

#[tokio::test]
async fn an_outage_is_an_error_that_says_what_to_do_and_ends_by_itself() {
    let mut redis = OwnRedis::start();
    let (registry, uid) = (worker(&redis.url(), "w").await, fresh_uid());
    let ledger = begun(&registry, &uid).await;
    let lease = take(&*ledger, &job("a"), step(0, 0)).await;
    redis.kill();
    for _ in 0..3 {
        let error = ledger.append(&lease, vec![entry(0)]).await.expect_err("nobody listens");
        assert!(matches!(error, LedgerError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("append") && error.to_string().contains("start Redis"), "{error}");
    }
    assert!(!registry.is_reachable().await);
    redis.restart();
    ledger.append(&lease, vec![entry(0)]).await.expect("it listens again, and nobody claimed the job");
    assert!(registry.is_reachable().await);
    let presence = format!("sluice:{{{uid}}}:alive:{}", registry.holder());
    cli(&redis.url(), &["DEL", &presence]);
    let healed = Instant::now();
    while cli(&redis.url(), &["EXISTS", &presence]) == ["0"] {
        assert!(healed.elapsed() < HEALING_MAX, "no beat since the server came back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_full_server_refuses_and_is_waited_for() {
    let redis = OwnRedis::start();
    let (registry, uid) = (worker(&redis.url(), "w").await, fresh_uid());
    let ledger = begun(&registry, &uid).await;
    let lease = take(&*ledger, &job("a"), step(0, 0)).await;
    cli(&redis.url(), &["CONFIG", "SET", "maxmemory", "1mb"]);
    let full = |result: Result<(), LedgerError>| {
        let error = result.expect_err("it is full");
        assert!(matches!(error, LedgerError::Unreachable { .. }) && error.to_string().contains("maxmemory"), "{error}");
    };
    full(ledger.append(&lease, vec![entry(0)]).await.map(drop));
    full(ledger.mark_done(&[job("b")]).await);
    full(ledger.set_control(ControlState::Paused).await);
    cli(&redis.url(), &["CONFIG", "SET", "maxmemory", "0"]);
    ledger.append(&lease, vec![entry(0)]).await.expect("there is room");
    assert_eq!(ledger.journal(&job("a")).await.expect("readable"), [entry(0)]);
}

#[tokio::test]
async fn spoilt_bytes_are_told_with_the_work_they_belong_to() {
    let redis = OwnRedis::start();
    let (registry, uid) = (worker(&redis.url(), "w").await, fresh_uid());
    let ledger = begun(&registry, &uid).await;
    let key = WorkKey::Seal("g".into(), 7);
    take(&*ledger, &key, step(0, 0)).await;
    cli(&redis.url(), &["HSET", &format!("sluice:{{{uid}}}:j:k/g/7"), "0.0.0", "abcdefgh"]);
    cli(&redis.url(), &["HSET", &format!("sluice:{{{uid}}}:w:k/g/7"), "step", "much later"]);
    let (journal, replanned) = (ledger.journal(&key).await.map(drop), ledger.replan(&[key]).await.map(drop));
    for result in [journal, replanned] {
        let error = result.expect_err("no such bytes were written");
        assert!(matches!(error, LedgerError::Damaged { .. }) && error.to_string().contains("k/g/7"), "{error}");
    }
}
