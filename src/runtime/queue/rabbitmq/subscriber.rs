//! Receiving: one channel per subscription, as many unsettled deliveries as slots, and an end whenever something is wrong.
//!
//! A subscription never heals: it ends, and whoever wants more subscribes again. What the broker has delivered over a channel that is gone it
//! delivers again, and a worker that is still at it adopts the new delivery.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lapin::message::Delivery as Received;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::task::TaskTracker;

use super::held::{Desk, Held, Message, Return, Returns, keep};
use super::link::Link;
use super::live::Live;
use super::publisher::Publisher;
use super::watchdog::Watchdog;
use super::{again, aside, topology};
use crate::queue::{Aside, Delivery, QueueError, QueueName, Subscription};

/// How often it is looked whether the channel stands.
const LOOK: Duration = Duration::from_secs(1);
/// How long what was on its way when a subscription ended may take to arrive.
const LEFTOVERS_MAX: Duration = Duration::from_secs(5);

/// Whoever receives for this process.
#[derive(Clone)]
pub(super) struct Subscriber {
    pub(super) link: Link,
    pub(super) publisher: Arc<Publisher>,
    pub(super) tasks: TaskTracker,
}

/// What is received from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Queue(QueueName),
    Unroutable,
}

impl Subscriber {
    /// In a task of its own, because a caller may stop waiting: what it began would leave a consumer at the broker that nobody cancels, and
    /// messages with it that nobody has. Once it is whole and unwanted, it is given up as any subscription.
    pub(super) async fn subscribe(&self, source: Source, slots: usize) -> Result<Subscription, QueueError> {
        let subscriber = self.clone();
        let subscribing = self.tasks.spawn(async move { subscriber.subscribe_whole(source, slots).await });
        subscribing.await.unwrap_or_else(|error| {
            Err(QueueError::Unreachable { queue: "subscription".into(), reason: format!("subscribing ended early: {error}") })
        })
    }

    async fn subscribe_whole(&self, source: Source, slots: usize) -> Result<Subscription, QueueError> {
        let slots = u16::try_from(slots).unwrap_or(u16::MAX).max(1);
        let from = match &source {
            Source::Queue(queue) => queue.to_string(),
            Source::Unroutable => topology::UNROUTABLE.to_owned(),
        };
        let live = self.link.live(&from).await?;
        let (channel, consumer) = match consume(&live, &source, &from, slots).await {
            // Deleted since it was declared; the second time it is an error like any other.
            Err(QueueError::Unreachable { .. }) if live.is_up() => {
                if let Source::Queue(queue) = &source {
                    live.forget(queue.campaign());
                }
                consume(&live, &source, &from, slots).await?
            }
            consumed => consumed?,
        };
        // One is enough: what waits behind it waits with the client, where its end is noticed.
        let (sender, deliveries) = mpsc::channel(1);
        let (returns, returned) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk { from, live, publisher: Arc::clone(&self.publisher) });
        self.tasks.spawn(keep(Arc::clone(&desk), channel.clone(), returned));
        self.tasks.spawn(Forwarder { source, consumer, channel, sender, returns, slots: slots.into(), desk }.run());
        Ok(Subscription { deliveries })
    }
}

async fn consume(live: &Live, source: &Source, from: &str, slots: u16) -> Result<(Channel, Consumer), QueueError> {
    match source {
        Source::Queue(queue) => live.ensure(queue.campaign(), from).await?,
        Source::Unroutable => live.ensure_shared().await?,
    }
    let channel = live.channel(from).await?;
    live.asked(from, channel.basic_qos(slots, BasicQosOptions { global: false })).await?;
    let consuming = channel.basic_consume(from.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let consumer = live.asked(from, consuming).await?;
    Ok((channel, consumer))
}

/// Why a subscription ends.
enum End {
    /// Nobody receives any more.
    Unwanted,
    /// The broker, the channel or the connection ended it.
    Over,
    /// It brings nothing although there is something.
    Silent,
}

/// Moves deliveries from the client into a subscription.
struct Forwarder {
    source: Source,
    consumer: Consumer,
    channel: Channel,
    sender: mpsc::Sender<Delivery>,
    returns: Returns,
    slots: usize,
    desk: Arc<Desk>,
}

impl Forwarder {
    async fn run(mut self) {
        let end = self.forward().await;
        match end {
            End::Unwanted => self.give_back_leftovers().await,
            End::Over => tracing::debug!(queue = self.desk.from, "a subscription is over"),
            End::Silent => self.close_channel(),
        }
    }

    async fn forward(&mut self) -> End {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watchdog = Watchdog::new();
        loop {
            let received = async {
                let room = self.sender.reserve().await.ok()?;
                Some((room, self.consumer.next().await))
            };
            let received = tokio::select! {
                biased;
                () = self.sender.closed() => return End::Unwanted,
                () = self.desk.live.lost.cancelled() => return End::Over,
                received = received => received,
                _ = look.tick() => {
                    // The client may leave a stream waiting on a channel that is closed.
                    if !self.channel.status().connected() {
                        return End::Over;
                    }
                    let in_hands = self.returns.strong_count() - 1;
                    // Full, or it is the receiver who does not take what is there.
                    if in_hands >= self.slots || self.sender.capacity() == 0 {
                        watchdog.content();
                    }
                    if watchdog.is_silent(&self.desk.publisher.link, &self.desk.from).await {
                        return End::Silent;
                    }
                    continue;
                }
            };
            let Some((room, received)) = received else { return End::Unwanted };
            watchdog.content();
            match received {
                // Buffered when its channel ended: it is delivered again.
                Some(Ok(received)) if received.acker.poisoned() => {}
                Some(Ok(received)) => room.send(self.delivery(received)),
                Some(Err(error)) => {
                    tracing::debug!(queue = self.desk.from, %error, "a subscription ends");
                    return End::Over;
                }
                None => return End::Over,
            }
        }
    }

    fn delivery(&self, received: Received) -> Delivery {
        let origin = self.origin(received.routing_key.as_str(), &received.properties);
        let redelivered = received.redelivered || again::was_renewed(&received.properties);
        let held = self.hold(received);
        let body = held.message.as_ref().map(|message| message.body.clone()).unwrap_or_default();
        let desk = Arc::clone(&self.desk);
        let settler = Box::new(move |how| Box::pin(async move { desk.settle(held, how).await }) as _);
        let delivery = Delivery::new(body, redelivered, settler);
        match origin {
            Some(origin) => delivery.set_aside(origin),
            None => delivery,
        }
    }

    fn hold(&self, received: Received) -> Held {
        let home = match &self.source {
            Source::Queue(queue) => Some(queue.clone()),
            Source::Unroutable => QueueName::parse(received.routing_key.as_str()),
        };
        let is_renewed = match &self.source {
            Source::Queue(queue) => again::is_due(queue, &received.properties),
            Source::Unroutable => false,
        };
        let message = Message { acker: received.acker, body: received.data, home, is_renewed };
        Held { message: Some(message), returns: self.returns.clone() }
    }

    fn origin(&self, routing_key: &str, properties: &lapin::BasicProperties) -> Option<Aside> {
        match &self.source {
            Source::Queue(QueueName::Dead(_) | QueueName::Parked(_)) => Some(aside::origin(properties)),
            Source::Queue(_) => None,
            Source::Unroutable => Some(aside::unroutable(routing_key, properties)),
        }
    }

    fn close_channel(&self) {
        if self.returns.send(Return::Close).is_err() {
            tracing::trace!(queue = self.desk.from, "a channel is closed already");
        }
    }

    /// Tells the broker to stop, and gives back what it had sent meanwhile.
    async fn give_back_leftovers(&mut self) {
        let cancel = self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default());
        let is_cancelled = matches!(self.desk.live.answered(cancel).await, Some(Ok(())));
        let leftovers = async {
            while let Some(Ok(received)) = self.consumer.next().await {
                drop(self.hold(received));
            }
        };
        if !is_cancelled || timeout(LEFTOVERS_MAX, leftovers).await.is_err() {
            // Not in order: then all of it comes back with the channel, unless that is gone already.
            self.close_channel();
        }
    }
}
