//! Spans of a sentence that could be a short answer, found by shape alone: capitals, digits, months, words between function words.

use std::ops::Range;

use super::evidence::{Evidence, Leaf};
use super::lexicon::{MONTHS, is_break_word, is_function_word, is_name_joint, is_number_word};
use super::prose::Prose;
use super::question::Kind;
use super::text::{Shape, Word, key};

/// A span never has more words.
const WORDS_MAX: usize = 9;
/// Candidates of one sentence that are looked at.
const CANDIDATES_MAX: usize = 64;

/// A candidate, as a range of the sentence's words, with what its shape and its neighbours are worth.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) words: Range<usize>,
    pub(super) worth: f32,
}

/// A sentence, with what each of its words means to the question.
pub(super) struct View<'v> {
    pub(super) evidence: &'v Evidence<'v>,
    prose: &'v Prose,
    words: &'v [Word],
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

    fn lower(&self, at: usize) -> String {
        self.word(at).to_lowercase()
    }

    /// The word before `at`; empty at the sentence's beginning.
    fn before(&self, at: usize, back: usize) -> &'v str {
        at.checked_sub(back).map(|at| self.word(at)).unwrap_or_default()
    }

    fn shape(&self, at: usize) -> Option<Shape> {
        self.words.get(at).map(|word| word.shape)
    }

    /// What stands between a word and the one before it.
    fn gap_before(&self, at: usize) -> &'v str {
        let Some(before) = at.checked_sub(1).and_then(|before| self.words.get(before)) else { return "" };
        self.words.get(at).and_then(|word| self.prose.text.get(before.end..word.start)).unwrap_or_default()
    }

    /// The candidate as written, with the currency before it and the percent sign behind it.
    pub(super) fn text_of(&self, span: &Candidate) -> &'v str {
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
    pub(super) fn repeats_question(&self, span: &Candidate) -> bool {
        span.words.clone().all(|at| self.is_asked(at) || is_function_word(&self.lower(at)))
    }

    /// Whether a word is a term of the question.
    pub(super) fn is_asked(&self, at: usize) -> bool {
        self.held.get(at).copied().flatten().is_some_and(|(term, _)| term < self.evidence.question.terms.len())
    }
}

/// All candidates of a kind.
pub(super) fn all(view: &View<'_>, kind: Kind) -> Vec<Candidate> {
    let mut found = match kind {
        Kind::Date => dates(view),
        Kind::Number => numbers(view),
        Kind::Person => lists(view, names(view)),
        Kind::Place => lists(view, places(view)),
        Kind::Thing | Kind::Choice | Kind::YesNo | Kind::Explanation => things(view),
    };
    if found.is_empty() && view.words.iter().any(|word| word.shape == Shape::Dense) {
        found = dense_runs(view);
    }
    found.truncate(CANDIDATES_MAX);
    found
}

fn worth_if(applies: bool, worth: f32) -> f32 {
    if applies { worth } else { 0.0 }
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
    "km", "m", "feet", "miles", "metres", "meters", "years", "hours", "days", "minutes", "tons", "tonnes", "kg", "mi", "ft", "acres", "months",
    "weeks", "inches", "kilometers", "kilometres", "seconds", "nm", "cm", "mm", "degrees", "dollars", "foot",
];

fn numbers(view: &View<'_>) -> Vec<Candidate> {
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
        let worth = 0.2 + worth_if(next_is_asked, 0.25) - worth_if(is_dated, 0.3) - worth_if(is_named, 0.1);
        found.push(Candidate { words: start..at, worth });
        if UNITS.contains(&view.word(at)) && !view.is_asked(at) && view.gap_before(at).len() <= 2 {
            found.push(Candidate { words: start..at + 1, worth: worth + 0.05 });
        }
    }
    found
}

/// Runs of capitalised words, with the joints and the numbers between and behind them.
fn names(view: &View<'_>) -> Vec<Candidate> {
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
            } else if !(is_name_joint(word) && word != "and" && word != "for") && !(word == "s" && gap != " ") {
                break;
            }
            at += 1;
        }
        at = end;
        found.push(Candidate { words: start..end, worth: worth_of_name(view, start, end) });
    }
    found
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
    0.2 + 0.02 * count.min(3) as f32 - worth_if(is_adjective, 0.15) - worth_if(is_accidental, 0.1)
}

fn places(view: &View<'_>) -> Vec<Candidate> {
    let mut found = names(view);
    for span in &mut found {
        let start = span.words.start;
        let before = if view.before(start, 1) == "the" { view.before(start, 2) } else { view.before(start, 1) };
        if matches!(before, "in" | "at" | "from" | "near" | "to" | "of" | "into" | "through" | "across" | "outside" | "toward" | "towards") {
            span.worth += 0.15;
        }
    }
    found
}

/// Adds the lists that candidates form: "Ann Roe, Tom Lee and Jo Day".
fn lists(view: &View<'_>, mut found: Vec<Candidate>) -> Vec<Candidate> {
    let mut merged: Vec<Candidate> = Vec::new();
    let mut open: Option<Candidate> = None;
    for next in &found {
        let is_joined = open.as_ref().is_some_and(|open| {
            let gap: Vec<&str> = (open.words.end..next.words.start).map(|at| view.word(at)).collect();
            let is_listed = matches!(gap.as_slice(), ["and"] | ["or"] | ["and", "the"]) || gap.is_empty() && view.gap_before(next.words.start) == ", ";
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
        list.worth += if view.evidence.question.is_plural { 0.1 } else { -0.15 };
    }
    found.extend(merged);
    found
}

/// Names, and runs of content words between words that end a noun phrase, alone and joined by "of".
fn things(view: &View<'_>) -> Vec<Candidate> {
    let mut found = lists(view, names(view));
    for name in &mut found {
        name.worth -= 0.08;
    }
    let phrases = phrases(view);
    let joined = phrases.windows(2).filter_map(|pair| {
        let [one, other] = pair else { return None };
        let is_of = one.words.end + 1 == other.words.start && view.word(one.words.end) == "of"
            || one.words.end + 2 == other.words.start && view.word(one.words.end) == "of" && is_function_word(view.word(one.words.end + 1));
        (is_of && other.words.end - one.words.start <= WORDS_MAX).then(|| Candidate { words: one.words.start..other.words.end, worth: one.worth + 0.02 })
    });
    let joined: Vec<Candidate> = joined.collect();
    found.extend(phrases);
    found.extend(joined);
    found.extend(by_focus(view));
    for span in &mut found {
        span.worth += worth_of_cue(view, span);
    }
    found
}

fn phrases(view: &View<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut start = None;
    for at in 0..=view.words.len() {
        let is_out = at == view.words.len() || is_break_word(&view.lower(at)) || view.is_asked(at);
        let is_cut = !matches!(view.gap_before(at), " " | "-" | "");
        if (is_out || is_cut)
            && let Some(from) = start.take()
        {
            found.extend(trimmed(view, from..at));
        }
        if !is_out && start.is_none() {
            start = Some(at);
        }
    }
    found
}

/// A phrase without the participle or adverb that it begins or ends with.
fn trimmed(view: &View<'_>, words: Range<usize>) -> Option<Candidate> {
    let (mut start, mut end) = (words.start, words.end);
    let is_determined = |start: usize| matches!(view.before(start, 1), "a" | "an" | "the" | "its" | "their" | "his" | "her");
    while start < end && !is_determined(start) && (view.word(start).ends_with("ed") || view.word(start).ends_with("ly")) {
        start += 1;
    }
    while end > start + 1 && (view.word(end - 1).ends_with("ed") || view.word(end - 1).ends_with("ly")) {
        end -= 1;
    }
    let worth = 0.1 + worth_if(is_determined(start), 0.04) - worth_if(end - start == 1, 0.03);
    (start < end && end - start <= WORDS_MAX).then_some(Candidate { words: start..end, worth })
}

/// What stands before the noun that the question asks for: "greenhouse gas" in "greenhouse gas emissions".
fn by_focus(view: &View<'_>) -> Vec<Candidate> {
    let Some(focus) = view.evidence.question.focus.as_deref().map(key) else { return Vec::new() };
    let mut found = Vec::new();
    for at in (1..view.words.len()).filter(|at| view.words.get(*at).is_some_and(|word| word.key == focus)) {
        let mut start = at;
        while start > 0 && at - start < 4 && matches!(view.gap_before(start), " " | "-") && !is_break_word(&view.lower(start - 1)) {
            start -= 1;
        }
        let is_new = (start..at).any(|word| !view.is_asked(word));
        if start < at && is_new {
            found.push(Candidate { words: start..at + 1, worth: 0.35 });
        }
    }
    found
}

/// "called", "known as", quotation marks: here comes what something is.
fn worth_of_cue(view: &View<'_>, span: &Candidate) -> f32 {
    let start = span.words.start;
    let before = if matches!(view.before(start, 1), "the" | "a" | "an") { start.saturating_sub(1) } else { start };
    let is_named = matches!(view.before(before, 1), "called" | "named" | "termed" | "titled" | "dubbed" | "entitled" | "nicknamed")
        || view.before(before, 1) == "as" && matches!(view.before(before, 2), "known" | "to" | "described" | "regarded");
    let is_quoted = view.gap_before(start).ends_with(['"', '“', '‘']);
    worth_if(is_named, 0.15) + worth_if(is_quoted, 0.1)
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
                if at - from <= 2 * WORDS_MAX {
                    found.push(Candidate { words: from..at, worth: 0.1 });
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
