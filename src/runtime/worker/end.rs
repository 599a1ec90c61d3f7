//! How work ends that does not succeed: given up, ruined, or lost to another.
//!
//! The end is on record in the archive before the ledger or the queue hears of it, so that a campaign always has an end for each of its jobs.

use super::bench::Bench;
use super::counters::count;
use super::held::Holding;
use super::patience::leave;
use super::{Failure, Handler};
use crate::failpoint;
use crate::ledger::{Lease, LedgerError};
use crate::queue::Delivery;
use crate::retry::{Policy, retry};

impl<H: Handler> Bench<H> {
    /// Failed for good: on record first.
    pub(super) async fn give_up(&self, holding: Holding, message: &H::Message, failure: &Failure) {
        let key = &holding.lease.key;
        match self.record(&holding.lease, message, failure).await {
            Ok(()) => self.finish(holding, &self.counters.failed).await,
            Err(error) if error.is_worth_waiting() => tracing::warn!(%key, %error, "not put on record in time; the message comes back"),
            Err(error) => {
                let Some(delivery) = holding.delivery() else { return };
                match self.told(|| self.ledger.release(&holding.lease)).await {
                    Ok(()) => holding.settled(),
                    Err(error) => tracing::warn!(%key, %error, "the lease stays until this worker ends"),
                }
                self.bury(delivery, format!("{failure}; and that could not be put on record: {error}")).await;
            }
        }
    }

    /// The ledger cannot read what it remembers of the work, so nothing can be done for it: the end is put on record, so that the campaign has
    /// one, and the message is kept with the reason.
    pub(super) async fn ruined(&self, lease: &Lease, message: &H::Message, delivery: Delivery, error: &LedgerError) {
        let failure = Failure::permanent("ledger_damaged", format!("{error}"));
        let reason = match self.record(lease, message, &failure).await {
            Ok(()) => {
                count(&self.counters.failed);
                failure.message
            }
            Err(error) if error.is_worth_waiting() => return leave(&lease.key, delivery, &error),
            Err(error) => format!("{failure}; and that could not be put on record: {error}"),
        };
        self.bury(delivery, reason).await;
    }

    /// Has the handler put a failure on record.
    async fn record(&self, lease: &Lease, message: &H::Message, failure: &Failure) -> Result<(), Failure> {
        tracing::warn!(key = %lease.key, attempt = lease.step.attempt, failure = failure.name, error = %failure, "giving up");
        self.evidence.forget(&lease.key);
        retry(Policy::DEPENDENCY, self.shutdown.expired(), || async {
            self.guarded(self.handler.give_up(message, lease, failure)).await.map_err(Failure::tried)
        })
        .await?;
        failpoint::hit("give_up.after");
        Ok(())
    }

    pub(super) async fn lost(&self, holding: Holding) {
        count(&self.counters.lost);
        let delivery = holding.delivery();
        holding.settled();
        if let Some(delivery) = delivery {
            self.ack(delivery).await;
        }
    }
}
