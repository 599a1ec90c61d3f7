//! How much a worker has in hands: never more than its share, whatever came over earlier subscriptions.

use tokio::sync::{Semaphore, watch};

use super::*;

/// Names of errands that wait for `go`.
const WAITING: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

async fn unacked(house: &House) -> u64 {
    house.queue.depth(&jobs()).await.expect("in memory").unacked
}

async fn house_of_waiting() -> House {
    let script: Vec<(&str, &[Act])> = WAITING.iter().map(|name| (*name, &[Act::Wait] as &[Act])).collect();
    let house = House::new(&script).await;
    for name in WAITING {
        house.publish(&Errand::new(name)).await;
    }
    house
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_share_changes_never_has_more_in_hands_than_its_share() {
    let (house, began) = (house_of_waiting().await, Instant::now());
    let (share, shared) = watch::channel(4);
    let worker = house.worker_with(jobs(), Slots::shared(shared, Arc::new(Semaphore::new(100))));
    let running = tokio::spawn(worker.run());
    until(|| house.handled() == 4).await;
    for (now, handled) in [(6, 6), (3, 6), (9, 9)] {
        share.send_replace(now);
        until(|| house.handled() == handled).await;
        // Whoever would take more does so at once.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((unacked(&house).await, house.handled()), (handled as u64, handled), "with a share of {now}");
    }
    // One after the other ends, and others take their places.
    while house.queue.depth(&jobs()).await.expect("in memory") != crate::queue::Depth::default() {
        house.handler.go.notify_one();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(unacked(&house).await <= 9, "{} in hands", unacked(&house).await);
        assert!(began.elapsed() < Duration::from_secs(60), "{} were begun", house.handled());
    }
    house.shutdown.request();
    assert_eq!(running.await.expect("no panic").expect("the queue is open").done, WAITING.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn two_quarantines_of_one_process_serve_one_message_at_a_time_together() {
    let house = House::new(&[("a", &[Act::Wait]), ("b", &[Act::Wait])]).await;
    let common = Arc::new(Semaphore::new(1));
    let mut running = Vec::new();
    for (campaign, errand) in [("c", "a"), ("d", "b")] {
        let from = QueueName::Quarantine(campaign.into());
        house.queue.publish(&from, vec![Errand::new(errand).bytes()]).await.expect("room");
        let (_, share) = watch::channel(1);
        running.push(tokio::spawn(house.worker_with(from, Slots::shared(share, Arc::clone(&common))).run()));
    }
    until(|| house.handled() == 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(house.handled(), 1, "the other waits until this one has not killed us");
    house.handler.go.notify_one();
    until(|| house.handled() == 2).await;
    house.handler.go.notify_one();
    house.shutdown.request();
    for running in running {
        running.await.expect("no panic").expect("the queue is open");
    }
}
