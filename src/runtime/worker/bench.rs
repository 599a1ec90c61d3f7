//! What becomes of one message. The parent decides: one arm per answer of the ledger, one per outcome; each with its order of effects.
//!
//! The order is always the same: effect durable, what follows confirmed, then the message acknowledged. A kill at any point leaves a message
//! that leads here again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use model::Step;

use super::counters::{Counters, count};
use super::evidence::Evidence;
use super::gate::Gate;
use super::held::{HeldTable, Holding};
use super::patience::leave;
use super::{Context, Disposition, Failure, FailureKind, Handler, Opened, WorkerSettings};
use crate::failpoint;
use crate::ledger::{Ask, Claim, Lease, Ledger, LedgerError, WorkKey};
use crate::queue::{Delivery, Queue, QueueError, QueueName};
use crate::retry::Policy;
use crate::shutdown::Shutdown;

/// Tries of one job, the first included, before it is given up.
const ATTEMPTS_MAX: u32 = 5;
/// Between the attempts of one job.
const ATTEMPT: Policy = Policy { first: Duration::from_secs(2), max: Duration::from_secs(300), tries: Some(ATTEMPTS_MAX) };
/// How long a message waits whose work another holds.
const HELD_DELAY: Duration = Duration::from_secs(2);
/// How long a message waits while the ledger lets little run at once, to find out what kills.
const CROWDED_DELAY: Duration = Duration::from_secs(1);
/// How long a message of a paused campaign waits, and how often a worker looks whether the campaign goes on.
const PAUSED_DELAY: Duration = Duration::from_secs(5);

pub(super) struct Bench<H: Handler> {
    pub(super) handler: Arc<H>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) from: QueueName,
    pub(super) shutdown: Shutdown,
    context: Context,
    pub(super) gate: Gate,
    pub(super) evidence: Evidence,
    pub(super) held: Arc<HeldTable>,
    pub(super) counters: Arc<Counters>,
}

impl<H: Handler> fmt::Debug for Bench<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("from", &self.from).field("worker", &self.context.worker).finish_non_exhaustive()
    }
}

/// What is published when work is handed on.
enum Next {
    /// A continuation, at once.
    Slice(Vec<u8>),
    /// The next attempt.
    Attempt(Vec<u8>, Duration),
    /// The very same message: no attempt is spent.
    Same(Duration),
}

impl<H: Handler> Bench<H> {
    pub(super) fn new(
        handler: Arc<H>,
        queue: Arc<dyn Queue>,
        ledger: Arc<dyn Ledger>,
        settings: WorkerSettings,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            handler,
            queue,
            ledger,
            from: settings.from,
            context: Context { shutdown: shutdown.clone(), worker: settings.worker, is_second_hand: false },
            shutdown,
            gate: Gate::new(),
            evidence: Evidence::default(),
            held: Arc::default(),
            counters: Arc::default(),
        }
    }

    pub(super) async fn serve(&self, delivery: Delivery) {
        if self.shutdown.is_requested() {
            // The drain has begun: it goes back untouched.
            return;
        }
        count(&self.counters.received);
        match self.open(&delivery) {
            Opened::Work { key, step, message } => self.consider(key, step, message, delivery).await,
            Opened::Foreign(uid) => {
                tracing::debug!(%uid, queue = %self.from, "a message of another campaign");
                count(&self.counters.foreign);
                self.ack(delivery).await;
            }
            Opened::TooNew(reason) => self.park(delivery, reason).await,
            Opened::Unreadable(reason) => self.bury(delivery, reason).await,
        }
    }

    async fn consider(&self, key: WorkKey, step: Step, message: H::Message, delivery: Delivery) {
        let mut ask = Ask { step, is_quarantine: self.from.is_quarantine(), has_looked: false };
        let mut delivery = delivery;
        if delivery.redelivered {
            let Some(same) = self.unless_effected(&key, step, &message, delivery).await else { return };
            (delivery, ask.has_looked) = (same, true);
        }
        failpoint::hit("claim.before");
        let mut claim = self.claim(&key, ask).await;
        if matches!(claim, Ok(Claim::Unsure)) {
            let Some(same) = self.unless_effected(&key, step, &message, delivery).await else { return };
            (delivery, ask.has_looked) = (same, true);
            claim = self.claim(&key, ask).await;
        }
        let claim = match claim {
            Ok(claim) => claim,
            Err(error @ LedgerError::Damaged { .. }) => {
                // No claim has the epoch 0: such a lease writes nothing to the ledger, and names the work to the handler.
                let lease = Lease { key, epoch: 0, step };
                return self.ruined(&lease, &message, delivery, &error).await;
            }
            Err(error) => return leave(&key, delivery, &error),
        };
        match claim {
            // Its effect is durable, or nobody wants it any more, or a later message of the job is about.
            Claim::Done | Claim::Cancelled | Claim::Stale => {
                count(&self.counters.spared);
                self.ack(delivery).await;
            }
            Claim::Paused => {
                self.gate.pause(PAUSED_DELAY);
                self.postpone(delivery, PAUSED_DELAY).await;
            }
            // Whoever was asked to look and has looked is not told to look again; should it happen, it happens slowly.
            Claim::Held | Claim::Unsure => self.postpone(delivery, HELD_DELAY).await,
            // Intake rests too: else the whole queue would pass by, one postponed copy each.
            Claim::Crowded => {
                self.gate.pause(CROWDED_DELAY);
                self.postpone(delivery, CROWDED_DELAY).await;
            }
            // The broker lost us, not we the work. The old delivery is acknowledged rather than dropped: where it is dead that changes
            // nothing, and where it is a true duplicate it would come back, and be adopted, for ever.
            Claim::Mine => match self.held.adopt(&key, delivery) {
                Ok(old) => {
                    count(&self.counters.adopted);
                    self.ack(old).await;
                }
                // It is being settled this very moment, or another worker of this process has it.
                Err(delivery) => self.postpone(delivery, HELD_DELAY).await,
            },
            Claim::Suspect => self.quarantine(&key, delivery).await,
            Claim::Poison(lease) => {
                let holding = self.held.hold(lease, delivery, &self.counters);
                let message_text = "it killed each worker that tried it, the last one while nothing else ran; look at this seed by hand";
                let failure = Failure { kind: FailureKind::Permanent, name: "poison", message: message_text.to_owned(), retry_after: None };
                self.give_up(holding, &message, &failure).await;
            }
            Claim::Taken(lease) => {
                failpoint::hit("claim.after");
                let holding = self.held.hold(lease, delivery, &self.counters);
                self.run(holding, message, ask.has_looked).await;
            }
        }
    }

    /// The delivery, unless the archive has what its message asks for: then it is acknowledged.
    async fn unless_effected(&self, key: &WorkKey, step: Step, message: &H::Message, delivery: Delivery) -> Option<Delivery> {
        match self.is_effected(message).await {
            Ok(false) => return Some(delivery),
            Ok(true) => {
                // What runs here right now ends by itself; a dead holder would count as running for ever.
                if !self.held.is_under_way(key)
                    && let Err(error) = self.told(|| self.ledger.note_effect(key, step)).await
                {
                    leave(key, delivery, &error);
                    return None;
                }
                count(&self.counters.spared);
                self.ack(delivery).await;
            }
            Err(failure) if failure.is_worth_waiting() => leave(key, delivery, &failure),
            Err(failure) => self.bury(delivery, failure.message).await,
        }
        None
    }

    async fn run(&self, holding: Holding, message: H::Message, is_second_hand: bool) {
        let before = self.evidence.successes();
        let context = Context { is_second_hand, ..self.context.clone() };
        let handled = self.guarded(self.handler.handle(message.clone(), &holding.lease, &context)).await;
        failpoint::hit("handle.after");
        let key = &holding.lease.key;
        let failure = match handled {
            Ok(Disposition::Outage { continuation }) => {
                self.gate.outage(None);
                return self.hand_on(holding, &message, Next::Slice(continuation)).await;
            }
            Ok(Disposition::Yield { continuation }) => {
                self.succeeded(key);
                return self.hand_on(holding, &message, Next::Slice(continuation)).await;
            }
            Ok(Disposition::Done) => {
                self.succeeded(key);
                return self.finish(holding, &self.counters.done).await;
            }
            Err(failure) => failure,
        };
        let attempt = holding.lease.step.attempt;
        match failure.kind {
            FailureKind::Outage => self.wait_out(holding, &message, &failure).await,
            FailureKind::Transient if !self.is_its_own(&failure, key, before).await => self.wait_out(holding, &message, &failure).await,
            FailureKind::Transient if attempt + 1 < ATTEMPTS_MAX => {
                let delay = failure.retry_after.map_or_else(|| ATTEMPT.delay_before(attempt), |after| ATTEMPT.believed(after));
                tracing::info!(%key, attempt, error = %failure, delay_s = delay.as_secs(), "the attempt failed");
                let next = Next::Attempt(self.handler.next_attempt(&message), delay);
                self.hand_on(holding, &message, next).await;
            }
            FailureKind::Transient | FailureKind::Permanent => self.give_up(holding, &message, &failure).await,
            // Somebody else has it, and a message of its own.
            FailureKind::Fenced => self.lost(holding).await,
        }
    }

    /// Whatever it needed was there.
    fn succeeded(&self, key: &WorkKey) {
        self.gate.success();
        self.evidence.success(key);
    }

    /// A dependency is down: intake rests, and the job waits as it is.
    async fn wait_out(&self, holding: Holding, message: &H::Message, failure: &Failure) {
        let outage = self.gate.outage(failure.retry_after);
        let (key, delay_s) = (&holding.lease.key, outage.delay.as_secs());
        // All that runs notices the same outage: one of them says so, the others whisper.
        if outage.is_first {
            tracing::warn!(%key, error = %failure, delay_s, "jobs wait for what they need, and no attempt is spent");
        } else {
            tracing::debug!(%key, error = %failure, delay_s, "waits for the same");
        }
        self.hand_on(holding, message, Next::Same(outage.delay)).await;
    }

    /// Finished: the ledger knows, then the message goes.
    pub(super) async fn finish(&self, holding: Holding, counter: &AtomicU64) {
        let Some(delivery) = holding.delivery() else { return };
        match self.told(|| self.ledger.finish(&holding.lease)).await {
            Ok(()) => {}
            Err(error @ LedgerError::Unreachable { .. }) => return leave(&holding.lease.key, delivery, &error),
            // The effect is durable, whoever holds the job now or whatever the ledger lost: the archive says so to the next who looks.
            Err(error) => tracing::warn!(key = %holding.lease.key, %error, "finished without the ledger"),
        }
        holding.settled();
        failpoint::hit("finish.after");
        count(counter);
        self.ack(delivery).await;
    }

    /// Handed on: the lease is given back, then the next message is published, then the old one goes. A kill in between leaves the old
    /// message, whose step may be claimed again.
    async fn hand_on(&self, holding: Holding, message: &H::Message, next: Next) {
        let Some(delivery) = holding.delivery() else { return };
        failpoint::hit("release.before");
        match self.told(|| self.ledger.release(&holding.lease)).await {
            Ok(()) => {}
            Err(LedgerError::Fenced { .. }) => {
                holding.settled();
                count(&self.counters.lost);
                return self.ack(delivery).await;
            }
            Err(error @ LedgerError::Damaged { .. }) => {
                self.ruined(&holding.lease, message, delivery, &error).await;
                // Whoever cannot read what it remembers of the work holds it no more.
                return holding.settled();
            }
            Err(error) => return leave(&holding.lease.key, delivery, &error),
        }
        let key = holding.lease.key.clone();
        holding.settled();
        failpoint::hit("release.after");
        let (published, counter) = match next {
            // Urgent: the queue may be full, and we are the ones who empty it.
            Next::Slice(body) => (self.publish(&self.from, body, None).await, &self.counters.yielded),
            Next::Attempt(body, delay) => (self.publish(&self.from, body, Some(delay)).await, &self.counters.retried),
            Next::Same(delay) => (self.publish(&self.from, delivery.body.clone(), Some(delay)).await, &self.counters.outages),
        };
        match published {
            Ok(()) => {}
            Err(error @ QueueError::Oversized { .. }) => return self.bury(delivery, error.to_string()).await,
            Err(error) => return leave(&key, delivery, &error),
        }
        failpoint::hit("publish.after");
        count(counter);
        self.ack(delivery).await;
    }

    async fn quarantine(&self, key: &WorkKey, delivery: Delivery) {
        match self.publish(&self.from.quarantine(), delivery.body.clone(), None).await {
            Ok(()) => {
                tracing::warn!(%key, "suspected of killing workers; to the quarantine");
                count(&self.counters.suspected);
                self.ack(delivery).await;
            }
            Err(error) => leave(key, delivery, &error),
        }
    }

    /// A copy waits, and the message goes: a message put back at once would come at once.
    async fn postpone(&self, delivery: Delivery, delay: Duration) {
        match self.publish(&self.from, delivery.body.clone(), Some(delay)).await {
            Ok(()) => {
                count(&self.counters.postponed);
                self.ack(delivery).await;
            }
            Err(error) => tracing::warn!(queue = %self.from, %error, "a message could not be put off; it comes back"),
        }
    }

    /// Gives back the leases of work that was cut off, so that this very process could take it up again.
    pub(super) async fn give_back_abandoned(&self) {
        for lease in self.held.take_abandoned() {
            match self.ledger.abandon(&lease).await {
                Ok(()) | Err(LedgerError::Fenced { .. }) => {}
                Err(error) => tracing::warn!(key = %lease.key, %error, "a lease was not given back; it ends with this process"),
            }
        }
    }
}
