//! A delivery in somebody's hands, and its way back to the broker.
//!
//! Every unsettled delivery owns an end of its channel's [`Returns`]: dropped unsettled it hands itself in, and when the last end is gone the
//! channel is closed. So a channel lives exactly as long as something that can only be settled over it. Returns are made one after the
//! other, which keeps their order.

use std::sync::Arc;

use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Acker, Channel};
use tokio::sync::mpsc;

use super::live::Live;
use super::publisher::Publisher;
use crate::queue::{Aside, QueueError, QueueName, Settle};

/// What the keeper of a channel is told.
pub(super) enum Return {
    /// Give this message back.
    Back(Message),
    /// Close the channel now; whatever is unsettled on it comes back.
    Close,
}

/// A message that the broker waits for.
pub(super) struct Message {
    pub(super) acker: Acker,
    pub(super) body: Vec<u8>,
    /// The queue it is for, where that is one of ours.
    pub(super) home: Option<QueueName>,
    /// Whether it is published afresh instead of being given back (`again.rs`).
    pub(super) is_renewed: bool,
}

/// The way back over one channel. Unbounded as a type and bounded in fact: there are never more unsettled deliveries than slots.
pub(super) type Returns = mpsc::UnboundedSender<Return>;

/// Keeps a channel open until nothing can be settled over it any more.
pub(super) async fn keep(desk: Arc<Desk>, channel: Channel, mut returns: mpsc::UnboundedReceiver<Return>) {
    loop {
        let next = tokio::select! {
            next = returns.recv() => next,
            () = desk.live.lost.cancelled() => return,
        };
        let Some(Return::Back(message)) = next else { break };
        if !desk.give_back(message).await {
            tracing::debug!(queue = desk.from, "a delivery could not be given back; with its channel it comes back by itself");
        }
    }
    if !matches!(desk.live.answered(channel.close(200, "done".into())).await, Some(Ok(()))) {
        tracing::debug!(queue = desk.from, "a channel was closed already");
    }
}

/// One unsettled delivery; `None` when it is settled.
pub(super) struct Held {
    pub(super) message: Option<Message>,
    pub(super) returns: Returns,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(message) = self.message.take() else { return };
        if self.returns.send(Return::Back(message)).is_err() {
            tracing::trace!("the channel of a delivery is gone, and the delivery has gone back with it");
        }
    }
}

/// Whose deliveries these are: what settling them needs, once per subscription.
pub(super) struct Desk {
    /// The name of the queue they come from.
    pub(super) from: String,
    pub(super) live: Arc<Live>,
    pub(super) publisher: Arc<Publisher>,
}

impl Desk {
    /// Settles what is held. Until it is settled, dropping this future gives it back.
    pub(super) async fn settle(&self, mut held: Held, how: Settle) -> Result<(), QueueError> {
        let Some(message) = &held.message else { return Ok(()) };
        let is_settled = match (how, &message.home) {
            (Settle::Ack, _) => self.ack(&message.acker).await,
            (Settle::Return, _) => self.nack(&message.acker).await,
            (Settle::Reject(reason), Some(home)) => self.set_aside(message, &home.dead(), reason).await?,
            (Settle::Park(reason), Some(home)) => self.set_aside(message, &home.parked(), reason).await?,
            (Settle::Reject(_) | Settle::Park(_), None) => {
                return Err(QueueError::Unusable { queue: self.from.clone(), reason: "the message belongs to no campaign".into() });
            }
        };
        held.message = None;
        if is_settled {
            return Ok(());
        }
        let reason = "the connection it came over is gone; it is delivered again".to_owned();
        Err(QueueError::Unreachable { queue: self.from.clone(), reason })
    }

    /// The copy first: a message may be in two queues for a moment, never in none.
    async fn set_aside(&self, message: &Message, to: &QueueName, reason: String) -> Result<bool, QueueError> {
        let origin = Aside { from: self.from.clone(), reason };
        self.publisher.publish_aside(to, &message.body, &origin).await?;
        Ok(self.ack(&message.acker).await)
    }

    async fn give_back(&self, message: Message) -> bool {
        if let Some(home) = message.home.as_ref().filter(|_| message.is_renewed) {
            match self.publisher.renew(home, &message.body).await {
                Ok(()) => return self.ack(&message.acker).await,
                Err(error) => tracing::debug!(%error, "a message is given back without being published afresh"),
            }
        }
        self.nack(&message.acker).await
    }

    /// Whether it is settled: the client says "no" without an error when the channel is gone.
    async fn ack(&self, acker: &Acker) -> bool {
        matches!(self.live.timed("ack", acker.ack(BasicAckOptions::default())).await, Some(Ok(true)))
    }

    async fn nack(&self, acker: &Acker) -> bool {
        let options = BasicNackOptions { requeue: true, multiple: false };
        matches!(self.live.answered(acker.nack(options)).await, Some(Ok(true)))
    }
}
