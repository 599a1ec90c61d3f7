//! A connection that is always being kept up: our own supervisor, because the client's recovery hides redeliveries and gives up on errors of
//! a channel.
//!
//! When a connection is over, all that hangs on it is torn down; a fresh one, a higher epoch, starts from nothing. Trying never ends by itself,
//! since a broker comes back and whoever shuts the process down says when to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::Address;
use super::dial::dial;
use super::live::Live;
use super::meters;
use super::refusal::Refusal;
use crate::queue::QueueError;
use crate::retry::Policy;

/// How long a caller waits for a connection that is being made again.
const RETURN_MAX: Duration = Duration::from_secs(10);
/// A connection that stood for so long was a good one; one that did not counts as another failed try.
const STEADY: Duration = Duration::from_secs(10);

#[derive(Clone)]
enum State {
    Up(Arc<Live>),
    Down(String),
    Closed,
}

/// One of our connections, as its users see it.
#[derive(Clone)]
pub(super) struct Link {
    state: watch::Receiver<State>,
}

impl Link {
    /// Connects for the first time and keeps the connection up until `stop`.
    ///
    /// # Errors
    /// When no address lets us in now; what is lost later is healed silently.
    pub(super) async fn open(
        purpose: &'static str,
        name: &str,
        addresses: Arc<[Address]>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, QueueError> {
        let mut dialler = Dialler { purpose, name: format!("{name} ({purpose})"), addresses, at: 0, epoch: 0 };
        let live = dialler.round().await?;
        let (sender, state) = watch::channel(State::Up(Arc::clone(&live)));
        tasks.spawn(supervise(dialler, live, sender, stop));
        Ok(Self { state })
    }

    /// Whether the connection stands.
    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(live) if live.is_up())
    }

    /// The connection, waited for if it is being made again; `queue` is what it is wanted for.
    pub(super) async fn live(&self, queue: &str) -> Result<Arc<Live>, QueueError> {
        let mut state = self.state.clone();
        let is_settled = |state: &State| match state {
            State::Up(live) => live.is_up(),
            State::Down(_) => false,
            State::Closed => true,
        };
        let closed = || QueueError::Closed { queue: queue.to_owned() };
        let unreachable = |reason: String| QueueError::Unreachable { queue: queue.to_owned(), reason };
        match timeout(RETURN_MAX, state.wait_for(is_settled)).await {
            Ok(Ok(settled)) => match &*settled {
                State::Up(live) => return Ok(Arc::clone(live)),
                State::Down(_) | State::Closed => return Err(closed()),
            },
            // The supervisor is gone.
            Ok(Err(_)) => return Err(closed()),
            Err(_) => {}
        }
        match &*self.state.borrow() {
            State::Down(reason) => Err(unreachable(reason.clone())),
            State::Up(_) | State::Closed => Err(unreachable("the connection was lost".into())),
        }
    }

    /// The connection if it stands.
    pub(super) fn standing(&self) -> Option<Arc<Live>> {
        match &*self.state.borrow() {
            State::Up(live) if live.is_up() => Some(Arc::clone(live)),
            State::Up(_) | State::Down(_) | State::Closed => None,
        }
    }
}

async fn supervise(mut dialler: Dialler, first: Arc<Live>, state: watch::Sender<State>, stop: CancellationToken) {
    let mut live = first;
    let mut delays = Policy::DEPENDENCY.delays();
    loop {
        let since = Instant::now();
        let reason = tokio::select! {
            () = stop.cancelled() => None,
            reason = live.over() => Some(reason),
        };
        meters::connected(dialler.purpose, false);
        let Some(reason) = reason else {
            state.send_replace(State::Closed);
            return live.end().await;
        };
        tracing::warn!(link = dialler.purpose, epoch = dialler.epoch, reason, "the connection to the broker is lost; making it again");
        state.send_replace(State::Down(reason));
        live.end().await;
        if since.elapsed() >= STEADY {
            delays.reset();
        }
        let again = async {
            loop {
                tokio::time::sleep(delays.next()).await;
                match dialler.round().await {
                    Ok(live) => return live,
                    Err(refusal) => {
                        tracing::debug!(link = dialler.purpose, reason = refusal.reason(), "the broker cannot be reached yet");
                        state.send_replace(State::Down(refusal.reason().to_owned()));
                    }
                }
            }
        };
        live = tokio::select! {
            () = stop.cancelled() => {
                state.send_replace(State::Closed);
                return;
            }
            live = again => live,
        };
        tracing::info!(link = dialler.purpose, epoch = dialler.epoch, "the connection to the broker is back");
        state.send_replace(State::Up(Arc::clone(&live)));
    }
}

/// Tries addresses in turn, beginning with the one that answered last.
struct Dialler {
    purpose: &'static str,
    name: String,
    addresses: Arc<[Address]>,
    at: usize,
    epoch: u32,
}

impl Dialler {
    /// Tries each address once. When all fail, a refusal weighs more than an absence: somebody has to mend it.
    async fn round(&mut self) -> Result<Arc<Live>, Refusal> {
        let mut reasons = Vec::new();
        let mut is_refused = false;
        for turn in 0..self.addresses.len() {
            let at = (self.at + turn) % self.addresses.len();
            match dial(&self.addresses[at], &self.name).await {
                Ok((connection, socket)) => {
                    self.at = at;
                    self.epoch = self.epoch.saturating_add(1);
                    meters::connected(self.purpose, true);
                    meters::epoch(self.purpose, self.epoch);
                    return Ok(Arc::new(Live::new(self.purpose, connection, socket)));
                }
                Err(refusal) => {
                    is_refused |= matches!(refusal, Refusal::Refused(_));
                    reasons.push(refusal.reason().to_owned());
                }
            }
        }
        let reason = reasons.join("; ");
        Err(if is_refused { Refusal::Refused(reason) } else { Refusal::Away(reason) })
    }
}
