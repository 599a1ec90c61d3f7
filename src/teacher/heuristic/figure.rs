//! Dates and numbers in a sentence.

use super::candidate::{Candidate, worth_if};
use super::lexicon::{MONTHS, is_break_word, is_number_word};
use super::text::Shape;
use super::view::View;

pub(super) fn is_year(word: &str) -> bool {
    let digits = word.trim_end_matches('s');
    digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) && matches!(digits.as_bytes().first(), Some(b'1' | b'2'))
}

/// "15 August 1971", "August 15, 1971", "March 1974", "1973", "the 19th century".
pub(super) fn dates(view: &View<'_>) -> Vec<Candidate> {
    let wants_year = view.evidence.question.focus.as_deref().is_some_and(|focus| focus.starts_with("year"));
    let mut found = Vec::new();
    let mut at = 0;
    while at < view.words.len() {
        let word = view.word(at);
        let start = at;
        let is_day = view.shape(at) == Some(Shape::Number) && word.len() <= 4 && !is_year(word);
        if MONTHS.contains(&word) || is_day && MONTHS.contains(&view.word(at + 1)) {
            at += 1;
            while at < view.words.len() && at - start < 4 && is_part_of_date(view, at) {
                at += 1;
            }
            let worth = if wants_year { -0.2 } else { 0.25 + 0.02 * (at - start) as f32 };
            if !(word == "May" && at - start == 1) {
                found.push(Candidate { words: start..at, worth });
            }
            if wants_year && is_year(view.word(at - 1)) {
                found.push(Candidate { words: at - 1..at, worth: 0.25 });
            }
        } else if is_year(word) {
            at += 1;
            let is_range = is_year(view.word(at)) || view.word(at).len() == 2 && view.shape(at) == Some(Shape::Number);
            at += usize::from(is_range && matches!(view.gap_before(at), "–" | "-" | "/"));
            found.push(Candidate { words: start..at, worth: 0.2 });
        } else if is_day && matches!(view.word(at + 1), "century" | "centuries") {
            at += 2;
            found.push(Candidate { words: start..at, worth: 0.2 });
        } else {
            at += 1;
        }
    }
    found
}

fn is_part_of_date(view: &View<'_>, at: usize) -> bool {
    let word = view.word(at);
    let is_digits = view.shape(at) == Some(Shape::Number) && (is_year(word) || word.len() <= 4);
    (is_digits || MONTHS.contains(&word)) && view.gap_before(at).len() <= 2
}

const UNITS: [&str; 28] = [
    "km",
    "m",
    "feet",
    "miles",
    "metres",
    "meters",
    "years",
    "hours",
    "days",
    "minutes",
    "tons",
    "tonnes",
    "kg",
    "mi",
    "ft",
    "acres",
    "months",
    "weeks",
    "inches",
    "kilometers",
    "kilometres",
    "seconds",
    "nm",
    "cm",
    "mm",
    "degrees",
    "dollars",
    "foot",
];

pub(super) fn numbers(view: &View<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < view.words.len() {
        let word = view.word(at);
        let start = at;
        if view.shape(at) != Some(Shape::Number) && !is_number_word(&word.to_lowercase()) {
            at += 1;
            continue;
        }
        at += 1;
        while at - start < 4 && (is_number_word(view.word(at)) || matches!(view.word(at), "percent" | "thirds" | "fifths" | "quarters")) {
            at += 1;
        }
        let next_is_asked = view.is_asked(at) || view.is_asked(at + 1) && !is_break_word(&view.lower(at));
        let is_dated = is_year(word) || MONTHS.contains(&view.word(at)) || MONTHS.contains(&view.before(start, 1));
        let is_named = view.gap_before(start) == " " && view.shape(start.wrapping_sub(1)) == Some(Shape::Capital) && start > 1;
        let worth = 0.2 + worth_if(next_is_asked, 0.1) - worth_if(is_dated, 0.2) - worth_if(is_named, 0.1);
        found.push(Candidate { words: start..at, worth });
        if UNITS.contains(&view.word(at)) && !view.is_asked(at) && view.gap_before(at).len() <= 2 {
            found.push(Candidate { words: start..at + 1, worth: worth + 0.1 });
        }
    }
    found
}
