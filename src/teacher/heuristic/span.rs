//! Short answers: spans of a sentence that could be the kind of thing asked for, and which of them stands best.
//!
//! Candidates come from shape alone (capitals, digits, months, words between function words). The one that wins is near the question's rare
//! terms, on the side of the verb where an answer would stand, and does not repeat the question.

use std::ops::Range;

use super::evidence::{Evidence, Leaf, Scored};
use super::lexicon::{MONTHS, is_function_word, is_name_joint, is_number_word};
use super::prose::Prose;
use super::question::{Kind, Language};
use super::text::{Shape, Word};

/// A span never has more words.
const SPAN_WORDS_MAX: usize = 9;

/// Candidates of one sentence that are looked at.
const CANDIDATES_MAX: usize = 48;

/// A short answer and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) leaf: usize,
    pub(super) sentence: usize,
    pub(super) score: f32,
}

/// Whether the sentence holds anything of the kind that is asked for.
pub(super) fn has_candidate(evidence: &Evidence<'_>, leaf: &Leaf<'_>, sentence: usize) -> bool {
    let Some(view) = View::of(evidence, leaf, sentence) else { return false };
    candidates(&view, evidence.question.kind).iter().any(|span| !view.repeats_question(span))
}

/// The best short answer in the best sentences.
pub(super) fn best(evidence: &Evidence<'_>, sentences: &[Scored]) -> Option<Span> {
    let mut best: Option<Span> = None;
    for scored in sentences {
        let Some(leaf) = evidence.leaves.get(scored.leaf) else { continue };
        let Some(view) = View::of(evidence, leaf, scored.sentence) else { continue };
        for span in candidates(&view, evidence.question.kind) {
            let score = scored.score + view.fitness(&span);
            if best.as_ref().is_some_and(|best| best.score >= score) {
                continue;
            }
            let text = view.text_of(&span);
            if !text.is_empty() {
                best = Some(Span { text: text.to_owned(), leaf: scored.leaf, sentence: scored.sentence, score });
            }
        }
    }
    best
}

/// Names in a sentence, as written, in order.
pub(super) fn names_in<'v>(evidence: &'v Evidence<'_>, leaf: &'v Leaf<'_>, sentence: usize) -> Vec<&'v str> {
    let Some(view) = View::of(evidence, leaf, sentence) else { return Vec::new() };
    names(&view).iter().filter(|name| !view.repeats_question(name)).map(|name| view.text_of(name)).collect()
}

/// A sentence, with what each of its words means to the question.
struct View<'v> {
    evidence: &'v Evidence<'v>,
    prose: &'v Prose,
    words: &'v [Word],
    /// For each word the weight of the term it is, and that term's number.
    held: Vec<Option<(usize, f32)>>,
}

/// A candidate, as a range of the sentence's words, with what its kind is worth.
#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    words: Range<usize>,
    worth: f32,
}

impl<'v> View<'v> {
    fn of(evidence: &'v Evidence<'_>, leaf: &'v Leaf<'_>, sentence: usize) -> Option<View<'v>> {
        let sentence = leaf.prose.sentences.get(sentence)?;
        let words = leaf.prose.words.get(sentence.words.clone())?;
        let term_of = |word: &Word| {
            let number = evidence.terms.iter().position(|term| term.keys.contains(&word.key))?;
            Some((number, evidence.weights.get(number).copied()?))
        };
        Some(View { evidence, prose: &leaf.prose, words, held: words.iter().map(term_of).collect() })
    }

    fn word(&self, at: usize) -> &'v str {
        self.words.get(at).and_then(|word| self.prose.text.get(word.start..word.end)).unwrap_or_default()
    }

    fn shape(&self, at: usize) -> Option<Shape> {
        self.words.get(at).map(|word| word.shape)
    }

    /// What stands between a word and the one before it.
    fn gap_before(&self, at: usize) -> &'v str {
        let Some(before) = at.checked_sub(1).and_then(|before| self.words.get(before)) else { return "" };
        self.words.get(at).and_then(|word| self.prose.text.get(before.end..word.start)).unwrap_or_default()
    }

    fn text_of(&self, span: &Candidate) -> &'v str {
        let (Some(first), Some(last)) = (self.words.get(span.words.start), span.words.end.checked_sub(1).and_then(|at| self.words.get(at))) else {
            return "";
        };
        let before = self.prose.text.get(..first.start).unwrap_or_default();
        let start = first.start - before.chars().next_back().filter(|c| matches!(c, '$' | '£' | '€' | '¥')).map_or(0, char::len_utf8);
        let after = self.prose.text.get(last.end..).unwrap_or_default();
        let end = last.end + usize::from(last.shape == Shape::Number && after.starts_with('%'));
        self.prose.text.get(start..end).unwrap_or_default().trim()
    }

    /// Whether every word that says anything is one of the question's own.
    fn repeats_question(&self, span: &Candidate) -> bool {
        span.words.clone().all(|at| self.is_asked(at) || is_function_word(&self.word(at).to_lowercase()))
    }

    fn is_asked(&self, at: usize) -> bool {
        self.held.get(at).copied().flatten().is_some_and(|(term, _)| term < self.evidence.question.terms.len())
    }

    /// How well a candidate stands in its sentence.
    fn fitness(&self, span: &Candidate) -> f32 {
        if self.repeats_question(span) {
            return -1.0;
        }
        let mut seen = 0u64;
        let mut near = 0.0;
        let mut total = 0.1;
        let mut repeated = 0;
        for (at, held) in self.held.iter().enumerate() {
            let Some((term, weight)) = *held else { continue };
            if span.words.contains(&at) {
                repeated += usize::from(term < self.evidence.question.terms.len());
                continue;
            }
            let distance = if at < span.words.start { span.words.start - at } else { at + 1 - span.words.end };
            if seen & (1 << term) == 0 {
                total += weight;
                seen |= 1 << term;
            }
            near += weight / (2.0 + distance as f32);
        }
        let own_side = self.stands_where_asked(span);
        0.8 * near / total + span.worth + own_side - 0.08 * repeated as f32
    }

    /// "What did X write": the answer follows the last term. "Who wrote X": it stands before the first, or behind "by".
    fn stands_where_asked(&self, span: &Candidate) -> f32 {
        let question = self.evidence.question;
        let pivot = if question.gap_is_last { question.terms.len().checked_sub(1) } else { Some(0) };
        let Some(at) = self.held.iter().position(|held| held.is_some_and(|(term, _)| Some(term) == pivot)) else { return 0.0 };
        let is_after = span.words.start > at;
        let distance = if is_after { span.words.start - at } else { at.saturating_sub(span.words.end) + 1 };
        let is_passive = is_after && span.words.start > 0 && self.word(span.words.start - 1) == "by";
        let fits = is_passive || is_after == question.gap_is_last;
        if fits { 0.25 / (1.0 + 0.25 * distance as f32) } else { 0.0 }
    }
}

fn candidates(view: &View<'_>, kind: Kind) -> Vec<Candidate> {
    let mut found = match kind {
        Kind::Date => dates(view),
        Kind::Number => numbers(view),
        Kind::Person => names(view),
        Kind::Place => places(view),
        Kind::Thing | Kind::Choice | Kind::YesNo | Kind::Explanation => things(view),
    };
    if view.evidence.question.language != Language::English && view.words.iter().any(|word| word.shape == Shape::Dense) && found.is_empty() {
        found = dense_runs(view);
    }
    found.truncate(CANDIDATES_MAX);
    found
}

fn is_year(word: &str) -> bool {
    let digits = word.trim_end_matches('s');
    digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) && matches!(digits.as_bytes().first(), Some(b'1' | b'2'))
}

/// "15 August 1971", "August 15, 1971", "March 1974", "1973", "the 19th century".
fn dates(view: &View<'_>) -> Vec<Candidate> {
    let wants_year = view.evidence.question.focus.as_deref().is_some_and(|focus| focus.starts_with("year"));
    let mut found = Vec::new();
    let mut at = 0;
    while at < view.words.len() {
        let word = view.word(at);
        let start = at;
        let is_month = MONTHS.contains(&word);
        let is_day = view.shape(at) == Some(Shape::Number) && word.len() <= 4 && !is_year(word);
        let next_is_month = MONTHS.contains(&view.word(at + 1));
        let is_century = is_day && view.word(at + 1) == "century" || is_day && view.word(at + 1) == "centuries";
        if is_month || is_day && next_is_month {
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
            found.push(Candidate { words: start..at, worth: 0.2 });
        } else if is_century {
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

fn numbers(view: &View<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < view.words.len() {
        let word = view.word(at);
        let start = at;
        let is_digits = view.shape(at) == Some(Shape::Number);
        if !is_digits && !is_number_word(&word.to_lowercase()) {
            at += 1;
            continue;
        }
        at += 1;
        while is_number_word(view.word(at)) || matches!(view.word(at), "percent" | "per" if view.gap_before(at) == " ") {
            at += 1;
        }
        let next_is_asked = view.is_asked(at) || view.is_asked(at + 1);
        let is_dated = is_year(word) || MONTHS.contains(&view.word(at)) || start > 0 && MONTHS.contains(&view.word(start - 1));
        let worth = 0.2 + if next_is_asked { 0.25 } else { 0.0 } - if is_dated { 0.3 } else { 0.0 };
        found.push(Candidate { words: start..at, worth });
        let unit = view.word(at);
        let is_unit = matches!(
            unit,
            "km" | "m" | "feet" | "miles" | "metres" | "meters" | "years" | "hours" | "days" | "minutes" | "tons" | "tonnes" | "kg" | "mi" | "ft"
                | "acres" | "months" | "weeks" | "inches" | "kilometers" | "kilometres" | "seconds"
        );
        if is_unit && !view.is_asked(at) {
            found.push(Candidate { words: start..at + 1, worth: worth + 0.05 });
        }
    }
    found
}

/// Runs of capitalised words, with the joints between them.
fn names(view: &View<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < view.words.len() {
        if !is_name_word(view, at) {
            at += 1;
            continue;
        }
        let start = at;
        let mut end = at + 1;
        at += 1;
        while at < view.words.len() && at - start < SPAN_WORDS_MAX {
            let gap = view.gap_before(at);
            if !matches!(gap, " " | "-" | ". " | "'" | "’" | "." | " \"" | "\" ") || gap == ". " && view.word(at - 1).len() > 2 {
                break;
            }
            if is_name_word(view, at) {
                end = at + 1;
            } else if !is_name_joint(view.word(at)) && !(view.word(at) == "s" && gap != " ") {
                break;
            }
            at += 1;
        }
        at = end;
        found.push(Candidate { words: start..end, worth: 0.2 + 0.02 * (end - start).min(3) as f32 });
    }
    found
}

fn is_name_word(view: &View<'_>, at: usize) -> bool {
    let word = view.word(at);
    if view.shape(at) != Some(Shape::Capital) || MONTHS.contains(&word) {
        return false;
    }
    !is_function_word(&word.to_lowercase()) || at > 0 && word.len() > 2 && view.gap_before(at) == " " && !is_name_joint(&word.to_lowercase())
}

fn places(view: &View<'_>) -> Vec<Candidate> {
    let mut found = names(view);
    for span in &mut found {
        let before = span.words.start.checked_sub(1).map(|at| view.word(at)).unwrap_or_default();
        let before = if before == "the" { span.words.start.checked_sub(2).map(|at| view.word(at)).unwrap_or_default() } else { before };
        if matches!(before, "in" | "at" | "from" | "near" | "to" | "of" | "into" | "through" | "across" | "outside") {
            span.worth += 0.15;
        }
    }
    found
}

/// Names, and runs of content words between function words and marks.
fn things(view: &View<'_>) -> Vec<Candidate> {
    let mut found = names(view);
    for name in &mut found {
        name.worth -= 0.1;
    }
    let mut start = None;
    for at in 0..=view.words.len() {
        let word = view.word(at);
        let is_break = at == view.words.len() || is_function_word(&word.to_lowercase()) || view.is_asked(at) || !matches!(view.gap_before(at), " " | "-" | "");
        let is_soft_break = is_break && at < view.words.len() && !is_function_word(&word.to_lowercase()) && !view.is_asked(at);
        if is_break {
            if let Some(start) = start.take()
                && at - start <= SPAN_WORDS_MAX
            {
                found.push(Candidate { words: start..at, worth: 0.1 });
            }
            if is_soft_break {
                start = Some(at);
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    found
}

/// Runs of a script without spaces that the question does not have.
fn dense_runs(view: &View<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut start = None;
    for at in 0..=view.words.len() {
        let is_run = at < view.words.len() && view.shape(at) == Some(Shape::Dense) && !view.is_asked(at) && is_adjacent(view, at, start);
        match (is_run, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                if at - from <= 2 * SPAN_WORDS_MAX {
                    found.push(Candidate { words: from..at, worth: 0.1 });
                }
                start = None;
            }
            _ => {}
        }
    }
    found
}

fn is_adjacent(view: &View<'_>, at: usize, start: Option<usize>) -> bool {
    let before = at.checked_sub(1).and_then(|before| view.words.get(before));
    start.is_none() || view.words.get(at).is_some_and(|word| before.is_some_and(|before| word.start <= before.end))
}
