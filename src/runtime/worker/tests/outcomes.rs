//! One test per outcome of a handler.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_yield_is_continued_by_the_next_slice_and_its_old_message_is_stale() {
    let house = House::new(&[("a", &[Act::Yield, Act::Yield])]).await;
    let report = house.work_off(&[Errand::new("a")]).await;
    let slices: Vec<u32> = house.handler.handled.lock().expect("no panic inside").iter().map(|(_, step)| step.slice).collect();
    assert_eq!((slices, report.yielded, report.done), (vec![0, 1, 2], 2, 1));

    let house = House::new(&[("a", &[Act::Yield, Act::Wait])]).await;
    house.publish(&Errand::new("a")).await;
    let (counters, running) = house.start();
    until(|| house.handled() == 2).await;
    house.publish(&Errand::new("a")).await;
    until(|| counters.report().spared == 1).await;
    house.handler.go.notify_one();
    house.settle(&jobs()).await;
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("open").done, 1);
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_tried_again_a_bounded_number_of_times() {
    let house = House::new(&[("often", &[Act::Fail(FailureKind::Transient); 9]), ("once", &[Act::Fail(FailureKind::Transient)])]).await;
    let start = Instant::now();
    let report = house.work_off(&[Errand::new("often"), Errand::new("once")]).await;
    assert_eq!((report.retried, report.failed, report.done), (4 + 1, 1, 1));
    assert_eq!(house.given_up(), [("often".to_owned(), "scripted")]);
    assert!(start.elapsed() >= Duration::from_secs(1), "attempts are spaced");
    assert_eq!(house.ledger.claim(&Errand::new("often").key(), Step::default()).await.expect("open"), Claim::Done);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_put_on_record_at_once() {
    let house = House::new(&[("a", &[Act::Fail(FailureKind::Permanent)])]).await;
    let report = house.work_off(&[Errand::new("a")]).await;
    assert_eq!((report.failed, report.retried, house.handled()), (1, 0, 1));
    assert_eq!(house.given_up(), [("a".to_owned(), "scripted")]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_spends_no_attempt_however_long_it_lasts() {
    let house = House::new(&[("a", &[Act::Fail(FailureKind::Outage); 50])]).await;
    let start = Instant::now();
    let report = house.work_off(&[Errand::new("a"), Errand::new("b")]).await;
    assert_eq!((report.outages, report.done, report.failed), (50, 2, 0));
    let steps = house.handler.handled.lock().expect("no panic inside").iter().map(|(_, step)| *step).collect::<BTreeSet<_>>();
    assert_eq!(steps, BTreeSet::from([Step::default()]));
    assert!(start.elapsed() > Duration::from_secs(300), "the pauses grow: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(50 * 2 * 61), "and are bounded: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn intake_rests_during_an_outage() {
    let house = House::new(&[("a", &[Act::Fail(FailureKind::Outage)])]).await;
    house.publish(&Errand::new("a")).await;
    let (counters, running) = house.start();
    until(|| counters.report().outages == 1).await;
    house.publish(&Errand::new("b")).await;
    assert_eq!(house.handled(), 1);
    let depth = house.queue.depth(&jobs()).await.expect("in memory");
    assert_eq!((depth.ready, depth.unacked), (1, 0), "nothing is hoarded meanwhile");
    house.settle(&jobs()).await;
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("open").done, 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_own_job_and_never_the_worker() {
    let house = House::new(&[("bad", &[Act::Panic; 9])]).await;
    let report = house.work_off(&[Errand::new("bad"), Errand::new("good")]).await;
    assert_eq!((report.panics, report.done, report.failed), (5, 1, 1));
    assert_eq!(house.given_up(), [("bad".to_owned(), "panic")]);
}

#[tokio::test(start_paused = true)]
async fn work_that_was_taken_over_is_dropped_quietly() {
    let house = House::new(&[("a", &[Act::Fail(FailureKind::Fenced)])]).await;
    let report = house.work_off(&[Errand::new("a")]).await;
    assert_eq!((report.lost, report.done, report.failed), (1, 0, 0));
}
