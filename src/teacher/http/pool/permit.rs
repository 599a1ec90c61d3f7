//! A place in a line, and the right to send: both give back what they hold when they are dropped, whatever was cut off.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::affinity::Thread;
use super::super::server::{Back, Outcome};
use super::{Call, Pool};

/// A place in a line; dropped, it is left, and what was held for it meanwhile goes to the next.
pub(super) struct Waiting {
    pub(super) pool: Arc<Pool>,
    pub(super) line: usize,
    pub(super) ticket: u64,
    pub(super) called: oneshot::Receiver<Call>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut guard = self.pool.lock();
        let state = &mut *guard;
        if let Ok(at) = state.lines[self.line].binary_search_by_key(&self.ticket, |waiter| waiter.ticket) {
            state.lines[self.line].remove(at);
            state.show();
        } else if let Ok(Call::Go(server)) = self.called.try_recv() {
            state.servers[server].let_go();
            state.fill(Instant::now());
        }
    }
}

/// The right to send one request to one server. Dropped without [`Permit::settle`], the request counts as given up.
pub(in super::super) struct Permit {
    pool: Arc<Pool>,
    server: usize,
    thread: Thread,
    /// Where its thread would go by itself.
    home: usize,
    is_probe: bool,
    number: Option<u64>,
    was_held_up: bool,
    is_settled: bool,
}

impl Permit {
    /// For `thread`, whose home is `home`, to ask `server`; `is_probe` where that is to try whether it is back.
    pub(super) fn of(pool: &Arc<Pool>, server: usize, thread: Thread, home: usize, is_probe: bool) -> Self {
        Self { pool: Arc::clone(pool), server, thread, home, is_probe, number: None, was_held_up: false, is_settled: false }
    }

    /// For which server.
    pub(in super::super) fn server(&self) -> usize {
        self.server
    }

    /// Whether the server is to be asked first if it is back.
    pub(in super::super) fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// It is: this request goes to it, and so may others.
    pub(in super::super) fn is_back(&mut self) {
        self.is_probe = false;
        let mut state = self.pool.lock();
        state.servers[self.server].admit();
        state.fill(Instant::now());
    }

    /// Whether the server may still be asked, after some time.
    pub(in super::super) fn is_good(&self) -> bool {
        let (state, now) = (self.pool.lock(), Instant::now());
        let server = &state.servers[self.server];
        server.circuit.is_up() && server.rest(now).is_none()
    }

    /// The request goes out now. `was_held_up`: it waited for something else than the server, so that a full window says nothing about that.
    pub(in super::super) fn send(&mut self, was_held_up: bool) {
        self.was_held_up = was_held_up;
        let mut state = self.pool.lock();
        self.number = Some(state.servers[self.server].send());
        state.show();
    }

    /// What became of it.
    pub(in super::super) fn settle(mut self, outcome: Outcome<'_>) {
        self.give_back(outcome);
    }

    fn give_back(&mut self, outcome: Outcome<'_>) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let mut guard = self.pool.lock();
        let (state, now) = (&mut *guard, Instant::now());
        if matches!(outcome, Outcome::Answered { .. }) {
            state.moved.served(&self.thread, self.server, self.home);
        }
        let server = &mut state.servers[self.server];
        let is_full = server.is_full() && !self.was_held_up;
        let back = Back { number: self.number, is_probe: self.is_probe, is_full, job: self.thread.job() };
        if server.settle(back, outcome, now) {
            state.turn_away(self.server);
        }
        state.fill(now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back(Outcome::GivenUp);
    }
}
