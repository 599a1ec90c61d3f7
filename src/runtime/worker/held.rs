//! The work under way in this process, and the delivery that stands for each.
//!
//! When the broker delivers a message again whose work is still under way (it lost the connection, not we the work), the new delivery takes
//! the place of the old one. Work that ends without its lease given back leaves the lease here, for whoever cleans up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::counters::{Counters, count, uncount};
use crate::ledger::{Lease, WorkKey};
use crate::queue::Delivery;

#[derive(Debug, Default)]
pub(super) struct HeldTable {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    under_way: HashMap<WorkKey, UnderWay>,
    abandoned: Vec<Lease>,
}

#[derive(Debug)]
struct UnderWay {
    epoch: u64,
    /// `None` when the work is about to be settled.
    delivery: Option<Delivery>,
}

impl HeldTable {
    /// Notes that work is under way, until the returned value is dropped.
    pub(super) fn hold(self: &Arc<Self>, lease: Lease, delivery: Delivery, counters: &Arc<Counters>) -> Holding {
        count(&counters.running);
        self.state().under_way.insert(lease.key.clone(), UnderWay { epoch: lease.epoch, delivery: Some(delivery) });
        Holding { table: Arc::clone(self), counters: Arc::clone(counters), lease, is_settled: false }
    }

    /// Puts `delivery` in the place of the one that stands for `key` and returns that; or returns `delivery` when none stands for it.
    pub(super) fn adopt(&self, key: &WorkKey, delivery: Delivery) -> Result<Delivery, Delivery> {
        match self.state().under_way.get_mut(key).and_then(|work| work.delivery.as_mut()) {
            Some(standing) => Ok(std::mem::replace(standing, delivery)),
            None => Err(delivery),
        }
    }

    /// Whether work on `key` is under way.
    pub(super) fn is_under_way(&self, key: &WorkKey) -> bool {
        self.state().under_way.contains_key(key)
    }

    /// At most `most` of the keys under way.
    fn keys(&self, most: usize) -> Vec<WorkKey> {
        self.state().under_way.keys().take(most).cloned().collect()
    }

    /// Leases whose work ended without giving them back.
    pub(super) fn take_abandoned(&self) -> Vec<Lease> {
        std::mem::take(&mut self.state().abandoned)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker holds, for whoever shows it.
#[derive(Debug, Clone)]
pub struct Holds(pub(super) Arc<HeldTable>);

impl Holds {
    /// At most `most` of the keys that are under way now, in no order.
    pub fn keys(&self, most: usize) -> Vec<WorkKey> {
        self.0.keys(most)
    }
}

/// Work under way. Dropped before [`Holding::settled`], its delivery comes back and its lease counts as abandoned.
#[derive(Debug)]
pub(super) struct Holding {
    table: Arc<HeldTable>,
    counters: Arc<Counters>,
    pub(super) lease: Lease,
    is_settled: bool,
}

impl Holding {
    /// The delivery that stands for the work now: the last one adopted. From here on no other is adopted.
    pub(super) fn delivery(&self) -> Option<Delivery> {
        let mut state = self.table.state();
        let work = state.under_way.get_mut(&self.lease.key).filter(|work| work.epoch == self.lease.epoch);
        work.and_then(|work| work.delivery.take())
    }

    /// The ledger knows that we do not hold it any more.
    pub(super) fn settled(mut self) {
        self.is_settled = true;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        uncount(&self.counters.running);
        let mut state = self.table.state();
        // Once the ledger let it go, another task of this process may have claimed it again already; then the place is that task's.
        let is_ours = state.under_way.get(&self.lease.key).is_some_and(|work| work.epoch == self.lease.epoch);
        let standing = if is_ours { state.under_way.remove(&self.lease.key) } else { None };
        if !self.is_settled {
            state.abandoned.push(self.lease.clone());
        }
        drop(state);
        // Outside the lock: a delivery that comes back takes the queue's own.
        drop(standing);
    }
}
