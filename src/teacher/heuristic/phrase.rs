//! Things in a sentence: names, and the runs of content words that function words and marks leave standing.

use std::ops::Range;

use super::candidate::{Candidate, WORDS_MAX, worth_if};
use super::lexicon::{is_break_word, is_function_word};
use super::name::{lists, names};
use super::text::key;
use super::view::View;

/// Names, and runs of content words between words that end a noun phrase, alone and joined by "of".
pub(super) fn things(view: &View<'_>) -> Vec<Candidate> {
    let mut found = lists(view, names(view));
    for name in &mut found {
        name.worth -= 0.08;
    }
    let phrases = phrases(view);
    let joined = phrases.windows(2).filter_map(|pair| {
        let [one, other] = pair else { return None };
        let between = other.words.start - one.words.end;
        let is_of = view.word(one.words.end) == "of" && (between == 1 || between == 2 && is_function_word(view.word(one.words.end + 1)));
        let words = one.words.start..other.words.end;
        (is_of && words.len() <= WORDS_MAX).then_some(Candidate { words, worth: one.worth + 0.02 })
    });
    let joined: Vec<Candidate> = joined.collect();
    found.extend(phrases);
    found.extend(joined);
    found.extend(by_focus(view));
    found.extend(behind_gap(view));
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
    let worth = 0.1 + worth_if(is_determined(start), 0.02) - worth_if(end - start == 1, 0.03);
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
            found.push(Candidate { words: start..at + 1, worth: 0.45 });
        }
    }
    found
}

/// What follows the term behind which the answer would stand, to the clause's end: "the growth of trade" behind "led to".
fn behind_gap(view: &View<'_>) -> Vec<Candidate> {
    let Some(gap) = view.evidence.question.gap.filter(|gap| gap.is_verb) else { return Vec::new() };
    let is_gap = |at: &usize| view.held.get(*at).copied().flatten().is_some_and(|(term, _)| term == gap.term);
    let mut found = Vec::new();
    for at in (0..view.words.len()).filter(is_gap) {
        let mut start = at + 1;
        let is_link = |at: usize| {
            matches!(view.word(at), "to" | "by" | "on" | "with" | "in" | "for" | "of" | "be" | "from" | "into" | "as" | "the" | "a" | "an")
        };
        while start <= at + 3 && is_link(start) && view.gap_before(start) == " " {
            start += 1;
        }
        let mut end = start;
        while end < view.words.len()
            && end - start < WORDS_MAX
            && (end == start || view.gap_before(end).len() <= 1)
            && !ends_clause(view.word(end))
        {
            end += 1;
        }
        let is_near = start > at && view.gap_before(start).len() <= 3;
        if is_near && end > start {
            found.push(Candidate { words: start..end, worth: BEHIND_GAP });
        }
    }
    found
}

/// What the rest of a clause behind the gap is worth.
const BEHIND_GAP: f32 = 0.3;

fn ends_clause(word: &str) -> bool {
    matches!(
        word,
        "which" | "that" | "who" | "because" | "when" | "while" | "where" | "although" | "but" | "after" | "before" | "during" | "since"
    )
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
