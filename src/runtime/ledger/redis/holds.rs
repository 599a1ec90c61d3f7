//! Which claims of this process somebody works on.
//!
//! An answer can be lost on its way: then the ledger has us as the holder and nobody here knows. Each claim therefore carries a ticket that
//! the ledger keeps. A ticket whose claim is neither under way nor answered belongs to such a loss, and the work may be claimed again.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::WorkKey;

#[derive(Debug, Default)]
pub(super) struct Holds {
    state: Mutex<State>,
}

/// Bounded by the claims under way and the jobs that run.
#[derive(Debug, Default)]
struct State {
    tickets: u64,
    asking: HashSet<u64>,
    /// Epoch by what was answered as taken and not given back.
    held: HashMap<WorkKey, u64>,
}

impl Holds {
    /// A claim that begins; it is under way until the value is dropped.
    pub(super) fn ask(&self) -> Asking<'_> {
        let mut state = self.lock();
        state.tickets += 1;
        let ticket = state.tickets;
        state.asking.insert(ticket);
        Asking { holds: self, ticket }
    }

    /// The ledger says that we hold `key`. Whether nobody here does.
    pub(super) fn is_lost(&self, key: &WorkKey, epoch: u64, ticket: Option<u64>) -> bool {
        let state = self.lock();
        let is_under_way = ticket.is_some_and(|ticket| state.asking.contains(&ticket));
        !is_under_way && state.held.get(key) != Some(&epoch)
    }

    /// Nobody here works on that claim of `key` any more.
    pub(super) fn let_go(&self, key: &WorkKey, epoch: u64) {
        let mut state = self.lock();
        if state.held.get(key) == Some(&epoch) {
            state.held.remove(key);
        }
    }

    /// Nobody here works on anything any more: what the ledger still has as ours was not given back in time, and may be claimed again.
    pub(super) fn clear(&self) {
        self.lock().held.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One claim under way.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    holds: &'a Holds,
    ticket: u64,
}

impl Asking<'_> {
    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// The answer arrived, and it is ours.
    pub(super) fn taken(&self, key: &WorkKey, epoch: u64) {
        self.holds.lock().held.insert(key.clone(), epoch);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.holds.lock().asking.remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_lost_only_when_it_is_neither_under_way_nor_answered() {
        let (holds, key) = (Holds::default(), WorkKey::Seal("g".into(), 1));
        let asking = holds.ask();
        let ticket = Some(asking.ticket());
        assert!(!holds.is_lost(&key, 7, ticket), "its answer may still come");
        asking.taken(&key, 7);
        drop(asking);
        assert!(!holds.is_lost(&key, 7, ticket), "it came");
        assert!(holds.is_lost(&key, 8, Some(99)), "a later one did not");
        holds.let_go(&key, 6);
        assert!(!holds.is_lost(&key, 7, ticket));
        holds.let_go(&key, 7);
        assert!(holds.is_lost(&key, 7, ticket));
    }
}
