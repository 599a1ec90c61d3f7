//! Names in a sentence: runs of capitalised words, places among them, and the lists they form.

use super::candidate::{Candidate, WORDS_MAX, worth_if};
use super::figure::is_year;
use super::lexicon::{MONTHS, is_break_word, is_name_joint};
use super::text::Shape;
use super::view::View;

/// Runs of capitalised words, with the joints and the numbers between and behind them.
pub(super) fn names(view: &View<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < view.words.len() {
        if !opens_name(view, at) {
            at += 1;
            continue;
        }
        let start = at;
        let mut end = at + 1;
        at += 1;
        while at < view.words.len() && at - start < WORDS_MAX {
            let gap = view.gap_before(at);
            let is_initial = gap == ". " && (view.word(at - 1).len() <= 2 || matches!(view.word(at - 1), "Mrs" | "Rev" | "Gen"));
            if !matches!(gap, " " | "-" | "'" | "’" | "." | " \"" | "\" ") && !is_initial {
                break;
            }
            let word = view.word(at);
            let is_part = matches!(view.shape(at), Some(Shape::Capital)) && (!MONTHS.contains(&word) || gap == "-");
            if is_part || view.shape(at) == Some(Shape::Number) && !is_year(word) {
                end = at + 1;
            } else if !is_joint(word, gap) {
                break;
            }
            at += 1;
        }
        at = end;
        found.push(Candidate { words: start..end, worth: worth_of_name(view, start, end) });
    }
    found
}

/// Whether a word without a capital may stand within a name: "of", and the s of a genitive. "And" is left to lists.
fn is_joint(word: &str, gap: &str) -> bool {
    is_name_joint(word) && !matches!(word, "and" | "for") || word == "s" && gap != " "
}

fn opens_name(view: &View<'_>, at: usize) -> bool {
    let word = view.word(at);
    if view.shape(at) != Some(Shape::Capital) || MONTHS.contains(&word) {
        return false;
    }
    let is_initial = word.len() == 1 && view.gap_before(at + 1).starts_with('.');
    is_initial || !is_break_word(&word.to_lowercase())
}

fn worth_of_name(view: &View<'_>, start: usize, end: usize) -> f32 {
    let count = end - start;
    let next_is_noun = view.shape(end) == Some(Shape::Lower) && view.gap_before(end) == " " && !is_break_word(view.word(end));
    // "American assurances": an adjective. And the first word of a sentence has its capital anyway.
    let is_adjective = count == 1 && next_is_noun;
    let is_accidental = count == 1 && start == 0 && !view.gap_before(1).starts_with(',');
    0.27 + 0.01 * count.min(3) as f32 - worth_if(is_adjective, 0.1) - worth_if(is_accidental, 0.1)
}

pub(super) fn places(view: &View<'_>) -> Vec<Candidate> {
    let mut found = names(view);
    for span in &mut found {
        let start = span.words.start;
        let before = if view.before(start, 1) == "the" { view.before(start, 2) } else { view.before(start, 1) };
        if matches!(before, "in" | "at" | "from" | "near" | "to" | "of" | "into" | "through" | "across" | "outside" | "toward" | "towards")
        {
            span.worth += 0.3;
        }
    }
    found
}

/// Adds the lists that candidates form: "Ann Roe, Tom Lee and Jo Day".
pub(super) fn lists(view: &View<'_>, mut found: Vec<Candidate>) -> Vec<Candidate> {
    let mut merged: Vec<Candidate> = Vec::new();
    let mut open: Option<Candidate> = None;
    for next in &found {
        let is_joined = open.as_ref().is_some_and(|open| {
            let gap: Vec<&str> = (open.words.end..next.words.start).map(|at| view.word(at)).collect();
            let is_listed =
                matches!(gap.as_slice(), ["and"] | ["or"] | ["and", "the"]) || gap.is_empty() && view.gap_before(next.words.start) == ", ";
            is_listed && next.words.end - open.words.start <= 2 * WORDS_MAX
        });
        match &mut open {
            Some(open) if is_joined => open.words.end = next.words.end,
            _ => {
                merged.extend(open.replace(next.clone()));
            }
        }
    }
    merged.extend(open);
    merged.retain(|list| !found.contains(list));
    for list in &mut merged {
        list.worth += if view.evidence.question.is_plural { 0.05 } else { -0.05 };
    }
    found.extend(merged);
    found
}
