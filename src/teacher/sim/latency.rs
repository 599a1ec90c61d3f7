//! How long a try waits for its first token.

use std::f64::consts::TAU;
use std::time::Duration;

use super::chance::Chance;
use super::settings::{LatencyShape, SimSettings};

/// Width of the log-normal shape, in natural logarithms.
const SIGMA: f64 = 0.5;

/// The latency of one try. Every shape keeps the mean.
pub(super) fn first_token(settings: &SimSettings, chance: &Chance<'_>) -> Duration {
    let drawn = chance.draw("latency");
    // From 0 up to 37, since `drawn` stays below 1.
    let exponential = -(1.0 - drawn).ln();
    let factor = match settings.latency_shape {
        LatencyShape::Fixed => 1.0,
        LatencyShape::Uniform => 1.0 + settings.latency_jitter * (2.0 * drawn - 1.0),
        LatencyShape::Exponential => exponential,
        LatencyShape::Lognormal => {
            // Box and Muller: a radius and an angle make a normal deviate.
            let normal = (2.0 * exponential).sqrt() * (TAU * chance.draw("angle")).cos();
            (SIGMA * normal - SIGMA * SIGMA / 2.0).exp()
        }
    };
    settings.latency_mean.mul_f64(factor.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Digest;

    #[test]
    fn every_shape_keeps_the_mean_and_has_its_tail() {
        for (shape, p99) in
            [(LatencyShape::Fixed, 1.0), (LatencyShape::Uniform, 1.49), (LatencyShape::Exponential, 4.6), (LatencyShape::Lognormal, 2.8)]
        {
            let settings =
                SimSettings { latency_mean: Duration::from_secs(1), latency_jitter: 0.5, latency_shape: shape, ..SimSettings::default() };
            let of = |number| first_token(&settings, &Chance { seed: 1, request: &Digest::of(b"request"), number });
            let mut latencies: Vec<f64> = (0..20_000).map(|number| of(number).as_secs_f64()).collect();
            latencies.sort_by(f64::total_cmp);
            let mean = latencies.iter().sum::<f64>() / 20_000.0;
            assert!((mean - 1.0).abs() < 0.03, "{shape:?}: {mean}");
            assert!((latencies[19_800] / p99 - 1.0).abs() < 0.1, "{shape:?}: {}", latencies[19_800]);
            assert_eq!(of(7), of(7));
        }
    }
}
