//! What is known of one server: its window, its circuit, whether it asked for rest, how it does.

use std::collections::VecDeque;
use std::time::Duration;

use runtime::ledger::EndpointHealth;
use tokio::time::Instant;

use super::circuit::{Circuit, Standing};
use super::error::Trouble;
use super::meters::{Meters, Shown};
use super::window::{Answer, Window};

/// Longest rest that a server gets: then one request asks whether it meant it.
const REST_MAX: Duration = Duration::from_secs(600);
/// Answers that are looked back at when one asks for rest. A limit that is reached refuses one request after another; a server that refuses one
/// now and then means that one, and the others need not wait with it.
const LOOKED_BACK: usize = 8;
/// Of these, so many asked for rest: then the server rests. 3 of 8, or of fewer as large a share, and two at least.
const RESTING_OF: (usize, usize) = (3, 8);
const RESTING_MIN: usize = 2;
/// Answers over which the mean is taken, roughly.
const MEAN_OVER: f64 = 16.0;

/// One server, as the pool sees it.
pub(super) struct Server {
    pub(super) window: Window,
    pub(super) circuit: Circuit,
    /// It asked for no request until then.
    rests_until: Option<Instant>,
    /// Sent before it was put on trial.
    sent_before_trial: u64,
    /// It was left alone again for a failure while it was on trial.
    has_failed_trial: bool,
    /// Of the latest answers, whether each asked for rest.
    latest: VecDeque<bool>,
    /// Requests that may go or have gone, and have not come back.
    held: u32,
    in_flight: u32,
    answered: u64,
    failed: u64,
    seconds_mean: f64,
    name: String,
    meters: Meters,
}

/// What became of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome<'a> {
    /// It was answered.
    Answered {
        /// After so long.
        seconds: f64,
        /// With a completion of so many tokens.
        tokens: u64,
    },
    /// It failed.
    Troubled(&'a Trouble),
    /// It was given up before it came back.
    GivenUp,
}

/// A request that comes back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Back {
    /// Its number in the window, if it went out at all.
    pub(super) number: Option<u64>,
    /// It was to ask whether the server is back, and came to no answer.
    pub(super) is_probe: bool,
    /// The window was used to the full, by the server's speed and by nothing else.
    pub(super) is_full: bool,
    /// Tells its job from others.
    pub(super) job: u64,
}

impl Server {
    pub(super) fn new(name: &str, window_max: u32) -> Self {
        Self {
            window: Window::new(window_max),
            circuit: Circuit::new(),
            rests_until: None,
            sent_before_trial: 0,
            has_failed_trial: false,
            latest: VecDeque::with_capacity(LOOKED_BACK),
            held: 0,
            in_flight: 0,
            answered: 0,
            failed: 0,
            seconds_mean: 0.0,
            name: name.to_owned(),
            meters: Meters::of(name),
        }
    }

    /// How long it still wants to be left alone.
    pub(super) fn rest(&self, now: Instant) -> Option<Duration> {
        self.rests_until.map(|until| until.saturating_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// Whether one more request may go to it now.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.circuit.is_up() && self.rest(now).is_none() && self.held < self.window.size()
    }

    /// Whether its window is used to the full.
    pub(super) fn is_full(&self) -> bool {
        self.held >= self.window.size()
    }

    /// A request may go.
    pub(super) fn hold(&mut self) {
        self.held += 1;
    }

    /// It does not go after all.
    pub(super) fn let_go(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// It is there again.
    pub(super) fn admit(&mut self) {
        self.window.restart();
        self.sent_before_trial = self.window.last_sent();
        self.has_failed_trial = false;
        self.circuit.admit();
    }

    /// It goes; returns its number.
    pub(super) fn send(&mut self) -> u64 {
        self.in_flight += 1;
        self.window.sent()
    }

    /// A request came back. Whether those who wait for this server have to look elsewhere.
    pub(super) fn settle(&mut self, back: Back, outcome: Outcome<'_>, now: Instant) -> bool {
        self.let_go();
        if back.number.is_some() {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        match outcome {
            Outcome::Answered { seconds, tokens } => {
                self.answered += 1;
                self.note_wish(false);
                let share = if self.answered == 1 { 1.0 } else { 1.0 / MEAN_OVER };
                self.seconds_mean += (seconds - self.seconds_mean) * share;
                self.served(back);
                if let Some(number) = back.number {
                    self.window.answered(number, Answer { seconds, tokens, is_full: back.is_full });
                }
                false
            }
            Outcome::Troubled(trouble) => {
                self.failed += 1;
                self.troubled(back, trouble, now)
            }
            Outcome::GivenUp => {
                if back.is_probe {
                    self.circuit.probe_again(now);
                }
                back.is_probe
            }
        }
    }

    fn is_on_trial(&self) -> bool {
        self.circuit.standing() == Standing::OnTrial
    }

    /// Whether the request was sent before the server was put on trial last.
    fn is_from_before(&self, back: Back) -> bool {
        back.number.is_some_and(|number| number <= self.sent_before_trial)
    }

    fn served(&mut self, back: Back) {
        // An answer to what was sent on trial counts though something else ended the trial meanwhile.
        let was_on_trial = self.has_failed_trial && back.number.is_some_and(|number| number > self.sent_before_trial);
        if back.is_probe || self.is_on_trial() || was_on_trial {
            self.has_failed_trial = false;
            tracing::info!(endpoint = self.name, "the server is back");
            self.circuit.close();
        }
        self.circuit.note_success(back.job);
    }

    fn troubled(&mut self, back: Back, trouble: &Trouble, now: Instant) -> bool {
        let wished = trouble.retry_after.unwrap_or_default().min(REST_MAX);
        self.note_wish(!wished.is_zero());
        let rest = if self.needs_rest() { wished } else { Duration::ZERO };
        if !rest.is_zero() {
            self.rests_until = self.rests_until.max(Some(now + rest));
            // What was wished before it is granted by it.
            self.latest.clear();
        }
        if trouble.is_overload
            && let Some(number) = back.number
        {
            self.window.refused(number);
        }
        if !trouble.is_of_server() {
            // Whoever refuses one request with a reason is there.
            self.served(back);
        } else if self.is_from_before(back) || (self.is_on_trial() && trouble.is_overload) {
            // What was sent before it was left alone says nothing of how it does now; and whoever has too many requests is there.
        } else if trouble.elsewhere || back.is_probe || self.circuit.note_failure(back.job) {
            // What was sent before it opened does not make it stay open for longer.
            if back.is_probe || self.circuit.is_up() {
                self.open(trouble, wished, now);
            }
            return true;
        }
        !rest.is_zero()
    }

    /// The latest answer asked for rest, or did not.
    fn note_wish(&mut self, wished_rest: bool) {
        if self.latest.len() == LOOKED_BACK {
            self.latest.pop_front();
        }
        self.latest.push_back(wished_rest);
    }

    fn needs_rest(&self) -> bool {
        let (share, of) = RESTING_OF;
        let wishes = self.latest.iter().filter(|wished_rest| **wished_rest).count();
        wishes >= RESTING_MIN && wishes * of >= self.latest.len() * share
    }

    /// Leaves the server alone for a while.
    pub(super) fn open(&mut self, trouble: &Trouble, least: Duration, now: Instant) {
        if self.circuit.is_up() {
            metrics::counter!("sluice_endpoint_opened_total", "endpoint" => self.name.clone()).increment(1);
            tracing::warn!(endpoint = self.name, error = %trouble, "the server is left alone for a while");
        }
        self.has_failed_trial |= self.is_on_trial();
        self.circuit.open(trouble.message.clone(), least, now);
    }

    /// Shows it as metrics, with so many who wait for it.
    pub(super) fn show(&mut self, waiting: usize) {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let standing = self.circuit.standing();
        self.meters.show(Shown { window: self.window.size(), in_flight: self.in_flight, waiting, standing });
    }

    /// How it does, with so many who wait for it.
    pub(super) fn health(&self, waiting: usize) -> EndpointHealth {
        let state = match self.circuit.standing() {
            Standing::Up => "up",
            Standing::Down(_) => "down",
            Standing::Probing | Standing::OnTrial => "probing",
        };
        EndpointHealth {
            campaign: String::new(),
            endpoint: self.name.clone(),
            state: state.to_owned(),
            in_flight: self.in_flight,
            window: self.window.size(),
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            answered: self.answered,
            failed: self.failed,
            seconds_mean: self.seconds_mean,
        }
    }
}
