//! What the RabbitMQ adapter does when broker and connections do not behave: closed, killed, blocking, refusing, silent.
//!
//! What every queue must do is in tests/contract/queue.rs. Whoever breaks a broker here has one of its own.

use std::collections::HashSet;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::queue::rabbitmq::{AmqpSettings, RabbitQueue};
use runtime::{Delivery, Depth, Queue, QueueError, QueueName, Subscription, random_id};
use tokio::time::timeout;

use crate::services::{OwnBroker, amqp_url, management_url};

const CLOSE_ALL: &str = "[rabbit_networking:close_connection(Pid, \"a test\") || Pid <- rabbit_networking:connections()].";

fn settings(urls: Vec<String>, management: Option<String>) -> AmqpSettings {
    AmqpSettings { urls, management, name: "tests".into() }
}

async fn connect(urls: Vec<String>, management: Option<String>) -> Arc<RabbitQueue> {
    runtime::queue::connect(settings(urls, management)).await.expect("a broker")
}

async fn shared() -> Arc<RabbitQueue> {
    connect(vec![amqp_url()], Some(management_url())).await
}

async fn own(broker: &OwnBroker) -> Arc<RabbitQueue> {
    connect(vec![broker.url().to_owned()], Some(broker.management_url().to_owned())).await
}

fn campaign() -> String {
    format!("rabbit-{}", random_id().expect("randomness"))
}

fn jobs(campaign: &str) -> QueueName {
    QueueName::Jobs(campaign.to_owned())
}

async fn next(subscription: &mut Subscription) -> Delivery {
    timeout(Duration::from_secs(60), subscription.next()).await.expect("a delivery in time").expect("an open queue")
}

/// Subscribes as a worker does: again and again.
async fn subscribe(queue: &RabbitQueue, from: &QueueName, slots: usize) -> Subscription {
    let began = Instant::now();
    loop {
        match queue.subscribe(from, slots).await {
            Ok(subscription) => return subscription,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(60), "{error}"),
        }
    }
}

async fn has_depth(queue: &RabbitQueue, of: &QueueName, expected: Depth) {
    let began = Instant::now();
    loop {
        let found = queue.depth(of).await.expect("reachable");
        if found == expected {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{found:?} where {expected:?} was expected");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_reported_as_published_is_there_though_connections_were_closed_meanwhile() {
    const MESSAGES: u32 = 100_000;
    const BATCH: usize = 5000;
    let broker = OwnBroker::start();
    let queue = own(&broker).await;
    let name = jobs("closings");
    let publishing = tokio::spawn({
        let (queue, name) = (Arc::clone(&queue), name.clone());
        async move {
            let numbers: Vec<u32> = (0..MESSAGES).collect();
            for batch in numbers.chunks(BATCH) {
                let bodies: Vec<Vec<u8>> = batch.iter().map(|number| number.to_be_bytes().to_vec()).collect();
                let began = Instant::now();
                // As callers do: after an error all of it again.
                while let Err(error) = queue.publish(&name, bodies.clone()).await {
                    assert!(began.elapsed() < Duration::from_secs(60), "{error}");
                }
            }
        }
    });
    let mut closings = 0;
    while !publishing.is_finished() {
        broker.eval(CLOSE_ALL);
        closings += 1;
    }
    publishing.await.expect("no panic");
    assert!(closings >= 3, "connections were closed {closings} times");

    let mut subscription = subscribe(&queue, &name, 1000).await;
    let (mut seen, mut twice) = (HashSet::new(), 0);
    while seen.len() < MESSAGES as usize {
        let Some(delivery) = timeout(Duration::from_secs(30), subscription.next()).await.expect("nothing is missing") else {
            subscription = subscribe(&queue, &name, 1000).await;
            continue;
        };
        let number = u32::from_be_bytes(delivery.body.as_slice().try_into().expect("four bytes"));
        if !seen.insert(number) {
            twice += 1;
        }
        delivery.ack().await.expect("nobody closes connections any more");
    }
    println!("{closings} closings, {twice} messages stored twice");
    assert!(twice < MESSAGES / 10, "a lost confirm costs a window, not a batch: {twice}");
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_was_killed_delivers_again_what_was_held() {
    let broker = OwnBroker::start();
    let queue = own(&broker).await;
    let name = jobs("killed");
    queue.publish(&name, (0..10_u8).map(|number| vec![number]).collect()).await.expect("confirmed");
    let mut subscription = subscribe(&queue, &name, 4).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(next(&mut subscription).await);
    }
    broker.kill9();
    assert!(timeout(Duration::from_secs(10), subscription.next()).await.expect("it ends by itself").is_none());
    assert!(!queue.is_connected());
    let error = held.pop().expect("four").ack().await.expect_err("there is no broker");
    assert!(error.to_string().contains("delivered again"), "{error}");
    let error = queue.publish_urgent(&name, vec![99]).await.expect_err("there is no broker");
    assert!(matches!(error, QueueError::Unreachable { .. }), "{error}");
    broker.restart();
    let mut subscription = subscribe(&queue, &name, 10).await;
    let (mut seen, mut again) = (HashSet::new(), 0);
    for _ in 0..10 {
        let delivery = next(&mut subscription).await;
        again += u8::from(delivery.redelivered);
        assert!(seen.insert(delivery.body[0]), "each once");
        delivery.ack().await.expect("the broker is back");
    }
    assert!(again >= 4, "{again} are marked");
    // Both connections are back, the one that nobody has waited for too.
    queue.publish_urgent(&name, vec![100]).await.expect("the broker is back");
    assert!(queue.is_connected());
    next(&mut subscription).await.ack().await.expect("the broker is back");
    // Those of the lost connection are dropped here, which must disturb nobody.
    drop(held);
    has_depth(&queue, &name, Depth::default()).await;
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_timeout_ends_the_subscription_and_the_message_comes_again() {
    let broker = OwnBroker::start();
    broker.eval("application:set_env(rabbit, consumer_timeout, 3000), application:set_env(rabbit, channel_tick_interval, 1000).");
    let queue = own(&broker).await;
    let name = jobs("slow");
    queue.publish(&name, vec![b"slow".to_vec()]).await.expect("confirmed");
    let mut subscription = subscribe(&queue, &name, 1).await;
    let slow = next(&mut subscription).await;
    let ended = timeout(Duration::from_secs(30), subscription.next()).await.expect("it ends by itself");
    assert!(ended.is_none() && queue.is_connected(), "only the channel is gone");
    let mut subscription = subscribe(&queue, &name, 1).await;
    let again = next(&mut subscription).await;
    assert!(again.redelivered && again.body == b"slow");
    slow.ack().await.expect_err("its channel is gone");
    again.ack().await.expect("in time");
    has_depth(&queue, &name, Depth::default()).await;
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_silent_ends_and_the_next_one_is_served() {
    let broker = OwnBroker::start();
    let queue = own(&broker).await;
    let name = jobs("silent");
    queue.publish(&name, vec![vec![0]]).await.expect("confirmed");
    let mut subscription = subscribe(&queue, &name, 2).await;
    next(&mut subscription).await.ack().await.expect("reachable");
    // The process inside the broker that serves the subscription stops, and nothing tells us. Whoever stops it must live.
    let stop = "fun(Pid) -> spawn(fun() -> erlang:suspend_process(Pid), timer:sleep(infinity) end) end";
    broker.eval(&format!("lists:foreach({stop}, [proplists:get_value(channel_pid, C) || C <- rabbit_amqqueue:consumers_all(<<\"/\">>)])."));
    queue.publish(&name, (1..10_u8).map(|number| vec![number]).collect()).await.expect("confirmed");
    let ended = timeout(Duration::from_secs(100), subscription.next()).await.expect("it ends by itself");
    assert!(ended.is_none());
    let mut subscription = subscribe(&queue, &name, 2).await;
    next(&mut subscription).await.ack().await.expect("reachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_wait_while_the_broker_blocks_them_and_acknowledgements_go_on() {
    let broker = OwnBroker::start();
    let queue = own(&broker).await;
    let name = jobs("blocked");
    queue.publish(&name, vec![b"before".to_vec()]).await.expect("confirmed");
    let mut subscription = subscribe(&queue, &name, 1).await;
    let before = next(&mut subscription).await;
    broker.eval("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}).");
    let publishing = tokio::spawn({
        let (queue, name) = (Arc::clone(&queue), name.clone());
        async move { queue.publish(&name, (0..100_u8).map(|number| vec![number]).collect()).await }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!publishing.is_finished(), "the broker takes nothing");
    before.ack().await.expect("acknowledgements go on");
    has_depth(&queue, &name, Depth::default()).await;
    broker.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()}).");
    timeout(Duration::from_secs(20), publishing).await.expect("in time").expect("no panic").expect("confirmed");
    for number in 0..100_u8 {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.body, [number]);
        delivery.ack().await.expect("reachable");
    }
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_queue_is_kept_and_what_finds_another_kind_is_told() {
    let broker = OwnBroker::start();
    let queue = own(&broker).await;
    let name = jobs("gone");
    // Long enough for the queue to be gone before.
    queue.publish_after(&name, b"late".to_vec(), Duration::from_secs(15)).await.expect("confirmed");
    broker.eval(
        "{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"jobs.gone\">>)), \
         rabbit_amqqueue:delete(Q, false, false, <<\"test\">>).",
    );
    let mut unroutable = queue.unroutable(2).await.expect("reachable");
    let late = next(&mut unroutable).await;
    let origin = late.aside.clone().expect("an origin");
    assert_eq!((late.body.as_slice(), origin.from.as_str()), (&b"late"[..], "jobs.gone"));
    assert!(origin.reason.contains("delay.gone.15"), "{}", origin.reason);
    // Rejected, it goes to the dead queue of the campaign it was for.
    late.reject("its queue is gone").await.expect("reachable");
    let mut dead = subscribe(&queue, &name.dead(), 1).await;
    let delivery = next(&mut dead).await;
    assert_eq!(delivery.aside.as_ref().map(|aside| aside.reason.as_str()), Some("its queue is gone"));
    delivery.ack().await.expect("reachable");

    let declare = "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"jobs.classic\">>), true, false, [], none, <<\"test\">>).";
    broker.eval(declare);
    let error = queue.publish(&jobs("classic"), vec![b"x".to_vec()]).await.expect_err("a queue of another kind");
    let is_told =
        matches!(&error, QueueError::Unusable { queue, reason } if queue == "jobs.classic" && reason.contains("inequivalent arg"));
    assert!(is_told, "{error}");
    queue.close().await;
}

#[tokio::test]
async fn what_is_delivered_too_often_goes_to_the_dead_queue_with_its_origin() {
    let (queue, campaign) = (shared().await, campaign());
    queue.publish(&jobs(&campaign), vec![b"again and again".to_vec()]).await.expect("confirmed");
    let mut subscription = subscribe(&queue, &jobs(&campaign), 1).await;
    let mut dead = subscribe(&queue, &jobs(&campaign).dead(), 1).await;
    let mut deliveries = 0;
    let buried = loop {
        tokio::select! {
            delivery = next(&mut subscription) => {
                deliveries += 1;
                assert!(deliveries < 200, "the broker has a limit");
                delivery.put_back().await.expect("reachable");
            }
            buried = next(&mut dead) => break buried,
        }
    };
    let origin = buried.aside.clone().expect("an origin");
    assert_eq!((deliveries, origin.from), (51, jobs(&campaign).to_string()));
    assert!(origin.reason.contains("delivery_limit"), "{}", origin.reason);
    buried.ack().await.expect("reachable");
    queue.remove(&campaign).await.expect("reachable");
}

#[tokio::test]
async fn what_is_given_back_in_good_order_is_never_delivered_too_often() {
    let (queue, campaign) = (shared().await, campaign());
    let name = jobs(&campaign);
    queue.publish(&name, (0..8_u8).map(|number| vec![number]).collect()).await.expect("confirmed");
    // More often than the limit of deliveries: so a worker behaves whose dependencies are down.
    for _ in 0..60 {
        let mut subscription = subscribe(&queue, &name, 8).await;
        drop((next(&mut subscription).await, next(&mut subscription).await));
        drop(subscription);
    }
    let mut subscription = subscribe(&queue, &name, 8).await;
    let mut seen = HashSet::new();
    for _ in 0..8 {
        let delivery = next(&mut subscription).await;
        assert!(delivery.redelivered && seen.insert(delivery.body[0]), "each once, and marked");
        delivery.ack().await.expect("reachable");
    }
    for name in [name.dead(), name] {
        has_depth(&queue, &name, Depth::default()).await;
    }
    queue.remove(&campaign).await.expect("reachable");
}

#[tokio::test]
async fn a_campaign_removed_by_another_process_is_declared_anew() {
    let (one, other, campaign) = (shared().await, shared().await, campaign());
    let name = jobs(&campaign);
    one.publish(&name, vec![b"old".to_vec()]).await.expect("confirmed");
    let mut subscription = subscribe(&one, &name, 1).await;
    let held = next(&mut subscription).await;
    other.remove(&campaign).await.expect("reachable");
    assert!(timeout(Duration::from_secs(10), subscription.next()).await.expect("the broker ends it").is_none());
    drop(held);
    one.publish_after(&name, b"late".to_vec(), Duration::from_secs(1)).await.expect("declared anew");
    one.publish_urgent(&name, b"new".to_vec()).await.expect("declared anew");
    let mut subscription = subscribe(&one, &name, 2).await;
    for expected in [&b"new"[..], b"late"] {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.body, expected);
        delivery.ack().await.expect("reachable");
    }
    one.remove(&campaign).await.expect("reachable");
}

#[tokio::test]
async fn depths_are_told_with_a_management_api_and_without() {
    let (with, campaign) = (shared().await, campaign());
    let without = connect(vec![amqp_url()], None).await;
    let name = jobs(&campaign);
    assert_eq!(without.depth(&name).await.expect("reachable"), Depth::default(), "asking declares nothing");
    assert!(with.depths(&campaign).await.expect("reachable").is_empty());
    with.publish(&name, vec![vec![1], vec![2], vec![3]]).await.expect("confirmed");
    with.publish_after(&name, vec![4], Duration::from_secs(300)).await.expect("confirmed");
    let mut subscription = subscribe(&with, &name, 1).await;
    let held = next(&mut subscription).await;
    has_depth(&with, &name, Depth { ready: 2, unacked: 1, delayed: 1 }).await;
    assert_eq!(without.depth(&name).await.expect("reachable"), Depth { ready: 2, unacked: 0, delayed: 0 });
    for (queue, most) in [(&with, 1), (&without, 0)] {
        let depths = queue.depths(&campaign).await.expect("reachable");
        assert_eq!(depths.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), QueueName::all(&campaign));
        assert_eq!(depths[0].1, Depth { ready: 2, unacked: most, delayed: most });
    }
    held.ack().await.expect("reachable");
    with.remove(&campaign).await.expect("reachable");
}

#[tokio::test]
async fn a_broker_that_refuses_us_says_what_to_mend() {
    let url = amqp_url();
    let (credentials, host) = url.strip_prefix("amqp://").and_then(|rest| rest.split_once('@')).expect("a URL with credentials");
    let (user, password) = credentials.split_once(':').expect("user and password");
    let place = host.split('/').next().expect("a place");
    let wrong = format!("amqp://{user}:not-{password}@{host}");
    let nowhere = format!("amqp://{credentials}@{place}/nowhere");
    for (url, needle) in [(wrong, user), (nowhere, "nowhere"), (String::from("http://hunter2"), "amqp[s]://")] {
        let error = RabbitQueue::connect(settings(vec![url], None)).await.expect_err("refused");
        let text = error.to_string();
        assert!(matches!(error, QueueError::Unusable { .. }) && text.contains(needle), "{text}");
        assert!(!text.contains(password) && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn nobody_there_is_named_with_host_and_port() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let error = RabbitQueue::connect(settings(vec![format!("amqp://u:p@127.0.0.1:{port}")], None)).await.expect_err("nobody");
    assert!(matches!(error, QueueError::Unreachable { .. }) && error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_is_given_up_and_its_socket_closed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let peer = tokio::task::spawn_blocking(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let mut said = Vec::new();
        stream.read_to_end(&mut said).expect("the caller ends the connection");
        said
    });
    let error = RabbitQueue::connect(settings(vec![format!("amqp://u:p@127.0.0.1:{port}")], None)).await.expect_err("silence");
    assert!(matches!(&error, QueueError::Unreachable { reason, .. } if reason.contains("did not answer")), "{error}");
    assert!(peer.await.expect("no panic").starts_with(b"AMQP"));
}

#[tokio::test]
async fn of_several_addresses_one_that_answers_is_enough() {
    let campaign = campaign();
    let queue = connect(vec!["amqp://u:p@127.0.0.1:1".into(), amqp_url()], Some(management_url())).await;
    queue.publish(&jobs(&campaign), vec![b"x".to_vec()]).await.expect("confirmed");
    queue.remove(&campaign).await.expect("reachable");
}

#[tokio::test]
async fn a_closed_queue_says_so_and_gives_back_what_is_held() {
    let (queue, other, campaign) = (shared().await, shared().await, campaign());
    let name = jobs(&campaign);
    queue.publish(&name, vec![b"held".to_vec(), b"buffered".to_vec()]).await.expect("confirmed");
    let mut subscription = subscribe(&queue, &name, 2).await;
    let held = next(&mut subscription).await;
    queue.close().await;
    assert!(!queue.is_connected());
    held.ack().await.expect_err("the connection is gone");
    let closed = [
        queue.publish(&name, vec![b"x".to_vec()]).await.expect_err("closed"),
        queue.subscribe(&name, 1).await.expect_err("closed"),
        queue.remove(&campaign).await.expect_err("closed"),
    ];
    assert!(closed.iter().all(|error| matches!(error, QueueError::Closed { .. })), "{closed:?}");
    let mut subscription = subscribe(&other, &name, 2).await;
    for expected in [&b"held"[..], b"buffered"] {
        assert_eq!(next(&mut subscription).await.body, expected);
    }
    other.remove(&campaign).await.expect("reachable");
}
