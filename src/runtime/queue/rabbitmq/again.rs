//! How often a message was delivered before, and whether to begin counting anew.
//!
//! Brokers before 4.3 count every delivery that was not acknowledged towards the limit, also one that a worker gave back in good order: a
//! long pause would send innocent messages to the dead queue. So a message that was given back often is published afresh instead, with a
//! header that keeps the memory of it. What a dying process held is counted by the broker and by nobody reset.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};

use crate::queue::QueueName;

const AGAIN: &str = "x-sluice-again";
/// The broker's own count of deliveries before this one; absent on the first.
const COUNT: &str = "x-delivery-count";
/// From so many on a message that is given back is published afresh: well below any limit, and seldom.
const RENEW_FROM: i64 = 10;

/// The headers of a message that is published afresh.
pub(super) fn headers() -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert(AGAIN.into(), AMQPValue::Boolean(true));
    headers
}

/// Whether it was published afresh after it had been delivered.
pub(super) fn was_renewed(properties: &BasicProperties) -> bool {
    matches!(header(properties, AGAIN), Some(AMQPValue::Boolean(true)))
}

/// Whether it is to be published afresh when it is given back to `home`. What was set aside has no limit worth the name.
pub(super) fn is_due(home: &QueueName, properties: &BasicProperties) -> bool {
    let is_work = !matches!(home, QueueName::Dead(_) | QueueName::Parked(_));
    is_work && deliveries(properties) >= RENEW_FROM
}

fn deliveries(properties: &BasicProperties) -> i64 {
    match header(properties, COUNT) {
        Some(AMQPValue::LongLongInt(count)) => *count,
        Some(AMQPValue::LongInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortShortInt(count)) => i64::from(*count),
        _ => 0,
    }
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(count: AMQPValue) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(COUNT.into(), count);
        BasicProperties::default().with_headers(headers)
    }

    #[test]
    fn what_was_delivered_often_is_due_and_what_was_set_aside_never() {
        let (jobs, dead) = (QueueName::Jobs("c".into()), QueueName::Dead("c".into()));
        let often = counted(AMQPValue::LongLongInt(RENEW_FROM));
        assert!(is_due(&jobs, &often) && !is_due(&dead, &often));
        assert!(is_due(&jobs, &counted(AMQPValue::ShortShortInt(12))) && !is_due(&jobs, &counted(AMQPValue::LongInt(1))));
        assert!(!is_due(&jobs, &BasicProperties::default()));
    }

    #[test]
    fn what_is_published_afresh_is_remembered_as_delivered() {
        assert!(was_renewed(&BasicProperties::default().with_headers(headers())));
        assert!(!was_renewed(&BasicProperties::default()));
    }
}
