//! The ledger port: one holder at a time, epochs that only grow, journals that come back as they were written.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use model::{Completion, ControlState, Digest, Fact, FinishReason, JobId, JournalEntry, JournalKey, Step, Uid, Usage};
use runtime::ledger::DRAW_WAIT_MAX;
use runtime::ledger::embedded::EmbeddedLedger;
use runtime::{Ask, Claim, Lease, Ledger, LedgerError, Replanned, WorkKey};

mod embedded_only;
mod redis_only;

struct Made {
    ledger: Arc<dyn Ledger>,
    /// What must live as long as the ledger is used.
    _kept: Box<dyn Any + Send + Sync>,
}

async fn embedded() -> Made {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = EmbeddedLedger::open(folder.path().join("ledger")).await.expect("a fresh ledger");
    assert!(!ledger.standing().await.expect("open").is_whole, "nobody told it what is in the archive");
    ledger.set_whole(Usage::default()).await.expect("open");
    Made { ledger: Arc::new(ledger), _kept: Box::new(folder) }
}

/// A campaign of its own in the shared Redis, known and whole.
async fn redis() -> Made {
    let registry = redis_only::worker(&redis_only::shared_url(), "contract").await;
    let ledger = redis_only::begun(&registry, &redis_only::fresh_uid()).await;
    Made { ledger, _kept: Box::new(registry) }
}

/// As `run_on!`, by the clock on the wall, and with what the promise left behind removed.
macro_rules! run_on_real {
    ($adapter:ident, $make:path, [$($promise:ident),* $(,)?]) => {
        mod $adapter {
            $(
                #[tokio::test]
                async fn $promise() {
                    let made = $make().await;
                    super::$promise(&made).await;
                    made.ledger.forget().await.expect("reachable");
                }
            )*
        }
    };
}

macro_rules! promises {
    ($run_on:ident, $adapter:ident, $make:path) => {
        $run_on!(
            $adapter,
            $make,
            [
                what_is_taken_is_mine_until_it_is_released,
                of_many_claims_at_once_one_takes,
                what_is_finished_is_done_and_its_journal_is_gone,
                a_step_below_the_highest_claimed_is_stale,
                paused_and_cancelled_campaigns_give_nothing_away,
                whoever_lost_a_lease_is_fenced,
                a_lease_may_be_given_back_twice,
                a_journal_is_read_in_order_by_whoever_takes_over,
                appends_at_once_lose_nothing,
                terminal_ranks_are_a_set_per_grade_and_shard,
                a_person_can_reopen_what_was_done,
                what_is_planned_again_is_not_done_and_its_message_is_not_stale,
                what_a_rebuilder_marks_is_done,
                work_whose_effect_was_seen_waits_no_more_and_is_not_done_either,
                what_journaled_completions_cost_adds_up_and_never_falls,
                a_seal_is_never_done_for_good,
                standing_follows_what_happens,
                a_limit_is_spent_evenly_by_all_who_draw_from_it,
                whoever_would_wait_longer_than_a_minute_has_drawn_nothing,
            ]
        );
    };
}

promises!(run_on, embedded, super::embedded);
promises!(run_on_real, redis, super::redis);

fn job(name: &str) -> WorkKey {
    WorkKey::Synthesis(JobId::of(&Uid("contract".into()), name, 0))
}

fn step(attempt: u32, slice: u32) -> Step {
    Step { round: 0, attempt, slice }
}

fn entry(turn: u32) -> JournalEntry {
    let key = JournalKey { thread: 0, turn, call: 0 };
    JournalEntry {
        key,
        request: Digest::of(&turn.to_le_bytes()),
        fact: Fact::ProviderError { kind: "k".into(), message: format!("turn {turn}") },
    }
}

async fn take(ledger: &dyn Ledger, key: &WorkKey, step: Step) -> Lease {
    match ledger.claim(key, step.into()).await.expect("reachable") {
        Claim::Taken(lease) => lease,
        other => panic!("{key} is not free: {other:?}"),
    }
}

/// How many are running, and how many wait after they handed themselves on.
async fn counts(ledger: &dyn Ledger) -> (u64, u64) {
    let standing = ledger.standing().await.expect("reachable");
    (standing.running, standing.yielded)
}

async fn what_is_taken_is_mine_until_it_is_released(made: &Made) {
    let ledger = &*made.ledger;
    let first = take(ledger, &job("a"), step(0, 0)).await;
    assert_eq!(ledger.claim(&job("a"), step(0, 0).into()).await.expect("reachable"), Claim::Mine);
    assert_eq!((&first.key, first.step), (&job("a"), step(0, 0)));
    take(ledger, &job("b"), step(0, 0)).await;
    take(ledger, &WorkKey::Filter("grade".into(), JobId::of(&Uid("contract".into()), "a", 0)), step(0, 0)).await;
    ledger.release(&first).await.expect("held");
    let second = take(ledger, &job("a"), step(0, 0)).await;
    assert!(second.epoch > first.epoch);
}

async fn of_many_claims_at_once_one_takes(made: &Made) {
    let (key, at) = (job("a"), step(0, 0));
    let claims = futures::future::join_all((0..64).map(|_| made.ledger.claim(&key, at.into()))).await;
    let taken = claims.into_iter().filter(|claim| matches!(claim, Ok(Claim::Taken(_)))).count();
    assert_eq!(taken, 1);
}

async fn what_is_finished_is_done_and_its_journal_is_gone(made: &Made) {
    let ledger = &*made.ledger;
    let lease = take(ledger, &job("a"), step(0, 0)).await;
    ledger.append(&lease, vec![entry(0), entry(1)]).await.expect("held");
    ledger.finish(&lease).await.expect("held");
    assert_eq!(ledger.claim(&job("a"), step(0, 0).into()).await.expect("reachable"), Claim::Done);
    assert_eq!(ledger.claim(&job("a"), step(9, 0).into()).await.expect("reachable"), Claim::Done);
    assert_eq!(
        ledger.claim(&job("a"), Ask { step: step(0, 0), is_quarantine: true, has_looked: false }).await.expect("reachable"),
        Claim::Done
    );
    assert_eq!(ledger.journal(&job("a")).await.expect("readable"), []);
}

async fn a_step_below_the_highest_claimed_is_stale(made: &Made) {
    let ledger = &*made.ledger;
    let lease = take(ledger, &job("a"), step(1, 2)).await;
    assert_eq!(ledger.claim(&job("a"), step(1, 1).into()).await.expect("reachable"), Claim::Stale);
    ledger.release(&lease).await.expect("held");
    assert_eq!(ledger.claim(&job("a"), step(0, 9).into()).await.expect("reachable"), Claim::Stale);
    let lease = take(ledger, &job("a"), step(1, 2)).await;
    ledger.release(&lease).await.expect("held");
    take(ledger, &job("a"), Step { round: 1, attempt: 0, slice: 0 }).await;
}

async fn paused_and_cancelled_campaigns_give_nothing_away(made: &Made) {
    let ledger = &*made.ledger;
    let running = take(ledger, &job("running"), step(0, 0)).await;
    ledger.set_control(ControlState::Paused).await.expect("reachable");
    assert_eq!(ledger.claim(&job("a"), step(0, 0).into()).await.expect("reachable"), Claim::Paused);
    ledger.append(&running, vec![entry(0)]).await.expect("what runs goes on");
    ledger.set_control(ControlState::Cancelled).await.expect("reachable");
    assert_eq!(ledger.claim(&job("a"), step(0, 0).into()).await.expect("reachable"), Claim::Cancelled);
    ledger.finish(&running).await.expect("what runs may finish");
    ledger.set_control(ControlState::Running).await.expect("reachable");
    take(ledger, &job("a"), step(0, 0)).await;
}

async fn whoever_lost_a_lease_is_fenced(made: &Made) {
    let ledger = &*made.ledger;
    let lost = take(ledger, &job("a"), step(0, 0)).await;
    ledger.append(&lost, vec![entry(0)]).await.expect("held");
    ledger.release(&lost).await.expect("held");
    let holder = take(ledger, &job("a"), step(0, 1)).await;
    let refused = [ledger.append(&lost, vec![entry(1)]).await.map(drop), ledger.release(&lost).await, ledger.finish(&lost).await];
    assert!(refused.iter().all(|result| matches!(result, Err(LedgerError::Fenced { .. }))), "{refused:?}");
    assert_eq!(ledger.journal(&job("a")).await.expect("readable"), [entry(0)], "nothing the loser wrote is there");
    ledger.finish(&holder).await.expect("held");
}

async fn a_lease_may_be_given_back_twice(made: &Made) {
    let ledger = &*made.ledger;
    let released = take(ledger, &job("a"), step(0, 0)).await;
    let finished = take(ledger, &job("b"), step(0, 0)).await;
    for _ in 0..2 {
        ledger.release(&released).await.expect("nobody claimed it since");
        ledger.finish(&finished).await.expect("nobody claimed it since");
    }
    assert_eq!(counts(ledger).await, (0, 1));
    assert_eq!(ledger.claim(&job("b"), step(0, 0).into()).await.expect("reachable"), Claim::Done);
    let late = ledger.append(&released, vec![entry(0)]).await;
    assert!(matches!(late, Err(LedgerError::Fenced { .. })), "who gave it back writes no more: {late:?}");
    take(ledger, &job("a"), step(0, 0)).await;
}

async fn a_journal_is_read_in_order_by_whoever_takes_over(made: &Made) {
    let ledger = &*made.ledger;
    let first = take(ledger, &job("a"), step(0, 0)).await;
    let other = take(ledger, &job("b"), step(0, 0)).await;
    for turn in 0..300 {
        ledger.append(&first, vec![entry(turn)]).await.expect("held");
    }
    ledger.append(&other, vec![entry(7)]).await.expect("held");
    ledger.release(&first).await.expect("held");
    let second = take(ledger, &job("a"), step(0, 1)).await;
    ledger.append(&second, vec![entry(300), entry(301)]).await.expect("held");
    assert_eq!(ledger.journal(&job("a")).await.expect("readable"), (0..302).map(entry).collect::<Vec<_>>());
    assert_eq!(ledger.journal(&job("b")).await.expect("readable"), [entry(7)]);
    assert_eq!(ledger.journal(&job("c")).await.expect("readable"), []);
}

async fn appends_at_once_lose_nothing(made: &Made) {
    let ledger = &*made.ledger;
    let lease = take(ledger, &job("a"), step(0, 0)).await;
    let appends = (0..100).map(|turn| ledger.append(&lease, vec![entry(turn), entry(1000 + turn)]));
    futures::future::join_all(appends).await.into_iter().for_each(|append| assert!(append.expect("held").calls == 0));
    let mut turns: Vec<u32> = ledger.journal(&job("a")).await.expect("readable").iter().map(|entry| entry.key.turn).collect();
    assert!(turns.chunks(2).all(|pair| pair[0] + 1000 == pair[1]), "entries of one append stay together");
    turns.sort_unstable();
    assert_eq!(turns, (0..100).chain(1000..1100).collect::<Vec<_>>());
}

async fn terminal_ranks_are_a_set_per_grade_and_shard(made: &Made) {
    let ledger = &*made.ledger;
    for (grade, shard, rank, known) in
        [("g", 0, 0, 1), ("g", 0, 0, 1), ("g", 0, 5, 2), ("g", 1, 512, 1), ("h", 0, 0, 1), ("g", 0, 5, 2), ("g", 0, 1, 3)]
    {
        assert_eq!(ledger.note_terminal(grade, shard, &[rank]).await.expect("reachable"), known, "{grade} {shard} {rank}");
    }
    assert_eq!(ledger.note_terminal("g", 2, &[7, 8, 7, 9]).await.expect("reachable"), 3);
    let at_once = futures::future::join_all((0..50).map(async |rank| ledger.note_terminal("g", 9, &[rank % 25]).await)).await;
    let most = at_once.into_iter().map(|known| known.expect("reachable")).max();
    assert_eq!(most, Some(25));
}

async fn a_person_can_reopen_what_was_done(made: &Made) {
    let ledger = &*made.ledger;
    ledger.reopen(&job("never seen")).await.expect("nothing to do");
    let lease = take(ledger, &job("a"), step(0, 3)).await;
    ledger.finish(&lease).await.expect("held");
    ledger.reopen(&job("a")).await.expect("reachable");
    let again = take(ledger, &job("a"), Step { round: 1, attempt: 0, slice: 0 }).await;
    assert!(again.epoch > lease.epoch);
    assert_eq!(ledger.journal(&job("a")).await.expect("readable"), [], "a new round starts a new journal");
}

async fn what_is_planned_again_is_not_done_and_its_message_is_not_stale(made: &Made) {
    let ledger = &*made.ledger;
    assert_eq!(ledger.replan(&[job("never seen")]).await.expect("reachable"), [Replanned::default()]);
    let lease = take(ledger, &job("a"), step(2, 1)).await;
    ledger.finish(&lease).await.expect("held");
    let released = take(ledger, &job("b"), step(3, 2)).await;
    ledger.release(&released).await.expect("held");
    let at = ledger.replan(&[job("a"), job("b")]).await.expect("reachable");
    assert_eq!(at[1], Replanned { step: step(3, 2), was_done: false });
    assert!(at[0].was_done, "whoever asked looks into the archive again");
    take(ledger, &job("a"), at[0].step).await;
    assert_eq!(ledger.replan(&[job("a")]).await.expect("reachable"), [Replanned { was_done: false, ..at[0] }]);
    assert_eq!(ledger.claim(&job("a"), at[0].step.into()).await.expect("reachable"), Claim::Mine, "what runs goes on");
}

async fn work_whose_effect_was_seen_waits_no_more_and_is_not_done_either(made: &Made) {
    let ledger = &*made.ledger;
    ledger.note_effect(&job("never seen"), step(0, 0)).await.expect("nothing to do");
    let lease = take(ledger, &job("a"), step(0, 1)).await;
    ledger.release(&lease).await.expect("held");
    ledger.note_effect(&job("a"), step(0, 0)).await.expect("reachable");
    assert_eq!(counts(ledger).await, (0, 1), "a later step was claimed since");
    for _ in 0..2 {
        ledger.note_effect(&job("a"), step(0, 1)).await.expect("reachable");
        assert_eq!(counts(ledger).await, (0, 0));
    }
    take(ledger, &job("a"), Step { round: 1, ..Step::default() }).await;
}

async fn what_a_rebuilder_marks_is_done(made: &Made) {
    let ledger = &*made.ledger;
    let keys: Vec<WorkKey> = (0..2500).map(|number| job(&number.to_string())).collect();
    ledger.mark_done(&keys).await.expect("reachable");
    for key in [&keys[0], &keys[2499]] {
        assert_eq!(ledger.claim(key, step(0, 0).into()).await.expect("reachable"), Claim::Done);
    }
    take(ledger, &job("another"), step(0, 0)).await;
}

async fn what_journaled_completions_cost_adds_up_and_never_falls(made: &Made) {
    let ledger = &*made.ledger;
    let cost = |tokens| Usage { prompt_tokens: 10 * tokens, completion_tokens: tokens, calls: 1, ..Usage::default() };
    let paid = |turn, tokens| {
        let completion = Completion {
            text: "t".into(),
            reasoning: None,
            calls: Vec::new(),
            finish_reason: FinishReason::Stop,
            usage: cost(tokens),
            model: None,
        };
        JournalEntry { fact: Fact::Completion(Box::new(completion)), ..entry(turn) }
    };
    let usage = async || ledger.standing().await.expect("reachable").usage;
    let (a, b) = (take(ledger, &job("a"), step(0, 0)).await, take(ledger, &job("b"), step(0, 0)).await);
    ledger.append(&a, vec![paid(0, 3), entry(1)]).await.expect("held");
    let told = ledger.append(&b, vec![paid(0, 4), paid(1, 5)]).await.expect("held");
    assert_eq!(told, Usage { prompt_tokens: 120, completion_tokens: 12, calls: 3, ..Usage::default() }, "of all jobs");
    let spent = Usage { prompt_tokens: 120, completion_tokens: 12, calls: 3, ..Usage::default() };
    assert_eq!(usage().await, spent);
    ledger.finish(&a).await.expect("held");
    ledger.set_whole(Usage { prompt_tokens: 200, completion_tokens: 1, calls: 3, ..Usage::default() }).await.expect("reachable");
    assert_eq!(usage().await, Usage { prompt_tokens: 200, ..spent }, "the higher number of each stands");
}

async fn a_seal_is_never_done_for_good(made: &Made) {
    let ledger = &*made.ledger;
    let key = WorkKey::Seal("g".into(), 3);
    let first = take(ledger, &key, step(0, 0)).await;
    assert_eq!(ledger.claim(&key, step(0, 0).into()).await.expect("reachable"), Claim::Mine);
    ledger.finish(&first).await.expect("held");
    let second = take(ledger, &key, step(3, 0)).await;
    assert!(second.epoch > first.epoch);
    ledger.finish(&second).await.expect("held");
    ledger.finish(&second).await.expect("nobody claimed it since");
    let third = take(ledger, &key, step(0, 0)).await;
    assert!(third.epoch > second.epoch, "a seal that was tried again leaves no step behind");
    let late = ledger.finish(&second).await;
    assert!(matches!(late, Err(LedgerError::Fenced { .. })), "{late:?}");
}

async fn standing_follows_what_happens(made: &Made) {
    let ledger = &*made.ledger;
    let counts = async || counts(ledger).await;
    let (a, b) = (take(ledger, &job("a"), step(0, 0)).await, take(ledger, &job("b"), step(0, 0)).await);
    assert_eq!(counts().await, (2, 0));
    ledger.release(&a).await.expect("held");
    ledger.finish(&b).await.expect("held");
    assert_eq!(counts().await, (0, 1));
    take(ledger, &job("a"), step(0, 1)).await;
    assert_eq!(counts().await, (1, 0));
    let standing = ledger.standing().await.expect("reachable");
    assert_eq!((standing.control, standing.is_whole), (Some(ControlState::Running), true));
}

async fn a_limit_is_spent_evenly_by_all_who_draw_from_it(made: &Made) {
    let ledger = &*made.ledger;
    let began = tokio::time::Instant::now();
    let [one, other] = ["one", "other"].map(|kind| format!("{kind}/{}", redis_only::fresh_uid()));
    let draws = futures::future::join_all((0..6).map(|_| ledger.draw(&one, 1, 60))).await;
    let mut due: Vec<Duration> = draws.into_iter().map(|wait| wait.expect("reachable")).collect();
    due.sort_unstable();
    let took = began.elapsed();
    for (number, wait) in (0..).zip(due) {
        let even = Duration::from_secs(number);
        // The server's clock and ours may differ by a hair.
        assert!(
            wait <= even && wait + took + Duration::from_millis(5) >= even,
            "draw {number} waits {wait:?} of {even:?}, asked within {took:?}"
        );
    }
    assert_eq!(ledger.draw(&other, 1, 60).await.expect("reachable"), Duration::ZERO, "another limit is another matter");
}

async fn whoever_would_wait_longer_than_a_minute_has_drawn_nothing(made: &Made) {
    let ledger = &*made.ledger;
    let limit = format!("tokens/{}", redis_only::fresh_uid());
    assert_eq!(ledger.draw(&limit, 6000, 60).await.expect("reachable"), Duration::ZERO, "a large amount passes whole");
    let mut before = Duration::from_secs(6000);
    for _ in 0..3 {
        let wait = ledger.draw(&limit, 6000, 60).await.expect("reachable");
        assert!(wait > DRAW_WAIT_MAX && wait <= before, "{wait:?} after {before:?}");
        before = wait;
    }
}
