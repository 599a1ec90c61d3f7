//! The final answer: the sentences that answer best, quoted and cited, and the short answer where the question wants one.

use std::ops::Range;

use super::asked::Kind;
use super::choice;
use super::evidence::{Evidence, Leaf, Scored};
use super::span;
use super::text::shortened;
use super::voice;

/// Quoted text of one answer, in bytes.
const QUOTED_BYTES_MAX: usize = 900;
/// The longest title that is named, in bytes.
const TITLE_BYTES_MAX: usize = 120;
/// The longest short answer, in bytes.
const EXACT_BYTES_MAX: usize = 240;
/// A heading that covers this share of the question is the question, asked by the page itself.
const HEADING_COVERAGE: f32 = 0.6;
/// Another sentence is quoted too when it scores this share of the best.
const OTHER_SCORE: f32 = 0.7;
/// A best sentence that scores less says nothing about the question.
pub(super) const SCORE_MIN: f32 = 0.15;

/// A quotation with its place.
pub(super) struct Quote {
    pub(super) text: String,
    pub(super) title: String,
    /// `【3†L9-L11】`
    pub(super) marker: String,
}

/// The answer's text.
pub(super) fn compose(evidence: &Evidence<'_>, best: &[Scored]) -> String {
    let question = evidence.question;
    let Some(first) = best.first().filter(|first| first.score >= SCORE_MIN) else {
        return voice::nothing_found(question);
    };
    if let Some((quote, exact)) = section(evidence) {
        return voice::answer(question, &[quote], &exact);
    }
    let (keys, exact) = key_sentences(evidence, best, first);
    let mut quotes: Vec<Quote> = Vec::new();
    let is_key = |other: &&Scored| keys.iter().any(|key| (other.leaf, other.sentence) == (key.leaf, key.sentence));
    let others = best.iter().filter(|other| !is_key(other) && other.score >= OTHER_SCORE * first.score);
    let room = if question.kind == Kind::Explanation { 2 } else { 1 };
    for scored in keys.iter().chain(others.take(room)) {
        let more = quote(evidence, scored.leaf, scored.sentence..scored.sentence + 1);
        quotes.extend(more.filter(|more| quotes.iter().all(|known| known.text != more.text)));
    }
    voice::answer(question, &quotes, &exact)
}

/// The sentences that the answer rests on, and the short answer.
pub(super) fn key_sentences(evidence: &Evidence<'_>, best: &[Scored], first: &Scored) -> (Vec<Scored>, String) {
    let question = evidence.question;
    match question.kind {
        Kind::Explanation => (vec![*first], explanation(evidence, first)),
        Kind::YesNo => (vec![*first], voice::yes_or_no(question, choice::is_yes(evidence, first)).to_owned()),
        Kind::Choice => match choice::decide(evidence, best) {
            Some(choice) => (choice.support, abridged(&choice.text, EXACT_BYTES_MAX)),
            None => short_answer(evidence, best, first),
        },
        _ => short_answer(evidence, best, first),
    }
}

/// The best span and its sentence; the best sentence itself when it holds no span.
fn short_answer(evidence: &Evidence<'_>, best: &[Scored], first: &Scored) -> (Vec<Scored>, String) {
    match span::best(evidence, best) {
        Some(span) => {
            (vec![Scored { leaf: span.leaf, sentence: span.sentence, score: first.score }], abridged(&span.text, EXACT_BYTES_MAX))
        }
        None => (vec![*first], explanation(evidence, first)),
    }
}

/// The section whose heading asks what the question asks, and its opening as the short answer.
fn section(evidence: &Evidence<'_>) -> Option<(Quote, String)> {
    if matches!(evidence.question.kind, Kind::Date | Kind::Number | Kind::Choice) {
        return None;
    }
    let mut best: Option<(f32, usize, usize)> = None;
    for (number, leaf) in evidence.leaves.iter().enumerate() {
        for (at, sentence) in leaf.prose.sentences.iter().enumerate().filter(|(_, sentence)| sentence.is_heading) {
            let hits = leaf.hits.get(at).copied().unwrap_or_default() & evidence.asked();
            let extra = sentence.words.len() as f32 - 1.5 * evidence.question.text.split(' ').count() as f32;
            let score = evidence.coverage(hits) - 0.02 * extra.max(0.0);
            if score >= HEADING_COVERAGE && best.is_none_or(|(known, _, _)| score > known) {
                best = Some((score, number, at));
            }
        }
    }
    let (_, number, heading) = best?;
    let leaf = evidence.leaves.get(number)?;
    let mut end = heading + 1;
    let mut bytes = 0;
    while let Some(sentence) = leaf.prose.sentences.get(end).filter(|sentence| !sentence.is_heading) {
        bytes += sentence.range.len();
        if bytes > QUOTED_BYTES_MAX && end > heading + 1 {
            break;
        }
        end += 1;
    }
    if end == heading + 1 {
        return None;
    }
    // Some pages ask once more before they answer.
    let opening = (heading + 1..end).find(|at| !leaf.prose.sentence(*at).ends_with('?')).unwrap_or(heading + 1);
    let opening = leaf.prose.sentence(opening);
    Some((quote(evidence, number, heading + 1..end)?, abridged(opening, EXACT_BYTES_MAX)))
}

/// Sentences in a row, as one quotation.
fn quote(evidence: &Evidence<'_>, leaf: usize, sentences: Range<usize>) -> Option<Quote> {
    let leaf: &Leaf<'_> = evidence.leaves.get(leaf)?;
    let first = leaf.prose.sentences.get(sentences.start)?;
    let last = leaf.prose.sentences.get(sentences.end.checked_sub(1)?)?;
    let range = first.range.start..last.range.end;
    let text = leaf.prose.text.get(range.clone())?;
    let (from, to) = leaf.prose.lines_of(&range);
    let cursor = leaf.page.cursor;
    let marker = if from == to { format!("【{cursor}†L{from}】") } else { format!("【{cursor}†L{from}-L{to}】") };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Quote { text: abridged(&text, QUOTED_BYTES_MAX), title: abridged(leaf.page.title, TITLE_BYTES_MAX), marker })
}

/// For "why" and "how", what follows the word that gives the reason or the manner; else the sentence.
fn explanation(evidence: &Evidence<'_>, key: &Scored) -> String {
    let Some(leaf) = evidence.leaves.get(key.leaf) else { return String::new() };
    let sentence = leaf.prose.sentence(key.sentence);
    let asked = evidence.question.text.to_lowercase();
    let signs: &[&str] = match () {
        () if asked.contains("why") => {
            &[" because ", " due to ", " in order to ", " so that ", " to avoid ", " as a result of ", " since "]
        }
        () if asked.starts_with("how") => &[" by ", " through ", " using ", " via "],
        () => &[],
    };
    let reason = signs.iter().find_map(|sign| sentence.split_once(sign).map(|(_, after)| format!("{}{after}", sign.trim_start())));
    abridged(reason.as_deref().unwrap_or(sentence).trim_end_matches('.'), EXACT_BYTES_MAX)
}

/// `text`, with an ellipsis where it was cut.
pub(super) fn abridged(text: &str, bytes_max: usize) -> String {
    let text = text.trim();
    let short = shortened(text, bytes_max);
    if short.len() < text.len() { format!("{short}…") } else { short.to_owned() }
}
