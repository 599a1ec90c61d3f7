//! What was read, weighed against the question: how rare each term is, which results and which sentences hold most of them.
//!
//! Rarity is learnt from the observations themselves, since nothing else is known. Terms are bits of one machine word, so weighing a
//! sentence costs what its words cost to look up.

use super::asked::Kind;
use super::prose::Prose;
use super::question::{Question, Term};
use super::reading::{Conversation, Page, PageKind};
use super::span;
use super::text::{Word, words};

/// Bits of a machine word.
const TERMS_MAX: usize = 64;

/// What a term counts in a sentence's title, in its neighbours and in its heading, where it counts 1 in the sentence itself. What the title
/// says a sentence need not repeat.
const TITLE: f32 = 0.85;
const NEAR: f32 = 0.55;
const ABOVE: f32 = 0.5;

/// What a name met on the way counts, where a term of the question counts 1.
const LEARNT_WEIGHT: f32 = 0.35;

/// Sentences that are looked at closely.
const CLOSE_LOOKS: usize = 24;

/// All that was read so far.
pub(super) struct Evidence<'a> {
    pub(super) question: &'a Question,
    /// The question's terms, then those learnt on the way.
    pub(super) terms: Vec<Term>,
    /// What each is worth, rarity included.
    pub(super) weights: Vec<f32>,
    /// Sum of the weights of the question's own terms.
    total: f32,
    pub(super) leaves: Vec<Leaf<'a>>,
    pub(super) entries: Vec<Entry>,
}

/// A window of a document.
pub(super) struct Leaf<'a> {
    pub(super) page: Page<'a>,
    pub(super) prose: Prose,
    pub(super) title_hits: u64,
    /// The terms in each sentence.
    pub(super) hits: Vec<u64>,
}

/// A search result.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Cursor of the page it stands on.
    pub(super) cursor: u32,
    /// Its link there.
    pub(super) id: i64,
    pub(super) rank: usize,
    /// Which search it answers, from 0.
    pub(super) search: usize,
    pub(super) title: String,
    pub(super) snippet: String,
    pub(super) title_hits: u64,
    /// Of title and snippet.
    pub(super) hits: u64,
}

/// A sentence and how well it answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored {
    pub(super) leaf: usize,
    pub(super) sentence: usize,
    pub(super) score: f32,
}

impl<'a> Evidence<'a> {
    /// Weighs what `conversation` holds.
    pub(super) fn weigh(question: &'a Question, conversation: &Conversation<'a>) -> Self {
        let searches = conversation.steps.iter().filter(|step| step.call.tool == "search").map(|step| step.call.text.as_str());
        let (mut evidence, lookup) = Self::empty(question, searches);
        for (search, (_, page)) in conversation.pages(PageKind::Results).enumerate() {
            evidence.add_entries(search, &page, &lookup);
        }
        // Pages of matches quote what a document's page shows whole; they lead there and are no evidence themselves.
        for (_, page) in conversation.pages(PageKind::Document) {
            evidence.add_leaf(page, &lookup);
        }
        evidence.learn_rarity();
        evidence
    }

    /// Weighs results, each as title and snippet, and pages without numbered lines. The id of a result is its number in `results`.
    pub(super) fn of<'q>(
        question: &'a Question,
        searched: impl Iterator<Item = &'q str>,
        results: &[(&str, &str)],
        pages: impl IntoIterator<Item = (&'a str, Prose)>,
    ) -> Self {
        let (mut evidence, lookup) = Self::empty(question, searched);
        for (rank, (title, snippet)) in results.iter().enumerate() {
            let title_hits = lookup.hits(&words(title));
            let hits = title_hits | lookup.hits(&words(snippet));
            let (title, snippet) = ((*title).to_owned(), (*snippet).to_owned());
            evidence.entries.push(Entry { cursor: 0, id: rank as i64, rank, search: 0, title, snippet, title_hits, hits });
        }
        for (cursor, (title, prose)) in pages.into_iter().enumerate() {
            evidence.add_prose(Page::unnumbered(cursor as u32, title), prose, &lookup);
        }
        evidence.learn_rarity();
        evidence
    }

    fn empty<'q>(question: &'a Question, searched: impl Iterator<Item = &'q str>) -> (Self, Lookup) {
        let mut terms = question.terms.clone();
        terms.extend(learnt_terms(question, searched));
        terms.truncate(TERMS_MAX);
        let lookup = Lookup::of(&terms);
        let evidence = Self { question, weights: vec![0.0; terms.len()], terms, total: 0.0, leaves: Vec::new(), entries: Vec::new() };
        (evidence, lookup)
    }

    fn add_entries(&mut self, search: usize, page: &Page<'a>, lookup: &Lookup) {
        let prose = Prose::of(page);
        let mut at = 0;
        for paragraph in &prose.paragraphs {
            let from = at + prose.words.get(at..).map_or(0, |words| words.partition_point(|word| word.start < paragraph.start));
            at = from + prose.words.get(from..).map_or(0, |words| words.partition_point(|word| word.end <= paragraph.end));
            let line = prose.text.get(paragraph.clone()).unwrap_or_default();
            let Some((id, title, snippet)) = link_of(line) else { continue };
            let title_end = paragraph.start + line.find('】').unwrap_or_default();
            let words = prose.words.get(from..at).unwrap_or_default();
            let (in_title, in_snippet) = words.split_at(words.partition_point(|word| word.start < title_end));
            let title_hits = lookup.hits(in_title);
            let rank = self.entries.iter().filter(|entry| entry.search == search).count();
            self.entries.push(Entry {
                cursor: page.cursor,
                id,
                rank,
                search,
                title: title.to_owned(),
                snippet: snippet.to_owned(),
                title_hits,
                hits: title_hits | lookup.hits(in_snippet),
            });
        }
    }

    fn add_leaf(&mut self, page: Page<'a>, lookup: &Lookup) {
        let prose = Prose::of(&page);
        self.add_prose(page, prose, lookup);
    }

    fn add_prose(&mut self, page: Page<'a>, prose: Prose, lookup: &Lookup) {
        let title_hits = lookup.hits(&words(page.title));
        let hits =
            prose.sentences.iter().map(|sentence| lookup.hits(prose.words.get(sentence.words.clone()).unwrap_or_default())).collect();
        self.leaves.push(Leaf { page, prose, title_hits, hits });
    }

    /// A term's weight falls with the share of sentences and results that hold it.
    fn learn_rarity(&mut self) {
        let masks = self.leaves.iter().flat_map(|leaf| leaf.hits.iter().copied()).chain(self.entries.iter().map(|entry| entry.hits));
        let mut seen = vec![0u32; self.terms.len()];
        let mut count = 0u32;
        for mask in masks {
            count += 1;
            let mut left = mask;
            while left != 0 {
                if let Some(seen) = seen.get_mut(left.trailing_zeros() as usize) {
                    *seen += 1;
                }
                left &= left - 1;
            }
        }
        for ((weight, term), seen) in self.weights.iter_mut().zip(&self.terms).zip(seen) {
            let rarity = (1.0 + count.max(8) as f32 / (seen.max(1) as f32 + 0.5)).ln();
            *weight = term.weight * rarity;
        }
        self.total = self.weights.iter().take(self.question.terms.len()).sum::<f32>().max(0.1);
    }

    /// The share of the question's weight that `hits` hold; learnt terms add to it.
    pub(super) fn coverage(&self, hits: u64) -> f32 {
        let mut left = hits;
        let mut sum = 0.0;
        while left != 0 {
            sum += self.weights.get(left.trailing_zeros() as usize).copied().unwrap_or_default();
            left &= left - 1;
        }
        sum / self.total
    }

    /// The question's own terms, as a mask.
    pub(super) fn asked(&self) -> u64 {
        mask_of_first(self.question.terms.len())
    }

    /// Terms in the titles of the pages read so far.
    pub(super) fn titles(&self) -> u64 {
        self.leaves.iter().fold(0, |titles, leaf| titles | leaf.title_hits)
    }

    /// What a sentence and its surroundings hold: itself, its neighbours, its heading and title.
    pub(super) fn surroundings(&self, of: &Scored) -> u64 {
        let Some(leaf) = self.leaves.get(of.leaf) else { return 0 };
        let hits = |at: Option<usize>| at.and_then(|at| leaf.hits.get(at)).copied().unwrap_or_default();
        let heading = leaf.prose.sentences.get(of.sentence).and_then(|sentence| sentence.heading);
        let near = hits(of.sentence.checked_sub(1)) | hits(Some(of.sentence)) | hits(Some(of.sentence + 1));
        near | hits(heading) | leaf.title_hits
    }

    /// The sentences that answer best, best first.
    pub(super) fn best(&self) -> Vec<Scored> {
        let mut scored: Vec<Scored> = Vec::new();
        for (number, leaf) in self.leaves.iter().enumerate() {
            for (at, sentence) in leaf.prose.sentences.iter().enumerate() {
                let own = leaf.hits.get(at).copied().unwrap_or_default();
                if sentence.is_heading || own == 0 && leaf.title_hits == 0 {
                    continue;
                }
                scored.push(Scored { leaf: number, sentence: at, score: self.plain_score(leaf, at, own) });
            }
        }
        let by_score = |a: &Scored, b: &Scored| b.score.total_cmp(&a.score).then((a.leaf, a.sentence).cmp(&(b.leaf, b.sentence)));
        scored.sort_by(by_score);
        scored.truncate(CLOSE_LOOKS);
        for one in &mut scored {
            one.score += self.close_score(one);
        }
        scored.sort_by(by_score);
        scored
    }

    fn plain_score(&self, leaf: &Leaf<'_>, at: usize, own: u64) -> f32 {
        let hits = |at: Option<usize>| at.and_then(|at| leaf.hits.get(at)).copied().unwrap_or_default();
        let heading = hits(leaf.prose.sentences.get(at).and_then(|sentence| sentence.heading));
        let title = leaf.title_hits & !own;
        let near = (hits(at.checked_sub(1)) | hits(Some(at + 1))) & !own & !title;
        let above = heading & !own & !title & !near;
        self.coverage(own) + TITLE * self.coverage(title) + NEAR * self.coverage(near) + ABOVE * self.coverage(above)
    }

    /// What only a look at the words can tell: terms that stand together as in the question, and an answer of the right kind.
    fn close_score(&self, of: &Scored) -> f32 {
        let Some(leaf) = self.leaves.get(of.leaf) else { return 0.0 };
        let Some(sentence) = leaf.prose.sentences.get(of.sentence) else { return 0.0 };
        let words = leaf.prose.words.get(sentence.words.clone()).unwrap_or_default();
        let pairs = self.terms.windows(2).take(self.question.terms.len().saturating_sub(1));
        let together = pairs.filter(|pair| stands_together(words, pair)).count() as f32;
        let by_pairs = 0.3 * together / self.question.terms.len().max(4) as f32;
        let by_kind = match self.question.kind {
            Kind::Explanation | Kind::YesNo | Kind::Choice | Kind::Thing => 0.0,
            _ if span::has_candidate(self, leaf, of.sentence) => 0.1,
            _ => 0.0,
        };
        let by_length = if words.len() < 4 { -0.2 } else { 0.0 };
        by_pairs + by_kind + by_length
    }
}

fn mask_of_first(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

fn stands_together(words: &[Word], pair: &[Term]) -> bool {
    let [one, other] = pair else { return false };
    words.windows(2).any(|next| matches!(next, [a, b] if one.keys.contains(&a.key) && other.keys.contains(&b.key)))
}

/// Words of our own later queries that the question does not have: names found on the way.
fn learnt_terms<'q>(question: &Question, searched: impl Iterator<Item = &'q str>) -> Vec<Term> {
    let mut learnt: Vec<Term> = Vec::new();
    for query in searched {
        for word in words(query) {
            let is_known = question.terms.iter().chain(&learnt).any(|term| term.keys.contains(&word.key));
            let surface = query.get(word.start..word.end).unwrap_or_default();
            if !is_known && !super::lexicon::is_function_word(&surface.to_lowercase()) {
                learnt.push(Term { surface: surface.to_owned(), keys: vec![word.key], weight: LEARNT_WEIGHT, is_name: true });
            }
        }
    }
    learnt
}

/// `【4†Title†domain】 snippet`.
fn link_of(line: &str) -> Option<(i64, &str, &str)> {
    let (_, link) = line.split_once('【')?;
    let (link, snippet) = link.split_once('】')?;
    let mut parts = link.split('†');
    let id = parts.next()?.parse().ok()?;
    Some((id, parts.next().unwrap_or_default().trim(), snippet.trim()))
}

/// From a word's key to the terms it stands for, with a filter in front that most words do not pass.
struct Lookup {
    filter: [u64; 4],
    keys: Vec<(u64, u64)>,
}

impl Lookup {
    fn of(terms: &[Term]) -> Self {
        let mut lookup = Self { filter: [0; 4], keys: Vec::new() };
        for (number, term) in terms.iter().enumerate() {
            for key in &term.keys {
                lookup.filter[(key >> 6) as usize & 3] |= 1 << (key & 63);
                lookup.keys.push((*key, 1 << number));
            }
        }
        lookup
    }

    fn hits(&self, words: &[Word]) -> u64 {
        let mut hits = 0;
        for word in words {
            if self.filter[(word.key >> 6) as usize & 3] & (1 << (word.key & 63)) != 0 {
                hits |= self.keys.iter().filter(|(key, _)| *key == word.key).fold(0, |hits, (_, bit)| hits | bit);
            }
        }
        hits
    }
}
