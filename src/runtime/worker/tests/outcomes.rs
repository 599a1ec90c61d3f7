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

/// Finishes one good errand after another, a second apart, until `stop` says so.
async fn others_succeed(house: &House, mut stop: impl FnMut() -> bool) {
    for number in 0..100_000 {
        if stop() {
            return;
        }
        house.publish(&Errand::new(&format!("good-{number}"))).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("the bad one ends some day");
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_while_others_succeed_is_tried_again_a_bounded_number_of_times() {
    let house = House::new(&[("often", &[Act::Fail(FailureKind::Transient); 99])]).await;
    let start = Instant::now();
    house.publish(&Errand::new("often")).await;
    let (counters, running) = house.start();
    others_succeed(&house, || counters.report().failed == 1).await;
    house.settle(&jobs()).await;
    house.shutdown.request();
    let report = running.await.expect("no panic").expect("open");
    assert_eq!((report.retried, report.failed), (4, 1));
    assert!(report.outages <= 5, "it holds the others up a little at most: {report:?}");
    assert_eq!(house.given_up(), [("often".to_owned(), "scripted")]);
    assert!(start.elapsed() >= Duration::from_secs(1) && start.elapsed() < Duration::from_secs(600), "{:?}", start.elapsed());
    assert_eq!(house.ledger.claim(&Errand::new("often").key(), Step::default().into()).await.expect("open"), Claim::Done);
}

#[tokio::test(start_paused = true)]
async fn when_every_job_fails_it_is_an_outage_and_no_job_ends_by_it() {
    let names: Vec<String> = (0..12).map(|number| format!("job-{number}")).collect();
    let script: Vec<(&str, &[Act])> = names.iter().map(|name| (name.as_str(), &[Act::Fail(FailureKind::Transient); 60][..])).collect();
    let house = House::new(&script).await;
    let start = Instant::now();
    let errands: Vec<Errand> = names.iter().map(|name| Errand::new(name)).collect();
    for errand in &errands {
        house.publish(errand).await;
    }
    let (counters, running) = house.start();
    tokio::time::sleep(Duration::from_secs(1200)).await;
    let report = counters.report();
    assert_eq!((report.done, report.failed, report.retried), (0, 0, 0), "twenty minutes long nothing works: {report:?}");
    assert!(report.outages >= 30, "and now and then somebody looks: {report:?}");
    // The server is back.
    house.handler.acts.lock().expect("no panic inside").clear();
    house.settle(&jobs()).await;
    house.shutdown.request();
    let report = running.await.expect("no panic").expect("open");
    assert_eq!((report.done, report.failed), (12, 0));
    assert!(start.elapsed() < Duration::from_secs(1200 + 130), "back to work within the longest pause: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_last_one_left_that_fails_alone_ends_too_but_only_after_a_while() {
    let house = House::new(&[("alone", &[Act::Fail(FailureKind::Transient); 99])]).await;
    let start = Instant::now();
    let report = house.work_off(&[Errand::new("alone")]).await;
    assert_eq!((report.outages, report.retried, report.failed), (u64::from(evidence::LAST_FEW_PATIENCE), 4, 1));
    assert!(start.elapsed() > Duration::from_secs(180), "{:?}", start.elapsed());
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

/// Counts what is said at the level WARN.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Said(String);
        impl tracing::field::Visit for Said {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut said = Said(String::new());
        event.record(&mut said);
        self.0.lock().expect("no panic inside").push(said.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_many_notice_is_logged_once() {
    let warnings = Warnings::default();
    // With a single listener `tracing` asks whichever thread comes by first, and that of another test listens to nothing.
    let _second = tracing::Dispatch::new(warnings.clone());
    let _listening = tracing::subscriber::set_default(warnings.clone());
    let names = ["a", "b", "c", "d"];
    let house = House::new(&names.map(|name| (name, &[Act::Outage][..]))).await;
    let errands = names.map(Errand::new);
    for errand in &errands {
        house.publish(errand).await;
    }
    let (_, running) = house.start();
    until(|| house.handled() == 4).await;
    house.handler.go.notify_waiters();
    house.settle(&jobs()).await;
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("open").outages, 4);
    let said = warnings.0.lock().expect("no panic inside").clone();
    assert_eq!(said.iter().filter(|said| said.contains("jobs wait for what they need")).count(), 1, "{said:?}");
    assert_eq!(said.len(), 1, "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn work_that_was_taken_over_is_dropped_quietly() {
    let house = House::new(&[("a", &[Act::Fail(FailureKind::Fenced)])]).await;
    let report = house.work_off(&[Errand::new("a")]).await;
    assert_eq!((report.lost, report.done, report.failed), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn work_that_hands_itself_on_because_of_an_outage_is_no_success_and_intake_rests() {
    let house = House::new(&[("a", &[Act::HandOn, Act::Finish]), ("b", &[Act::Fail(FailureKind::Transient), Act::Finish])]).await;
    let report = house.work_off(&[Errand::new("a"), Errand::new("b")]).await;
    let handled = house.handler.handled.lock().expect("no panic inside").clone();
    assert!(handled.contains(&("a".to_owned(), Step::default().next_slice())), "it goes on as it said: {handled:?}");
    let attempts: Vec<u32> = handled.iter().filter(|(name, _)| name == "b").map(|(_, step)| step.attempt).collect();
    assert_eq!(attempts, [0, 0], "the other's failure belongs to the same outage");
    assert_eq!((report.done, report.retried), (2, 0));
}
