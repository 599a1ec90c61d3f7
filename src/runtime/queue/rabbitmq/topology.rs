//! What we declare at the broker, from one table: a few exchanges for all, and a handful of quorum queues per campaign.
//!
//! Arguments hold what a queue *is* and can never change (its kind, where its dead letters go); what may be tuned is a policy
//! (`management.rs`). Declaring is idempotent. A message's routing key is always the name of the queue it is for, so it survives dead-lettering:
//!
//! - `jobs.c` and its like are reached through the default exchange. Their dead letters go through `sluice.dead` to `dead.c`.
//! - `delay.c.5` holds messages for five seconds. It is reached through `sluice.delay.5`, and what expires goes through `sluice.requeue` to
//!   the queue it is for.
//! - `sluice.unroutable` catches what finds no queue on such a way, and what `dead.c` and `parked.c` give up.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{Channel, ExchangeKind};

use crate::queue::QueueName;

/// The queue, and the exchange before it, of messages that found none.
pub(super) const UNROUTABLE: &str = "sluice.unroutable";
const REQUEUE: &str = "sluice.requeue";
const DEAD: &str = "sluice.dead";

/// Deliveries of a message of a work queue, at most, where no policy says less: one that kills whoever reads it must not come for ever, and
/// not everybody may set policies.
const WORK_LIMIT: i64 = 500;
/// What was set aside stays, because there is nowhere better. Newer brokers would give it up after twenty.
const KEPT_LIMIT: i64 = 1_000_000;

/// A time that messages can wait for, and the exchange before its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    seconds: u32,
    pub(super) exchange: &'static str,
}

/// Fixed times, because a message that waits longer than those behind it would hold them up.
const BUCKETS: [Bucket; 5] = [
    Bucket { seconds: 2, exchange: "sluice.delay.2" },
    Bucket { seconds: 5, exchange: "sluice.delay.5" },
    Bucket { seconds: 15, exchange: "sluice.delay.15" },
    Bucket { seconds: 60, exchange: "sluice.delay.60" },
    Bucket { seconds: 300, exchange: "sluice.delay.300" },
];

impl Bucket {
    /// The shortest that is not shorter than `delay`; of longer ones the longest, which nobody should ask for.
    pub(super) fn of(delay: Duration) -> Self {
        let longest = BUCKETS[BUCKETS.len() - 1];
        if delay > longest.time() {
            tracing::debug!(asked_s = delay.as_secs(), given_s = longest.seconds, "a delay is cut to the longest there is");
        }
        BUCKETS.into_iter().find(|bucket| bucket.time() >= delay).unwrap_or(longest)
    }

    fn time(self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// One exchange: name, kind, and where what it cannot route goes.
type Exchange = (&'static str, ExchangeKind, Option<&'static str>);

/// Delay exchanges have no alternate: a message they cannot route must come back to whoever publishes it.
const EXCHANGES: [Exchange; 8] = [
    (UNROUTABLE, ExchangeKind::Fanout, None),
    (REQUEUE, ExchangeKind::Direct, Some(UNROUTABLE)),
    (DEAD, ExchangeKind::Topic, Some(UNROUTABLE)),
    (BUCKETS[0].exchange, ExchangeKind::Topic, None),
    (BUCKETS[1].exchange, ExchangeKind::Topic, None),
    (BUCKETS[2].exchange, ExchangeKind::Topic, None),
    (BUCKETS[3].exchange, ExchangeKind::Topic, None),
    (BUCKETS[4].exchange, ExchangeKind::Topic, None),
];

/// One queue as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Planned {
    name: String,
    /// The exchange its dead letters go to.
    dead_letters: &'static str,
    /// How long messages stay in it, where they do not stay for good.
    time_ms: Option<u32>,
    /// Exchange and key.
    bindings: Vec<(&'static str, String)>,
}

/// The queues of one campaign, those first that must be gone first: a delay queue that outlives the rest would miss them.
fn queues_of(campaign: &str) -> Vec<Planned> {
    let any = format!("*.{campaign}");
    let delayed = BUCKETS.iter().map(|bucket| Planned {
        name: delay_queue(campaign, *bucket),
        dead_letters: REQUEUE,
        time_ms: Some(bucket.seconds * 1000),
        bindings: vec![(bucket.exchange, any.clone())],
    });
    let named = QueueName::all(campaign).into_iter().map(|queue| {
        let name = queue.to_string();
        let mut bindings = vec![(REQUEUE, name.clone())];
        if matches!(queue, QueueName::Dead(_)) {
            bindings.push((DEAD, any.clone()));
        }
        let dead_letters = if matches!(queue, QueueName::Dead(_) | QueueName::Parked(_)) { UNROUTABLE } else { DEAD };
        Planned { name, dead_letters, time_ms: None, bindings }
    });
    delayed.chain(named).collect()
}

fn delay_queue(campaign: &str, bucket: Bucket) -> String {
    format!("delay.{campaign}.{}", bucket.seconds)
}

/// Whether `queue` holds messages of `campaign` that wait.
pub(super) fn is_delay_queue(queue: &str, campaign: &str) -> bool {
    BUCKETS.iter().any(|bucket| delay_queue(campaign, *bucket) == queue)
}

/// Declares what all campaigns share.
pub(super) async fn declare_shared(channel: &Channel) -> lapin::Result<()> {
    for (name, kind, alternate) in EXCHANGES {
        let mut arguments = FieldTable::default();
        if let Some(alternate) = alternate {
            arguments.insert("alternate-exchange".into(), text(alternate));
        }
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(name.into(), kind, options, arguments).await?;
    }
    // What even this queue gives up has a campaign, whose dead queue is the last place.
    let bindings = vec![(UNROUTABLE, String::new())];
    declare(channel, &Planned { name: UNROUTABLE.to_owned(), dead_letters: DEAD, time_ms: None, bindings }).await
}

/// Declares the queues of `campaign`; what all share must be there.
pub(super) async fn declare_campaign(channel: &Channel, campaign: &str) -> lapin::Result<()> {
    // The last first: whatever arrives in a queue finds the ones after it.
    for planned in queues_of(campaign).iter().rev() {
        declare(channel, planned).await?;
    }
    Ok(())
}

/// Deletes the queues of `campaign`, there or not, full or not.
pub(super) async fn delete_campaign(channel: &Channel, campaign: &str) -> lapin::Result<()> {
    for planned in queues_of(campaign) {
        channel.queue_delete(planned.name.into(), QueueDeleteOptions::default()).await?;
    }
    Ok(())
}

async fn declare(channel: &Channel, planned: &Planned) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-dead-letter-exchange".into(), text(planned.dead_letters));
    // At least once needs a queue that refuses rather than drops.
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    let is_work = planned.dead_letters == DEAD && planned.name != UNROUTABLE;
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(if is_work { WORK_LIMIT } else { KEPT_LIMIT }));
    if let Some(time_ms) = planned.time_ms {
        arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(time_ms.into()));
    }
    channel.queue_declare(planned.name.as_str().into(), QueueDeclareOptions::durable(), arguments).await?;
    for (exchange, key) in &planned.bindings {
        let (queue, exchange, key) = (planned.name.as_str().into(), (*exchange).into(), key.as_str().into());
        channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default()).await?;
    }
    Ok(())
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_never_shortened_up_to_the_longest() {
        for (asked, given) in [(0.0, 2), (2.0, 2), (2.001, 5), (5.0, 5), (16.0, 60), (299.0, 300), (300.0, 300), (4000.0, 300)] {
            assert_eq!(Bucket::of(Duration::from_secs_f64(asked)).seconds, given, "{asked} s");
        }
    }

    #[test]
    fn every_queue_has_a_place_for_its_dead_letters_and_a_way_back() {
        let queues = queues_of("c");
        assert_eq!(queues.len(), 11);
        let (delays, named) = queues.split_at(5);
        assert!(delays.iter().all(|queue| queue.time_ms.is_some() && queue.dead_letters == REQUEUE && is_delay_queue(&queue.name, "c")));
        assert!(named.iter().all(|queue| queue.time_ms.is_none() && queue.bindings.contains(&(REQUEUE, queue.name.clone()))));
        let last = |name: &str| named.iter().find(|queue| queue.name == name).map(|queue| queue.dead_letters);
        assert_eq!((last("jobs.c"), last("dead.c"), last("parked.c")), (Some(DEAD), Some(UNROUTABLE), Some(UNROUTABLE)));
        assert!(!is_delay_queue("delay.d.2", "c") && !is_delay_queue("jobs.c", "c"));
    }
}
