//! BM25 in whole numbers.
//!
//! A document's score is a sum of one whole number for each query term, so neither the order of addition, nor the number of segments, nor
//! the machine can change it. What goes into a term's number is computed with the operations that IEEE 754 fixes exactly (+ − × ÷), and
//! the logarithm by integer arithmetic, since the system's differ in their last digit.

use tantivy::fieldnorm::FieldNormReader;

/// Saturation of a term's frequency.
pub(crate) const K1: f32 = 0.9;
/// Influence of a document's length.
pub(crate) const B: f32 = 0.4;
/// How often a title counts, beside its text: the title is indexed in the same field, so length and rarity see both together.
pub(crate) const TITLE_WEIGHT: usize = 2;
/// Binary digits after the point of a score.
pub(crate) const SCORE_FRACTION_BITS: u32 = 16;

/// What scores depend on beside the postings.
pub(crate) struct Ranking {
    documents: u64,
    /// By field-norm id, the tf at which a term has half its weight in a document of that length.
    half_tf: [f32; 256],
}

impl Ranking {
    /// For a corpus of `documents` documents and `tokens` tokens.
    pub(crate) fn new(documents: u64, tokens: u64) -> Self {
        let length_mean = (tokens as f32 / documents as f32).max(1.0);
        let half_tf = std::array::from_fn(|id| {
            let length = FieldNormReader::id_to_fieldnorm(id as u8) as f32;
            K1 * (1.0 - B + B * (length / length_mean))
        });
        Self { documents, half_tf }
    }

    /// What a term found in `frequency` documents, and `count` times in the query, can give to a score at most.
    pub(crate) fn weight(&self, frequency: u64, count: u32) -> Weight {
        let rarity = rarity(self.documents, frequency).max(RARITY_MIN) * u64::from(count.min(COUNT_MAX));
        Weight { limit: rarity as f32 }
    }

    /// What a term of that weight gives to a document with a field norm of `norm_id` that holds it `tf` times.
    #[inline]
    pub(crate) fn contribution(&self, weight: Weight, tf: u32, norm_id: u8) -> u32 {
        let tf = tf as f32;
        (weight.limit * (tf / (tf + self.half_tf[usize::from(norm_id)]))) as u32
    }
}

/// A term that every document has tells documents apart by how often they say it: it counts like one that 98 % have.
const RARITY_MIN: u64 = 1 << (SCORE_FRACTION_BITS - 6);
/// A word said more often than this in a query counts no more.
const COUNT_MAX: u32 = 8;

/// The limit of a term's contribution, as its frequency in a document grows.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Weight {
    limit: f32,
}

impl Weight {
    /// No contribution is above this.
    pub(crate) fn bound(self) -> u32 {
        self.limit as u32
    }
}

/// ln(1 + (documents − frequency + ½) / (frequency + ½)), fixed point.
fn rarity(documents: u64, frequency: u64) -> u64 {
    // 1 + (n − f + ½)/(f + ½) = (2n + 2)/(2f + 1), with 32 binary digits after the point.
    let ratio = (u128::from(2 * documents + 2) << 32) / u128::from(2 * frequency + 1);
    // ln 2, with 32 binary digits.
    const LN_2: u128 = 2_977_044_472;
    ((u128::from(log2(ratio)) * LN_2) >> 32 >> (32 - SCORE_FRACTION_BITS)) as u64
}

/// The binary logarithm of a fixed-point number of at least 1, both with 32 binary digits after the point.
fn log2(number: u128) -> u64 {
    let whole = number.max(1 << 32).ilog2() - 32;
    let mut mantissa = number.max(1 << 32) >> whole;
    let mut logarithm = u64::from(whole) << 32;
    // Squaring doubles the logarithm: each time the mantissa passes 2, the next binary digit is 1.
    for digit in (0..32).rev() {
        mantissa = (mantissa * mantissa) >> 32;
        if mantissa >= 2 << 32 {
            mantissa >>= 1;
            logarithm |= 1 << digit;
        }
    }
    logarithm
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rarity_is_the_logarithm_it_claims_to_be() {
        for (documents, frequency) in [(1, 1), (1, 0), (10, 3), (183_780, 1), (183_780, 90_000), (15_000_000, 12), (4_000_000_000, 1)] {
            let exact = (1.0 + (documents as f64 - frequency as f64 + 0.5) / (frequency as f64 + 0.5)).ln();
            let ours = rarity(documents, frequency) as f64 / f64::from(1 << SCORE_FRACTION_BITS);
            assert!((ours - exact).abs() < 2e-5, "{documents} {frequency}: {ours} {exact}");
        }
    }

    proptest! {
        #[test]
        fn no_contribution_is_above_its_bound_and_more_is_never_less(
            frequency in 0u64..100_000, count in 1u32..20, tf in 1u32..10_000, norm_id in 0u8..=255
        ) {
            let ranking = Ranking::new(100_000, 12_345_678);
            let weight = ranking.weight(frequency, count);
            prop_assert!(ranking.contribution(weight, tf, norm_id) <= weight.bound());
            prop_assert!(ranking.contribution(weight, tf, norm_id) <= ranking.contribution(weight, tf + 1, norm_id));
            prop_assert!(ranking.contribution(weight, tf, norm_id) >= ranking.contribution(weight, tf, norm_id.saturating_add(1)));
        }
    }
}
