//! The best documents for a query, exactly.
//!
//! MaxScore over windows of documents: terms whose bounds together cannot lift a document into the result are looked up only for
//! documents that the others already brought near it. Scores are whole numbers and ties fall to the smaller ordinal, so the result is the
//! same as that of scoring every document, in any order, in any segmentation (`searching_agrees_with_scoring_everything`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tantivy::postings::BlockSegmentPostings;

use crate::document::Ordinal;
use crate::ranking::{Ranking, Weight};

/// One search result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The document.
    pub ordinal: Ordinal,
    /// Its canonical URL.
    pub url: String,
    /// Its title; may be empty.
    pub title: String,
    /// About 180 characters around the query's terms, whitespace collapsed, `…` where text was cut.
    pub snippet: String,
    /// Its score, fixed point: comparable within one corpus only.
    pub score: i64,
}

/// A document found, and where its entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) score: u32,
    pub(crate) ordinal: Reverse<u32>,
    pub(crate) segment: usize,
    pub(crate) entry: u32,
}

/// The best documents so far.
pub(crate) struct Best {
    limit: usize,
    /// Worst first.
    heap: BinaryHeap<Reverse<Found>>,
}

impl Best {
    /// Of at most `limit` documents, which is above 0.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new() }
    }

    /// A document with a lower score is out; one with this score may be in.
    fn threshold(&self) -> u32 {
        match self.heap.peek() {
            Some(Reverse(worst)) if self.heap.len() == self.limit => worst.score,
            _ => 1,
        }
    }

    fn offer(&mut self, found: Found) {
        if self.heap.len() < self.limit {
            self.heap.push(Reverse(found));
        } else if let Some(mut worst) = self.heap.peek_mut().filter(|worst| found > worst.0) {
            *worst = Reverse(found);
        }
    }

    /// Best first.
    pub(crate) fn into_sorted(self) -> Vec<Found> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(found)| found).collect()
    }
}

/// The postings of one query term in one segment.
pub(crate) struct Clause {
    postings: BlockSegmentPostings,
    weight: Weight,
    /// Within the current block.
    at: usize,
}

/// A segment, as far as scoring looks at it.
pub(crate) trait Entries {
    /// Field-norm id of an entry's content.
    fn norm_id(&self, entry: u32) -> u8;
    /// Ordinal of an entry's document.
    fn ordinal(&self, entry: u32) -> u32;
}

/// No entry has this number.
const END: u32 = tantivy::TERMINATED;

impl Clause {
    pub(crate) fn new(postings: BlockSegmentPostings, weight: Weight) -> Self {
        Self { postings, weight, at: 0 }
    }

    /// The entry it stands at.
    fn entry(&self) -> u32 {
        self.postings.docs().get(self.at).copied().unwrap_or(END)
    }

    /// Adds its contributions to the entries of the window, and moves behind it.
    fn add_to(&mut self, window: &mut Window, ranking: &Ranking, entries: &impl Entries) {
        loop {
            let docs = self.postings.docs();
            let rest = docs.get(self.at..).unwrap_or(&[]);
            let inside = rest.partition_point(|entry| *entry < window.end());
            let freqs = self.postings.freqs().get(self.at..).unwrap_or(&[]);
            for (entry, tf) in rest.iter().zip(freqs).take(inside) {
                window.add(*entry, ranking.contribution(self.weight, *tf, entries.norm_id(*entry)));
            }
            self.at += inside;
            let is_behind = inside < rest.len() || docs.is_empty();
            if is_behind {
                return;
            }
            self.postings.advance();
            self.at = 0;
        }
    }

    /// Its contribution to an entry that is not before the ones it was asked for already.
    fn contribution_to(&mut self, entry: u32, ranking: &Ranking, norm_id: u8) -> u32 {
        if self.entry() < entry {
            self.at = self.postings.seek(entry);
        }
        if self.entry() != entry {
            return 0;
        }
        ranking.contribution(self.weight, self.postings.freq(self.at), norm_id)
    }
}

/// Scores of consecutive entries.
struct Window {
    start: u32,
    scores: Vec<u32>,
    /// A bit for each entry that has a score.
    touched: Vec<u64>,
}

impl Window {
    /// The scores of a window stay in the nearest cache. Small in tests, so that searches of little corpora cross windows.
    const ENTRIES: u32 = if cfg!(test) { 64 } else { 4096 };

    fn new() -> Self {
        Self { start: 0, scores: vec![0; Self::ENTRIES as usize], touched: vec![0; Self::ENTRIES as usize / 64] }
    }

    fn end(&self) -> u32 {
        self.start.saturating_add(Self::ENTRIES)
    }

    #[inline]
    fn add(&mut self, entry: u32, contribution: u32) {
        let at = (entry - self.start) as usize % Self::ENTRIES as usize;
        self.scores[at] += contribution;
        self.touched[at / 64] |= 1 << (at % 64);
    }

    /// Calls `each` with every entry that has a score, in order, and forgets the scores.
    fn drain(&mut self, mut each: impl FnMut(u32, u32)) {
        for (word_at, word) in self.touched.iter_mut().enumerate() {
            let mut bits = std::mem::take(word);
            while bits != 0 {
                let at = word_at * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                each(self.start + at as u32, std::mem::take(&mut self.scores[at]));
            }
        }
    }
}

/// Offers the documents of one segment to `best`.
pub(crate) fn search_segment(mut clauses: Vec<Clause>, ranking: &Ranking, segment: usize, entries: &impl Entries, best: &mut Best) {
    clauses.sort_by_key(|clause| clause.weight.bound());
    // What the clauses up to each one give at most, together.
    let bounds: Vec<u32> = clauses
        .iter()
        .scan(0_u32, |sum, clause| {
            *sum = sum.saturating_add(clause.weight.bound());
            Some(*sum)
        })
        .collect();
    let mut window = Window::new();
    loop {
        let threshold = best.threshold();
        // The clauses before this one do not make a result by themselves.
        let essential = bounds.partition_point(|bound| *bound < threshold);
        let (minor, major) = clauses.split_at_mut(essential);
        let Some(start) = major.iter().map(Clause::entry).min().filter(|start| *start != END) else { return };
        window.start = start;
        for clause in &mut *major {
            clause.add_to(&mut window, ranking, entries);
        }
        window.drain(|entry, major_score| {
            let threshold = best.threshold();
            let mut score = major_score;
            if !minor.is_empty() {
                let norm_id = entries.norm_id(entry);
                for (clause, bound) in minor.iter_mut().zip(&bounds).rev() {
                    if score.saturating_add(*bound) < threshold {
                        return;
                    }
                    score = score.saturating_add(clause.contribution_to(entry, ranking, norm_id));
                }
            }
            if score >= threshold {
                best.offer(Found { score, ordinal: Reverse(entries.ordinal(entry)), segment, entry });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use tantivy::fieldnorm::FieldNormReader;

    use super::*;
    use crate::indexer::Layout;
    use crate::query::QueryTerm;
    use crate::ranking::TITLE_WEIGHT;
    use crate::segments::{Segments, Singles};
    use crate::snapshot::Corpus;
    use crate::terms::Terms;
    use crate::testing::{Source, line};

    /// All that scoring by the definition needs: of each document its terms and the id of its length, and in how many each term is.
    struct Counted {
        documents: Vec<(BTreeMap<String, u32>, u8)>,
        frequencies: BTreeMap<String, u64>,
        ranking: Ranking,
    }

    impl Counted {
        fn new(corpus: &Corpus) -> Self {
            let (mut documents, mut frequencies, mut tokens) = (Vec::new(), BTreeMap::new(), 0);
            for ordinal in 0..corpus.len() as u32 {
                let document = corpus.document(Ordinal(ordinal)).expect("document");
                let (mut terms, mut tfs, mut length) = (Terms::new(), BTreeMap::new(), 0);
                for value in std::iter::repeat_n(&document.title, TITLE_WEIGHT).chain([&document.text]) {
                    for segment in Segments::new(value, Singles::Signs) {
                        *tfs.entry(terms.term(value, segment).to_owned()).or_insert(0) += 1;
                        length += 1;
                    }
                }
                tfs.keys().for_each(|term: &String| *frequencies.entry(term.clone()).or_insert(0) += 1);
                tokens += u64::from(length);
                documents.push((tfs, FieldNormReader::fieldnorm_to_id(length)));
            }
            assert_eq!(tokens, corpus.manifest().index.tokens);
            Self { documents, frequencies, ranking: Ranking::new(corpus.len(), tokens) }
        }

        /// Scores every document; ordinals and scores of the best.
        fn best(&self, query: &str, topn: usize) -> Vec<(u32, i64)> {
            let terms = crate::query::query_terms(query);
            let mut scored = Vec::new();
            for (ordinal, (tfs, norm_id)) in self.documents.iter().enumerate() {
                let contribution = |term: &QueryTerm| {
                    let weight = self.ranking.weight(*self.frequencies.get(&term.text)?, term.count);
                    Some(i64::from(self.ranking.contribution(weight, *tfs.get(&term.text)?, *norm_id)))
                };
                scored.push((Reverse(terms.iter().filter_map(contribution).sum::<i64>()), ordinal as u32));
            }
            scored.sort();
            let found = scored.into_iter().filter(|(Reverse(score), _)| *score > 0);
            found.map(|(Reverse(score), ordinal)| (ordinal, score)).take(topn).collect()
        }
    }

    fn found(corpus: &Corpus, query: &str, topn: usize) -> Vec<(u32, i64)> {
        corpus.search(query, topn).expect("search").into_iter().map(|hit| (hit.ordinal.0, hit.score)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]

        #[test]
        fn searching_agrees_with_scoring_everything_in_any_layout(
            texts in proptest::collection::vec(proptest::collection::vec(0usize..14, 1..7), 150..500),
            queries in proptest::collection::vec(proptest::collection::vec(0usize..14, 1..6), 6),
            topn in 1usize..40,
            seed in any::<u64>(),
        ) {
            // Few words and short texts: most scores are shared by many documents. `the` is in most, so its weight is the least there is.
            let words = ["the", "the", "blue", "blue", "whale", "whale", "heart", "krill", "ocean", "鯨", "海洋", "sings", "song", "rare"];
            let say = |picked: &[usize]| picked.iter().map(|at| words[*at]).collect::<Vec<_>>().join(" ");
            let mut lines: Vec<_> = texts
                .iter()
                .enumerate()
                // The number makes texts differ; the title is often empty.
                .map(|(n, picked)| line(&format!("https://e.org/{n}"), if n % 3 == 0 { "whale" } else { "" }, &format!("{} n{n}", say(picked))))
                .collect();
            let whole = Source::new(&lines).build(Layout::ONE_SEGMENT, 1);
            let few = Source::new(&lines).build(Layout { documents_per_segment: Some(lines.len() as u64 / 2 + 1) }, 1);
            let n = lines.len();
            (0..n).for_each(|at| lines.swap(at, (seed.wrapping_mul(at as u64 + 1) >> 20) as usize % n));
            let many = Source::new(&lines).build(Layout { documents_per_segment: Some(n as u64 / 5 + 1) }, 2);
            prop_assert_eq!(whole.manifest().index.segments, 1);
            prop_assert!(few.manifest().index.segments >= 2 && many.manifest().index.segments >= 5);
            prop_assert_eq!(whole.id(), few.id());
            prop_assert_eq!(whole.id(), many.id());
            let counted = Counted::new(&whole);
            for query in queries {
                let query = say(&query);
                let expected = counted.best(&query, topn);
                prop_assert_eq!(&found(&whole, &query, topn), &expected);
                prop_assert_eq!(&found(&few, &query, topn), &expected);
                prop_assert_eq!(&found(&many, &query, topn), &expected);
                prop_assert_eq!(whole.search(&query, topn).expect("search"), many.search(&query, topn).expect("search"));
            }
        }
    }
}
