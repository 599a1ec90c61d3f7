//! Requests and tokens per minute, kept by all workers together, so that no 429 is of our own making.
//!
//! What a request will cost is not known before it is answered: it is drawn as a quarter of its prompt's bytes and the mean completion so far, and
//! what it came to in truth is settled with the next draw. Failed requests stay drawn: providers count them too. A ledger that does not answer is
//! left out for a moment; meanwhile this process keeps the same rate by itself, which is too fast only where several workers lose it at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::settings::HttpSettings;
use model::{Digest, Usage};
use runtime::Ledger;
use runtime::ledger::{Buckets, DRAW_WAIT_MAX};
use runtime::retry::Policy;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::error::Trouble;
use crate::Request;

/// Longest wait for the ledger's answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long a ledger that did not answer is left out.
const SILENT: Duration = Duration::from_secs(10);
/// Spreads those who come back to a limit that was far away.
const SPREAD: Policy = Policy { first: Duration::from_secs(1), max: Duration::from_secs(1), tries: None };
/// A completion's tokens before any is known.
const COMPLETION_TOKENS: u64 = 512;
/// Bytes of text in a token, roughly.
const TOKEN_BYTES: u64 = 4;

/// The limits of one model.
pub(super) struct Limits {
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    /// Names the limits: teachers that ask the same model at the same servers share them.
    name: String,
    ledger: Option<Arc<dyn Ledger>>,
    own: Buckets,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    completions: u64,
    completion_tokens: u64,
    /// Tokens that were used and not drawn yet; less than none where too much was drawn.
    owed: i64,
    /// The ledger is not asked until then.
    silent_until: Option<Instant>,
}

/// What was drawn for a request.
#[derive(Debug)]
pub(super) struct Drawn {
    /// Tokens it was estimated at.
    tokens: u64,
    /// Whether there was anything to wait for.
    pub(super) has_waited: bool,
}

impl Limits {
    pub(super) fn new(settings: &HttpSettings, model: &str) -> Self {
        let mut endpoints: Vec<&[u8]> = settings.endpoints.iter().map(|endpoint| endpoint.as_bytes()).collect();
        endpoints.sort_unstable();
        let name = Digest::of_parts(std::iter::once(model.as_bytes()).chain(endpoints)).short().to_owned();
        let state = State { completions: 1, completion_tokens: COMPLETION_TOKENS, owed: 0, silent_until: None };
        Self {
            requests_per_minute: settings.requests_per_minute,
            tokens_per_minute: settings.tokens_per_minute,
            name,
            ledger: None,
            own: Buckets::default(),
            state: Mutex::new(state),
        }
    }

    /// Shares them with all who draw from `ledger`.
    pub(super) fn share(&mut self, ledger: Arc<dyn Ledger>) {
        self.ledger = Some(ledger);
    }

    /// Returns when `request` may go, drawn from the limits; an outage when that is not to be had within `patience`.
    pub(super) async fn draw(&self, request: &Request, patience: Duration) -> Result<Drawn, Trouble> {
        let deadline = Instant::now() + patience;
        let mut may_go = Instant::now();
        if let Some(per_minute) = self.requests_per_minute {
            may_go = self.take("requests", 1, per_minute, deadline).await?;
        }
        let mut drawn = Drawn { tokens: 0, has_waited: false };
        if let Some(per_minute) = self.tokens_per_minute {
            let amount;
            (drawn, amount) = self.estimate(request, per_minute);
            may_go = may_go.max(self.take("tokens", amount, per_minute, deadline).await?);
        }
        drawn.has_waited = may_go > Instant::now();
        sleep_until(may_go).await;
        Ok(drawn)
    }

    /// The request came to `usage`.
    pub(super) fn settle(&self, drawn: &Drawn, usage: &Usage) {
        if self.tokens_per_minute.is_none() {
            return;
        }
        let used = usage.prompt_tokens.saturating_add(usage.completion_tokens);
        let mut state = self.state();
        state.completions = state.completions.saturating_add(1);
        state.completion_tokens = state.completion_tokens.saturating_add(usage.completion_tokens);
        state.owed = state.owed.saturating_add(signed(used)).saturating_sub(signed(drawn.tokens));
    }

    /// What the request will cost, and how much to draw for it with what is owed; a minute's worth at most, the rest stays owed.
    fn estimate(&self, request: &Request, per_minute: u64) -> (Drawn, u64) {
        let mut state = self.state();
        let mean = state.completion_tokens / state.completions.max(1);
        let tokens = prompt_bytes(request) / TOKEN_BYTES + mean.min(request.sampling.max_completion_tokens.into());
        let wanted = state.owed.saturating_add(signed(tokens));
        let amount = wanted.clamp(0, signed(per_minute));
        state.owed = wanted - amount;
        (Drawn { tokens, has_waited: false }, amount.unsigned_abs())
    }

    /// When the `amount` that was drawn may be used.
    async fn take(&self, kind: &str, amount: u64, per_minute: u64, deadline: Instant) -> Result<Instant, Trouble> {
        let name = format!("{kind}/{}", self.name);
        // Ends with the deadline.
        loop {
            let wait = self.ask(&name, amount, per_minute).await;
            if wait <= DRAW_WAIT_MAX {
                return Ok(Instant::now() + wait);
            }
            if Instant::now() >= deadline {
                let limit = format!("{kind}_per_minute");
                let message = format!("wait for `{limit}` ({per_minute}): its next {} s are drawn by others", wait.as_secs());
                return Err(Trouble { retry_after: Some(wait), ..Trouble::outage(message) });
            }
            let pause = (wait - DRAW_WAIT_MAX).min(DRAW_WAIT_MAX);
            sleep(pause + SPREAD.delay_before(0)).await;
        }
    }

    async fn ask(&self, name: &str, amount: u64, per_minute: u64) -> Duration {
        let is_silent = self.state().silent_until.is_some_and(|until| Instant::now() < until);
        let Some(ledger) = self.ledger.as_ref().filter(|_| !is_silent) else { return self.own.draw(name, amount, per_minute) };
        let answered = match timeout(ANSWER_MAX, ledger.draw(name, amount, per_minute)).await {
            Ok(answered) => answered.map_err(|error| error.to_string()),
            Err(_) => Err(format!("reach the ledger: no answer within {} s", ANSWER_MAX.as_secs())),
        };
        self.heard(answered).unwrap_or_else(|| self.own.draw(name, amount, per_minute))
    }

    /// What the ledger answered; `None` when it did not, which is said once.
    fn heard(&self, answered: Result<Duration, String>) -> Option<Duration> {
        let mut state = self.state();
        match answered {
            Ok(wait) => {
                if state.silent_until.take().is_some() {
                    tracing::info!("limits per minute are shared with the other workers again");
                }
                Some(wait)
            }
            Err(error) => {
                if state.silent_until.replace(Instant::now() + SILENT).is_none() {
                    tracing::warn!(error, "limits per minute are kept by this process alone until the ledger answers");
                }
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prompt_bytes(request: &Request) -> u64 {
    let messages = request.messages.iter().map(|message| {
        let calls: usize = message.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
        message.text.len() + message.reasoning.as_ref().map_or(0, String::len) + calls
    });
    messages.sum::<usize>() as u64
}

fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
