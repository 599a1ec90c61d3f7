//! Waiting before trying again: exponential with full jitter, bounded below and above.
//!
//! The only file that touches the crate `backoff`, which is unmaintained: of it we use the growth of the interval and its randomness, which
//! never reaches a prompt or an observation. Whether something is worth trying again is decided by whoever failed, not here.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// So many tries of one thing are nobody's concern but a debugger's.
const TRIES_QUIET: u32 = 4;

/// How long to wait between tries, and how often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Upper edge of the first delay; it doubles each time.
    pub first: Duration,
    /// Upper edge of every delay, and the most that a `Retry-After` is believed.
    pub max: Duration,
    /// Tries in all, the first included; `None`: until told to stop.
    pub tries: Option<u32>,
}

impl Policy {
    /// For our own dependencies (queue, ledger, archive): they come back, and somebody else says when to stop waiting.
    pub const DEPENDENCY: Self = Self { first: Duration::from_millis(100), max: Duration::from_secs(5), tries: None };

    /// The delays of this policy, from the first.
    pub fn delays(self) -> Delays {
        // `backoff` draws from interval · [1 − factor, 1 + factor]: half the interval with factor 1 is full jitter.
        Delays {
            backoff: ExponentialBackoff {
                current_interval: self.first / 2,
                initial_interval: self.first / 2,
                randomization_factor: 1.0,
                multiplier: 2.0,
                max_interval: self.max / 2,
                max_elapsed_time: None,
                ..ExponentialBackoff::default()
            },
            policy: self,
        }
    }

    /// The delay before try number `attempt + 1` (the first try is number 0), drawn independently of any before it.
    pub fn delay_before(self, attempt: u32) -> Duration {
        let doublings = attempt.min(20);
        let edge = self.first.saturating_mul(1 << doublings).min(self.max);
        Self { first: edge, ..self }.delays().next()
    }

    /// `after`, as the other side wished, as far as we believe it.
    pub fn believed(self, after: Duration) -> Duration {
        after.min(self.max)
    }
}

/// Growing delays; a success starts them anew.
#[derive(Debug)]
pub struct Delays {
    backoff: ExponentialBackoff,
    policy: Policy,
}

impl Delays {
    /// The next delay.
    #[expect(clippy::should_implement_trait, reason = "an iterator that never ends is not what callers want to chain")]
    pub fn next(&mut self) -> Duration {
        let drawn = self.backoff.next_backoff().unwrap_or(self.policy.max);
        // Full jitter may draw nothing at all; an eighth of the first edge keeps a row of bad draws from becoming a hot loop.
        drawn.clamp(self.policy.first / 8, self.policy.max)
    }

    /// Starts from the first delay again.
    pub fn reset(&mut self) {
        self.backoff.reset();
    }
}

/// Why a try failed.
#[derive(Debug)]
pub enum Tried<E> {
    /// Trying again does not help.
    Stop(E),
    /// Try again, after a pause that the other side may have named.
    Again {
        /// What happened.
        error: E,
        /// How long the other side wants us to wait.
        after: Option<Duration>,
    },
}

impl<E> Tried<E> {
    /// Try again; nobody said when.
    pub fn again(error: E) -> Self {
        Self::Again { error, after: None }
    }
}

/// Tries `operation` until it succeeds, says [`Tried::Stop`], has used up the policy's tries, or `until` is over; then the last error is
/// returned. An operation under way is never cut off; only waiting is.
///
/// # Errors
/// The last error of `operation`.
pub async fn retry<T, E, F>(policy: Policy, until: impl Future<Output = ()>, mut operation: impl FnMut() -> F) -> Result<T, E>
where
    E: Display,
    F: Future<Output = Result<T, Tried<E>>>,
{
    tokio::pin!(until);
    let mut delays = policy.delays();
    let mut tries = 0;
    loop {
        let (error, after) = match operation().await {
            Ok(value) => return Ok(value),
            Err(Tried::Stop(error)) => return Err(error),
            Err(Tried::Again { error, after }) => (error, after),
        };
        tries += 1;
        if policy.tries.is_some_and(|most| tries >= most) {
            return Err(error);
        }
        let delay = after.map_or_else(|| delays.next(), |after| policy.believed(after));
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        // The first few are the daily business of a rate limit; what goes on somebody should see.
        if tries < TRIES_QUIET {
            tracing::debug!(%error, tries, delay_ms, "trying again");
        } else {
            tracing::warn!(%error, tries, delay_ms, "trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = &mut until => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    const POLICY: Policy = Policy { first: Duration::from_secs(1), max: Duration::from_secs(60), tries: Some(5) };

    #[test]
    fn delays_grow_to_the_bound_and_never_pass_it() {
        let mut delays = POLICY.delays();
        for attempt in 0..40 {
            let edge = Duration::from_secs(1 << attempt.min(6)).min(POLICY.max);
            let (drawn, independent) = (delays.next(), POLICY.delay_before(attempt));
            assert!(drawn <= edge && independent <= edge, "attempt {attempt}: {drawn:?}, {independent:?}");
            assert!(drawn >= POLICY.first / 8);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tries_are_bounded_and_the_last_error_comes_out() {
        let tries = Cell::new(0);
        let result: Result<(), String> = retry(POLICY, std::future::pending(), || {
            tries.set(tries.get() + 1);
            async { Err(Tried::again(format!("try {}", tries.get()))) }
        })
        .await;
        assert_eq!(result, Err("try 5".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_after_is_heeded_up_to_the_bound() {
        for (asked, waited) in [(7, 7), (3600, 60)] {
            let start = Instant::now();
            let first = Cell::new(true);
            let result: Result<(), &str> = retry(POLICY, std::future::pending(), || {
                let outcome = if first.replace(false) {
                    Err(Tried::Again { error: "later", after: Some(Duration::from_secs(asked)) })
                } else {
                    Ok(())
                };
                async { outcome }
            })
            .await;
            assert_eq!((result, start.elapsed().as_secs()), (Ok(()), waited));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_told_to_stop() {
        let policy = Policy { first: Duration::from_secs(3600), max: Duration::from_secs(3600), tries: None };
        let start = Instant::now();
        let result: Result<(), &str> =
            retry(policy, tokio::time::sleep(Duration::from_secs(2)), || async { Err(Tried::again("down")) }).await;
        assert_eq!((result, start.elapsed().as_secs()), (Err("down"), 2));
    }
}
