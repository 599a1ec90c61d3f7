//! One sentence as the question sees it: which of its words are terms, what stands between them, how a span of it reads.

use super::candidate::Candidate;
use super::evidence::{Evidence, Leaf};
use super::lexicon::is_function_word;
use super::prose::Prose;
use super::text::{Shape, Word};

/// A sentence, with what each of its words means to the question.
pub(super) struct View<'v> {
    pub(super) evidence: &'v Evidence<'v>,
    pub(super) prose: &'v Prose,
    pub(super) words: &'v [Word],
    /// For each word the term it is, and that term's weight.
    pub(super) held: Vec<Option<(usize, f32)>>,
}

impl<'v> View<'v> {
    pub(super) fn of(evidence: &'v Evidence<'_>, leaf: &'v Leaf<'_>, sentence: usize) -> Option<View<'v>> {
        let sentence = leaf.prose.sentences.get(sentence)?;
        let words = leaf.prose.words.get(sentence.words.clone())?;
        let term_of = |word: &Word| {
            let number = evidence.terms.iter().position(|term| term.keys.contains(&word.key))?;
            Some((number, evidence.weights.get(number).copied()?))
        };
        Some(View { evidence, prose: &leaf.prose, words, held: words.iter().map(term_of).collect() })
    }

    pub(super) fn word(&self, at: usize) -> &'v str {
        self.words.get(at).and_then(|word| self.prose.text.get(word.start..word.end)).unwrap_or_default()
    }

    pub(super) fn lower(&self, at: usize) -> String {
        self.word(at).to_lowercase()
    }

    /// The word before `at`; empty at the sentence's beginning.
    pub(super) fn before(&self, at: usize, back: usize) -> &'v str {
        at.checked_sub(back).map(|at| self.word(at)).unwrap_or_default()
    }

    pub(super) fn shape(&self, at: usize) -> Option<Shape> {
        self.words.get(at).map(|word| word.shape)
    }

    /// What stands between a word and the one before it.
    pub(super) fn gap_before(&self, at: usize) -> &'v str {
        let Some(before) = at.checked_sub(1).and_then(|before| self.words.get(before)) else { return "" };
        self.words.get(at).and_then(|word| self.prose.text.get(before.end..word.start)).unwrap_or_default()
    }

    /// The candidate as written, with the currency before it and the percent sign behind it.
    pub(super) fn text_of(&self, span: &Candidate) -> &'v str {
        let (Some(first), Some(last)) = (self.words.get(span.words.start), span.words.end.checked_sub(1).and_then(|at| self.words.get(at)))
        else {
            return "";
        };
        let before = self.prose.text.get(..first.start).unwrap_or_default();
        let start = first.start - before.chars().next_back().filter(|c| matches!(c, '$' | '£' | '€' | '¥')).map_or(0, char::len_utf8);
        let after = self.prose.text.get(last.end..).unwrap_or_default();
        let end = last.end + usize::from(last.shape == Shape::Number && after.starts_with('%'));
        self.prose.text.get(start..end).unwrap_or_default().trim()
    }

    /// Whether every word that says anything is one of the question's own.
    pub(super) fn repeats_question(&self, span: &Candidate) -> bool {
        span.words.clone().all(|at| self.is_asked(at) || is_function_word(&self.lower(at)))
    }

    /// Whether a word is a term of the question.
    pub(super) fn is_asked(&self, at: usize) -> bool {
        self.held.get(at).copied().flatten().is_some_and(|(term, _)| term < self.evidence.question.terms.len())
    }
}
