//! The adapter's metrics, by name. Labels name one of our two connections, or a kind of question, and
//! nothing that grows.

use std::time::Duration;

/// Shows what counts seldom from the first moment on: Prometheus sees no increase in a counter that begins with its first count.
pub(super) fn begin() {
    returned(0);
    republished(0);
    metrics::counter!("sluice_amqp_watchdog_total").increment(0);
}

/// The broker, or its management API, was asked `op`, and answered or was given up after `waited`.
pub(super) fn asked(op: &'static str, waited: Duration) {
    metrics::histogram!("sluice_amqp_seconds", "op" => op).record(waited);
}

/// Whether a connection stands.
pub(super) fn connected(link: &'static str, is_up: bool) {
    metrics::gauge!("sluice_amqp_connected", "link" => link).set(if is_up { 1.0 } else { 0.0 });
}

/// The how-manieth connection of its kind it is, from 1.
pub(super) fn epoch(link: &'static str, epoch: u32) {
    metrics::gauge!("sluice_amqp_epoch", "link" => link).set(f64::from(epoch));
}

/// Whether the broker has asked a connection to stop publishing.
pub(super) fn blocked(link: &'static str, is_blocked: bool) {
    metrics::gauge!("sluice_amqp_blocked", "link" => link).set(if is_blocked { 1.0 } else { 0.0 });
}

/// A message was confirmed after `waited`.
pub(super) fn confirmed(waited: Duration) {
    metrics::histogram!("sluice_amqp_publish_confirm_seconds").record(waited.as_secs_f64());
}

/// So many messages came back because no queue was there for them.
pub(super) fn returned(messages: usize) {
    metrics::counter!("sluice_amqp_publish_returned_total").increment(messages as u64);
}

/// So many messages are published once more, for want of a confirm.
pub(super) fn republished(messages: usize) {
    metrics::counter!("sluice_amqp_republished_total").increment(messages as u64);
}

/// A subscription that brought nothing from a queue with messages was ended.
pub(super) fn silent() {
    metrics::counter!("sluice_amqp_watchdog_total").increment(1);
}
