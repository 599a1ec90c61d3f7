//! What one queue in memory consists of: messages that are ready, messages that wait for their time, and a count of those in hands.
//!
//! Plain state, one owner, no waiting: whoever holds it decides when to look again. A message that comes back takes its old place.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

/// A message at rest.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) body: Arc<[u8]>,
    pub(super) redelivered: bool,
    /// Why it is in the dead queue, and from which queue it came.
    pub(super) rejected: Option<Arc<(String, String)>>,
}

/// A place in the order of delivery; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(u64);

#[derive(Debug, Default)]
pub(super) struct Shelf {
    positions: u64,
    ready: BTreeMap<Position, Stored>,
    delayed: BTreeMap<(Instant, Position), Stored>,
    in_hands: u64,
}

impl Shelf {
    pub(super) fn put(&mut self, message: Stored) {
        let position = self.next_position();
        self.ready.insert(position, message);
    }

    pub(super) fn put_until(&mut self, due: Instant, message: Stored) {
        let position = self.next_position();
        self.delayed.insert((due, position), message);
    }

    /// The next message to deliver, now in the caller's hands: every taken message is later given back or gone.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Position, Stored)> {
        self.ripen(now);
        let taken = self.ready.pop_first()?;
        self.in_hands += 1;
        Some(taken)
    }

    /// A taken message returns to its place.
    pub(super) fn give_back(&mut self, position: Position, message: Stored) {
        self.in_hands -= 1;
        self.ready.insert(position, Stored { redelivered: true, ..message });
    }

    /// A taken message is settled.
    pub(super) fn gone(&mut self) {
        self.in_hands -= 1;
    }

    /// Forgets the oldest ready message.
    pub(super) fn drop_oldest(&mut self) {
        self.ready.pop_first();
    }

    /// When the next delayed message is due, if any is delayed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// Messages at rest, ready or delayed: what the bound is about.
    pub(super) fn stored(&self) -> usize {
        self.ready.len() + self.delayed.len()
    }

    /// (ready, in hands, delayed).
    pub(super) fn counts(&mut self, now: Instant) -> (usize, u64, usize) {
        self.ripen(now);
        (self.ready.len(), self.in_hands, self.delayed.len())
    }

    pub(super) fn ready(&self) -> impl Iterator<Item = &Stored> {
        self.ready.values()
    }

    fn ripen(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                return;
            }
            let message = first.remove();
            self.put(message);
        }
    }

    fn next_position(&mut self) -> Position {
        self.positions += 1;
        Position(self.positions)
    }
}
