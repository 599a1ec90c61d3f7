//! Two workers and their deaths: who lives holds, who died frees, and what kills is found out.

use std::time::{Duration, Instant};

use model::{Step, Uid, Usage};
use runtime::{Ask, Claim, Lease, LedgerError};

use super::super::{counts, entry, job, step, take};
use super::{begun, claim, forget, fresh_uid, paid, shared_url, worker};

/// How long what a dead worker held stays held, at most: its presence expires after 5 s.
const EXPIRY_MAX: Duration = Duration::from_secs(8);

/// Claims as a worker that dies at once, having held the job; it may append so many entries first.
async fn die_of(uid: &Uid, is_quarantine: bool, appended: u32) -> Claim {
    let doomed = worker(&shared_url(), "doomed").await;
    let ledger = doomed.ledger(uid);
    let claimed = claim(&*ledger, &job("killer"), Ask { is_quarantine, ..step(0, 0).into() }).await;
    if let Claim::Taken(lease) = &claimed {
        let known = u32::try_from(ledger.journal(&job("killer")).await.expect("readable").len()).expect("few");
        ledger.append(lease, (known..known + appended).map(entry).collect()).await.expect("held");
    }
    // Its presence goes at once, and nothing is given back.
    doomed.close().await;
    claimed
}

#[tokio::test]
async fn what_a_living_worker_holds_is_held_and_what_it_gives_back_is_free() {
    let uid = fresh_uid();
    let (here, there) = (worker(&shared_url(), "here").await, worker(&shared_url(), "there").await);
    assert_ne!(here.holder(), worker(&shared_url(), "here").await.holder(), "each start is another holder");
    let (ledger, other) = (begun(&here, &uid).await, there.ledger(&uid));
    let lease = take(&*ledger, &job("a"), step(0, 0)).await;
    assert_eq!(claim(&*other, &job("a"), step(0, 0)).await, Claim::Held);
    assert_eq!(claim(&*other, &job("a"), step(0, 5)).await, Claim::Held);
    assert_eq!(claim(&*here.ledger(&uid), &job("a"), step(0, 0)).await, Claim::Mine);
    assert_eq!(counts(&*other).await, (1, 0));
    ledger.release(&lease).await.expect("held");
    let next = take(&*other, &job("a"), step(0, 1)).await;
    assert!(next.epoch > lease.epoch);
    assert_eq!(claim(&*ledger, &job("a"), step(0, 0)).await, Claim::Stale);
    other.finish(&next).await.expect("held");
    assert_eq!(claim(&*ledger, &job("a"), step(0, 1)).await, Claim::Done);
    forget(&here, &uid).await;
}

#[tokio::test]
async fn a_worker_that_dies_frees_its_jobs_within_seconds_and_is_fenced_when_it_wakes() {
    let uid = fresh_uid();
    let (here, there) = (worker(&shared_url(), "here").await, worker(&shared_url(), "there").await);
    let ledger = begun(&here, &uid).await;
    let dead = there.ledger(&uid);
    let lost = take(&*dead, &job("a"), step(0, 0)).await;
    dead.append(&lost, vec![entry(0)]).await.expect("held");
    drop((dead, there));

    let died = Instant::now();
    let taken = loop {
        match claim(&*ledger, &job("a"), step(0, 0)).await {
            Claim::Taken(lease) => break lease,
            answer => assert_eq!(answer, Claim::Held),
        }
        assert!(died.elapsed() < EXPIRY_MAX, "still held after {:?}", died.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(died.elapsed() > Duration::from_secs(3), "a beat or two may be missed: {:?}", died.elapsed());
    assert!(taken.epoch > lost.epoch);
    assert_eq!(ledger.journal(&job("a")).await.expect("readable"), [entry(0)]);

    let zombie = worker(&shared_url(), "there").await.ledger(&uid);
    let refused = [zombie.append(&lost, vec![entry(1)]).await.map(drop), zombie.release(&lost).await, zombie.finish(&lost).await];
    assert!(refused.iter().all(|result| matches!(result, Err(LedgerError::Fenced { .. }))), "{refused:?}");
    assert_eq!(counts(&*ledger).await, (1, 0));
    forget(&here, &uid).await;
}

#[tokio::test]
async fn a_holder_of_work_whose_effect_was_seen_counts_no_more_but_one_at_a_later_step_does() {
    let uid = fresh_uid();
    let (here, there) = (worker(&shared_url(), "here").await, worker(&shared_url(), "there").await);
    let ledger = begun(&here, &uid).await;
    let other = there.ledger(&uid);
    let round = |round| Step { round, ..Step::default() };
    let lease = take(&*other, &job("a"), round(1)).await;
    ledger.note_effect(&job("a"), round(0)).await.expect("reachable");
    assert_eq!(counts(&*ledger).await, (1, 0), "a person has it tried again");
    other.append(&lease, vec![entry(0)]).await.expect("held");
    // Whether its holder is dead cannot be seen yet, and does not matter.
    ledger.note_effect(&job("a"), round(1)).await.expect("reachable");
    assert_eq!(counts(&*ledger).await, (0, 0));
    other.finish(&lease).await.expect("it may still say that it is done");
    assert_eq!(claim(&*ledger, &job("a"), round(1)).await, Claim::Done);
    forget(&here, &uid).await;
}

#[tokio::test]
async fn what_came_too_late_or_was_cut_off_is_counted_as_wasted_once() {
    let uid = fresh_uid();
    let (here, there) = (worker(&shared_url(), "here").await, worker(&shared_url(), "there").await);
    let ledger = begun(&here, &uid).await;
    let dead = there.ledger(&uid);
    let lost = take(&*dead, &job("a"), step(0, 0)).await;
    there.close().await;
    let taken = take(&*ledger, &job("a"), step(0, 0)).await;
    for _ in 0..3 {
        let late = dead.append(&lost, vec![paid(0, 2), paid(1, 3)]).await;
        assert!(matches!(late, Err(LedgerError::Fenced { .. })), "{late:?}");
        ledger.abandon(&taken).await.expect("nobody claimed it since");
    }
    let standing = ledger.standing().await.expect("reachable");
    assert_eq!(standing.wasted, Usage { prompt_tokens: 50, completion_tokens: 5, calls: 3, ..Usage::default() });
    assert_eq!((standing.usage, standing.running, standing.yielded), (Usage::default(), 0, 1));
    forget(&here, &uid).await;
}

#[tokio::test]
async fn a_worker_whose_runtime_is_busy_is_alive() {
    let uid = fresh_uid();
    let (here, there) = (worker(&shared_url(), "here").await, worker(&shared_url(), "there").await);
    let (ledger, other) = (begun(&here, &uid).await, there.ledger(&uid));
    take(&*ledger, &job("a"), step(0, 0)).await;
    // Both share the one thread of this runtime, and nobody yields it for longer than a presence lasts.
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(claim(&*other, &job("a"), step(0, 0)).await, Claim::Held);
    forget(&here, &uid).await;
}

#[tokio::test]
async fn a_worker_that_says_goodbye_or_leaves_frees_what_it_held_at_once() {
    let uid = fresh_uid();
    let (here, there) = (worker(&shared_url(), "here").await, worker(&shared_url(), "there").await);
    let (ledger, other) = (begun(&here, &uid).await, there.ledger(&uid));
    take(&*other, &job("a"), step(0, 0)).await;
    take(&*other, &job("b"), step(0, 0)).await;
    there.leave(&uid).await;
    take(&*ledger, &job("a"), step(0, 0)).await;
    // Whoever left works on nothing: what it could not give back in time it may take up again, and whoever claims serves again.
    take(&*other, &job("b"), step(0, 0)).await;
    assert_eq!(claim(&*ledger, &job("b"), step(0, 0)).await, Claim::Held);
    there.close().await;
    take(&*ledger, &job("b"), step(0, 0)).await;
    forget(&here, &uid).await;
}

#[tokio::test]
async fn a_job_that_kills_is_suspected_after_three_deaths_and_poison_after_one_in_quarantine() {
    let uid = fresh_uid();
    let watcher = worker(&shared_url(), "watcher").await;
    let ledger = begun(&watcher, &uid).await;
    for _ in 0..3 {
        assert!(matches!(die_of(&uid, false, 0).await, Claim::Taken(_)));
    }
    assert_eq!(counts(&*ledger).await, (1, 0));
    for _ in 0..2 {
        assert_eq!(claim(&*ledger, &job("killer"), step(0, 0)).await, Claim::Suspect);
    }
    assert_eq!(counts(&*ledger).await, (0, 1), "it waits in another queue");
    assert!(matches!(die_of(&uid, true, 0).await, Claim::Taken(_)));
    let Claim::Poison(lease) = claim(&*ledger, &job("killer"), Ask { is_quarantine: true, ..step(0, 0).into() }).await else {
        panic!("it killed even there")
    };
    ledger.finish(&lease).await.expect("held");
    assert_eq!(claim(&*ledger, &job("killer"), step(0, 0)).await, Claim::Done);
    forget(&watcher, &uid).await;
}

#[tokio::test]
async fn progress_voids_suspicion_and_a_person_forgives_it() {
    let uid = fresh_uid();
    let watcher = worker(&shared_url(), "watcher").await;
    let ledger = begun(&watcher, &uid).await;
    for appended in [0, 0, 1, 0, 0, 2] {
        assert!(matches!(die_of(&uid, false, appended).await, Claim::Taken(_)), "{appended}");
    }
    for _ in 0..3 {
        assert!(matches!(die_of(&uid, false, 0).await, Claim::Taken(_)));
    }
    assert_eq!(claim(&*ledger, &job("killer"), step(0, 0)).await, Claim::Suspect);
    ledger.reopen(&job("killer")).await.expect("reachable");
    assert_eq!(ledger.journal(&job("killer")).await.expect("readable"), [], "a new round starts a new journal");
    let lease: Lease = take(&*ledger, &job("killer"), step(0, 0)).await;
    ledger.append(&lease, vec![entry(9)]).await.expect("held");
    ledger.reopen(&job("killer")).await.expect("reachable");
    ledger.append(&lease, vec![entry(10)]).await.expect("what runs goes on");
    forget(&watcher, &uid).await;
}
