//! pass@k: how likely at least one of k samples of a seed is right, by the judge's word.
//!
//! All rows of a data set are read, whatever it selects, as far as this needs; memory holds two small counters a seed.

use model::layout::CampaignKeys;
use model::{Campaign, Manifest, Place};
use runtime::Archive;
use serde::{Deserialize, Serialize};

use crate::DatasetError;
use crate::rows::RowFileReader;

/// How often seeds were answered rightly.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Passes {
    /// Seeds with a reference answer and at least one row.
    pub seeds: u64,
    /// Of these: no row is right.
    pub none_right: u64,
    /// Of these: some rows are right and some are not.
    pub informative: u64,
    /// Of these: all rows are right.
    pub all_right: u64,
    /// pass@k for k = 1, 2, 4, … and the number of samples.
    pub at: Vec<PassAt>,
}

/// pass@k for one k.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PassAt {
    /// Samples.
    pub k: u32,
    /// Seeds with at least so many rows.
    pub seeds: u64,
    /// The mean over these, 0 to 1.
    pub pass: f64,
}

/// A row as far as it is needed.
#[derive(Deserialize)]
struct Graded {
    rank: u64,
    seed: Referenced,
    verdict: Judged,
}

#[derive(Deserialize)]
struct Referenced {
    #[serde(default)]
    answers: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Judged {
    #[serde(default)]
    judge: Option<Correct>,
}

#[derive(Deserialize)]
struct Correct {
    #[serde(default)]
    correct: Option<bool>,
}

/// Rows of one seed, and the right ones. A campaign has at most 1,024 samples.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    rows: u16,
    right: u16,
}

/// Reads the rows of `manifest` and counts; `None` when its judge compared nothing with a reference. A row that was rejected before the judge
/// saw it counts as not right, a failed job counts not at all.
///
/// # Errors
/// When a row file is missing or damaged.
pub async fn read(archive: &dyn Archive, campaign: &Campaign, manifest: &Manifest) -> Result<Option<Passes>, DatasetError> {
    if manifest.sums.judged == 0 {
        return Ok(None);
    }
    let keys = CampaignKeys::new(&campaign.name);
    let mut counters = vec![Counter::default(); usize::try_from(campaign.plan.seeds).unwrap_or(usize::MAX)];
    for file in manifest.shards.iter().flat_map(|shard| shard.accepted.iter().chain(&shard.rejected)) {
        let key = format!("{}{}", keys.grade(&manifest.grade), file.path);
        let mut reader = RowFileReader::open(archive, &key, file).await?;
        while let Some(row) = reader.next_as::<Graded>()? {
            if row.seed.answers.is_empty() {
                continue;
            }
            let place = Place { shard: row.rank / u64::from(campaign.plan.rows_per_shard).max(1), rank: row.rank };
            let number = usize::try_from(campaign.plan.seed_at(place)).unwrap_or(usize::MAX);
            let unplanned = || DatasetError::damaged(&key, format!("rank {} is none of the plan's", row.rank));
            let counter = counters.get_mut(number).ok_or_else(unplanned)?;
            counter.rows = counter.rows.saturating_add(1);
            let is_right = row.verdict.judge.is_some_and(|judge| judge.correct == Some(true));
            counter.right = counter.right.saturating_add(u16::from(is_right));
        }
    }
    let samples = u32::try_from(manifest.planned / campaign.plan.seeds.max(1)).unwrap_or(u32::MAX);
    // A seed with fewer rows or more was not spared: some of its jobs failed, or are still to be done.
    let first = campaign.settings.campaign.samples_first.and_then(|first| u16::try_from(first).ok());
    if let Some(first) = first.filter(|_| manifest.counts.spared > 0) {
        counters.iter_mut().filter(|counter| counter.rows == first).for_each(|counter| counter.settle(samples));
    }
    Ok(Some(count(&counters, samples)))
}

impl Counter {
    /// A seed that was spared the rest of its samples counts as if these had been like those it has: left out, the seeds in between alone would
    /// make the numbers of many samples.
    fn settle(&mut self, samples: u32) {
        let all = u16::try_from(samples).unwrap_or(u16::MAX);
        if self.rows == 0 || self.rows >= all {
            return;
        }
        match self.right {
            0 => self.rows = all,
            right if right == self.rows => *self = Self { rows: all, right: all },
            _ => {}
        }
    }
}

fn count(counters: &[Counter], samples: u32) -> Passes {
    let mut passes = Passes::default();
    for counter in counters.iter().filter(|counter| counter.rows > 0) {
        passes.seeds += 1;
        match counter.right {
            0 => passes.none_right += 1,
            right if right < counter.rows => passes.informative += 1,
            _ => passes.all_right += 1,
        }
    }
    let powers = std::iter::successors(Some(1_u32), |k| k.checked_mul(2)).take_while(|k| *k < samples);
    for k in powers.chain([samples]) {
        let (mut seeds, mut sum) = (0, 0.0);
        for counter in counters.iter().filter(|counter| counter.rows > 0 && u32::from(counter.rows) >= k) {
            seeds += 1;
            sum += pass(*counter, k);
        }
        if seeds > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
            passes.at.push(PassAt { k, seeds, pass: sum / seeds as f64 });
        }
    }
    passes
}

/// 1 − C(n−c, k) / C(n, k), without bias for n ≥ k samples of which c are right (Chen et al. 2021, Evaluating Large Language Models Trained on
/// Code), as a product that neither overflows nor cancels.
fn pass(counter: Counter, k: u32) -> f64 {
    let (rows, right) = (u32::from(counter.rows), u32::from(counter.right));
    let wrong = rows.saturating_sub(right);
    if wrong < k {
        return 1.0;
    }
    let all_wrong: f64 = (wrong + 1..=rows).map(|n| 1.0 - f64::from(k) / f64::from(n)).product();
    1.0 - all_wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(of: &[(u16, u16)]) -> Vec<Counter> {
        of.iter().map(|(rows, right)| Counter { rows: *rows, right: *right }).collect()
    }

    #[test]
    fn a_seed_that_was_spared_its_later_samples_counts_at_every_k() {
        let mut of = counters(&[(2, 2), (2, 0), (8, 3), (1, 1)]);
        of.iter_mut().for_each(|counter| counter.settle(8));
        let rows: Vec<(u16, u16)> = of.iter().map(|counter| (counter.rows, counter.right)).collect();
        assert_eq!(rows, [(8, 8), (8, 0), (8, 3), (8, 8)]);
        assert_eq!(count(&of, 8).at.last().map(|at| at.seeds), Some(4));
    }

    #[test]
    fn the_estimate_is_the_share_of_draws_with_a_right_one() {
        // Of the six pairs of four samples of which one is right, three have it.
        assert!((pass(Counter { rows: 4, right: 1 }, 2) - 0.5).abs() < 1e-12);
        assert!((pass(Counter { rows: 4, right: 2 }, 2) - 5.0 / 6.0).abs() < 1e-12);
        assert!((pass(Counter { rows: 1024, right: 1 }, 512) - 0.5).abs() < 1e-9);
        assert_eq!((pass(Counter { rows: 4, right: 0 }, 4), pass(Counter { rows: 4, right: 3 }, 2)), (0.0, 1.0));
    }

    #[test]
    fn seeds_are_counted_by_none_some_or_all_right_and_only_where_there_are_enough_rows() {
        let passes = count(&counters(&[(3, 0), (3, 1), (3, 3), (1, 1), (0, 0)]), 3);
        assert_eq!((passes.seeds, passes.none_right, passes.informative, passes.all_right), (4, 1, 1, 2));
        let at: Vec<(u32, u64)> = passes.at.iter().map(|at| (at.k, at.seeds)).collect();
        assert_eq!(at, [(1, 4), (2, 3), (3, 3)]);
        let means: Vec<f64> = passes.at.iter().map(|at| (at.pass * 1000.0).round()).collect();
        assert_eq!(means, [583.0, 556.0, 667.0], "(0 + 1/3 + 1 + 1) / 4, (0 + 2/3 + 1) / 3, (0 + 1 + 1) / 3");
        assert_eq!(count(&counters(&[(1, 1)]), 1).at.len(), 1);
    }

    #[test]
    fn a_row_is_read_as_far_as_it_is_needed() {
        let mut row = crate::testing::row(Vec::new(), None);
        row.seed.answers = vec!["a".into()];
        let read: Graded = serde_json::from_value(serde_json::to_value(&row).expect("JSON")).expect("read");
        assert!(read.rank == 0 && read.seed.answers.len() == 1 && read.verdict.judge.is_none());
    }
}
