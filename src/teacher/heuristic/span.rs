//! Which candidate answers best: near the question's rare terms, on the side of the verb where an answer would stand, not an echo of the
//! question.

use super::asked::Kind;
use super::candidate::{self, Candidate};
use super::evidence::{Evidence, Leaf, Scored};
use super::view::View;

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
    candidate::all(&view, evidence.question.kind).iter().any(|span| !view.repeats_question(span))
}

/// Names in a sentence that the question does not have, as written, those that stand best first.
pub(super) fn names_in<'v>(evidence: &'v Evidence<'_>, leaf: &'v Leaf<'_>, sentence: usize) -> Vec<&'v str> {
    let Some(view) = View::of(evidence, leaf, sentence) else { return Vec::new() };
    let names = candidate::all(&view, Kind::Person).into_iter().filter(|name| !view.repeats_question(name));
    let mut names: Vec<(Candidate, f32)> = names.map(|name| (name.clone(), fitness(&view, &name))).collect();
    names.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.words.start.cmp(&b.0.words.start)));
    names.iter().map(|(name, _)| view.text_of(name)).collect()
}

/// Sentences that may hold the short answer.
const SENTENCES: usize = 5;

/// The best short answer in the best sentences.
pub(super) fn best(evidence: &Evidence<'_>, sentences: &[Scored]) -> Option<Span> {
    let mut best: Option<Span> = None;
    for scored in sentences.iter().take(SENTENCES) {
        let Some(leaf) = evidence.leaves.get(scored.leaf) else { continue };
        let Some(view) = View::of(evidence, leaf, scored.sentence) else { continue };
        for span in candidate::all(&view, evidence.question.kind) {
            let score = scored.score + fitness(&view, &span);
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

/// How well a candidate stands in its sentence.
fn fitness(view: &View<'_>, span: &Candidate) -> f32 {
    if view.repeats_question(span) {
        return -1.0;
    }
    let mut seen = 0u64;
    let mut near = 0.0;
    let mut total = 0.1;
    let mut repeated = 0;
    for (at, held) in view.held.iter().enumerate() {
        let Some((term, weight)) = *held else { continue };
        if span.words.contains(&at) {
            repeated += usize::from(view.is_asked(at));
            continue;
        }
        let distance = if at < span.words.start { span.words.start - at } else { at + 1 - span.words.end };
        if seen & (1 << term) == 0 {
            total += weight;
            seen |= 1 << term;
        }
        near += weight / (2.0 + distance as f32);
    }
    NEAR * near / total + span.worth + at_gap(view, span) - REPEATED * repeated as f32
}

/// What nearness to the question's terms is worth, all of them adjacent.
const NEAR: f32 = 0.8;
/// What standing right where the answer is expected is worth.
const AT_GAP: f32 = 0.33;
/// What each repeated word of the question costs.
const REPEATED: f32 = 0.04;

/// The worth of standing where the answer would stand in a statement. A passive turns it round: "was written by".
fn at_gap(view: &View<'_>, span: &Candidate) -> f32 {
    let Some(gap) = view.evidence.question.gap else { return 0.0 };
    let mut best = 0.0f32;
    for (at, held) in view.held.iter().enumerate() {
        if held.is_none_or(|(term, _)| term != gap.term) || span.words.contains(&at) {
            continue;
        }
        let is_behind = span.words.start > at;
        let distance = if is_behind { span.words.start - at } else { at + 1 - span.words.end };
        let is_passive = is_behind && span.words.start > 0 && view.word(span.words.start - 1) == "by";
        if is_passive || is_behind == gap.is_behind {
            best = best.max(AT_GAP / (1.0 + 0.25 * distance as f32));
        }
    }
    best
}
