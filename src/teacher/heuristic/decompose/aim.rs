//! What a researcher is after: the question, seen through its subtask.

use super::wording::Wording;
use crate::heuristic::question::{Question, TERMS_MAX};
use crate::heuristic::text::{Shape, words};

/// What a term counts that question and subtask share, one of the question alone, and one of the subtask alone. The last are often the
/// planner's own words, which no page needs to have; names are not, and count as shared.
const SHARED: f32 = 1.2;
const OF_QUESTION: f32 = 0.45;
const OF_SUBTASK: f32 = 0.4;

/// A question and a part of it.
pub(super) struct Aim {
    pub(super) question: Question,
    pub(super) subtask: Question,
    /// The question with the terms and names of both, weighed by where they stand; evidence is measured by it.
    pub(super) focus: Question,
}

impl Aim {
    /// The aim of researching `subtask` for `question`; either may be empty.
    pub(super) fn of(question: &str, subtask: &str) -> Self {
        let (question, subtask) = if question.is_empty() { (subtask, "") } else { (question, subtask) };
        let question = Question::read(question);
        let inside = Wording::of(question.language).inside(subtask).unwrap_or(subtask);
        let subtask = Question::read(&uncapitalised(inside, &question.text));
        let focus = if subtask.text.is_empty() { question.clone() } else { joined(&question, &subtask) };
        Self { question, subtask, focus }
    }
}

/// A subtask without the capital of its first word, unless that begins a name: the question has it, or the next word has one too.
fn uncapitalised(subtask: &str, question: &str) -> String {
    let words = words(subtask);
    let first = words.first().and_then(|word| subtask.get(word.start..word.end)).unwrap_or_default();
    let is_name = question.contains(first) || words.get(1).is_some_and(|word| word.shape == Shape::Capital);
    match (is_name, subtask.chars().next()) {
        (false, Some(c)) if c.is_ascii_uppercase() => c.to_lowercase().chain(subtask.chars().skip(1)).collect(),
        _ => subtask.to_owned(),
    }
}

fn joined(question: &Question, subtask: &Question) -> Question {
    let mut focus = question.clone();
    for term in &mut focus.terms {
        let is_shared = subtask.terms.iter().any(|own| own.keys.iter().any(|key| term.keys.contains(key)));
        term.weight *= if is_shared { SHARED } else { OF_QUESTION };
    }
    for own in &subtask.terms {
        let is_known = focus.terms.iter().any(|term| term.keys.iter().any(|key| own.keys.contains(key)));
        if !is_known && focus.terms.len() < TERMS_MAX {
            let mut own = own.clone();
            own.weight *= if own.is_name { SHARED } else { OF_SUBTASK };
            focus.terms.push(own);
        }
    }
    // What the subtask names comes first.
    let (named, unnamed): (Vec<&String>, Vec<&String>) = question.names.iter().partition(|name| subtask.text.contains(name.as_str()));
    let is_own = |own: &&String| !question.names.iter().any(|name| own.contains(name.as_str()) || name.contains(own.as_str()));
    focus.names = named.iter().copied().chain(subtask.names.iter().filter(is_own)).chain(unnamed).cloned().collect();
    focus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_subtask_asks_for_weighs_more_than_the_rest_of_the_question() {
        let aim = Aim::of("Who designed the tower of Marrow Light near Kettle Bridge?", "Background of Kettle Bridge");
        let weight = |surface: &str| aim.focus.terms.iter().find(|term| term.surface == surface).map(|term| term.weight);
        assert!(weight("Kettle") > weight("Marrow") && weight("designed") > weight("Background"));
        assert_eq!(aim.focus.names, ["Kettle Bridge", "Marrow Light"]);
        assert_eq!(Aim::of("Who kept it?", "Marl Bridge was opened when?").focus.names, ["Marl Bridge"]);
        let gap = aim.focus.gap.expect("the answer stands somewhere");
        assert_eq!(aim.focus.terms[gap.term].surface, "designed");
    }
}
