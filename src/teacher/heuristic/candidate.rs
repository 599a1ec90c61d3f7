//! Spans of a sentence that could be a short answer, found by shape alone; what they are depends on the kind of answer that is asked for.

use std::ops::Range;

use super::asked::Kind;
use super::text::Shape;
use super::view::View;
use super::{figure, name, phrase};

/// A span has at most this many words.
pub(super) const WORDS_MAX: usize = 9;
/// Candidates of one sentence that are looked at.
const CANDIDATES_MAX: usize = 64;

/// A candidate, as a range of the sentence's words, with what its shape and its neighbours are worth.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) words: Range<usize>,
    pub(super) worth: f32,
}

/// All candidates of a kind.
pub(super) fn all(view: &View<'_>, kind: Kind) -> Vec<Candidate> {
    let mut found = match kind {
        Kind::Date => figure::dates(view),
        Kind::Number => figure::numbers(view),
        Kind::Person => name::lists(view, name::names(view)),
        Kind::Place => name::lists(view, name::places(view)),
        Kind::Thing | Kind::Choice | Kind::YesNo | Kind::Explanation => phrase::things(view),
    };
    let is_spelt = matches!(kind, Kind::Date | Kind::Number);
    if found.is_empty() && !is_spelt && view.words.iter().any(|word| word.shape == Shape::Dense) {
        found = dense_runs(view);
    }
    found.truncate(CANDIDATES_MAX);
    found
}

/// `worth` where it applies.
pub(super) fn worth_if(applies: bool, worth: f32) -> f32 {
    if applies { worth } else { 0.0 }
}

/// Runs of a script without spaces that the question does not have.
fn dense_runs(view: &View<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut start = None;
    for at in 0..=view.words.len() {
        let is_run = view.shape(at) == Some(Shape::Dense) && !view.is_asked(at) && follows(view, at, start.is_none());
        match (is_run, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                // Pairs overlap: the outermost share a character with the question's own pairs next to them.
                let first = from + usize::from(from > 0 && follows(view, from, false) && view.is_asked(from - 1));
                let last = at - usize::from(follows(view, at, false) && view.is_asked(at));
                if first < last && last - first <= 2 * WORDS_MAX {
                    found.push(Candidate { words: first..last, worth: 0.1 });
                }
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// Whether a dense pair overlaps the pair before it.
fn follows(view: &View<'_>, at: usize, is_first: bool) -> bool {
    let before = at.checked_sub(1).and_then(|before| view.words.get(before));
    is_first || view.words.get(at).is_some_and(|word| before.is_some_and(|before| word.start <= before.end))
}
