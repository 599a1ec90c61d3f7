//! Publishing: what is reported as published is confirmed by the broker, and what is not confirmed is published again.
//!
//! A lost confirm may belong to a stored message, so a message can arrive twice; whoever receives knows jobs by their ids. The window of
//! unconfirmed messages bounds memory, the effort bounds how long nothing may move.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::link::Link;
use super::live::Live;
use super::topology::Bucket;
use super::{again, aside, meters};
use crate::queue::{Aside, QueueError, QueueName};
use crate::retry::{Delays, Policy};

/// Most messages of one call that are on their way unconfirmed.
const WINDOW: usize = 512;
/// Most calls that publish at once; the others wait. A broker allows a few thousand channels on a connection, and is glad of few.
const PUBLISHERS_MAX: usize = 64;
/// How long no message of a call may be confirmed, tries and pauses included.
const EFFORT_MAX: Duration = Duration::from_secs(60);
/// Messages survive a restart of the broker.
const PERSISTENT: u8 = 2;
const CONTENT_TYPE: &str = "application/vnd.sluice+msgpack";

/// Whoever publishes for this process.
pub(super) struct Publisher {
    pub(super) link: Link,
    turns: Semaphore,
}

/// Which way messages take to their queue.
struct Route<'a> {
    /// The queue they are for, which is also the routing key.
    queue: &'a QueueName,
    exchange: &'static str,
    headers: FieldTable,
}

/// What became of one pass over the messages that were left.
#[derive(Default)]
struct Pass {
    /// Confirmed, by number.
    confirmed: HashSet<usize>,
    /// Came back because no queue was there, by number. They are confirmed too.
    returned: HashSet<usize>,
    /// What ended the pass before its time.
    trouble: Option<String>,
}

impl Pass {
    /// Those of `left` that are in no queue for certain.
    fn unconfirmed(&self, mut left: Vec<usize>) -> Vec<usize> {
        left.retain(|number| !self.confirmed.contains(number) || self.returned.contains(number));
        left
    }
}

impl Publisher {
    pub(super) fn new(link: Link) -> Self {
        Self { link, turns: Semaphore::new(PUBLISHERS_MAX) }
    }

    /// Publishes to a queue.
    pub(super) async fn publish(&self, to: &QueueName, bodies: &[Vec<u8>]) -> Result<(), QueueError> {
        self.send(Route { queue: to, exchange: "", headers: FieldTable::default() }, bodies).await
    }

    /// Publishes to a queue, by way of the bucket that holds messages long enough.
    pub(super) async fn publish_after(&self, to: &QueueName, body: Vec<u8>, delay: Duration) -> Result<(), QueueError> {
        self.send(Route { queue: to, exchange: Bucket::of(delay).exchange, headers: FieldTable::default() }, &[body]).await
    }

    /// Publishes a delivered message once more, to its own queue and marked as delivered before: for the broker it is a fresh one.
    pub(super) async fn renew(&self, to: &QueueName, body: &[u8]) -> Result<(), QueueError> {
        self.send(Route { queue: to, exchange: "", headers: again::headers() }, &[body]).await
    }

    /// Publishes to a dead or parked queue, with the origin.
    pub(super) async fn publish_aside(&self, to: &QueueName, body: &[u8], origin: &Aside) -> Result<(), QueueError> {
        self.send(Route { queue: to, exchange: "", headers: aside::headers(origin) }, &[body]).await
    }

    async fn send<B: AsRef<[u8]>>(&self, route: Route<'_>, bodies: &[B]) -> Result<(), QueueError> {
        let queue = route.queue.to_string();
        let mut left: Vec<usize> = (0..bodies.len()).collect();
        let mut effort = Effort::new();
        let mut was_returned = false;
        loop {
            let pass = self.pass(&route, &queue, bodies, &left).await?;
            let before = left.len();
            left = pass.unconfirmed(left);
            if left.is_empty() {
                return Ok(());
            }
            if left.len() < before {
                effort.moved();
            }
            if pass.returned.is_empty() {
                effort.pause(&queue, pass.trouble).await?;
                meters::republished(left.len());
                continue;
            }
            meters::returned(pass.returned.len());
            if was_returned {
                let reason = format!("{} messages are unroutable although it was declared just before", pass.returned.len());
                return Err(QueueError::Unreachable { queue, reason });
            }
            was_returned = true;
        }
    }

    /// Publishes what is left once, and waits for every confirm that can still come.
    async fn pass<B: AsRef<[u8]>>(&self, route: &Route<'_>, queue: &str, bodies: &[B], left: &[usize]) -> Result<Pass, QueueError> {
        // Never closed, so this only waits.
        let _turn = self.turns.acquire().await;
        let live = self.link.live(queue).await?;
        let prepared = async {
            live.ensure(route.queue.campaign(), queue).await?;
            live.publishing_channel(queue).await
        };
        let channel = match prepared.await {
            Ok(channel) => channel,
            Err(QueueError::Unreachable { reason, .. }) => return Ok(Pass { trouble: Some(reason), ..Pass::default() }),
            Err(error) => return Err(error),
        };
        let pass = self.window(route, &channel, &live, bodies, left).await;
        if !pass.returned.is_empty() {
            live.forget(route.queue.campaign());
        }
        if pass.trouble.is_none() {
            live.rest(channel);
        }
        Ok(pass)
    }

    async fn window<B: AsRef<[u8]>>(&self, route: &Route<'_>, channel: &Channel, live: &Live, bodies: &[B], left: &[usize]) -> Pass {
        let mut pass = Pass::default();
        let mut waiting = left.iter();
        let mut on_their_way = FuturesUnordered::new();
        loop {
            while pass.trouble.is_none() && on_their_way.len() < WINDOW {
                let Some(&number) = waiting.next() else { break };
                live.room().await;
                match live.answered(put(route, channel, number, bodies[number].as_ref())).await {
                    Some(Ok(confirm)) => {
                        let sent = Instant::now();
                        on_their_way.push(async move { (number, sent, confirm.await) });
                    }
                    Some(Err(error)) => pass.trouble = Some(error.to_string()),
                    None => pass.trouble = Some("the broker does not read what is published".into()),
                }
            }
            let Some(next) = live.answered(on_their_way.next()).await else {
                pass.trouble = Some("the broker does not confirm".into());
                return pass;
            };
            let Some((number, sent, confirm)) = next else { return pass };
            let returned = match confirm {
                Ok(Confirmation::Ack(returned)) => {
                    meters::confirmed(sent.elapsed());
                    pass.confirmed.insert(number);
                    returned
                }
                // A queue that elects its leader, or is full.
                Ok(Confirmation::Nack(returned)) => {
                    tracing::debug!(queue = %route.queue, "the broker did not take a message");
                    returned
                }
                Ok(Confirmation::NotRequested) => {
                    pass.trouble = Some("the channel does not confirm".into());
                    None
                }
                Err(error) => {
                    pass.trouble = Some(error.to_string());
                    None
                }
            };
            // The client hands a returned message to whichever confirm comes next, so we ask the message which it is.
            pass.returned.extend(returned.as_ref().and_then(number_of));
        }
    }
}

async fn put(route: &Route<'_>, channel: &Channel, number: usize, body: &[u8]) -> lapin::Result<lapin::PublisherConfirm> {
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type(CONTENT_TYPE.into())
        .with_message_id(number.to_string().into())
        .with_headers(route.headers.clone());
    // Mandatory: what no queue takes comes back instead of being confirmed and gone.
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    channel.basic_publish(route.exchange.into(), route.queue.to_string().into(), options, body, properties).await
}

fn number_of(returned: &BasicReturnMessage) -> Option<usize> {
    returned.delivery.properties.message_id().as_ref()?.as_str().parse().ok()
}

/// How long one call has tried in vain.
struct Effort {
    tries: u32,
    since: Instant,
    delays: Delays,
}

impl Effort {
    fn new() -> Self {
        Self { tries: 0, since: Instant::now(), delays: Policy::DEPENDENCY.delays() }
    }

    /// Something was confirmed. That can happen as often as there are messages.
    fn moved(&mut self) {
        self.since = Instant::now();
        self.delays.reset();
    }

    /// Waits before the next try, unless the last was one too many.
    async fn pause(&mut self, queue: &str, trouble: Option<String>) -> Result<(), QueueError> {
        self.tries += 1;
        let reason = trouble.unwrap_or_else(|| "the broker refuses messages: the queue is full or has no leader".into());
        if self.since.elapsed() >= EFFORT_MAX {
            return Err(QueueError::Unreachable { queue: queue.to_owned(), reason });
        }
        tracing::debug!(queue, reason, tries = self.tries, "publishing again what was not confirmed");
        sleep(self.delays.next()).await;
        Ok(())
    }
}
