//! What kind of answer a question wants, and where in a statement that answer would stand.

use super::lexicon::{DENSE_QUESTION_WORDS, is_function_word, kind_of_focus, kind_of_question_word};
use super::question::{Language, Term};
use super::text::Word;

/// The kind of answer that would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Person,
    Date,
    Place,
    Number,
    /// Some thing; the question says which in its own words.
    Thing,
    /// One of the two things that the question names.
    Choice,
    YesNo,
    /// Why, how, what is: sentences, not a span.
    Explanation,
}

/// An answer stands behind or before a term: behind "write" in "what did X write", before it in "who wrote X".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Number of the term.
    pub(super) term: usize,
    pub(super) is_behind: bool,
    /// Whether the term is a verb, or what a verb governs, by the form of the question: "what did X lead to".
    pub(super) is_verb: bool,
}

/// What is asked for, and where the question word stands.
pub(super) struct Asked {
    pub(super) kind: Kind,
    /// Number of the word that asks.
    pub(super) at: Option<usize>,
    /// The noun behind it.
    pub(super) focus: Option<String>,
}

const AUXILIARIES: [&str; 16] =
    ["did", "does", "do", "is", "are", "was", "were", "has", "have", "had", "can", "could", "will", "would", "should", "may"];

fn is_auxiliary(word: &str) -> bool {
    AUXILIARIES.contains(&word)
}

/// What the question asks for; `lower` are its words in lower case.
pub(super) fn asked_for(text: &str, lower: &[String], language: Language, is_choice: bool) -> Asked {
    if matches!(language, Language::Chinese | Language::Japanese) {
        let first = DENSE_QUESTION_WORDS.iter().filter_map(|(word, kind)| Some((text.find(word)?, *kind))).min_by_key(|(at, _)| *at);
        return Asked { kind: first.map_or(Kind::Thing, |(_, kind)| kind), at: None, focus: None };
    }
    let is_how = |word: &str| matches!((word, language), ("how", _) | ("wie" | "cómo" | "comment", Language::Other));
    let at = lower.iter().position(|word| is_how(word) || kind_of_question_word(word, language).is_some());
    let Some(at) = at else {
        let is_yes_no = lower.first().is_some_and(|word| is_auxiliary(word));
        let kind = match () {
            () if is_choice => Kind::Choice,
            () if is_yes_no => Kind::YesNo,
            () => Kind::Thing,
        };
        return Asked { kind, at: None, focus: None };
    };
    if lower.first().is_some_and(|word| is_auxiliary(word)) && at > 2 {
        return Asked { kind: Kind::YesNo, at: None, focus: None };
    }
    let word = lower.get(at).map(String::as_str).unwrap_or_default();
    if is_how(word) {
        let next = lower.get(at + 1).map(String::as_str).unwrap_or_default();
        let is_number = kind_of_focus(next) == Some(Kind::Number) || next == "viele" || next == "viel";
        return Asked { kind: if is_number { Kind::Number } else { Kind::Explanation }, at: Some(at), focus: None };
    }
    let focus = focus_behind(lower, at);
    let kind = match kind_of_question_word(word, language).unwrap_or(Kind::Thing) {
        Kind::Thing if language == Language::English => kind_of_thing(lower, at, focus.as_deref()),
        kind => kind,
    };
    let kind = if is_choice && matches!(kind, Kind::Thing | Kind::Person | Kind::Place) { Kind::Choice } else { kind };
    Asked { kind, at: Some(at), focus: focus.filter(|_| matches!(word, "what" | "which" | "whose")) }
}

/// The first word behind the question word that could be the noun it asks for.
fn focus_behind(lower: &[String], at: usize) -> Option<String> {
    let near = lower.iter().skip(at + 1).take(6);
    near.into_iter().find(|word| !is_function_word(word) && !is_weak_focus(word)).cloned()
}

/// "What" asks for whatever its noun is: "what year", "what oil company"; and for an explanation when nothing else is said.
fn kind_of_thing(lower: &[String], at: usize, focus: Option<&str>) -> Kind {
    let near = lower.iter().skip(at + 1).take(3).take_while(|word| !is_auxiliary(word));
    let direct = near.into_iter().find_map(|word| kind_of_focus(word));
    let kind = direct.or_else(|| focus.and_then(kind_of_focus));
    kind.unwrap_or(if is_definition(lower.get(at + 1..).unwrap_or_default()) { Kind::Explanation } else { Kind::Thing })
}

fn is_weak_focus(word: &str) -> bool {
    matches!(word, "name" | "names" | "type" | "kind" | "sort" | "term" | "word" | "called")
}

/// "is a quark", "is (are) Chronic Lymphocytic Leukemia", "are the symptoms of gout": to be explained, not named.
fn is_definition(rest: &[String]) -> bool {
    let Some(first) = rest.first() else { return false };
    let is_list = first == "are" && rest.get(1).is_some_and(|word| word == "the");
    let is_copula = first == "is" || first == "are";
    let links = rest.iter().skip(1).filter(|word| is_function_word(word) && !matches!(word.as_str(), "a" | "an" | "the" | "are")).count();
    is_copula && (is_list || links == 0 && rest.len() <= 8)
}

/// Where the answer would stand if the question were a statement.
pub(super) fn gap_of(words: &[Word], lower: &[String], terms: &[Term], at: usize, focus: Option<&str>) -> Option<Gap> {
    let number_of = |word: &Word| terms.iter().position(|term| term.keys.contains(&word.key));
    if at > 1 {
        // "It was caused by what": right where the question word stands.
        let before = words.get(..at)?.iter().rev().find_map(number_of)?;
        return Some(Gap { term: before, is_behind: true, is_verb: false });
    }
    let focus_at = focus.and_then(|focus| lower.iter().position(|word| word == focus)).filter(|focus| *focus < at + 4);
    let after = focus_at.unwrap_or(at) + 1;
    let is_object = lower.get(at + 1..=after.max(at + 1))?.iter().any(|word| is_auxiliary(word));
    if is_object {
        let last = words.get(after..)?.iter().rev().find_map(number_of)?;
        let is_verb = lower
            .get(at + 1)
            .is_some_and(|next| matches!(next.as_str(), "did" | "do" | "does" | "can" | "could" | "will" | "would" | "may"));
        return Some(Gap { term: last, is_behind: true, is_verb });
    }
    let first = words.get(after..)?.iter().find_map(number_of)?;
    Some(Gap { term: first, is_behind: false, is_verb: false })
}

#[cfg(test)]
mod tests {
    use super::super::question::Question;
    use super::*;

    #[test]
    fn the_kind_of_answer_follows_from_the_question() {
        let kinds = [
            ("Who designed the old lighthouse?", Kind::Person),
            ("In what year did the ferry sink?", Kind::Date),
            ("How many arches carry the viaduct?", Kind::Number),
            ("How does a tide mill work?", Kind::Explanation),
            ("What is a quern?", Kind::Explanation),
            ("Which country lies north of the strait?", Kind::Place),
            ("What metal was the bell cast from?", Kind::Thing),
            ("Was the harbour dredged twice?", Kind::YesNo),
            ("Which bridge is older, Kettle Bridge or Marl Bridge?", Kind::Choice),
            ("Wann wurde die Mühle gebaut?", Kind::Date),
            ("灯塔是谁设计的？", Kind::Person),
            ("灯台はいつ建てられましたか。", Kind::Date),
        ];
        for (question, kind) in kinds {
            assert_eq!(Question::read(question).kind, kind, "{question}");
        }
    }

    #[test]
    fn the_gap_stands_where_a_statement_would_have_the_answer() {
        let gaps = [
            ("Who built the mill?", Some(("built", false))),
            ("What did the storm of 1821 lead to?", Some(("lead", true))),
            ("The bell was cast from what?", Some(("cast", true))),
            ("Which company dredged the harbour?", Some(("dredged", false))),
            ("Was it dredged?", None),
        ];
        for (text, expected) in gaps {
            let question = Question::read(text);
            let found = question.gap.map(|gap| (question.terms[gap.term].surface.as_str(), gap.is_behind));
            assert_eq!(found, expected, "{text}");
        }
    }
}
