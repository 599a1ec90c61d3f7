//! Who goes where and who waits, without any network: the clock stands still.

use std::pin::{Pin, pin};
use std::task::Poll;

use futures::poll;
use model::{JobId, Uid};
use proptest::prelude::*;
use reqwest::StatusCode;

use super::super::error::of_status;
use super::super::said::Said;
use super::super::server::Outcome;
use super::*;

mod load;

const PATIENCE: Duration = Duration::from_secs(300);
const ANSWERED: Outcome<'static> = Outcome::Answered { seconds: 1.0, tokens: 10 };

fn pool(servers: usize, window_max: u32) -> Arc<Pool> {
    let names: Vec<String> = (0..servers).map(|number| format!("http://host-{number}/v1")).collect();
    Pool::new(&names, &[], window_max).expect("URLs")
}

fn thread(number: u32) -> Thread {
    Thread::of(&JobId::of(&Uid("u".to_owned()), "seed", number), 0)
}

/// Threads that go to `home` by themselves.
fn threads(pool: &Pool, home: usize) -> impl Iterator<Item = Thread> {
    (0..).map(thread).filter(move |thread| pool.home(*thread) == home)
}

type Entering = Pin<Box<dyn Future<Output = Result<Permit, Closed>>>>;

fn entering(pool: &Arc<Pool>, thread: Thread, barred: &'static [usize]) -> Entering {
    let pool = Arc::clone(pool);
    Box::pin(async move { pool.enter(thread, barred, PATIENCE).await })
}

async fn enter(pool: &Arc<Pool>, thread: Thread) -> Permit {
    entering(pool, thread, &[]).await.expect("there is room")
}

/// The permit of whoever was waiting and need not any more.
async fn got(entering: &mut Entering) -> Permit {
    match poll!(entering) {
        Poll::Ready(Ok(permit)) => permit,
        Poll::Ready(Err(closed)) => panic!("nobody serves: {closed:?}"),
        Poll::Pending => panic!("it still waits"),
    }
}

/// A request of nobody here.
fn back() -> super::super::server::Back {
    super::super::server::Back { number: None, is_probe: false, is_full: false, job: 99 }
}

fn trouble(status: u16) -> Trouble {
    of_status(StatusCode::from_u16(status).expect("a status"), &Said::default())
}

fn resting(seconds: u64) -> Trouble {
    Trouble { retry_after: Some(Duration::from_secs(seconds)), ..trouble(429) }
}

/// Two requests to a server are refused, and ask for rest.
async fn asks_for_rest(pool: &Arc<Pool>, seconds: u64) {
    let refused = [enter(pool, thread(0)).await, enter(pool, thread(1)).await];
    refused.into_iter().for_each(|permit| permit.settle(Outcome::Troubled(&resting(seconds))));
}

fn gone() -> Trouble {
    Trouble::unreachable("connect: refused".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_full_server_is_passed_over_and_the_thread_stays_where_it_went() {
    let pool = pool(2, 2);
    let mut at_home = threads(&pool, 0);
    let mut next = || at_home.next().expect("endless");
    let held = [enter(&pool, next()).await, enter(&pool, next()).await];
    let moved = next();
    let permit = enter(&pool, moved).await;
    assert_eq!((held.each_ref().map(Permit::server), permit.server()), ([0, 0], 1));
    permit.settle(ANSWERED);
    drop(held);
    assert_eq!(enter(&pool, moved).await.server(), 1, "its prefix is there by now");
    assert_eq!(enter(&pool, next()).await.server(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_served_in_order_and_who_leaves_takes_no_room() {
    let pool = pool(1, 1);
    let held = enter(&pool, thread(0)).await;
    let mut waiting: Vec<Entering> = (1..6).map(|number| entering(&pool, thread(number), &[])).collect();
    for each in &mut waiting {
        assert!(poll!(each).is_pending());
    }
    assert_eq!(pool.health()[0].waiting, 5);
    // The second leaves while it waits; the first when it was called already.
    drop(waiting.remove(1));
    drop(held);
    drop(waiting.remove(0));
    let third = got(&mut waiting[0]).await;
    assert!(poll!(&mut waiting[1]).is_pending());
    third.settle(ANSWERED);
    assert!(poll!(&mut waiting[2]).is_pending(), "one after the other");
    got(&mut waiting[1]).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_server_takes_whoever_waits_longest_in_another_line() {
    let pool = pool(2, 1);
    let mut at_home = threads(&pool, 0);
    let mut next = || at_home.next().expect("endless");
    let (home, other) = (enter(&pool, next()).await, enter(&pool, next()).await);
    let mut barring = entering(&pool, next(), &[1]);
    let (mut first, mut second) = (entering(&pool, next(), &[]), entering(&pool, next(), &[]));
    for each in [&mut barring, &mut first, &mut second] {
        assert!(poll!(each).is_pending());
    }
    drop(other);
    assert_eq!(got(&mut first).await.server(), 1);
    assert_eq!(got(&mut second).await.server(), 1, "and the next when that is done");
    assert!(poll!(&mut barring).is_pending(), "it does not want that server");
    drop(home);
    assert_eq!(got(&mut barring).await.server(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rest_is_waited_for_if_it_is_short_and_told_if_it_is_long() {
    let pool = pool(1, 4);
    asks_for_rest(&pool, 20).await;
    let began = Instant::now();
    asks_for_rest(&pool, 100_000).await;
    assert_eq!(began.elapsed().as_secs(), 20);
    let closed = entering(&pool, thread(1), &[]).await.err();
    assert_eq!(closed, Some(Closed::Resting(Duration::from_secs(600))), "nobody rests longer");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_one_request_now_and_then_goes_on_with_the_others() {
    let pool = pool(1, 64);
    let began = Instant::now();
    for round in 0..40 {
        let refusal = resting(20);
        let answered = Outcome::Answered { seconds: 1.0, tokens: 10 };
        let outcome = if round % 8 == 7 { Outcome::Troubled(&refusal) } else { answered };
        enter(&pool, thread(round)).await.settle(outcome);
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "one refusal in eight");
    // A limit that is reached refuses one after another.
    for round in 40..42 {
        enter(&pool, thread(round)).await.settle(Outcome::Troubled(&resting(20)));
    }
    enter(&pool, thread(42)).await.settle(Outcome::Troubled(&resting(20)));
    assert_eq!(began.elapsed().as_secs(), 20);
    drop(enter(&pool, thread(43)).await);
    assert_eq!(began.elapsed().as_secs(), 20, "what was wished before the rest is granted");
}

#[tokio::test(start_paused = true)]
async fn who_waits_looks_elsewhere_when_its_server_needs_rest() {
    let pool = pool(2, 1);
    let mut at_home = threads(&pool, 0);
    let mut next = || at_home.next().expect("endless");
    let (home, other) = (enter(&pool, next()).await, enter(&pool, next()).await);
    let mut waiting = entering(&pool, next(), &[]);
    assert!(poll!(&mut waiting).is_pending());
    pool.lock().servers[0].settle(back(), Outcome::Troubled(&resting(25)), Instant::now());
    home.settle(Outcome::Troubled(&resting(25)));
    assert!(poll!(&mut waiting).is_pending());
    drop(other);
    assert_eq!(got(&mut waiting).await.server(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_in_all_its_time_is_told() {
    let pool = pool(1, 1);
    let _held = enter(&pool, thread(0)).await;
    let began = Instant::now();
    assert_eq!(entering(&pool, thread(1), &[]).await.err(), Some(Closed::Crowded));
    assert_eq!((began.elapsed(), pool.health()[0].waiting), (PATIENCE, 0));
}

#[tokio::test(start_paused = true)]
async fn of_a_server_that_is_down_one_request_learns_whether_it_is_back() {
    let pool = pool(1, 4);
    enter(&pool, thread(0)).await.settle(Outcome::Troubled(&gone()));
    let Some(Closed::Down { after: Some(after), why }) = entering(&pool, thread(1), &[]).await.err() else { panic!("it is down") };
    assert!(after <= Duration::from_secs(2) && why == ["connect: refused"], "{after:?} {why:?}");
    tokio::time::advance(after).await;

    // The first that tries is cut off: the next tries in its place.
    let probe = enter(&pool, thread(1)).await;
    let (mut second, mut third) = (entering(&pool, thread(2), &[]), entering(&pool, thread(3), &[]));
    assert!(probe.is_probe() && poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    drop(probe);
    let probe = got(&mut second).await;
    assert!(probe.is_probe() && poll!(&mut third).is_pending());
    assert_eq!(pool.health()[0].state, "probing");

    // It fails: nobody waits for longer.
    probe.settle(Outcome::Troubled(&trouble(500)));
    assert!(matches!(poll!(&mut third), Poll::Ready(Err(Closed::Down { .. }))));

    // It is there: as many go as at first, and one answer proves it.
    tokio::time::advance(Duration::from_secs(60)).await;
    let mut probe = enter(&pool, thread(1)).await;
    let mut second = entering(&pool, thread(2), &[]);
    assert!(probe.is_probe() && poll!(&mut second).is_pending());
    probe.is_back();
    let second = got(&mut second).await;
    assert!(!probe.is_probe() && !second.is_probe() && probe.is_good());
    assert_eq!(pool.health()[0].state, "probing");
    second.settle(ANSWERED);
    assert_eq!((pool.health()[0].state.as_str(), pool.has_another(&[])), ("up", true));
}

#[tokio::test(start_paused = true)]
async fn a_server_on_trial_that_fails_a_request_is_left_alone_again_but_for_what_was_sent_before() {
    let pool = pool(1, 4);
    let (mut early, first) = (enter(&pool, thread(0)).await, enter(&pool, thread(1)).await);
    early.send(false);
    first.settle(Outcome::Troubled(&gone()));
    tokio::time::advance(Duration::from_secs(60)).await;
    let mut probe = enter(&pool, thread(1)).await;
    probe.is_back();
    let late = enter(&pool, thread(2)).await;
    early.settle(Outcome::Troubled(&gone()));
    assert_eq!(pool.health()[0].state, "probing");
    probe.send(false);
    probe.settle(Outcome::Troubled(&trouble(500)));
    assert_eq!(pool.health()[0].state, "down");
    assert!(!late.is_good(), "whoever waited for something else looks again");
    late.settle(ANSWERED);
    assert_eq!(pool.health()[0].state, "down", "it was not sent: nothing was answered");
}

#[tokio::test(start_paused = true)]
async fn a_server_of_few_places_comes_back_though_it_refuses_most_of_those_who_wait() {
    let pool = pool(1, 64);
    enter(&pool, thread(0)).await.settle(Outcome::Troubled(&gone()));
    tokio::time::advance(Duration::from_secs(60)).await;
    let mut first = enter(&pool, thread(1)).await;
    first.is_back();
    let mut rest = Vec::new();
    for number in 2..8 {
        rest.push(enter(&pool, thread(number)).await);
    }
    first.send(false);
    rest.iter_mut().for_each(|permit| permit.send(false));
    // Refusals come at once, answers later.
    rest.drain(2..).for_each(|permit| permit.settle(Outcome::Troubled(&trouble(503))));
    assert_eq!(pool.health()[0].state, "probing");
    rest.remove(0).settle(Outcome::Troubled(&trouble(500)));
    assert_eq!(pool.health()[0].state, "down");
    first.settle(ANSWERED);
    assert_eq!(pool.health()[0].state, "up", "what was sent to it on trial was answered");
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_a_server_went_down_does_not_keep_it_down() {
    let pool = pool(1, 4);
    let (first, late) = (enter(&pool, thread(0)).await, enter(&pool, thread(1)).await);
    first.settle(Outcome::Troubled(&gone()));
    let Some(Closed::Down { after, .. }) = entering(&pool, thread(2), &[]).await.err() else { panic!("it is down") };
    late.settle(Outcome::Troubled(&gone()));
    let again = entering(&pool, thread(2), &[]).await.err();
    assert!(matches!(again, Some(Closed::Down { after: still, .. }) if still == after), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn refusals_narrow_the_window_and_health_says_how_all_is() {
    let pool = pool(1, 64);
    let mut permits = Vec::new();
    for number in 0..8 {
        permits.push(enter(&pool, thread(number)).await);
    }
    permits.iter_mut().for_each(|permit| permit.send(false));
    assert_eq!((pool.health()[0].in_flight, pool.health()[0].window), (8, 8));
    permits.pop().expect("eight").settle(Outcome::Answered { seconds: 3.0, tokens: 10 });
    permits.into_iter().for_each(|permit| permit.settle(Outcome::Troubled(&trouble(429))));
    let health = pool.health().remove(0);
    assert_eq!((health.window, health.in_flight, health.answered, health.failed), (4, 0, 1, 7));
    assert!((health.seconds_mean - 3.0).abs() < 1e-9);
}

proptest! {
    #[test]
    fn whatever_is_cut_off_nothing_is_lost(moves in proptest::collection::vec((0..7u8, 0..64usize), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let pool = pool(3, 3);
            let (mut waiting, mut permits): (Vec<Entering>, Vec<Permit>) = Default::default();
            for (number, (kind, at)) in (0..).zip(moves) {
                match kind {
                    0 | 1 => waiting.push(entering(&pool, thread(number), if at % 2 == 0 { &[] } else { &[1] })),
                    2 if !waiting.is_empty() => drop(waiting.swap_remove(at % waiting.len())),
                    3 if !permits.is_empty() => drop(permits.swap_remove(at % permits.len())),
                    4 if !permits.is_empty() => {
                        let mut permit = permits.swap_remove(at % permits.len());
                        if at % 3 == 0 && permit.is_probe() {
                            permit.is_back();
                        }
                        permit.send(false);
                        let trouble = [gone(), resting(1), trouble(500), trouble(400)][at % 4].clone();
                        permit.settle(Outcome::Troubled(&trouble));
                    }
                    5 if !permits.is_empty() => permits.swap_remove(at % permits.len()).settle(ANSWERED),
                    _ => tokio::time::advance(Duration::from_secs(1)).await,
                }
                let mut still = Vec::new();
                for mut each in waiting {
                    match poll!(&mut each) {
                        Poll::Ready(Ok(permit)) => permits.push(permit),
                        Poll::Ready(Err(_)) => {}
                        Poll::Pending => still.push(each),
                    }
                }
                waiting = still;
                for (number, health) in pool.health().into_iter().enumerate() {
                    let held = permits.iter().filter(|permit| permit.server() == number).count();
                    assert!(held <= 4 && health.window <= 3, "{held} at a window of {}", health.window);
                }
            }
            drop((waiting, permits));
            // All is idle again: after the longest wait for a probe, as many get in as there is room for.
            tokio::time::advance(Duration::from_secs(120)).await;
            assert!(pool.health().iter().all(|health| health.in_flight == 0 && health.waiting == 0), "{:?}", pool.health());
            for number in 0..9 {
                let permit = pin!(pool.enter(thread(number), &[], PATIENCE)).await.expect("somebody serves");
                permit.settle(ANSWERED);
            }
            assert!(pool.health().iter().all(|health| health.state == "up"), "{:?}", pool.health());
        });
    }
}
