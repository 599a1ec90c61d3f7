//! Rate limits, as providers set them: buckets that hold a minute's worth and are filled evenly.
//!
//! Who is refused is told when a request like it will be admitted if nobody else comes. One that asks for more than a minute's worth is
//! admitted by a full bucket: refused for ever, it could never be sent.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What rounding may be short of.
const EPSILON: f64 = 1e-6;

/// The limits, if there are any.
pub(super) struct Limits {
    buckets: Option<Mutex<Buckets>>,
}

struct Buckets {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    filled: Instant,
}

struct Bucket {
    capacity: f64,
    level: f64,
}

impl Limits {
    pub(super) fn new(requests_per_minute: Option<u32>, tokens_per_minute: Option<u64>, now: Instant) -> Self {
        let bucket = |capacity: f64| Bucket { capacity, level: capacity };
        let requests = requests_per_minute.map(|requests| bucket(f64::from(requests)));
        let tokens = tokens_per_minute.map(|tokens| bucket(tokens as f64));
        let is_limited = requests.is_some() || tokens.is_some();
        Self { buckets: is_limited.then(|| Mutex::new(Buckets { requests, tokens, filled: now })) }
    }

    /// Admits a request of so many tokens, or says how long to wait; then nothing is taken.
    pub(super) fn admit(&self, tokens: u64, now: Instant) -> Result<(), Duration> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let minutes = now.saturating_duration_since(buckets.filled).as_secs_f64() / 60.0;
        buckets.filled = buckets.filled.max(now);
        let Buckets { requests, tokens: of_tokens, .. } = &mut *buckets;
        let mut wanted = [(requests, 1.0), (of_tokens, tokens as f64)];
        let mut wait = 0.0f64;
        for (bucket, amount) in &mut wanted {
            let Some(bucket) = bucket else { continue };
            bucket.level = (bucket.level + minutes * bucket.capacity).min(bucket.capacity);
            *amount = amount.min(bucket.capacity);
            if bucket.level + EPSILON < *amount {
                wait = wait.max((*amount - bucket.level) / bucket.capacity * 60.0);
            }
        }
        if wait > 0.0 {
            return Err(Duration::from_secs_f64(wait));
        }
        for (bucket, amount) in wanted {
            if let Some(bucket) = bucket {
                bucket.level -= amount;
            }
        }
        Ok(())
    }

    /// Gives back tokens that were admitted and not used.
    pub(super) fn give_back(&self, tokens: u64) {
        let Some(buckets) = &self.buckets else { return };
        if let Some(bucket) = &mut buckets.lock().unwrap_or_else(PoisonError::into_inner).tokens {
            bucket.level = (bucket.level + tokens as f64).min(bucket.capacity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_as_long_as_told_is_admitted_and_not_a_moment_sooner() {
        let start = Instant::now();
        let limits = Limits::new(Some(3), Some(600), start);
        for _ in 0..3 {
            assert_eq!(limits.admit(100, start), Ok(()));
        }
        let wait = limits.admit(100, start).expect_err("three a minute");
        assert_eq!(wait, Duration::from_secs(20));
        assert!(limits.admit(100, start + wait - Duration::from_millis(1)).is_err());
        assert_eq!(limits.admit(100, start + wait), Ok(()));
    }

    #[test]
    fn tokens_that_were_not_written_are_given_back_and_a_giant_needs_a_full_bucket() {
        let start = Instant::now();
        let limits = Limits::new(None, Some(600), start);
        assert_eq!(limits.admit(600, start), Ok(()));
        assert_eq!(limits.admit(60, start), Err(Duration::from_secs(6)));
        limits.give_back(60);
        assert_eq!(limits.admit(60, start), Ok(()));
        assert_eq!(limits.admit(1_000_000, start), Err(Duration::from_secs(60)));
        assert_eq!(limits.admit(1_000_000, start + Duration::from_secs(60)), Ok(()));
        assert_eq!(Limits::new(None, None, start).admit(u64::MAX, start), Ok(()));
    }
}
