//! Where a message that was set aside comes from: told by the headers we give it, or by those the broker gives what it dead-letters itself.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString};

use crate::queue::Aside;

const FROM: &str = "x-sluice-from";
const REASON: &str = "x-sluice-reason";
/// The broker's own history of a message, the last station first.
const HISTORY: &str = "x-death";
/// Most characters of a reason that are kept: headers must fit into one frame.
const REASON_CHARS_MAX: usize = 2000;

/// The headers of a message that is set aside by us.
pub(super) fn headers(origin: &Aside) -> FieldTable {
    let mut headers = FieldTable::default();
    let reason: String = origin.reason.chars().take(REASON_CHARS_MAX).collect();
    headers.insert(FROM.into(), AMQPValue::LongString(LongString::from(origin.from.as_str())));
    headers.insert(REASON.into(), AMQPValue::LongString(LongString::from(reason)));
    headers
}

/// Whence and why a message is in a dead or parked queue.
pub(super) fn origin(properties: &BasicProperties) -> Aside {
    let headers = properties.headers().as_ref();
    let said = headers.and_then(|headers| Some(Aside { from: text(headers, FROM)?, reason: text(headers, REASON)? }));
    said.or_else(|| last_station(properties))
        .unwrap_or_else(|| Aside { from: String::new(), reason: "published there, by whom it does not say".into() })
}

/// Why a message found no queue, whose routing key says which it was for.
pub(super) fn unroutable(routing_key: &str, properties: &BasicProperties) -> Aside {
    let reason = match last_station(properties) {
        Some(Aside { from, reason }) => format!("it left {from} ({reason}) for a queue that is gone"),
        None => "the queue it was for is gone".to_owned(),
    };
    Aside { from: routing_key.to_owned(), reason }
}

fn last_station(properties: &BasicProperties) -> Option<Aside> {
    let AMQPValue::FieldArray(stations) = properties.headers().as_ref()?.inner().get(HISTORY)? else { return None };
    let AMQPValue::FieldTable(last) = stations.as_slice().first()? else { return None };
    let reason = match text(last, "reason")?.as_str() {
        "delivery_limit" => "it was delivered too often without being settled (delivery_limit)".to_owned(),
        other => other.to_owned(),
    };
    Some(Aside { from: text(last, "queue")?, reason })
}

fn text(table: &FieldTable, key: &str) -> Option<String> {
    match table.inner().get(key)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;

    use super::*;

    fn station(queue: &str, reason: &str) -> AMQPValue {
        let mut table = FieldTable::default();
        table.insert("queue".into(), AMQPValue::LongString(queue.into()));
        table.insert("reason".into(), AMQPValue::LongString(reason.into()));
        AMQPValue::FieldTable(table)
    }

    fn with(headers: FieldTable) -> BasicProperties {
        BasicProperties::default().with_headers(headers)
    }

    #[test]
    fn what_we_set_aside_says_so_and_a_long_reason_is_cut_between_characters() {
        let told = Aside { from: "jobs.c".into(), reason: "ß問".repeat(5000) };
        let read = origin(&with(headers(&told)));
        assert_eq!((read.from.as_str(), read.reason.chars().count()), ("jobs.c", REASON_CHARS_MAX));
        assert!(told.reason.starts_with(&read.reason));
    }

    #[test]
    fn what_the_broker_sets_aside_names_its_last_station_and_not_its_first() {
        let mut headers = FieldTable::default();
        let stations = vec![station("jobs.c", "delivery_limit"), station("delay.c.2", "expired")];
        headers.insert(HISTORY.into(), AMQPValue::FieldArray(FieldArray::from(stations)));
        let read = origin(&with(headers.clone()));
        assert_eq!(read.from, "jobs.c");
        assert!(read.reason.contains("delivery_limit"), "{}", read.reason);
        let lost = unroutable("jobs.c", &with(headers));
        assert_eq!(lost.from, "jobs.c");
    }

    #[test]
    fn a_message_without_history_is_read_too() {
        assert_eq!(origin(&BasicProperties::default()).from, "");
        assert_eq!(unroutable("jobs.c", &BasicProperties::default()).from, "jobs.c");
    }
}
