//! What a researcher of a subtask searches for: the subtask's words first, then the question's, then what was read suggests, then facets.

use super::aim::Aim;
use super::subject::Subject;
use super::wording::Wording;
use crate::heuristic::lexicon::{is_break_word, is_weak};
use crate::heuristic::query::{WEIGHT_MIN, distinct};
use crate::heuristic::question::{Language, Question, Term};

/// Words of a query.
const WORDS_MAX: usize = 10;
/// Words that only the subtask has, beside those it shares with the question.
const OWN_WORDS_MAX: usize = 2;
/// Words that are added to a name.
const ADDED_WORDS_MAX: usize = 3;

/// Whether the question is in a language that writes no spaces.
pub(super) fn is_unspaced(question: &Question) -> bool {
    matches!(question.language, Language::Chinese | Language::Japanese)
}

/// Queries made of subtask and question alone, the most fitting first.
pub(super) fn plain(aim: &Aim) -> Vec<String> {
    distinct(if is_unspaced(&aim.question) { of_runs(aim) } else { of_words(aim) })
}

/// Queries for when the plain ones are used up.
pub(super) fn spare(aim: &Aim, wording: &Wording) -> Vec<String> {
    let subject = Subject::of(&aim.question);
    let things: Vec<&str> = subject.things.iter().map(String::as_str).chain([subject.whole.as_str()]).take(3).collect();
    let facets = wording.facets.iter().flat_map(|facet| things.iter().map(move |thing| format!("{thing} {facet}")));
    distinct(facets)
}

fn of_words(aim: &Aim) -> Vec<String> {
    let (question, subtask) = (&aim.question, &aim.subtask);
    let is_shared = |own: &&Term| question.terms.iter().any(|term| term.keys.iter().any(|key| own.keys.contains(key)));
    let shared = subtask.terms.iter().filter(is_shared);
    let is_content = |term: &&Term| {
        let lower = term.surface.to_lowercase();
        !is_weak(&lower) && !is_break_word(&lower)
    };
    let own = subtask.terms.iter().filter(|term| !is_shared(term) && is_content(term)).take(OWN_WORDS_MAX);
    let content = question.terms.iter().filter(|term| term.weight > WEIGHT_MIN);
    let relation: Vec<&Term> = question.terms.iter().filter(|term| !term.is_name).collect();
    let named = subtask.names.iter().chain(&question.names);
    let named = named.map(|name| format!("{name} {}", joined(relation.iter().copied().take(ADDED_WORDS_MAX))));
    let all_own = subtask.terms.iter().filter(|term| term.weight > WEIGHT_MIN && is_content(term));
    let tail = [joined(content), whole(question), aim.focus.names.join(" ")];
    [joined(shared.chain(own)), joined(all_own)].into_iter().chain(named).chain(tail).collect()
}

fn joined<'t>(terms: impl Iterator<Item = &'t Term>) -> String {
    terms.take(WORDS_MAX).map(|term| term.surface.as_str()).collect::<Vec<_>>().join(" ")
}

fn of_runs(aim: &Aim) -> Vec<String> {
    let (question, subtask) = (Subject::of(&aim.question), Subject::of(&aim.subtask));
    let shared: Vec<&str> = question.things.iter().filter(|thing| aim.subtask.text.contains(thing.as_str())).map(String::as_str).collect();
    let own = subtask.things.iter().map(String::as_str).filter(|own| !question.things.iter().any(|thing| own.contains(thing.as_str())));
    let own: Vec<&str> = own.take(OWN_WORDS_MAX).collect();
    let all = question.things.join(" ");
    let pairs = question.things.windows(2).map(|pair| pair.join(" "));
    let head = [[shared.as_slice(), own.as_slice()].concat().join(" "), subtask.things.join(" "), all, whole(&aim.question)];
    head.into_iter().chain(pairs).chain(question.things.iter().cloned()).collect()
}

fn whole(question: &Question) -> String {
    question.text.trim_end_matches(['?', '？', '。', ' ']).to_owned()
}
