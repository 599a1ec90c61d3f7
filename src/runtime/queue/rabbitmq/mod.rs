//! The queue on RabbitMQ 3.10 and later: durable quorum queues, confirmed publishing, and our own supervision of two connections.
//!
//! At least once, by three habits: what is not confirmed is published again, what is not settled comes back, and what is set aside is copied
//! before it is acknowledged. Publishing and consuming go over connections of their own, because a broker short of memory or disk blocks
//! the one that publishes, and acknowledgements must go on. Not here: what a message means, and whether one came twice.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::wire::MESSAGE_BYTES_MAX;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{Depth, Queue, QueueError, QueueName, Subscription};

mod address;
mod again;
mod aside;
mod dial;
mod held;
mod link;
mod live;
mod management;
mod meters;
mod publisher;
mod refusal;
mod subscriber;
mod topology;
mod watchdog;

use address::Address;
use link::Link;
use management::Management;
use publisher::Publisher;
use subscriber::{Source, Subscriber};

/// How long an orderly end of both connections may take.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// How to reach brokers.
#[derive(Clone, PartialEq, Eq)]
pub struct AmqpSettings {
    /// `amqp://` or `amqps://` with user, password, host, port and virtual host; of several brokers of one cluster, tried in turn.
    pub urls: Vec<String>,
    /// `http://` or `https://` with user and password of the management API, for depths that know what is unacknowledged and for policies.
    pub management: Option<String>,
    /// The name the broker shows for our connections.
    pub name: String,
}

impl fmt::Debug for AmqpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One that cannot be read is not shown: there is no telling where in it the password is.
        let addresses: Vec<_> = self.urls.iter().filter_map(|url| Address::parse(url).ok()).collect();
        let has_management = self.management.is_some();
        f.debug_struct("AmqpSettings").field("urls", &addresses).field("has_management", &has_management).field("name", &self.name).finish()
    }
}

/// All queues at one broker.
pub struct RabbitQueue {
    publisher: Arc<Publisher>,
    subscriber: Subscriber,
    management: Option<Management>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Whoever lets go of the queue without closing it ends the connections too.
    _end: DropGuard,
}

impl fmt::Debug for RabbitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitQueue")
            .field("is_connected", &self.is_connected())
            .field("management", &self.management)
            .finish_non_exhaustive()
    }
}

impl RabbitQueue {
    /// Connects, for publishing and for consuming, and keeps both connections up until [`RabbitQueue::close`].
    ///
    /// # Errors
    /// [`QueueError::Unusable`] when the addresses cannot be read or a broker refuses us: wrong password, no such virtual host, a certificate
    /// nobody vouches for. [`QueueError::Unreachable`] when none answers; the caller decides whether to wait. Tests:
    /// `a_broker_that_refuses_us_says_what_to_mend`, `nobody_there_is_named_with_host_and_port`.
    pub async fn connect(settings: AmqpSettings) -> Result<Self, QueueError> {
        let addresses: Arc<[Address]> = settings.urls.iter().map(|url| Address::parse(url)).collect::<Result<Vec<_>, _>>()?.into();
        let Some(first) = addresses.first() else {
            return Err(QueueError::Unusable { queue: "broker".into(), reason: "no address is given; set SLUICE_AMQP_URL".into() });
        };
        meters::begin();
        let management = settings.management.as_deref().map(|url| Management::new(url, first.vhost())).transpose()?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let end = stop.clone().drop_guard();
        let publishing = Link::open("publishing", &settings.name, Arc::clone(&addresses), &tasks, stop.clone()).await?;
        let consuming = Link::open("consuming", &settings.name, addresses, &tasks, stop.clone()).await?;
        if let Some(management) = &management
            && let Err(error) = management.put_policies().await
        {
            tracing::warn!(%error, "policies were not set; delivery limits are the broker's own");
        }
        let publisher = Arc::new(Publisher::new(publishing));
        let subscriber = Subscriber { link: consuming, publisher: Arc::clone(&publisher), tasks: tasks.clone() };
        Ok(Self { publisher, subscriber, management, tasks, stop, _end: end })
    }

    /// Closes both connections. Deliveries in hands go back to the broker; whoever uses the queue afterwards is told that it is closed.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(CLOSE_MAX, self.tasks.wait()).await.is_err() {
            tracing::debug!("a connection did not end in order; the broker notices");
        }
    }

    /// Whether both connections stand at this moment.
    pub fn is_connected(&self) -> bool {
        self.publisher.link.is_up() && self.subscriber.link.is_up()
    }

    /// How full the queues of `campaign` are, in one question; those that do not exist are left out. [`Depth::delayed`] is counted for the
    /// campaign and the same in each. Without a management API, or while it does not answer, it is one question per queue, and what is
    /// unacknowledged or delayed counts as 0.
    ///
    /// # Errors
    /// When neither the management API nor the broker answers.
    pub async fn depths(&self, campaign: &str) -> Result<Vec<(QueueName, Depth)>, QueueError> {
        if let Some(found) = self.managed(campaign).await {
            let in_order = QueueName::all(campaign).into_iter();
            return Ok(in_order.filter_map(|queue| found.get(&queue).copied().map(|depth| (queue, depth))).collect());
        }
        let mut depths = Vec::new();
        for queue in QueueName::all(campaign) {
            if let Some(depth) = self.ready(&queue).await? {
                depths.push((queue, depth));
            }
        }
        Ok(depths)
    }

    /// Whether nothing is ready in any queue of `campaign`, there or not, as the broker itself says at this moment; the management API is
    /// some seconds late. What is unacknowledged or delayed it does not say.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn is_empty(&self, campaign: &str) -> Result<bool, QueueError> {
        for queue in QueueName::all(campaign) {
            if self.ready(&queue).await?.is_some_and(|depth| depth.ready > 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Receives messages that found no queue, which happens to delayed ones whose campaign was removed. Their origin names the queue they were
    /// for. Whoever coordinates acknowledges them when they are stale and publishes them again when they are not.
    ///
    /// # Errors
    /// As [`Queue::subscribe`].
    pub async fn unroutable(&self, slots: usize) -> Result<Subscription, QueueError> {
        self.subscriber.subscribe(Source::Unroutable, slots).await
    }

    /// What the management API says; `None` where there is none, or nobody answers there.
    async fn managed(&self, campaign: &str) -> Option<HashMap<QueueName, Depth>> {
        self.management.as_ref()?.depths_if_it_answers(campaign).await
    }

    async fn ready(&self, of: &QueueName) -> Result<Option<Depth>, QueueError> {
        let queue = of.to_string();
        // Over the connection that is never blocked.
        let ready = self.subscriber.link.live(&queue).await?.ready(&queue).await?;
        Ok(ready.map(|ready| Depth { ready: ready.into(), unacked: 0, delayed: 0 }))
    }
}

#[async_trait]
impl Queue for RabbitQueue {
    async fn publish(&self, to: &QueueName, bodies: Vec<Vec<u8>>) -> Result<(), QueueError> {
        bodies.iter().try_for_each(|body| check_size(to, body))?;
        self.publisher.publish(to, &bodies).await
    }

    async fn publish_urgent(&self, to: &QueueName, body: Vec<u8>) -> Result<(), QueueError> {
        check_size(to, &body)?;
        self.publisher.publish(to, &[body]).await
    }

    /// Waits in the shortest of five buckets (2, 5, 15, 60 and 300 s) that is long enough. No caller asks for more than 300 s: one that does
    /// gets 300.
    async fn publish_after(&self, to: &QueueName, body: Vec<u8>, delay: Duration) -> Result<(), QueueError> {
        check_size(to, &body)?;
        self.publisher.publish_after(to, body, delay).await
    }

    async fn subscribe(&self, from: &QueueName, slots: usize) -> Result<Subscription, QueueError> {
        let began = Instant::now();
        let subscribed = self.subscriber.subscribe(Source::Queue(from.clone()), slots).await;
        meters::asked("subscribe", began.elapsed());
        subscribed
    }

    /// By the management API, some seconds late, with [`Depth::delayed`] counted for the whole campaign. Without one, or while it does not
    /// answer, it is what is ready, at once; what is unacknowledged or delayed is then unknown and counts as 0.
    async fn depth(&self, of: &QueueName) -> Result<Depth, QueueError> {
        match self.managed(of.campaign()).await {
            Some(mut found) => Ok(found.remove(of).unwrap_or_default()),
            None => Ok(self.ready(of).await?.unwrap_or_default()),
        }
    }

    async fn remove(&self, campaign: &str) -> Result<(), QueueError> {
        let queue = format!("*.{campaign}");
        let (publishing, consuming) = (self.publisher.link.live(&queue).await?, self.subscriber.link.live(&queue).await?);
        publishing.forget(campaign);
        consuming.forget(campaign);
        // Over the connection that is never blocked.
        let channel = consuming.channel(&queue).await?;
        consuming.asked(&queue, topology::delete_campaign(&channel, campaign)).await
    }
}

fn check_size(to: &QueueName, body: &[u8]) -> Result<(), QueueError> {
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(QueueError::Oversized { queue: to.to_string(), bytes: body.len(), limit: MESSAGE_BYTES_MAX });
    }
    Ok(())
}
