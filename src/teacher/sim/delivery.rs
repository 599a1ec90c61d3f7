//! How an answer gets to its client: whole or as events in their time, and torn, trickling or garbled where it shall be.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use futures::stream;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::admission::Slot;
use super::faults::Fault;
use super::stream::Events;

/// Pieces of an answer that trickles.
const TRICKLE_PIECES: usize = 20;

/// A connection that is closed without a byte: a body that fails at once fails before its head is sent.
pub(super) fn cut() -> Response {
    Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(torn())])))
}

fn torn() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the answer is torn, as it shall be")
}

/// What is done to an answer.
pub(super) struct Delivery {
    pub(super) fault: Option<Fault>,
    /// How long trickling takes.
    pub(super) trickle: Duration,
    /// When the connection is cut.
    pub(super) until: Option<Instant>,
}

/// A part of a body, and when it is sent.
struct Part {
    at: Instant,
    bytes: Bytes,
}

impl Delivery {
    /// Sends a whole answer, now.
    pub(super) fn json(self, answer: &Value) -> Response {
        let bytes = Bytes::from(answer.to_string());
        let (now, length) = (Instant::now(), bytes.len());
        let body = match self.fault {
            Some(Fault::Torn) => self.send(vec![Part { at: now, bytes: bytes.slice(..length / 2) }], None),
            Some(Fault::Trickle) => {
                let size = length.div_ceil(TRICKLE_PIECES).max(1);
                let pieces = (0..length).step_by(size).map(|from| bytes.slice(from..(from + size).min(length)));
                let parts = self.slowed(pieces.map(|bytes| Part { at: now, bytes }).collect());
                self.send(parts, None)
            }
            Some(Fault::Garbled) => Body::from(bytes.slice(..length / 2)),
            _ => Body::from(bytes),
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // What is promised, whatever comes.
        if matches!(self.fault, Some(Fault::Torn | Fault::Trickle)) {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        response
    }

    /// Sends events from `first` on, those of the completion spread over `spread`. The slot is held until the last of them.
    pub(super) fn events(self, events: Events, first: Instant, spread: Duration, slot: Slot) -> Response {
        let count = events.deltas.len().max(1) as f64;
        let opening = events.opening.into_iter().map(|bytes| Part { at: first, bytes });
        let deltas = events.deltas.into_iter().enumerate();
        let deltas = deltas.map(|(index, bytes)| Part { at: first + spread.mul_f64((index + 1) as f64 / count), bytes });
        let closing = events.closing.into_iter().map(|bytes| Part { at: first + spread, bytes });
        let mut parts: Vec<Part> = opening.chain(deltas).chain(closing).collect();
        let middle = parts.len() / 2;
        match self.fault {
            Some(Fault::Torn) => parts.truncate(middle),
            Some(Fault::Trickle) => parts = self.slowed(parts),
            Some(Fault::Garbled) => {
                if let Some(part) = parts.get_mut(middle) {
                    part.bytes = [&part.bytes.slice(..part.bytes.len() / 2), b"\n\n".as_slice()].concat().into();
                }
            }
            _ => {}
        }
        let mut response = Response::new(self.send(parts, Some(slot)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    /// The parts as they trickle: the last comes later by the whole time, each before it by its share.
    fn slowed(&self, mut parts: Vec<Part>) -> Vec<Part> {
        let count = parts.len().max(1) as f64;
        for (index, part) in parts.iter_mut().enumerate() {
            part.at += self.trickle.mul_f64((index + 1) as f64 / count);
        }
        parts
    }

    /// A body of `parts`, each in its time; ends in an error when it is torn.
    fn send(&self, parts: Vec<Part>, slot: Option<Slot>) -> Body {
        let (is_torn, until) = (self.fault == Some(Fault::Torn), self.until);
        let sending = Some((parts.into_iter(), slot));
        Body::from_stream(stream::unfold(sending, move |sending| async move {
            let (mut parts, slot) = sending?;
            match parts.next() {
                Some(Part { at, bytes }) if until.is_none_or(|until| at < until) => {
                    // Asking a timer for a moment that has passed would cost a turn of the clock.
                    if at > Instant::now() {
                        sleep_until(at).await;
                    }
                    Some((Ok(bytes), Some((parts, slot))))
                }
                Some(_) => {
                    if let Some(until) = until {
                        sleep_until(until).await;
                    }
                    Some((Err(torn()), None))
                }
                None if is_torn => {
                    // Lets the server flush what came before: an error takes with it what is not sent yet.
                    tokio::task::yield_now().await;
                    Some((Err(torn()), None))
                }
                None => None,
            }
        }))
    }
}
