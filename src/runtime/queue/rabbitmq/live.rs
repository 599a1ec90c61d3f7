//! One connection from its first to its last moment: an epoch. What is known of the broker (which queues were declared, which channels are at
//! rest) is known for the epoch and forgotten with it.
//!
//! Every question put to the broker goes through [`Live::answered`], because the client may leave one unanswered for ever.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use lapin::options::{ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Event};
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::dial::Socket;
use super::refusal::{is_absent, trouble};
use super::{meters, topology};
use crate::queue::QueueError;

/// How long an answer may take. A broker that says nothing for so long is as good as gone.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether the connection stands: the client announces most ends, not all.
const LOOK: Duration = Duration::from_millis(200);
/// How long an orderly end may take.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// Channels at rest that are kept for the next publisher.
const IDLE_MAX: usize = 16;

/// A connection.
pub(super) struct Live {
    link: &'static str,
    connection: Connection,
    socket: Socket,
    /// Cancelled when the connection is known to be over.
    pub(super) lost: CancellationToken,
    is_blocked: watch::Sender<bool>,
    shared: OnceCell<()>,
    campaigns: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    idle: Mutex<Vec<Channel>>,
}

impl Live {
    pub(super) fn new(link: &'static str, connection: Connection, socket: Socket) -> Self {
        Self {
            link,
            connection,
            socket,
            lost: CancellationToken::new(),
            is_blocked: watch::Sender::new(false),
            shared: OnceCell::new(),
            campaigns: Mutex::default(),
            idle: Mutex::default(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        !self.lost.is_cancelled() && self.connection.status().connected()
    }

    /// Returns when the connection is over, with the reason as far as it is known. Notes meanwhile whether the broker lets us publish.
    pub(super) async fn over(&self) -> String {
        let mut events = pin!(self.connection.events_listener());
        // Shown from the beginning, so that the first time can be told from never.
        self.block(false);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reason = "the connection was closed".to_owned();
        while self.is_up() {
            let event = tokio::select! {
                Some(event) = events.next() => event,
                _ = look.tick() => continue,
            };
            match event {
                Event::ConnectionBlocked(why) => {
                    tracing::warn!(link = self.link, why, "the broker takes no messages for now; publishers wait");
                    self.block(true);
                }
                Event::ConnectionUnblocked => {
                    tracing::info!(link = self.link, "the broker takes messages again");
                    self.block(false);
                }
                Event::Error(error) => reason = error.to_string(),
                _ => {}
            }
        }
        self.block(false);
        reason
    }

    fn block(&self, is_blocked: bool) {
        self.is_blocked.send_replace(is_blocked);
        meters::blocked(self.link, is_blocked);
    }

    /// Waits until the broker takes messages. Without a bound of its own: room is the broker's to give, and a connection that is lost ends it.
    pub(super) async fn room(&self) {
        let mut is_blocked = self.is_blocked.subscribe();
        tokio::select! {
            // The sender lives as long as we do.
            _ = is_blocked.wait_for(|is_blocked| !is_blocked) => {}
            () = self.lost.cancelled() => {}
        }
    }

    /// What the broker answers; `None` when the connection is over or nothing came in time. Time during which the broker has blocked us does
    /// not count.
    pub(super) async fn answered<T>(&self, question: impl Future<Output = T>) -> Option<T> {
        let mut question = pin!(question);
        loop {
            tokio::select! {
                biased;
                answer = &mut question => return Some(answer),
                () = self.lost.cancelled() => return None,
                () = tokio::time::sleep(ANSWER_MAX) => {
                    if !*self.is_blocked.borrow() {
                        return None;
                    }
                }
            }
        }
    }

    /// As [`Live::answered`], with what went wrong in terms of `queue`.
    pub(super) async fn asked<T>(&self, queue: &str, question: impl Future<Output = lapin::Result<T>>) -> Result<T, QueueError> {
        understood(queue, self.answered(question).await)
    }

    /// As [`Live::answered`], measured as `op`.
    pub(super) async fn timed<T>(&self, op: &'static str, question: impl Future<Output = T>) -> Option<T> {
        let began = Instant::now();
        let answer = self.answered(question).await;
        meters::asked(op, began.elapsed());
        answer
    }

    /// A channel of its own, closed when the last clone of it is dropped.
    pub(super) async fn channel(&self, queue: &str) -> Result<Channel, QueueError> {
        self.asked(queue, self.connection.create_channel()).await
    }

    /// A channel on which every message is confirmed, for one publisher at a time.
    pub(super) async fn publishing_channel(&self, queue: &str) -> Result<Channel, QueueError> {
        let idle = self.idle().pop();
        if let Some(channel) = idle.filter(|channel| channel.status().connected()) {
            return Ok(channel);
        }
        let channel = self.channel(queue).await?;
        self.asked(queue, channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    /// Takes back a channel on which nothing is unconfirmed.
    pub(super) fn rest(&self, channel: Channel) {
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(channel);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Channel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that what all campaigns share is declared.
    pub(super) async fn ensure_shared(&self) -> Result<(), QueueError> {
        let declare = || async {
            let channel = self.channel(topology::UNROUTABLE).await?;
            understood(topology::UNROUTABLE, self.timed("declare", topology::declare_shared(&channel)).await)
        };
        self.shared.get_or_try_init(declare).await.copied()
    }

    /// Sees to it that a campaign's queues are declared. Whoever comes while that is under way waits for it.
    pub(super) async fn ensure(&self, campaign: &str, queue: &str) -> Result<(), QueueError> {
        let declared = Arc::clone(self.campaigns().entry(campaign.to_owned()).or_default());
        let declare = || async {
            self.ensure_shared().await?;
            // A refusal closes the channel, so nothing else may hang on it.
            let channel = self.channel(queue).await?;
            understood(queue, self.timed("declare", topology::declare_campaign(&channel, campaign)).await)
        };
        declared.get_or_try_init(declare).await.copied()
    }

    /// Somebody has deleted queues of the campaign: the next who needs them declares them.
    pub(super) fn forget(&self, campaign: &str) {
        self.campaigns().remove(campaign);
    }

    fn campaigns(&self) -> MutexGuard<'_, HashMap<String, Arc<OnceCell<()>>>> {
        self.campaigns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages are ready in `queue`; `None` when there is no such queue. Asking creates nothing.
    pub(super) async fn ready(&self, queue: &str) -> Result<Option<u32>, QueueError> {
        let channel = self.channel(queue).await?;
        let look = QueueDeclareOptions::durable().passive();
        match self.timed("depth", channel.queue_declare(queue.into(), look, FieldTable::default())).await {
            Some(Ok(found)) => Ok(Some(found.message_count())),
            Some(Err(error)) if is_absent(&error) => Ok(None),
            Some(Err(error)) => Err(trouble(queue, &error)),
            None => Err(silence(queue)),
        }
    }

    /// Ends the connection: in order where the broker still listens, by force where it does not.
    pub(super) async fn end(&self) {
        self.lost.cancel();
        self.idle().clear();
        let is_reachable = self.connection.status().connected() && !self.connection.status().blocked();
        if is_reachable && timeout(FAREWELL_MAX, self.connection.close(200, "done".into())).await.is_err() {
            tracing::debug!(link = self.link, "the broker did not say goodbye");
        }
        self.socket.end();
    }
}

/// What was answered, in terms of `queue`.
fn understood<T>(queue: &str, answer: Option<lapin::Result<T>>) -> Result<T, QueueError> {
    match answer {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(error)) => Err(trouble(queue, &error)),
        None => Err(silence(queue)),
    }
}

fn silence(queue: &str) -> QueueError {
    QueueError::Unreachable { queue: queue.to_owned(), reason: "the broker gave no answer, or the connection was lost meanwhile".into() }
}
