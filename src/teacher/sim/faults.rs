//! What happens to a request before it is answered: how long it waits, and whether it fails.

use std::time::Duration;

use axum::http::StatusCode;
use model::Digest;

use super::SimSettings;

/// Tries of one request that may fail when the client numbers its tries; the next one succeeds, unless a share of 1 wants every try to fail.
/// A client that tries again often enough therefore always comes through, and does so after the same number of tries in every run.
pub(super) const FAULTY_TRIES: u64 = 3;

/// What happens to one try.
#[derive(Debug, PartialEq)]
pub(super) struct Fate {
    pub(super) latency: Duration,
    pub(super) fault: Option<StatusCode>,
}

impl Fate {
    /// The fate of try `number` of the request with this digest. `is_told` says that the client numbers its tries.
    pub(super) fn of(settings: &SimSettings, request: &Digest, number: u64, is_told: bool) -> Self {
        let draw = |purpose: &str| share(settings.seed, request, number, purpose);
        let spread = 1.0 + settings.latency_jitter.clamp(0.0, 1.0) * (2.0 * draw("latency") - 1.0);
        let drawn = draw("fault");
        let fault = if drawn < settings.rate_429 {
            Some((StatusCode::TOO_MANY_REQUESTS, settings.rate_429))
        } else if drawn < settings.rate_429 + settings.rate_500 {
            Some((StatusCode::INTERNAL_SERVER_ERROR, settings.rate_500))
        } else {
            None
        };
        let fault = fault.filter(|(_, rate)| *rate >= 1.0 || !is_told || number < FAULTY_TRIES);
        Self { latency: settings.latency_mean.mul_f64(spread), fault: fault.map(|(status, _)| status) }
    }
}

/// A number from 0 up to, not including, 1 that depends on the arguments alone.
fn share(seed: u64, request: &Digest, number: u64, purpose: &str) -> f64 {
    let hash = Digest::of_parts([&seed.to_le_bytes(), request.as_str().as_bytes(), &number.to_le_bytes(), purpose.as_bytes()]);
    // A float holds 53 bits; the digest's short form has 64.
    let drawn = u64::from_str_radix(hash.short(), 16).unwrap_or(0) >> 11;
    drawn as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SimSettings {
        SimSettings {
            rate_429: 0.2,
            rate_500: 0.1,
            latency_mean: Duration::from_millis(100),
            latency_jitter: 0.5,
            ..SimSettings::default()
        }
    }

    #[test]
    fn faults_come_in_the_share_that_was_set_and_latencies_within_their_spread() {
        let fates: Vec<Fate> = (0..4000u32).map(|n| Fate::of(&settings(), &Digest::of(&n.to_le_bytes()), 0, true)).collect();
        let count = |status| fates.iter().filter(|fate| fate.fault == Some(status)).count();
        assert!((700..900).contains(&count(StatusCode::TOO_MANY_REQUESTS)));
        assert!((320..480).contains(&count(StatusCode::INTERNAL_SERVER_ERROR)));
        assert!(fates.iter().all(|fate| (50..=150).contains(&fate.latency.as_millis())));
    }

    #[test]
    fn the_fourth_numbered_try_succeeds_unless_every_try_shall_fail() {
        let settings = SimSettings { rate_429: 0.99, ..settings() };
        let digest = Digest::of(b"request");
        assert_eq!(Fate::of(&settings, &digest, FAULTY_TRIES, true).fault, None);
        assert_eq!(Fate::of(&settings, &digest, 0, true), Fate::of(&settings, &digest, 0, true));
        let always = SimSettings { rate_429: 1.0, ..settings };
        assert_eq!(Fate::of(&always, &digest, 50, true).fault, Some(StatusCode::TOO_MANY_REQUESTS));
    }
}
