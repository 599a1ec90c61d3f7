//! Seeded chance: every draw is a pure function of the seed, the request, the number of the try, and what is drawn.

use model::Digest;

/// What draws depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance<'a> {
    pub(super) seed: u64,
    /// Digest of the request's body.
    pub(super) request: &'a Digest,
    /// Number of the try.
    pub(super) number: u64,
}

impl Chance<'_> {
    /// A number from 0 up to, not including, 1.
    pub(super) fn draw(&self, purpose: &str) -> f64 {
        let (seed, number) = (self.seed.to_le_bytes(), self.number.to_le_bytes());
        let hash = Digest::of_parts([&seed, self.request.as_str().as_bytes(), &number, purpose.as_bytes()]);
        // A float holds 53 bits; the digest's short form has 64.
        let drawn = u64::from_str_radix(hash.short(), 16).unwrap_or(0) >> 11;
        drawn as f64 / (1u64 << 53) as f64
    }
}
