//! The servers of one model: who goes where, who waits, who is told that nobody serves.
//!
//! One lock holds all of it, for moments only. Whoever finds no room waits in the line of the server it would like best; a server with room and
//! nobody in its own line takes the one who waits longest in another, so none is idle while somebody waits. Nothing here sends: a [`Permit`] is the
//! right to, and what becomes of the request is told by giving it back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::ledger::EndpointHealth;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::affinity::{self, Moved, Thread};
use super::circuit::Standing;
use super::endpoint::Endpoint;
use super::error::Trouble;
use super::server::Server;

mod permit;

pub(super) use permit::Permit;
use permit::Waiting;

/// The servers, in the order in which they were configured.
pub(super) struct Pool {
    endpoints: Vec<Endpoint>,
    state: Mutex<State>,
}

struct State {
    servers: Vec<Server>,
    /// Who waits for each of them, first come first.
    lines: Vec<VecDeque<Waiter>>,
    tickets: u64,
    moved: Moved,
}

/// Somebody who waits for room.
struct Waiter {
    /// Grows from waiter to waiter.
    ticket: u64,
    /// Servers it does not want.
    barred: Vec<usize>,
    call: oneshot::Sender<Call>,
}

/// What a waiter is told.
#[derive(Debug)]
enum Call {
    /// A request is held for it at this server.
    Go(usize),
    /// Things have changed: look again.
    Look,
}

/// Why nobody serves.
#[derive(Debug, PartialEq)]
pub(super) enum Closed {
    /// All that were not barred are left alone.
    Down {
        /// Until some server may be tried again.
        after: Option<Duration>,
        /// Of each that was not barred, why.
        why: Vec<String>,
    },
    /// All ask for a rest that is longer than the caller can wait.
    Resting(Duration),
    /// There was no room in all the time that the caller had.
    Crowded,
}

enum Looked {
    Go(Permit),
    /// Until then at most, where the server rests.
    Wait(Waiting, Option<Instant>),
    Closed(Closed),
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.endpoints).finish()
    }
}

impl Pool {
    /// The pool of `endpoints`, with at most `window_max` requests in flight at each.
    pub(super) fn new(endpoints: &[String], weights: &[u32], window_max: u32) -> Result<Arc<Self>, Trouble> {
        if endpoints.is_empty() {
            return Err(Trouble::permanent("set up HTTP: `endpoints` is empty; give at least one base URL, ending in /v1".to_owned()));
        }
        let weight = |number: usize| weights.get(number).copied().unwrap_or(1);
        let endpoints: Vec<Endpoint> =
            endpoints.iter().enumerate().map(|(number, written)| Endpoint::new(written, weight(number))).collect::<Result<_, _>>()?;
        let servers: Vec<Server> = endpoints.iter().map(|endpoint| Server::new(endpoint.name(), window_max)).collect();
        let lines = servers.iter().map(|_| VecDeque::new()).collect();
        let mut state = State { servers, lines, tickets: 0, moved: Moved::default() };
        state.show();
        Ok(Arc::new(Self { endpoints, state: Mutex::new(state) }))
    }

    pub(super) fn endpoint(&self, number: usize) -> &Endpoint {
        &self.endpoints[number]
    }

    /// Sets how many requests may be in flight at each server at most.
    pub(super) fn limit(&self, window_max: u32) {
        self.lock().servers.iter_mut().for_each(|server| server.window.limit(window_max));
    }

    /// Servers that are not left alone.
    pub(super) fn up(&self) -> Vec<usize> {
        let state = self.lock();
        state.servers.iter().enumerate().filter(|(_, server)| server.circuit.is_up()).map(|(number, _)| number).collect()
    }

    /// Whether a request that the `barred` failed may go to another at once.
    pub(super) fn has_another(&self, barred: &[usize]) -> bool {
        let (state, now) = (self.lock(), Instant::now());
        let may_go = |(number, server): (usize, &Server)| !barred.contains(&number) && server.circuit.is_up() && server.rest(now).is_none();
        state.servers.iter().enumerate().any(may_go)
    }

    /// Leaves server `number` alone: it showed no sign of life.
    pub(super) fn leave(&self, number: usize, trouble: &Trouble) {
        let (mut state, now) = (self.lock(), Instant::now());
        if state.servers[number].circuit.is_up() {
            state.servers[number].open(trouble, Duration::ZERO, now);
        }
        state.turn_away(number);
        state.show();
    }

    /// How all do.
    pub(super) fn health(&self) -> Vec<EndpointHealth> {
        let state = self.lock();
        state.servers.iter().zip(&state.lines).map(|(server, line)| server.health(line.len())).collect()
    }

    /// The right to ask one of the servers, none of the `barred`, as soon as there is room, within `patience`. First come is first served.
    pub(super) async fn enter(self: &Arc<Self>, thread: Thread, barred: &[usize], patience: Duration) -> Result<Permit, Closed> {
        let order = affinity::order(&thread, &self.endpoints);
        let deadline = Instant::now() + patience;
        // Each turn waits for a change, a rest or the deadline.
        loop {
            let (mut waiting, rest) = match self.look(thread, &order, barred, deadline) {
                Looked::Go(permit) => return Ok(permit),
                Looked::Closed(closed) => return Err(closed),
                Looked::Wait(waiting, rest) => (waiting, rest),
            };
            let until = rest.map_or(deadline, |rest| deadline.min(rest));
            if let Ok(Ok(Call::Go(server))) = timeout_at(until, &mut waiting.called).await {
                return Ok(Permit::of(self, server, thread, order[0], false));
            }
            drop(waiting);
            if Instant::now() >= deadline {
                return Err(Closed::Crowded);
            }
        }
    }

    /// Where a thread goes by itself.
    #[cfg(test)]
    pub(super) fn home(&self, thread: Thread) -> usize {
        affinity::order(&thread, &self.endpoints)[0]
    }

    fn look(self: &Arc<Self>, thread: Thread, order: &[usize], barred: &[usize], deadline: Instant) -> Looked {
        let (mut guard, now) = (self.lock(), Instant::now());
        let state = &mut *guard;
        let stays_at = state.moved.of(&thread);
        let liked = || stays_at.into_iter().chain(order.iter().copied().filter(move |number| Some(*number) != stays_at));
        let open_to_it = || liked().filter(|number| !barred.contains(number));
        // Whoever comes when it is time tries whether a server is back: those that like it best may all have moved away.
        if let Some(number) = open_to_it().find(|number| state.servers[*number].circuit.is_due(now)) {
            state.servers[number].circuit.probe();
            state.servers[number].hold();
            state.show();
            return Looked::Go(Permit::of(self, number, thread, order[0], true));
        }
        if let Some(number) = open_to_it().find(|number| state.servers[*number].has_room(now)) {
            state.servers[number].hold();
            return Looked::Go(Permit::of(self, number, thread, order[0], false));
        }
        let up = || open_to_it().filter(|number| state.servers[*number].circuit.is_up());
        let rest = |number: usize| state.servers[number].rest(now).unwrap_or_default();
        let probing = || open_to_it().find(|number| state.servers[*number].circuit.standing() == Standing::Probing);
        let Some(number) = up().min_by_key(|number| rest(*number)).or_else(probing) else {
            return Looked::Closed(state.down(barred, now));
        };
        let rest = rest(number);
        if now + rest > deadline {
            return Looked::Closed(Closed::Resting(rest));
        }
        let until = (!rest.is_zero()).then(|| now + rest);
        let (call, called) = oneshot::channel();
        state.tickets += 1;
        let ticket = state.tickets;
        state.lines[number].push_back(Waiter { ticket, barred: barred.to_vec(), call });
        state.show();
        Looked::Wait(Waiting { pool: Arc::clone(self), line: number, ticket, called }, until)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked under the lock left counts that are off by one at most.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn down(&self, barred: &[usize], now: Instant) -> Closed {
        let untils = self.servers.iter().filter_map(|server| match server.circuit.standing() {
            Standing::Down(until) => Some(until.saturating_duration_since(now)),
            Standing::Up | Standing::Probing | Standing::OnTrial => None,
        });
        let others = self.servers.iter().enumerate().filter(|(number, _)| !barred.contains(number));
        Closed::Down { after: untils.min(), why: others.map(|(_, server)| server.circuit.why().to_owned()).collect() }
    }

    /// Fills the room there is.
    fn fill(&mut self, now: Instant) {
        for number in 0..self.servers.len() {
            // As often as there is room and somebody waits.
            while self.servers[number].has_room(now) {
                let Some(waiter) = self.next_for(number) else { break };
                // Whoever stopped to wait this very moment has no use for it.
                if waiter.call.send(Call::Go(number)).is_ok() {
                    self.servers[number].hold();
                }
            }
        }
        self.show();
    }

    fn next_for(&mut self, number: usize) -> Option<Waiter> {
        if let Some(waiter) = self.lines[number].pop_front() {
            return Some(waiter);
        }
        let first_of = |(line, waiters): (usize, &VecDeque<Waiter>)| {
            let at = waiters.iter().position(|waiter| !waiter.barred.contains(&number))?;
            Some((waiters[at].ticket, line, at))
        };
        let (_, line, at) = self.lines.iter().enumerate().filter_map(first_of).min()?;
        self.lines[line].remove(at)
    }

    /// Whoever waits for `number` looks again.
    fn turn_away(&mut self, number: usize) {
        for waiter in self.lines[number].drain(..) {
            // Whoever stopped to wait need not be told.
            drop(waiter.call.send(Call::Look));
        }
    }

    fn show(&mut self) {
        for (server, line) in self.servers.iter_mut().zip(&self.lines) {
            server.show(line.len());
        }
    }
}

#[cfg(test)]
mod tests;
