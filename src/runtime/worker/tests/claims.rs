//! One test per answer to a message that is not simply taken.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_done_is_acknowledged_and_a_second_message_for_it_does_not_run() {
    let house = House::new(&[]).await;
    let report = house.work_off(&[Errand::new("a"), Errand::new("b"), Errand::new("a")]).await;
    assert_eq!((report.done, house.handled()), (2, 2));
    assert_eq!((report.received, report.spared + report.adopted), (3 + report.postponed, 1));
}

#[tokio::test(start_paused = true)]
async fn foreign_messages_are_acknowledged_and_unreadable_ones_are_kept_with_the_reason() {
    let house = House::new(&[]).await;
    house.queue.publish(&jobs(), vec![vec![0xc1, 0xff]]).await.expect("room");
    let report = house.work_off(&[Errand { uid: "theirs".into(), ..Errand::new("a") }]).await;
    assert_eq!((report.foreign, report.dead, house.handled()), (1, 1, 0));
    let dead = house.queue.dead_letters("c");
    assert!(dead.len() == 1 && dead[0].reason.contains("errand") && dead[0].from == "jobs.c", "{dead:?}");
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_message_whose_effect_is_in_the_archive_does_not_run_again() {
    let house = House::new(&[]).await;
    house.handler.effects.lock().expect("no panic inside").insert("a".into());
    house.publish(&Errand::new("a")).await;
    let mut other = house.queue.subscribe(&jobs(), 1).await.expect("in memory");
    drop(other.next().await.expect("one message"));
    drop(other);
    let report = house.work_off(&[Errand::new("fresh")]).await;
    assert_eq!((report.spared, report.done, house.handled()), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_of_running_work_is_adopted_and_the_work_runs_once() {
    let house = House::new(&[("a", &[Act::Wait])]).await;
    house.publish(&Errand::new("a")).await;
    let (counters, running) = house.start();
    house.handler.started.notified().await;
    house.publish(&Errand::new("a")).await;
    until(|| counters.report().adopted == 1).await;
    let depth = house.queue.depth(&jobs()).await.expect("in memory");
    assert_eq!((depth.ready, depth.unacked), (0, 1), "one delivery stands for the work");
    house.handler.go.notify_one();
    house.settle(&jobs()).await;
    house.shutdown.request();
    let report = running.await.expect("no panic").expect("open");
    assert_eq!((report.done, house.handled()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_paused_campaign_keeps_its_messages_and_goes_on_when_it_may() {
    let house = House::new(&[]).await;
    house.ledger.set_control(ControlState::Paused).await.expect("open");
    for name in ["a", "b", "c", "d", "e", "f"] {
        house.publish(&Errand::new(name)).await;
    }
    let (counters, running) = house.start();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(house.handled(), 0);
    assert!(counters.report().postponed <= 600, "a paused campaign is looked at now and then: {:?}", counters.report());
    house.ledger.set_control(ControlState::Running).await.expect("open");
    house.settle(&jobs()).await;
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("open").done, 6);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_campaign_drops_its_messages() {
    let house = House::new(&[]).await;
    house.ledger.set_control(ControlState::Cancelled).await.expect("open");
    let report = house.work_off(&[Errand::new("a")]).await;
    assert_eq!((report.spared, house.handled()), (1, 0));
}
