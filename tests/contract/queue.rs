//! The queue port: at-least-once delivery, settled one by one, nothing lost and nothing hoarded.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use model::wire::MESSAGE_BYTES_MAX;
use runtime::queue::memory::MemoryQueue;
use runtime::queue::rabbitmq::AmqpSettings;
use runtime::{Aside, Delivery, Depth, Queue, QueueError, QueueName, Subscription, random_id};
use tokio::time::{Instant, timeout};

use crate::services::{amqp_url, management_url};

/// An adapter, and a campaign that nobody else uses.
struct Made {
    queue: Arc<dyn Queue>,
    campaign: String,
    /// How much later than the truth depths may be.
    depths_lag: Duration,
}

async fn memory() -> Made {
    Made { queue: Arc::new(MemoryQueue::new(1000)), campaign: "contract".into(), depths_lag: Duration::ZERO }
}

async fn rabbitmq() -> Made {
    let (urls, management) = (vec![amqp_url()], Some(management_url()));
    let settings = AmqpSettings { urls, management, name: "contract".into() };
    let queue = runtime::queue::connect(settings).await.expect("a broker");
    let campaign = format!("contract-{}", random_id().expect("randomness"));
    Made { queue, campaign, depths_lag: Duration::from_secs(20) }
}

/// As `run_on!`, by the clock on the wall, and with what the promise left behind removed.
macro_rules! run_in_real_time_on {
    ($adapter:ident, $make:path, [$($promise:ident),* $(,)?]) => {
        mod $adapter {
            $(
                #[tokio::test]
                async fn $promise() {
                    let made = $make().await;
                    super::and_remove(&made, super::$promise(&made)).await;
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
                messages_come_in_order_and_go_when_acknowledged,
                at_most_the_slots_are_in_hands,
                a_dropped_subscription_gives_back_what_it_buffered,
                a_delivery_dropped_unsettled_comes_back_marked,
                what_is_put_back_comes_back_marked,
                a_rejected_message_goes_to_the_dead_queue,
                what_is_set_aside_says_whence_and_why,
                a_delayed_message_is_not_early,
                an_oversized_message_is_refused_and_nothing_is_stored,
                queues_are_apart,
                two_subscribers_share_and_neither_gets_what_the_other_has,
                a_removed_campaign_is_empty_and_can_begin_again,
            ]
        );
    };
}

promises!(run_on, memory, super::memory);
promises!(run_in_real_time_on, rabbitmq, super::rabbitmq);

async fn and_remove(made: &Made, promise: impl Future<Output = ()>) {
    let kept = AssertUnwindSafe(promise).catch_unwind().await;
    for campaign in [made.campaign.clone(), other(made)] {
        made.queue.remove(&campaign).await.expect("reachable");
    }
    if let Err(panic) = kept {
        resume_unwind(panic);
    }
}

/// A second campaign beside the first.
fn other(made: &Made) -> String {
    format!("{}-other", made.campaign)
}

fn jobs(made: &Made) -> QueueName {
    QueueName::Jobs(made.campaign.clone())
}

async fn publish(made: &Made, count: u8) {
    made.queue.publish(&jobs(made), (0..count).map(|number| vec![number]).collect()).await.expect("room");
}

async fn subscribe(made: &Made, slots: usize) -> Subscription {
    made.queue.subscribe(&jobs(made), slots).await.expect("reachable")
}

async fn next(subscription: &mut Subscription) -> Delivery {
    timeout(Duration::from_secs(25), subscription.next()).await.expect("a delivery in time").expect("an open queue")
}

async fn has_none(subscription: &mut Subscription) -> bool {
    timeout(Duration::from_secs(1), subscription.next()).await.is_err()
}

/// The depth is `expected`, at once or as late as the adapter may be.
async fn has_depth(made: &Made, expected: Depth) {
    let deadline = Instant::now() + made.depths_lag;
    loop {
        let found = made.queue.depth(&jobs(made)).await.expect("reachable");
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} where {expected:?} was expected");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn ready(ready: u64) -> Depth {
    Depth { ready, unacked: 0, delayed: 0 }
}

async fn messages_come_in_order_and_go_when_acknowledged(made: &Made) {
    publish(made, 3).await;
    has_depth(made, ready(3)).await;
    let mut subscription = subscribe(made, 10).await;
    for number in 0..3 {
        let delivery = next(&mut subscription).await;
        assert_eq!((delivery.body.as_slice(), delivery.redelivered), (&[number][..], false));
        delivery.ack().await.expect("reachable");
    }
    has_depth(made, ready(0)).await;
    assert!(has_none(&mut subscription).await);
}

async fn at_most_the_slots_are_in_hands(made: &Made) {
    publish(made, 10).await;
    let mut subscription = subscribe(made, 3).await;
    let first = next(&mut subscription).await;
    let _others = (next(&mut subscription).await, next(&mut subscription).await);
    assert!(has_none(&mut subscription).await, "all slots are taken");
    has_depth(made, Depth { ready: 7, unacked: 3, delayed: 0 }).await;
    first.ack().await.expect("reachable");
    assert_eq!(next(&mut subscription).await.body, [3]);
}

async fn a_dropped_subscription_gives_back_what_it_buffered(made: &Made) {
    publish(made, 5).await;
    let mut subscription = subscribe(made, 5).await;
    let held = next(&mut subscription).await;
    drop(subscription);
    tokio::time::sleep(Duration::from_secs(1)).await;
    has_depth(made, Depth { ready: 4, unacked: 1, delayed: 0 }).await;
    held.ack().await.expect("a delivery outlives its subscription");
    let mut subscription = subscribe(made, 5).await;
    for number in 1..5 {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.body, [number]);
        delivery.ack().await.expect("reachable");
    }
    has_depth(made, ready(0)).await;
}

async fn a_delivery_dropped_unsettled_comes_back_marked(made: &Made) {
    publish(made, 1).await;
    let mut subscription = subscribe(made, 1).await;
    drop(next(&mut subscription).await);
    let again = next(&mut subscription).await;
    assert!(again.redelivered && again.body == [0]);
    again.ack().await.expect("reachable");
    has_depth(made, ready(0)).await;
}

async fn what_is_put_back_comes_back_marked(made: &Made) {
    publish(made, 1).await;
    let mut subscription = subscribe(made, 1).await;
    next(&mut subscription).await.put_back().await.expect("reachable");
    let again = next(&mut subscription).await;
    assert!(again.redelivered && again.body == [0]);
}

async fn a_rejected_message_goes_to_the_dead_queue(made: &Made) {
    publish(made, 1).await;
    let mut subscription = subscribe(made, 1).await;
    next(&mut subscription).await.reject("nobody can read it").await.expect("reachable");
    has_depth(made, ready(0)).await;
    let mut dead = made.queue.subscribe(&jobs(made).dead(), 1).await.expect("reachable");
    assert_eq!(next(&mut dead).await.body, [0]);
}

async fn what_is_set_aside_says_whence_and_why(made: &Made) {
    publish(made, 2).await;
    let mut subscription = subscribe(made, 2).await;
    next(&mut subscription).await.reject("nobody can read it").await.expect("reachable");
    next(&mut subscription).await.park("of a later version").await.expect("reachable");
    for (queue, body, reason) in [(jobs(made).dead(), [0], "nobody can read it"), (jobs(made).parked(), [1], "of a later version")] {
        let mut aside = made.queue.subscribe(&queue, 1).await.expect("reachable");
        let delivery = next(&mut aside).await;
        let origin = Aside { from: jobs(made).to_string(), reason: reason.to_owned() };
        assert_eq!((delivery.body.as_slice(), delivery.aside.as_ref()), (&body[..], Some(&origin)));
        delivery.ack().await.expect("reachable");
    }
}

async fn a_delayed_message_is_not_early(made: &Made) {
    // Long enough to be seen waiting by depths that lag.
    let (start, delay) = (Instant::now(), Duration::from_secs(15));
    made.queue.publish_after(&jobs(made), b"late".to_vec(), delay).await.expect("reachable");
    publish(made, 1).await;
    has_depth(made, Depth { ready: 1, unacked: 0, delayed: 1 }).await;
    let mut subscription = subscribe(made, 4).await;
    let prompt = next(&mut subscription).await;
    assert_eq!(prompt.body, [0]);
    let late = next(&mut subscription).await;
    assert_eq!(late.body, b"late");
    assert!(start.elapsed() >= delay, "after {:?}", start.elapsed());
}

async fn an_oversized_message_is_refused_and_nothing_is_stored(made: &Made) {
    let huge = vec![0; MESSAGE_BYTES_MAX + 1];
    let refused = [
        made.queue.publish(&jobs(made), vec![b"small".to_vec(), huge.clone()]).await,
        made.queue.publish_urgent(&jobs(made), huge.clone()).await,
        made.queue.publish_after(&jobs(made), huge, Duration::ZERO).await,
    ];
    assert!(refused.iter().all(|result| matches!(result, Err(QueueError::Oversized { .. }))), "{refused:?}");
    has_depth(made, ready(0)).await;
    made.queue.publish(&jobs(made), vec![vec![0; MESSAGE_BYTES_MAX]]).await.expect("exactly the bound is allowed");
}

async fn queues_are_apart(made: &Made) {
    let campaign = || made.campaign.clone();
    let names = [
        QueueName::Jobs(campaign()),
        QueueName::Jobs(other(made)),
        QueueName::Candidates(campaign()),
        QueueName::Quarantine(campaign()),
        QueueName::QuarantineCandidates(campaign()),
        QueueName::Dead(campaign()),
    ];
    for name in &names {
        made.queue.publish(name, vec![name.to_string().into_bytes()]).await.expect("room");
    }
    for name in &names {
        let mut subscription = made.queue.subscribe(name, 2).await.expect("reachable");
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.body, name.to_string().into_bytes());
        delivery.ack().await.expect("reachable");
        assert!(has_none(&mut subscription).await);
    }
}

async fn two_subscribers_share_and_neither_gets_what_the_other_has(made: &Made) {
    publish(made, 40).await;
    let mut seen = vec![];
    let (mut left, mut right) = (subscribe(made, 2).await, subscribe(made, 2).await);
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

async fn a_removed_campaign_is_empty_and_can_begin_again(made: &Made) {
    publish(made, 3).await;
    made.queue.publish_after(&jobs(made), b"late".to_vec(), Duration::from_secs(2)).await.expect("reachable");
    made.queue.remove(&made.campaign).await.expect("reachable");
    made.queue.remove(&made.campaign).await.expect("a second time is no error");
    has_depth(made, ready(0)).await;
    made.queue.publish(&jobs(made), vec![b"fresh".to_vec()]).await.expect("reachable");
    let mut subscription = subscribe(made, 4).await;
    let delivery = next(&mut subscription).await;
    assert_eq!(delivery.body, b"fresh");
    delivery.ack().await.expect("reachable");
    assert!(timeout(Duration::from_secs(3), subscription.next()).await.is_err(), "nothing of before comes, at once or late");
}
