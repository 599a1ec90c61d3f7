//! The sentences that answer best, as they are quoted: the ones that hold the answer first, then others, spread over the pages.

use super::untagged;
use crate::heuristic::answer::{SCORE_MIN, abridged, key_sentences};
use crate::heuristic::evidence::{Evidence, Scored};

/// The longest quoted sentence, in bytes.
const QUOTE_BYTES_MAX: usize = 500;
/// Another sentence is quoted too when it scores this share of the best.
const OTHER_SCORE: f32 = 0.5;
/// Words of a sentence that says something.
const WORDS_MIN: usize = 4;

/// A quoted sentence.
#[derive(Debug)]
pub(super) struct Quote {
    pub(super) text: String,
    /// Number of its page.
    pub(super) page: usize,
}

/// At most `most` sentences, of one page at most `of_page` beside those that hold the answer; none where nothing answers.
pub(super) fn choose(evidence: &Evidence<'_>, most: usize, of_page: usize) -> Vec<Quote> {
    let best = evidence.best();
    let Some(first) = best.first().filter(|first| first.score >= SCORE_MIN) else { return Vec::new() };
    let (keys, _) = key_sentences(evidence, &best, first);
    let mut quotes: Vec<Quote> = Vec::new();
    for key in &keys {
        push_new(&mut quotes, quote(evidence, key));
    }
    for other in best.iter().filter(|other| other.score >= OTHER_SCORE * first.score && is_statement(evidence, other)) {
        if quotes.len() >= most {
            break;
        }
        if quotes.iter().filter(|quote| quote.page == other.leaf).count() < of_page {
            push_new(&mut quotes, quote(evidence, other));
        }
    }
    quotes.truncate(most);
    quotes
}

fn push_new(quotes: &mut Vec<Quote>, quote: Quote) {
    if !quote.text.is_empty() && quotes.iter().all(|known| known.text != quote.text) {
        quotes.push(quote);
    }
}

fn quote(evidence: &Evidence<'_>, of: &Scored) -> Quote {
    let sentence = evidence.leaves.get(of.leaf).map_or("", |leaf| leaf.prose.sentence(of.sentence));
    Quote { text: abridged(&untagged(sentence), QUOTE_BYTES_MAX), page: of.leaf }
}

/// A sentence that can stand alone: no question, no row of a table, no shred.
fn is_statement(evidence: &Evidence<'_>, of: &Scored) -> bool {
    let Some(leaf) = evidence.leaves.get(of.leaf) else { return false };
    let words = leaf.prose.sentences.get(of.sentence).map_or(0, |sentence| sentence.words.len());
    let sentence = leaf.prose.sentence(of.sentence);
    words >= WORDS_MIN && sentence.len() <= QUOTE_BYTES_MAX && !sentence.starts_with('|') && !sentence.ends_with(['?', '？', ':'])
}
