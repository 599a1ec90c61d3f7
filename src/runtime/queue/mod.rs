//! The queue port: at-least-once delivery of small messages, settled one by one.
//!
//! A [`Delivery`] is consumed by what is done with it, so it can be neither settled twice nor forgotten in the code; one that is dropped
//! unsettled (its task died) comes back. What a queue never does: keep more than its bound in memory, or decide what a message means.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

pub mod memory;
pub mod rabbitmq;
mod shelf;

/// A queue by what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueName {
    /// Jobs of a campaign, to synthesise.
    Jobs(String),
    /// Candidates and seals of a campaign, to filter.
    Candidates(String),
    /// Jobs of a campaign that are suspected of killing workers; served one at a time.
    Quarantine(String),
    /// As [`QueueName::Quarantine`] for candidates and seals: the messages of the two stages must not mix.
    QuarantineCandidates(String),
    /// What nobody could decode or settle; drained by whoever coordinates.
    Dead(String),
    /// Messages of a version that no worker here reads; they come back when one does.
    Parked(String),
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jobs(campaign) => write!(f, "jobs.{campaign}"),
            Self::Candidates(campaign) => write!(f, "candidates.{campaign}"),
            Self::Quarantine(campaign) => write!(f, "quarantine.{campaign}"),
            Self::QuarantineCandidates(campaign) => write!(f, "quarantine-candidates.{campaign}"),
            Self::Dead(campaign) => write!(f, "dead.{campaign}"),
            Self::Parked(campaign) => write!(f, "parked.{campaign}"),
        }
    }
}

impl QueueName {
    /// The campaign whose queue it is.
    pub fn campaign(&self) -> &str {
        match self {
            Self::Jobs(campaign)
            | Self::Candidates(campaign)
            | Self::Quarantine(campaign)
            | Self::QuarantineCandidates(campaign)
            | Self::Dead(campaign)
            | Self::Parked(campaign) => campaign,
        }
    }

    /// Every queue of a campaign.
    pub fn all(campaign: &str) -> [Self; 6] {
        [Self::Jobs, Self::Candidates, Self::Quarantine, Self::QuarantineCandidates, Self::Dead, Self::Parked]
            .map(|queue| queue(campaign.to_owned()))
    }

    /// The queue that is displayed as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, campaign) = text.split_once('.')?;
        Self::all(campaign).into_iter().find(|queue| queue.to_string() == text)
    }

    /// Where messages from here go that nobody can use.
    pub fn dead(&self) -> Self {
        Self::Dead(self.campaign().to_owned())
    }

    /// Where messages from here wait for a worker of a later version.
    pub fn parked(&self) -> Self {
        Self::Parked(self.campaign().to_owned())
    }

    /// Where messages from here go whose work is suspected of killing workers.
    pub fn quarantine(&self) -> Self {
        match self {
            Self::Candidates(campaign) | Self::QuarantineCandidates(campaign) => Self::QuarantineCandidates(campaign.clone()),
            Self::Jobs(campaign) | Self::Quarantine(campaign) | Self::Dead(campaign) | Self::Parked(campaign) => {
                Self::Quarantine(campaign.clone())
            }
        }
    }

    /// Whether it is served one at a time.
    pub fn is_quarantine(&self) -> bool {
        matches!(self, Self::Quarantine(_) | Self::QuarantineCandidates(_))
    }
}

/// The queues at a broker.
///
/// # Errors
/// [`QueueError::Unusable`] when the settings cannot be right, [`QueueError::Unreachable`] when nobody answers at the moment.
pub async fn connect(settings: rabbitmq::AmqpSettings) -> Result<std::sync::Arc<rabbitmq::RabbitQueue>, QueueError> {
    rabbitmq::RabbitQueue::connect(settings).await.map(std::sync::Arc::new)
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting to be delivered.
    pub ready: u64,
    /// Delivered and not settled.
    pub unacked: u64,
    /// Waiting for their delay to pass.
    pub delayed: u64,
}

/// Trouble with a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The broker cannot be reached at the moment; nothing is lost, try again.
    #[error("reach queue {queue}: {reason}")]
    Unreachable {
        /// Which.
        queue: String,
        /// Why.
        reason: String,
    },
    /// The queue is closed for good: the process shuts down.
    #[error("use queue {queue}: it is closed")]
    Closed {
        /// Which.
        queue: String,
    },
    /// The broker refuses us, or what it has under this name is not what we declare; trying again does not help until somebody mends it.
    #[error("use queue {queue}: {reason}")]
    Unusable {
        /// Which.
        queue: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The message is larger than a message may be.
    #[error("publish to {queue}: {bytes} bytes are more than the {limit} a message may have")]
    Oversized {
        /// Which queue.
        queue: String,
        /// The message's size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
}

/// The port.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Publishes messages in order and returns when all are confirmed. Waits while the queue is full. After an error some of them may have
    /// been stored: publish all of them again.
    async fn publish(&self, to: &QueueName, bodies: Vec<Vec<u8>>) -> Result<(), QueueError>;

    /// As [`Queue::publish`] for one message that must not wait for room, because whoever drains the queue is the one who publishes.
    async fn publish_urgent(&self, to: &QueueName, body: Vec<u8>) -> Result<(), QueueError>;

    /// Publishes one message that is delivered after `delay` at the earliest.
    async fn publish_after(&self, to: &QueueName, body: Vec<u8>, delay: Duration) -> Result<(), QueueError>;

    /// Starts to receive, holding at most `slots` unsettled deliveries.
    async fn subscribe(&self, from: &QueueName, slots: usize) -> Result<Subscription, QueueError>;

    /// How full the queue is. A broker may say so some seconds late.
    async fn depth(&self, of: &QueueName) -> Result<Depth, QueueError>;

    /// Removes all queues of a campaign, with whatever is in them: it is over.
    async fn remove(&self, campaign: &str) -> Result<(), QueueError>;
}

/// What a subscriber receives from. Dropping it ends the subscription; deliveries still buffered come back.
#[derive(Debug)]
pub struct Subscription {
    pub(crate) deliveries: mpsc::Receiver<Delivery>,
}

impl Subscription {
    /// The next delivery; `None` when the queue is closed or the connection is gone, which calls for a new subscription.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }
}

/// What is done with a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// Its effects are durable.
    Ack,
    /// It stays in the queue and is delivered again, at once.
    Return,
    /// It goes to the dead queue with a reason.
    Reject(String),
    /// It goes to the parked queue with a reason.
    Park(String),
}

/// Where a message of a dead or parked queue comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The queue it was taken from, as displayed; empty when the broker does not say.
    pub from: String,
    /// Why it was set aside.
    pub reason: String,
}

type Settler = Box<dyn FnOnce(Settle) -> BoxFuture<'static, Result<(), QueueError>> + Send>;

/// One message in our hands.
pub struct Delivery {
    /// The message.
    pub body: Vec<u8>,
    /// Whether it was delivered before, as far as the broker knows.
    pub redelivered: bool,
    /// Whence and why it is here, where it was set aside.
    pub aside: Option<Aside>,
    settler: Settler,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("bytes", &self.body.len()).field("redelivered", &self.redelivered).finish_non_exhaustive()
    }
}

impl Delivery {
    /// A delivery that `settler` settles. A settler dropped uncalled must bring the message back; adapters see to it with a value that the
    /// settler owns.
    pub(crate) fn new(body: Vec<u8>, redelivered: bool, settler: Settler) -> Self {
        Self { body, redelivered, aside: None, settler }
    }

    /// The same delivery, which was set aside before.
    pub(crate) fn set_aside(mut self, aside: Aside) -> Self {
        self.aside = Some(aside);
        self
    }

    async fn settle(self, how: Settle) -> Result<(), QueueError> {
        (self.settler)(how).await
    }

    /// Done: its effects are durable and what follows is confirmed.
    pub async fn ack(self) -> Result<(), QueueError> {
        self.settle(Settle::Ack).await
    }

    /// Not now: it stays in the queue. Never in a loop; a retry is a copy in a delay queue.
    pub async fn put_back(self) -> Result<(), QueueError> {
        self.settle(Settle::Return).await
    }

    /// Too new for this build: to the parked queue.
    pub async fn park(self, reason: impl Into<String> + Send) -> Result<(), QueueError> {
        self.settle(Settle::Park(reason.into())).await
    }

    /// Nobody can use it: to the dead queue.
    pub async fn reject(self, reason: impl Into<String> + Send) -> Result<(), QueueError> {
        self.settle(Settle::Reject(reason.into())).await
    }
}
