//! The queue inside one process: bounded, gone with the process. Whoever plans publishes what is outstanding again after a restart.
//!
//! Room counts what is ready or delayed; what is in hands is bounded by the subscriptions' slots. Urgent and delayed messages do not wait for
//! room, because they replace one that was just in hands; so a queue holds at most its bound and as many again as there are slots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::wire::MESSAGE_BYTES_MAX;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::shelf::{Position, Shelf, Stored};
use super::{Aside, Delivery, Depth, Queue, QueueError, QueueName, Settle, Subscription};

/// Most rejected messages that are kept; beyond it the oldest are forgotten, with a warning.
const DEAD_MAX: usize = 1000;

/// All queues of one process.
#[derive(Debug, Clone)]
pub struct MemoryQueue {
    lines: Arc<Mutex<HashMap<QueueName, Arc<Line>>>>,
    bound: usize,
}

/// A message in the dead queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message.
    pub body: Vec<u8>,
    /// The queue it was rejected from.
    pub from: String,
    /// Why.
    pub reason: String,
}

impl MemoryQueue {
    /// Queues that hold at most `bound` messages each, at least one.
    pub fn new(bound: usize) -> Self {
        Self { lines: Arc::default(), bound: bound.max(1) }
    }

    /// What is in a campaign's dead queue, oldest first.
    pub fn dead_letters(&self, campaign: &str) -> Vec<DeadLetter> {
        let line = self.line(&QueueName::Dead(campaign.to_owned()));
        let shelf = line.shelf();
        let letter = |stored: &Stored| {
            let (from, reason) = stored.rejected.as_deref().cloned().unwrap_or_else(|| (line.name.clone(), "published there".to_owned()));
            DeadLetter { body: stored.body.to_vec(), from, reason }
        };
        shelf.ready().map(letter).collect()
    }

    fn line(&self, name: &QueueName) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lines.entry(name.clone()).or_insert_with(|| Arc::new(Line::new(name.to_string()))))
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn publish(&self, to: &QueueName, bodies: Vec<Vec<u8>>) -> Result<(), QueueError> {
        bodies.iter().try_for_each(|body| check_size(to, body))?;
        let line = self.line(to);
        for body in bodies {
            line.put_when_room(body.into(), self.bound).await;
        }
        Ok(())
    }

    async fn publish_urgent(&self, to: &QueueName, body: Vec<u8>) -> Result<(), QueueError> {
        check_size(to, &body)?;
        self.line(to).put(Stored { body: body.into(), redelivered: false, rejected: None });
        Ok(())
    }

    async fn publish_after(&self, to: &QueueName, body: Vec<u8>, delay: Duration) -> Result<(), QueueError> {
        check_size(to, &body)?;
        let line = self.line(to);
        line.shelf().put_until(Instant::now() + delay, Stored { body: body.into(), redelivered: false, rejected: None });
        line.arrived.notify_waiters();
        Ok(())
    }

    async fn subscribe(&self, from: &QueueName, slots: usize) -> Result<Subscription, QueueError> {
        let slots = slots.clamp(1, Semaphore::MAX_PERMITS);
        let (sender, deliveries) = mpsc::channel(slots);
        let (dead, parked) = (self.line(&from.dead()), self.line(&from.parked()));
        let feeder = Feeder { line: self.line(from), dead, parked, slots: Arc::new(Semaphore::new(slots)), sender };
        // Ends with the subscription: it watches for the receiver's end wherever it waits.
        tokio::spawn(feeder.run());
        Ok(Subscription { deliveries })
    }

    async fn depth(&self, of: &QueueName) -> Result<Depth, QueueError> {
        let (ready, unacked, delayed) = self.line(of).shelf().counts(Instant::now());
        Ok(Depth { ready: ready as u64, unacked, delayed: delayed as u64 })
    }

    async fn remove(&self, campaign: &str) -> Result<(), QueueError> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|name, _| name.campaign() != campaign);
        Ok(())
    }
}

fn check_size(to: &QueueName, body: &[u8]) -> Result<(), QueueError> {
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(QueueError::Oversized { queue: to.to_string(), bytes: body.len(), limit: MESSAGE_BYTES_MAX });
    }
    Ok(())
}

/// One queue: its shelf, and who waits at either end of it.
#[derive(Debug)]
struct Line {
    name: String,
    shelf: Mutex<Shelf>,
    arrived: Notify,
    room: Notify,
}

impl Line {
    fn new(name: String) -> Self {
        Self { name, shelf: Mutex::default(), arrived: Notify::new(), room: Notify::new() }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, message: Stored) {
        self.shelf().put(message);
        self.arrived.notify_waiters();
    }

    async fn put_when_room(&self, body: Arc<[u8]>, bound: usize) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // From here on no notice of room is missed, though the shelf is looked at later.
            room.as_mut().enable();
            {
                let mut shelf = self.shelf();
                if shelf.stored() < bound {
                    shelf.put(Stored { body, redelivered: false, rejected: None });
                    break;
                }
            }
            room.await;
        }
        self.arrived.notify_waiters();
    }

    fn bury(&self, message: Stored) {
        let mut shelf = self.shelf();
        if shelf.stored() >= DEAD_MAX {
            tracing::warn!(queue = self.name, kept = DEAD_MAX, "a queue of messages set aside is full; forgetting its oldest message");
            shelf.drop_oldest();
        }
        shelf.put(message);
        drop(shelf);
        self.arrived.notify_waiters();
    }

    async fn take(&self) -> (Position, Stored) {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let due = {
                let mut shelf = self.shelf();
                if let Some(taken) = shelf.take(Instant::now()) {
                    drop(shelf);
                    self.room.notify_waiters();
                    return taken;
                }
                shelf.due()
            };
            match due {
                Some(due) => tokio::select! {
                    () = arrived => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => arrived.await,
            }
        }
    }
}

/// Moves messages from a line into a subscription while it has slots.
struct Feeder {
    line: Arc<Line>,
    dead: Arc<Line>,
    parked: Arc<Line>,
    slots: Arc<Semaphore>,
    sender: mpsc::Sender<Delivery>,
}

impl Feeder {
    async fn run(self) {
        loop {
            let next = tokio::select! {
                biased;
                () = self.sender.closed() => return,
                next = self.next() => next,
            };
            let Some(delivery) = next else { return };
            // The channel is as large as there are slots, so this never waits; a delivery it could not hand over returns by being dropped.
            if self.sender.send(delivery).await.is_err() {
                return;
            }
        }
    }

    /// Dropping this future loses nothing: there is no pause between taking a message and owning it as a delivery.
    async fn next(&self) -> Option<Delivery> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        let (position, message) = self.line.take().await;
        let (body, redelivered) = (message.body.to_vec(), message.redelivered);
        let aside = message.rejected.as_deref().cloned();
        let unsettled = Unsettled {
            line: Arc::clone(&self.line),
            dead: Arc::clone(&self.dead),
            parked: Arc::clone(&self.parked),
            position,
            message: Some(message),
            _slot: slot,
        };
        let settler = Box::new(move |how| {
            unsettled.settle(how);
            Box::pin(std::future::ready(Ok(()))) as _
        });
        let delivery = Delivery::new(body, redelivered, settler);
        Some(match aside {
            Some((from, reason)) => delivery.set_aside(Aside { from, reason }),
            None => delivery,
        })
    }
}

/// A message in somebody's hands. Dropped unsettled, it goes back to its place.
struct Unsettled {
    line: Arc<Line>,
    dead: Arc<Line>,
    parked: Arc<Line>,
    position: Position,
    message: Option<Stored>,
    _slot: OwnedSemaphorePermit,
}

impl Unsettled {
    fn settle(mut self, how: Settle) {
        let aside = match how {
            // As if dropped.
            Settle::Return => return,
            Settle::Ack => None,
            Settle::Reject(reason) => Some((&self.dead, reason)),
            Settle::Park(reason) => Some((&self.parked, reason)),
        };
        let Some(message) = self.message.take() else { return };
        if let Some((line, reason)) = aside {
            line.bury(Stored { rejected: Some(Arc::new((self.line.name.clone(), reason))), ..message });
        }
        self.line.shelf().gone();
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.line.shelf().give_back(self.position, message);
            self.line.arrived.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs() -> QueueName {
        QueueName::Jobs("c".into())
    }

    async fn is_blocked(publish: impl Future<Output = Result<(), QueueError>>) -> bool {
        tokio::time::timeout(Duration::from_secs(1), publish).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_makes_publishers_wait_until_something_is_taken() {
        let queue = MemoryQueue::new(3);
        queue.publish(&jobs(), vec![b"1".to_vec(), b"2".to_vec()]).await.expect("room");
        queue.publish_after(&jobs(), b"late".to_vec(), Duration::from_secs(3600)).await.expect("delayed ones do not wait");
        assert!(is_blocked(queue.publish(&jobs(), vec![b"3".to_vec()])).await, "two ready and one delayed are three");
        queue.publish_urgent(&jobs(), b"urgent".to_vec()).await.expect("urgent ones do not wait");

        let publisher = tokio::spawn({
            let queue = queue.clone();
            async move { queue.publish(&jobs(), vec![b"4".to_vec(), b"5".to_vec()]).await }
        });
        let mut subscription = queue.subscribe(&jobs(), 10).await.expect("in memory");
        let mut bodies = Vec::new();
        for _ in 0..5 {
            let delivery = subscription.next().await.expect("ready");
            bodies.push(delivery.body.clone());
            delivery.ack().await.expect("in memory");
        }
        publisher.await.expect("no panic").expect("room was made");
        assert_eq!(bodies, [b"1".to_vec(), b"2".to_vec(), b"urgent".to_vec(), b"4".to_vec(), b"5".to_vec()]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_dead_queue_forgets_its_oldest_and_keeps_reasons() {
        let queue = MemoryQueue::new(10_000);
        let bodies = (0..DEAD_MAX + 5).map(|number| number.to_string().into_bytes()).collect();
        queue.publish(&jobs(), bodies).await.expect("room");
        let mut subscription = queue.subscribe(&jobs(), 8).await.expect("in memory");
        for number in 0..DEAD_MAX + 5 {
            subscription.next().await.expect("ready").reject(format!("reason {number}")).await.expect("in memory");
        }
        let letters = queue.dead_letters("c");
        assert_eq!(letters.len(), DEAD_MAX);
        assert_eq!(letters[0], DeadLetter { body: b"5".to_vec(), from: "jobs.c".into(), reason: "reason 5".into() });
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_back_takes_its_old_place() {
        let queue = MemoryQueue::new(100);
        queue.publish(&jobs(), (0..20_u8).map(|number| vec![number]).collect()).await.expect("room");
        let mut subscription = queue.subscribe(&jobs(), 10).await.expect("in memory");
        let first = subscription.next().await.expect("ready");
        drop(subscription);
        drop(first);
        let mut subscription = queue.subscribe(&jobs(), 20).await.expect("in memory");
        for number in 0..20 {
            let delivery = subscription.next().await.expect("ready");
            assert_eq!(delivery.body, [number]);
            delivery.ack().await.expect("in memory");
        }
    }
}
