//! How far a number that was computed from a few might have come out otherwise: the bootstrap (Efron 1979), seeded, so that the same numbers
//! have the same range.

/// Numbers that are drawn for one range, at most: what is computed over very many is known well with fewer draws.
const NUMBERS_MAX: u64 = 50_000_000;
/// Draws for one range.
const DRAWS: u64 = 2000;
/// Draws for one range over very many numbers.
const DRAWS_MIN: u64 = 200;

/// Draws with replacement, by a seed that is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bootstrap {
    /// Where the draws begin.
    pub(crate) seed: u64,
    /// The quantiles that a range goes from and to.
    pub(crate) quantiles: (f64, f64),
}

impl Bootstrap {
    /// The range from the lower to the upper quantile.
    pub(crate) fn new(seed: u64, lower: f64, upper: f64) -> Self {
        Self { seed, quantiles: (lower, upper) }
    }

    /// How often `count` numbers are drawn anew.
    pub(crate) fn draws(count: usize) -> u64 {
        DRAWS.min(NUMBERS_MAX / (count as u64).max(1)).max(DRAWS_MIN)
    }

    /// The range of `statistic` over draws of `count` indexes below `count`; `None` of fewer than two, which say nothing of how far they
    /// stray. The statistic may be infinite, and is never asked of nothing.
    pub(crate) fn range(self, count: usize, mut statistic: impl FnMut(&[usize]) -> f64) -> Option<(f64, f64)> {
        if count < 2 {
            return None;
        }
        let mut lots = Lots(self.seed);
        let mut drawn = vec![0; count];
        let mut found: Vec<f64> = (0..Self::draws(count))
            .map(|_| {
                drawn.iter_mut().for_each(|index| *index = lots.below(count));
                statistic(&drawn)
            })
            .collect();
        found.sort_by(f64::total_cmp);
        let at = |quantile: f64| found.get(((found.len() - 1) as f64 * quantile).round() as usize).copied();
        Some((at(self.quantiles.0)?, at(self.quantiles.1)?))
    }

    /// The range of the mean of `numbers`.
    pub(crate) fn range_of_mean(self, numbers: &[f64]) -> Option<(f64, f64)> {
        self.range(numbers.len(), |drawn| mean(drawn.iter().filter_map(|index| numbers.get(*index).copied())).unwrap_or_default())
    }
}

/// The mean; `None` of nothing.
pub(crate) fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0_u64), |(sum, count), number| (sum + number, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// SplitMix64.
struct Lots(u64);

impl Lots {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `count`, by the high half of a product (Lemire 2019), whose bias is far below what a bootstrap can tell.
    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_mean_is_as_wide_as_theory_has_it_and_the_same_for_the_same_seed() {
        let numbers: Vec<f64> = (0..400).map(|n| f64::from(n % 2)).collect();
        let bootstrap = Bootstrap::new(7, 0.025, 0.975);
        let (low, high) = bootstrap.range_of_mean(&numbers).expect("a range");
        // 1.96 · √(0.25 / 400) = 0.049.
        assert!((low - 0.451).abs() < 0.006 && (high - 0.549).abs() < 0.006, "{low} to {high}");
        assert_eq!(bootstrap.range_of_mean(&numbers), Some((low, high)));
        assert_ne!(Bootstrap::new(8, 0.025, 0.975).range_of_mean(&numbers), Some((low, high)));
    }

    #[test]
    fn one_number_has_no_range_and_equal_ones_a_range_without_width() {
        let bootstrap = Bootstrap::new(0, 0.1, 0.9);
        assert_eq!(bootstrap.range_of_mean(&[]), None);
        assert_eq!(bootstrap.range_of_mean(&[3.0]), None);
        assert_eq!(bootstrap.range_of_mean(&[3.0, 3.0, 3.0]), Some((3.0, 3.0)));
    }

    #[test]
    fn what_is_infinite_in_some_draws_is_an_end_of_the_range() {
        // One of two: in a quarter of all draws it is missing.
        let of = |drawn: &[usize]| if drawn.contains(&0) { 1.0 } else { f64::INFINITY };
        assert_eq!(Bootstrap::new(1, 0.1, 0.9).range(2, of), Some((1.0, f64::INFINITY)));
    }

    #[test]
    fn very_many_numbers_are_drawn_less_often() {
        assert_eq!((Bootstrap::draws(1), Bootstrap::draws(25_000), Bootstrap::draws(50_000)), (2000, 2000, 1000));
        assert_eq!(Bootstrap::draws(usize::MAX), DRAWS_MIN);
    }
}
