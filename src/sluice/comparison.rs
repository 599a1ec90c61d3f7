//! How the variants of a campaign compare: the numbers of each, from its sealed data set, and how far it differs from the first over the same
//! seeds.
//!
//! Rows are read one at a time; memory holds a few small counters for each seed, of two variants at once.

use std::collections::BTreeMap;

use dataset::measures::{self, Measure};
use model::shard::Sums;
use model::{Campaign, Counts, Manifest, Terminal};
use runtime::Archive;
use serde::Serialize;

use crate::bootstrap::{Bootstrap, mean};
use crate::exit::VerbError;

/// Named scores of a judge that gives several begin so.
const OF_JUDGE: &str = "judge_";
/// Those of the report that O-Researcher's ablations are compared by.
pub(crate) const OVERALL: &str = "judge_overall";
pub(crate) const COMPREHENSIVENESS: &str = "judge_comprehensiveness";
pub(crate) const INSIGHT: &str = "judge_insight";
/// The named score that counts steps of reasoning.
const STEPS: &str = "steps";

/// All variants, in the order of the grid.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) campaign: String,
    pub(crate) archive: String,
    pub(crate) seeds: u64,
    /// Seed of the bootstrap over seeds, whose 95 % ranges stand beside the differences.
    pub(crate) bootstrap_seed: u64,
    pub(crate) variants: Vec<Line>,
}

/// One variant. Shares are from 0 to 1, and absent where they are shares of nothing.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Line {
    pub(crate) variant: String,
    /// What it changes.
    pub(crate) settings: BTreeMap<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) without: Vec<String>,
    pub(crate) campaign: String,
    pub(crate) planned: u64,
    pub(crate) counts: Counts,
    /// Jobs that its budget did not allow.
    pub(crate) outstanding: u64,
    /// Of all jobs that are done, failed ones included.
    pub(crate) accepted: Option<f64>,
    /// Of the answers that the judge compared with a reference.
    pub(crate) correct: Option<f64>,
    /// The mean over the seeds with a reference of the share of their rows that are right; rejected unjudged is not right.
    pub(crate) pass_at_1: Option<f64>,
    /// The judge's, a mean over the rows it was asked about.
    pub(crate) score: Option<f64>,
    /// The judge's single marks, where it gives several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) judge_scores: BTreeMap<String, f64>,
    /// Means over all rows.
    pub(crate) steps: Option<f64>,
    pub(crate) turns: Option<f64>,
    pub(crate) tool_calls: Option<f64>,
    pub(crate) prompt_tokens: Option<f64>,
    pub(crate) completion_tokens: Option<f64>,
    pub(crate) seconds: Option<f64>,
    pub(crate) citations: Option<f64>,
    /// Teacher and judge; absent where nothing has a price.
    pub(crate) money: Option<f64>,
    pub(crate) money_per_accepted: Option<f64>,
    /// Of all citations, those whose page and lines were shown.
    pub(crate) citation_accuracy: Option<f64>,
    pub(crate) search_hit: Option<f64>,
    pub(crate) open_hit: Option<f64>,
    /// Of all gold documents.
    pub(crate) recall_shown: Option<f64>,
    pub(crate) recall_opened: Option<f64>,
    /// Mean turn of the first gold document, where there was one.
    pub(crate) first_shown_turn: Option<f64>,
    pub(crate) first_opened_turn: Option<f64>,
    /// Absent of the first variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) against_first: Option<Against>,
}

/// How far a variant differs from the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Against {
    /// Of the share that is accepted.
    pub(crate) accepted: Option<Difference>,
    /// Of the judge's score.
    pub(crate) score: Option<Difference>,
    /// Of its marks of the report, each absent where a variant has none.
    pub(crate) overall: Option<Difference>,
    pub(crate) comprehensiveness: Option<Difference>,
    pub(crate) insight: Option<Difference>,
}

/// A mean difference over the seeds that both variants have a number of, with its 95 % range; absent over one seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Difference {
    pub(crate) mean: f64,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) seeds: usize,
}

impl Difference {
    /// Whether it is more than chance would have it.
    pub(crate) fn is_clear(&self) -> bool {
        self.low.is_some_and(|low| low > 0.0) || self.high.is_some_and(|high| high < 0.0)
    }
}

/// What is counted of one seed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SeedTally {
    done: u32,
    accepted: u32,
    referenced: u32,
    right: u32,
    scored: u32,
    score: f64,
    overall: Marks,
    comprehensiveness: Marks,
    insight: Marks,
}

/// One mark over several rows.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    count: u32,
    sum: f64,
}

/// What only rows say.
#[derive(Debug, Default)]
struct Rows {
    rows: u64,
    busy_ms: u64,
    score: (f64, u64),
    named: BTreeMap<String, (f64, u64)>,
}

/// The numbers of the variant whose data set is `manifest`, and what is counted of its seeds.
///
/// # Errors
/// When its indexes or rows are missing or damaged.
pub(crate) async fn line_of(archive: &dyn Archive, campaign: &Campaign, manifest: &Manifest) -> Result<(Line, Vec<SeedTally>), VerbError> {
    let mut seeds = vec![SeedTally::default(); usize::try_from(campaign.plan.seeds).unwrap_or(usize::MAX)];
    let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    measures::ends(archive, campaign, manifest, |number, end| {
        if let Some(seed) = seeds.get_mut(at(number)) {
            seed.done += u32::from(end != Terminal::Spared);
            seed.accepted += u32::from(end == Terminal::Accepted);
        }
    })
    .await?;
    let mut rows = Rows::default();
    measures::rows(archive, campaign, manifest, |row| {
        if let Some(seed) = seeds.get_mut(at(row.seed)) {
            seed.add(&row);
        }
        rows.add(&row);
    })
    .await?;
    Ok((Line::of(manifest, &rows, &seeds), seeds))
}

impl SeedTally {
    fn add(&mut self, row: &Measure) {
        self.referenced += u32::from(row.has_reference);
        self.right += u32::from(row.has_reference && row.correct == Some(true));
        if let Some(score) = row.score {
            self.scored += 1;
            self.score += score;
        }
        self.overall.add(row, OVERALL);
        self.comprehensiveness.add(row, COMPREHENSIVENESS);
        self.insight.add(row, INSIGHT);
    }
}

impl Marks {
    fn add(&mut self, row: &Measure, name: &str) {
        if let Some(mark) = row.scores.get(name) {
            self.count += 1;
            self.sum += mark;
        }
    }

    fn mean(self) -> Option<f64> {
        share(self.sum, self.count.into())
    }
}

impl Rows {
    fn add(&mut self, row: &Measure) {
        self.rows += 1;
        self.busy_ms += row.busy_ms;
        if let Some(score) = row.score {
            self.score = (self.score.0 + score, self.score.1 + 1);
        }
        for (name, score) in row.scores.iter().filter(|(name, _)| name.starts_with(OF_JUDGE) || *name == STEPS) {
            let sum = self.named.entry(name.clone()).or_default();
            *sum = (sum.0 + score, sum.1 + 1);
        }
    }

    fn mean(&self, name: &str) -> Option<f64> {
        self.named.get(name).and_then(|(sum, count)| share(*sum, *count as f64))
    }
}

/// `part` of `whole`; nothing of nothing.
fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    share(part as f64, whole as f64)
}

impl Line {
    fn of(manifest: &Manifest, rows: &Rows, seeds: &[SeedTally]) -> Self {
        let (counts, sums) = (manifest.counts, &manifest.sums);
        let each = |sum: u64| ratio(sum, rows.rows);
        let passes = seeds.iter().filter_map(|seed| ratio(seed.right.into(), seed.referenced.into()));
        let marks = rows.named.keys().filter(|name| name.starts_with(OF_JUDGE));
        let spent = (sums.teacher.cost_micros + sums.judge.cost_micros) as f64 / 1e6;
        let Sums { with_gold, gold_documents, .. } = *sums;
        Self {
            campaign: manifest.campaign.clone(),
            planned: manifest.planned,
            counts,
            outstanding: manifest.outstanding,
            accepted: ratio(counts.accepted, counts.accepted + counts.rejected + counts.failed),
            correct: ratio(sums.correct, sums.judged),
            pass_at_1: if sums.judged > 0 { mean(passes) } else { None },
            score: share(rows.score.0, rows.score.1 as f64),
            judge_scores: marks.filter_map(|name| Some((name.clone(), rows.mean(name)?))).collect(),
            steps: rows.mean(STEPS),
            turns: each(sums.turns),
            tool_calls: each(sums.tool_calls.values().sum()),
            prompt_tokens: each(sums.teacher.prompt_tokens),
            completion_tokens: each(sums.teacher.completion_tokens),
            seconds: each(rows.busy_ms).map(|ms| ms / 1000.0),
            citations: each(sums.citations),
            money: (spent > 0.0).then_some(spent),
            money_per_accepted: share(spent, counts.accepted as f64).filter(|_| spent > 0.0),
            citation_accuracy: ratio(sums.citations_shown, sums.citations),
            search_hit: ratio(sums.search_hit, with_gold),
            open_hit: ratio(sums.open_hit, with_gold),
            recall_shown: ratio(sums.gold_shown, gold_documents),
            recall_opened: ratio(sums.gold_opened, gold_documents),
            first_shown_turn: ratio(sums.first_shown_turns, sums.first_shown_rows),
            first_opened_turn: ratio(sums.first_opened_turns, sums.first_opened_rows),
            ..Self::default()
        }
    }
}

impl Against {
    /// How far `other` differs from `first`, seed by seed: what is easy for the one is mostly easy for the other, so that pairs tell more than
    /// two means do.
    pub(crate) fn of(first: &[SeedTally], other: &[SeedTally], bootstrap: Bootstrap) -> Self {
        let difference = |of: fn(&SeedTally) -> Option<f64>| {
            let pairs = first.iter().zip(other).filter_map(|(first, other)| Some(of(other)? - of(first)?));
            let pairs: Vec<f64> = pairs.collect();
            let range = bootstrap.range_of_mean(&pairs);
            let mean = mean(pairs.iter().copied())?;
            Some(Difference { mean, low: range.map(|(low, _)| low), high: range.map(|(_, high)| high), seeds: pairs.len() })
        };
        Self {
            accepted: difference(|seed| ratio(seed.accepted.into(), seed.done.into())),
            score: difference(|seed| share(seed.score, seed.scored.into())),
            overall: difference(|seed| seed.overall.mean()),
            comprehensiveness: difference(|seed| seed.comprehensiveness.mean()),
            insight: difference(|seed| seed.insight.mean()),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Digest, Selection, Uid, Usage};

    use super::*;

    fn row(seed: u64, score: Option<f64>, correct: Option<bool>) -> Measure {
        let scores = [("judge_grounding".to_owned(), 0.5), ("steps".to_owned(), 7.0), ("turns".to_owned(), 9.0)];
        Measure {
            seed,
            accepted: true,
            has_reference: true,
            correct,
            score,
            scores: scores.into_iter().filter(|(name, _)| score.is_some() || !name.starts_with("judge_")).collect(),
            usage: Usage::default(),
            roles: BTreeMap::new(),
            judge: Usage::default(),
            busy_ms: 3000,
        }
    }

    fn line(rows: &[Measure], sums: Sums, counts: Counts) -> Line {
        let mut seeds = vec![SeedTally::default(); 3];
        let mut all = Rows::default();
        for row in rows {
            seeds[row.seed as usize].add(row);
            all.add(row);
        }
        let manifest = Manifest {
            schema_version: 1,
            campaign: "c".into(),
            uid: Uid("u".into()),
            number: 1,
            grade: Digest::of(b"grade"),
            corpus_id: Digest::of(b"corpus"),
            planned: 5,
            counts,
            cancelled: 0,
            outstanding: 0,
            outstanding_jobs: Vec::new(),
            selection: Selection::All,
            sums,
            shards: Vec::new(),
        };
        Line::of(&manifest, &all, &seeds)
    }

    #[test]
    fn a_line_has_means_over_rows_shares_of_sums_and_passes_over_seeds() {
        let rows = [row(0, Some(1.0), Some(true)), row(0, Some(0.5), Some(false)), row(1, Some(0.6), Some(true)), row(2, None, None)];
        let teacher = Usage { prompt_tokens: 400, completion_tokens: 40, calls: 4, cost_micros: 3_000_000 };
        let sums = Sums { teacher, turns: 12, citations: 8, citations_shown: 6, judged: 3, correct: 2, ..Sums::default() };
        let found = line(&rows, sums, Counts { accepted: 2, rejected: 2, failed: 1, spared: 0 });
        assert_eq!((found.accepted, found.correct), (Some(0.4), Some(2.0 / 3.0)));
        assert_eq!(found.pass_at_1, Some(0.5), "(1/2 + 1 + 0) / 3: what the rules rejected is not right");
        assert!(found.score.is_some_and(|score| (score - 0.7).abs() < 1e-12), "{:?}", found.score);
        assert_eq!(found.judge_scores, [("judge_grounding".to_owned(), 0.5)].into());
        assert_eq!((found.steps, found.turns, found.prompt_tokens, found.seconds), (Some(7.0), Some(3.0), Some(100.0), Some(3.0)));
        assert_eq!((found.citations, found.citation_accuracy), (Some(2.0), Some(0.75)));
        assert_eq!((found.money, found.money_per_accepted), (Some(3.0), Some(1.5)));
        assert_eq!((found.search_hit, found.recall_shown, found.first_shown_turn), (None, None, None), "no gold, no share of it");
    }

    #[test]
    fn without_a_price_or_a_judge_nothing_is_said_of_them() {
        let found = line(&[row(0, None, None)], Sums::default(), Counts { accepted: 1, ..Counts::default() });
        assert_eq!((found.money, found.money_per_accepted, found.score), (None, None, None));
        assert_eq!((found.correct, found.pass_at_1), (None, None));
        assert_eq!(line(&[], Sums::default(), Counts::default()).accepted, None);
    }

    #[test]
    fn differences_are_paired_by_seed_and_clear_when_their_range_leaves_out_0() {
        let seed = |done, accepted, scored, score| SeedTally { done, accepted, scored, score, ..SeedTally::default() };
        // Seeds differ widely; the other variant is better by a tenth on each.
        let first: Vec<SeedTally> = (0..50).map(|n| seed(2, n % 3, 2, f64::from(n) / 50.0)).collect();
        let other: Vec<SeedTally> = first.iter().map(|first| SeedTally { score: first.score + 0.2, ..*first }).collect();
        let found = Against::of(&first, &other, Bootstrap::new(7, 0.025, 0.975));
        let score = found.score.expect("scores");
        assert!((score.mean - 0.1).abs() < 1e-9 && score.is_clear() && score.seeds == 50, "{score:?}");
        assert!(score.high.is_some_and(|high| high < 0.1001), "paired, there is nothing left to chance");
        let accepted = found.accepted.expect("jobs");
        assert_eq!((accepted.mean, accepted.is_clear()), (0.0, false));
    }

    #[test]
    fn marks_of_the_report_are_means_over_the_rows_that_have_them_and_their_differences_are_paired_by_seed() {
        let marked = |seed, overall: f64, insight: f64| {
            let mut row = row(seed, Some(0.5), None);
            row.scores.extend([(OVERALL.to_owned(), overall), (INSIGHT.to_owned(), insight)]);
            row
        };
        let rows = [marked(0, 0.4, 0.2), marked(0, 0.6, 0.4), marked(1, 0.8, 0.9), row(2, Some(0.5), None)];
        let found = line(&rows, Sums::default(), Counts { accepted: 4, ..Counts::default() }).judge_scores;
        assert!((found[OVERALL] - 0.6).abs() < 1e-12 && (found[INSIGHT] - 0.5).abs() < 1e-12, "{found:?}");
        assert!(!found.contains_key(COMPREHENSIVENESS), "{found:?}");

        let tallies = |rows: &[Measure]| {
            let mut seeds = vec![SeedTally::default(); 3];
            rows.iter().for_each(|row| seeds[row.seed as usize].add(row));
            seeds
        };
        let (first, other) = (tallies(&rows), tallies(&[marked(0, 0.7, 0.3), marked(2, 1.0, 1.0)]));
        let against = Against::of(&first, &other, Bootstrap::new(7, 0.025, 0.975));
        let (overall, insight) = (against.overall.expect("marks"), against.insight.expect("marks"));
        assert!((overall.mean - 0.2).abs() < 1e-12 && overall.seeds == 1, "(0.4 + 0.6) / 2 on the one seed of both: {overall:?}");
        assert!(insight.mean.abs() < 1e-12 && against.comprehensiveness.is_none(), "{against:?}");
    }

    #[test]
    fn a_seed_that_only_one_variant_has_a_number_of_is_in_no_pair() {
        let seed = |done, accepted| SeedTally { done, accepted, ..SeedTally::default() };
        let found = Against::of(&[seed(1, 1), seed(0, 0), seed(1, 0)], &[seed(1, 0), seed(1, 1), seed(0, 0)], Bootstrap::new(7, 0.0, 1.0));
        assert_eq!(found.accepted, Some(Difference { mean: -1.0, low: None, high: None, seeds: 1 }));
        assert_eq!((found.score, found.overall, found.comprehensiveness, found.insight), (None, None, None, None));
    }
}
