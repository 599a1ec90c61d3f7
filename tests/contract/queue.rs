//! The queue port: at-least-once delivery, settled one by one, nothing lost and nothing hoarded.

use std::sync::Arc;
use std::time::Duration;

use model::wire::MESSAGE_BYTES_MAX;
use runtime::queue::memory::MemoryQueue;
use runtime::{Delivery, Depth, Queue, QueueError, QueueName, Subscription};
use tokio::time::{Instant, timeout};

type Made = Arc<dyn Queue>;

async fn memory() -> Made {
    Arc::new(MemoryQueue::new(1000))
}

run_on!(
    memory,
    super::memory,
    [
        messages_come_in_order_and_go_when_acknowledged,
        at_most_the_slots_are_in_hands,
        a_dropped_subscription_gives_back_what_it_buffered,
        a_delivery_dropped_unsettled_comes_back_marked,
        what_is_put_back_comes_back_marked,
        a_rejected_message_goes_to_the_dead_queue,
        a_delayed_message_is_not_early,
        an_oversized_message_is_refused_and_nothing_is_stored,
        queues_are_apart,
        two_subscribers_share_and_neither_gets_what_the_other_has,
    ]
);

fn jobs() -> QueueName {
    QueueName::Jobs("contract".into())
}

async fn publish(queue: &Made, count: u8) {
    queue.publish(&jobs(), (0..count).map(|number| vec![number]).collect()).await.expect("room");
}

async fn subscribe(queue: &Made, slots: usize) -> Subscription {
    queue.subscribe(&jobs(), slots).await.expect("reachable")
}

async fn next(subscription: &mut Subscription) -> Delivery {
    timeout(Duration::from_secs(10), subscription.next()).await.expect("a delivery in time").expect("an open queue")
}

async fn has_none(subscription: &mut Subscription) -> bool {
    timeout(Duration::from_secs(1), subscription.next()).await.is_err()
}

async fn depth(queue: &Made) -> Depth {
    queue.depth(&jobs()).await.expect("reachable")
}

fn ready(ready: u64) -> Depth {
    Depth { ready, unacked: 0, delayed: 0 }
}

async fn messages_come_in_order_and_go_when_acknowledged(queue: &Made) {
    publish(queue, 3).await;
    assert_eq!(depth(queue).await, ready(3));
    let mut subscription = subscribe(queue, 10).await;
    for number in 0..3 {
        let delivery = next(&mut subscription).await;
        assert_eq!((delivery.body.as_slice(), delivery.redelivered), (&[number][..], false));
        delivery.ack().await.expect("reachable");
    }
    assert_eq!(depth(queue).await, ready(0));
    assert!(has_none(&mut subscription).await);
}

async fn at_most_the_slots_are_in_hands(queue: &Made) {
    publish(queue, 10).await;
    let mut subscription = subscribe(queue, 3).await;
    let first = next(&mut subscription).await;
    let _others = (next(&mut subscription).await, next(&mut subscription).await);
    assert!(has_none(&mut subscription).await, "all slots are taken");
    assert_eq!(depth(queue).await, Depth { ready: 7, unacked: 3, delayed: 0 });
    first.ack().await.expect("reachable");
    assert_eq!(next(&mut subscription).await.body, [3]);
}

async fn a_dropped_subscription_gives_back_what_it_buffered(queue: &Made) {
    publish(queue, 5).await;
    let mut subscription = subscribe(queue, 5).await;
    let held = next(&mut subscription).await;
    drop(subscription);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(depth(queue).await, Depth { ready: 4, unacked: 1, delayed: 0 });
    held.ack().await.expect("a delivery outlives its subscription");
    let mut subscription = subscribe(queue, 5).await;
    for number in 1..5 {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.body, [number]);
        delivery.ack().await.expect("reachable");
    }
    assert_eq!(depth(queue).await, ready(0));
}

async fn a_delivery_dropped_unsettled_comes_back_marked(queue: &Made) {
    publish(queue, 1).await;
    let mut subscription = subscribe(queue, 1).await;
    drop(next(&mut subscription).await);
    let again = next(&mut subscription).await;
    assert!(again.redelivered && again.body == [0]);
    again.ack().await.expect("reachable");
    assert_eq!(depth(queue).await, ready(0));
}

async fn what_is_put_back_comes_back_marked(queue: &Made) {
    publish(queue, 1).await;
    let mut subscription = subscribe(queue, 1).await;
    next(&mut subscription).await.put_back().await.expect("reachable");
    let again = next(&mut subscription).await;
    assert!(again.redelivered && again.body == [0]);
}

async fn a_rejected_message_goes_to_the_dead_queue(queue: &Made) {
    publish(queue, 1).await;
    let mut subscription = subscribe(queue, 1).await;
    next(&mut subscription).await.reject("nobody can read it").await.expect("reachable");
    assert_eq!(depth(queue).await, ready(0));
    let mut dead = queue.subscribe(&jobs().dead(), 1).await.expect("reachable");
    assert_eq!(next(&mut dead).await.body, [0]);
}

async fn a_delayed_message_is_not_early(queue: &Made) {
    let (start, delay) = (Instant::now(), Duration::from_secs(2));
    queue.publish_after(&jobs(), b"late".to_vec(), delay).await.expect("reachable");
    publish(queue, 1).await;
    assert_eq!(depth(queue).await, Depth { ready: 1, unacked: 0, delayed: 1 });
    let mut subscription = subscribe(queue, 4).await;
    let prompt = next(&mut subscription).await;
    assert_eq!(prompt.body, [0]);
    let late = next(&mut subscription).await;
    assert_eq!(late.body, b"late");
    assert!(start.elapsed() >= delay, "after {:?}", start.elapsed());
}

async fn an_oversized_message_is_refused_and_nothing_is_stored(queue: &Made) {
    let huge = vec![0; MESSAGE_BYTES_MAX + 1];
    let refused = [
        queue.publish(&jobs(), vec![b"small".to_vec(), huge.clone()]).await,
        queue.publish_urgent(&jobs(), huge.clone()).await,
        queue.publish_after(&jobs(), huge, Duration::ZERO).await,
    ];
    assert!(refused.iter().all(|result| matches!(result, Err(QueueError::Oversized { .. }))), "{refused:?}");
    assert_eq!(depth(queue).await, ready(0));
    queue.publish(&jobs(), vec![vec![0; MESSAGE_BYTES_MAX]]).await.expect("exactly the bound is allowed");
}

async fn queues_are_apart(queue: &Made) {
    let campaign = || "contract".to_owned();
    let names = [
        QueueName::Jobs(campaign()),
        QueueName::Jobs("other".into()),
        QueueName::Candidates(campaign()),
        QueueName::Quarantine(campaign()),
        QueueName::QuarantineCandidates(campaign()),
        QueueName::Dead(campaign()),
    ];
    for name in &names {
        queue.publish(name, vec![name.to_string().into_bytes()]).await.expect("room");
    }
    for name in &names {
        let mut subscription = queue.subscribe(name, 2).await.expect("reachable");
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.body, name.to_string().into_bytes());
        delivery.ack().await.expect("reachable");
        assert!(has_none(&mut subscription).await);
    }
}

async fn two_subscribers_share_and_neither_gets_what_the_other_has(queue: &Made) {
    publish(queue, 40).await;
    let mut seen = vec![];
    let (mut left, mut right) = (subscribe(queue, 2).await, subscribe(queue, 2).await);
    for _ in 0..20 {
        for side in [&mut left, &mut right] {
            let delivery = next(side).await;
            seen.push(delivery.body[0]);
            delivery.ack().await.expect("reachable");
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..40).collect::<Vec<u8>>());
}
