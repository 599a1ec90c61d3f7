//! Drains, cut-offs, and jobs that end their worker.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_drain_takes_nothing_new_and_lets_what_runs_yield() {
    let house = House::new(&[("a", &[Act::Drain])]).await;
    house.publish(&Errand::new("a")).await;
    let (_, running) = house.start();
    house.handler.started.notified().await;
    let start = Instant::now();
    house.shutdown.request();
    house.publish(&Errand::new("late")).await;
    let report = running.await.expect("no panic").expect("open");
    assert_eq!((report.yielded, report.abandoned, house.handled()), (1, 0, 1));
    assert!(start.elapsed() < Duration::from_secs(1), "a drain does not wait for its deadline");
    let depth = house.queue.depth(&jobs()).await.expect("in memory");
    assert_eq!((depth.ready, depth.unacked), (2, 0), "the continuation and the late one");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_yield_is_cut_off_at_the_deadline_and_can_be_taken_up_again() {
    let house = House::new(&[("a", &[Act::Hang])]).await;
    house.publish(&Errand::new("a")).await;
    let (_, running) = house.start();
    house.handler.started.notified().await;
    let start = Instant::now();
    house.shutdown.request();
    let report = running.await.expect("no panic").expect("open");
    assert_eq!((report.abandoned, start.elapsed().as_secs()), (1, DRAIN.as_secs()));
    let depth = house.queue.depth(&jobs()).await.expect("in memory");
    assert_eq!((depth.ready, depth.unacked), (1, 0));
    assert!(matches!(house.ledger.claim(&Errand::new("a").key(), Step::default().into()).await, Ok(Claim::Taken(_))));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_kills_ends_in_quarantine_as_poison() {
    let mut house = House::new(&[]).await;
    let (poison, key) = (Errand::new("poison"), Errand::new("poison").key());
    for _death in 0..3 {
        assert!(matches!(house.ledger.claim(&key, Step::default().into()).await, Ok(Claim::Taken(_))));
        house.ledger.close().await;
        house.ledger = Arc::new(EmbeddedLedger::open(house.folder.path()).await.expect("our own ledger"));
    }
    let report = house.work_off(&[poison.clone(), Errand::new("good")]).await;
    assert_eq!((report.suspected, report.done, house.handled()), (1, 1, 1));

    let quarantine = jobs().quarantine();
    assert!(
        matches!(
            house.ledger.claim(&key, Ask { step: Step::default(), is_quarantine: true, has_looked: false }).await,
            Ok(Claim::Taken(_))
        ),
        "one last chance"
    );
    house.ledger.close().await;
    house.ledger = Arc::new(EmbeddedLedger::open(house.folder.path()).await.expect("our own ledger"));
    house.shutdown = Shutdown::new(DRAIN);
    let running = tokio::spawn(house.worker_of(quarantine.clone()).run());
    house.settle(&quarantine).await;
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("open").failed, 1);
    assert_eq!(house.given_up(), [("poison".to_owned(), "poison")]);
    assert_eq!(house.handled(), 1, "poison never ran again");
}

#[tokio::test(start_paused = true)]
async fn work_the_ledger_cannot_read_any_more_ends_on_record_and_nothing_is_held() {
    let house = House::new(&[("b", &[Act::Drain])]).await;
    house.ledger.damage(&Errand::new("a").key()).await;
    house.publish(&Errand::new("a")).await;
    house.publish(&Errand::new("b")).await;
    let (counters, running) = house.start();
    until(|| house.handled() == 1 && counters.report().failed == 1).await;
    assert_eq!(house.given_up(), [("a".to_owned(), "ledger_damaged")], "as it was claimed");
    house.ledger.damage(&Errand::new("b").key()).await;
    house.shutdown.request();
    let report = running.await.expect("no panic").expect("open");
    assert_eq!(house.given_up().last(), Some(&("b".to_owned(), "ledger_damaged")), "as it was handed on");
    assert_eq!((report.failed, report.dead, report.running), (2, 2, 0));
    let depth = house.queue.depth(&jobs()).await.expect("in memory");
    assert_eq!((depth.ready, depth.unacked, depth.delayed), (0, 0, 0), "the queue can become idle");
    assert_eq!(house.ledger.standing().await.expect("open").running, 0, "a second message would not find it under way");
}

#[tokio::test(start_paused = true)]
async fn a_suspect_that_is_innocent_finishes_in_quarantine() {
    let mut house = House::new(&[("suspect", &[Act::Yield])]).await;
    let key = Errand::new("suspect").key();
    for _death in 0..3 {
        assert!(matches!(house.ledger.claim(&key, Step::default().into()).await, Ok(Claim::Taken(_))));
        house.ledger.close().await;
        house.ledger = Arc::new(EmbeddedLedger::open(house.folder.path()).await.expect("our own ledger"));
    }
    house.work_off(&[Errand::new("suspect")]).await;
    house.shutdown = Shutdown::new(DRAIN);
    let running = tokio::spawn(house.worker_of(jobs().quarantine()).run());
    house.settle(&jobs().quarantine()).await;
    house.shutdown.request();
    let report = running.await.expect("no panic").expect("open");
    assert_eq!((report.yielded, report.done, house.handled()), (1, 1, 2), "its continuation stays in quarantine");
}
