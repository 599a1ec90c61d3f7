//! What a question asks for: its terms, the names in it, and the kind of answer that would do.

use super::choice;
use super::lexicon::{DENSE_QUESTION_WORDS, family, is_function_word, is_name_joint, is_weak, kind_of_focus, kind_of_question_word};
use super::text::{Shape, Word, is_dense, key, words};

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

/// The language of an answer's own words; quotations stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
    Japanese,
    /// One that we have no words in: the answer is made of quotations alone.
    Other,
}

/// A word to look for.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// As the question writes it.
    pub(super) surface: String,
    /// Of the word, and of forms of it that do not share its stem.
    pub(super) keys: Vec<u64>,
    /// How much it says, before it is known how rare it is.
    pub(super) weight: f32,
    pub(super) is_name: bool,
}

/// A question, understood as far as it goes.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) text: String,
    pub(super) language: Language,
    pub(super) kind: Kind,
    /// Distinct, in the order of the question; at most [`TERMS_MAX`].
    pub(super) terms: Vec<Term>,
    /// Capitalised or quoted spans, as written.
    pub(super) names: Vec<String>,
    /// The noun behind "which", when there is one.
    pub(super) focus: Option<String>,
    /// Where an answer would stand, when that can be told.
    pub(super) gap: Option<Gap>,
    /// Whether more than one thing is asked for: "who were", "which countries".
    pub(super) is_plural: bool,
    /// The two possible answers, when the question names them.
    pub(super) options: Option<[String; 2]>,
}

/// An answer stands behind or before a term: behind "write" in "what did X write", before it in "who wrote X".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Number of the term.
    pub(super) term: usize,
    pub(super) is_behind: bool,
}

/// Terms are flagged in one machine word, and learned ones need room too.
pub(super) const TERMS_MAX: usize = 40;

/// Questions are read up to here; what follows is no question any more.
const QUESTION_BYTES_MAX: usize = 2_000;

impl Question {
    /// Reads the message that asks.
    pub(super) fn read(message: &str) -> Self {
        let text = asked_part(message);
        let words = words(&text);
        let lower: Vec<String> = words.iter().map(|word| text.get(word.start..word.end).unwrap_or_default().to_lowercase()).collect();
        let language = language_of(&text, &lower);
        let quotes = quotations(&text);
        let mut names: Vec<String> = quotes.clone();
        names.extend(capitalised_spans(&text, &words, &lower));
        let options = choice::options(&text, &names);
        let asked = asked_for(&words, &lower, &text, language, options.is_some());
        let terms = terms_of(&text, &words, &lower, asked.at, asked.focus.as_deref());
        let gap = asked.at.and_then(|at| gap_of(&words, &lower, &terms, at, asked.focus.as_deref()));
        let next = asked.at.and_then(|at| lower.get(at + 1)).map(String::as_str).unwrap_or_default();
        let is_plural = matches!(next, "were" | "are") || asked.focus.as_deref().is_some_and(|focus| focus.len() > 3 && focus.ends_with('s'));
        Self { language, kind: asked.kind, terms, names, focus: asked.focus, gap, is_plural, options, text }
    }
}

fn asked_part(message: &str) -> String {
    let message = message.trim();
    let labelled = message.lines().find_map(|line| line.trim_start().strip_prefix("Question:"));
    let asked = labelled.map(str::trim).filter(|asked| !asked.is_empty()).unwrap_or(message);
    asked.get(..asked.floor_char_boundary(QUESTION_BYTES_MAX)).unwrap_or_default().to_owned()
}

fn language_of(text: &str, lower: &[String]) -> Language {
    let has = |range: std::ops::RangeInclusive<char>| text.chars().any(|c| range.contains(&c));
    if has('\u{3041}'..='\u{30FF}') {
        return Language::Japanese;
    }
    if has('\u{4E00}'..='\u{9FFF}') {
        return Language::Chinese;
    }
    let is_english = |word: &String| matches!(word.as_str(), "the" | "what" | "who" | "how" | "which" | "when" | "where" | "why" | "of" | "did" | "is");
    let is_foreign = lower.iter().any(|word| kind_of_question_word(word).is_some() && !word.is_ascii()) || !text.is_ascii();
    if lower.iter().any(is_english) || !(is_foreign || lower.iter().any(|word| matches!(word.as_str(), "wer" | "wann" | "wie" | "quand" | "que"))) {
        Language::English
    } else {
        Language::Other
    }
}

/// Texts between quotation marks.
fn quotations(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (open, close) in [('"', '"'), ('“', '”'), ('「', '」'), ('『', '』'), ('《', '》'), ('«', '»')] {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once(open) {
            let Some((inside, after)) = after.split_once(close) else { break };
            if (2..120).contains(&inside.trim().len()) {
                found.push(inside.trim().to_owned());
            }
            rest = after;
        }
    }
    found
}

/// Runs of capitalised words and numbers, joints of names included, without the question's own first word when it is a function word.
fn capitalised_spans(text: &str, words: &[Word], lower: &[String]) -> Vec<String> {
    let mut spans = Vec::new();
    let mut run: Option<(usize, usize)> = None;
    for (at, word) in words.iter().enumerate() {
        let is_function = lower.get(at).is_some_and(|word| is_function_word(word) || kind_of_question_word(word).is_some());
        let is_part = match word.shape {
            Shape::Capital => !(is_function && (at == 0 || run.is_none())),
            Shape::Number => run.is_some(),
            Shape::Lower => false,
            Shape::Dense => false,
        };
        let gap = run.and_then(|(_, end)| text.get(end..word.start)).unwrap_or_default();
        if is_part {
            let is_joined = gap.len() <= 3 && !gap.contains([',', '?', ';', ':', '"', '(', ')']) && !gap.contains(". ") || joined_by_joints(gap);
            match run {
                Some((start, _)) if is_joined => run = Some((start, word.end)),
                _ => {
                    spans.extend(run.take());
                    run = (word.shape == Shape::Capital).then_some((word.start, word.end));
                }
            }
        } else if gap.len() > 24 {
            spans.extend(run.take());
        }
    }
    spans.extend(run);
    spans.into_iter().filter_map(|(start, end)| text.get(start..end)).filter(|span| span.len() > 1).map(str::to_owned).collect()
}

/// Whether only joints stand between two capitalised words: "Journal of the Senate", but not "Paris in France".
fn joined_by_joints(gap: &str) -> bool {
    let gap = gap.trim();
    !gap.is_empty() && gap.len() <= 10 && gap.split(' ').all(|word| matches!(word, "of" | "the" | "de" | "la" | "del" | "van" | "von" | "du" | "di" | "to"))
}

/// What is asked for, and where the question word stands.
struct Asked {
    kind: Kind,
    at: Option<usize>,
    focus: Option<String>,
}

fn is_auxiliary(word: &str) -> bool {
    matches!(word, "did" | "does" | "do" | "is" | "are" | "was" | "were" | "has" | "have" | "had" | "can" | "could" | "will" | "would" | "should" | "may")
}

fn asked_for(words: &[Word], lower: &[String], text: &str, language: Language, is_choice: bool) -> Asked {
    if words.iter().any(|word| word.shape == Shape::Dense) && language != Language::Other {
        let first = DENSE_QUESTION_WORDS.iter().filter_map(|(word, kind)| Some((text.find(word)?, *kind))).min_by_key(|(at, _)| *at);
        return Asked { kind: first.map_or(Kind::Thing, |(_, kind)| kind), at: None, focus: None };
    }
    let is_question_word = |word: &String| word == "how" || word == "wie" || word == "cómo" || kind_of_question_word(word).is_some();
    // English "was" is German "what"; in an English question it is a verb.
    let at = lower.iter().position(|word| is_question_word(word) && !(word == "was" && language == Language::English));
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
    if word == "how" || word == "wie" || word == "cómo" {
        let next = lower.get(at + 1).map(String::as_str).unwrap_or_default();
        let is_number = kind_of_focus(next) == Some(Kind::Number) || next == "viele" || next == "viel";
        return Asked { kind: if is_number { Kind::Number } else { Kind::Explanation }, at: Some(at), focus: None };
    }
    let mut kind = kind_of_question_word(word).unwrap_or(Kind::Thing);
    let focus_at = (at + 1..lower.len().min(at + 7)).find(|at| lower.get(*at).is_some_and(|word| !is_function_word(word) && !is_weak_focus(word)));
    let focus = focus_at.and_then(|at| lower.get(at)).cloned();
    if kind == Kind::Thing && language == Language::English {
        // The head of "what oil company …" is the last noun before the verb; two words are enough to look at.
        let near = (at + 1..lower.len().min(at + 4)).filter_map(|at| lower.get(at));
        let direct = near.take_while(|word| !is_auxiliary(word)).filter_map(|word| kind_of_focus(word)).next();
        let of_focus = focus.as_deref().and_then(kind_of_focus);
        kind = direct.or(of_focus).unwrap_or(Kind::Thing);
        if kind == Kind::Thing && is_definition(lower.get(at + 1..).unwrap_or_default()) {
            kind = Kind::Explanation;
        }
    }
    if is_choice && matches!(kind, Kind::Thing | Kind::Person | Kind::Place) {
        kind = Kind::Choice;
    }
    Asked { kind, at: Some(at), focus: focus.filter(|_| matches!(word, "what" | "which" | "whose")) }
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

fn terms_of(text: &str, words: &[Word], lower: &[String], asked_at: Option<usize>, focus: Option<&str>) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for (at, (word, lower)) in words.iter().zip(lower).enumerate() {
        let is_name = word.shape == Shape::Capital && at > 0 || word.shape == Shape::Number;
        let is_asking = asked_at == Some(at) || kind_of_question_word(lower).is_some() && !is_name;
        let is_said = is_function_word(lower) && !(is_name && lower.len() > 2 && !is_name_joint(lower) && at > 1);
        let is_known = terms.iter().any(|term| term.keys.contains(&word.key));
        if is_asking || is_said || is_known || terms.len() == TERMS_MAX {
            continue;
        }
        let mut keys = vec![word.key];
        keys.extend(family(lower).iter().map(|form| key(form)).filter(|form| *form != word.key));
        let is_focus = focus == Some(lower.as_str());
        let weight = match () {
            () if is_name => 1.3,
            () if is_weak(lower) || at == asked_at.map_or(usize::MAX, |asked| asked + 1) && is_focus => 0.5,
            () if word.shape == Shape::Dense && is_dense_particle(text, word) => 0.3,
            () => 1.0,
        };
        terms.push(Term { surface: text.get(word.start..word.end).unwrap_or_default().to_owned(), keys, weight, is_name });
    }
    terms
}

/// Where the answer would stand if the question were a statement.
fn gap_of(words: &[Word], lower: &[String], terms: &[Term], at: usize, focus: Option<&str>) -> Option<Gap> {
    let number_of = |word: &Word| terms.iter().position(|term| term.keys.contains(&word.key));
    if at > 1 {
        // "It was caused by what": right where the question word stands.
        let before = words.get(..at)?.iter().rev().find_map(number_of)?;
        return Some(Gap { term: before, is_behind: true });
    }
    let focus_at = focus.and_then(|focus| lower.iter().position(|word| word == focus)).filter(|focus| *focus < at + 4);
    let after = focus_at.unwrap_or(at) + 1;
    let is_object = lower.get(at + 1..=after.max(at + 1))?.iter().any(|word| is_auxiliary(word));
    if is_object {
        let last = words.get(after..)?.iter().rev().find_map(number_of)?;
        return Some(Gap { term: last, is_behind: true });
    }
    let first = words.get(after..)?.iter().find_map(number_of)?;
    Some(Gap { term: first, is_behind: false })
}

/// A pair with a hiragana character, or with one that makes questions, is grammar more often than subject.
fn is_dense_particle(text: &str, word: &Word) -> bool {
    let pair = text.get(word.start..word.end).unwrap_or_default();
    pair.chars().any(|c| is_dense(c) && matches!(c, '\u{3041}'..='\u{309F}' | '的' | '是' | '了' | '在' | '什' | '么' | '哪' | '谁' | '何' | '几' | '多'))
}

#[cfg(test)]
mod tests {
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
    fn names_are_kept_whole_and_function_words_are_no_terms() {
        let question = Question::read("Who was the first keeper of the Isle of Marrow lighthouse near \"the Old Neck\" in 1821?");
        assert_eq!(question.names, ["the Old Neck", "Isle of Marrow", "Old Neck"]);
        let surfaces: Vec<&str> = question.terms.iter().map(|term| term.surface.as_str()).collect();
        assert_eq!(surfaces, ["first", "keeper", "Isle", "Marrow", "lighthouse", "near", "Old", "Neck", "1821"]);
    }

    #[test]
    fn the_answer_speaks_the_language_of_the_question() {
        let languages = [
            ("Who kept it?", Language::English),
            ("¿Quién lo diseñó?", Language::Other),
            ("谁设计了灯塔？", Language::Chinese),
            ("誰が設計しましたか。", Language::Japanese),
        ];
        for (question, language) in languages {
            assert_eq!(Question::read(question).language, language, "{question}");
        }
    }

    #[test]
    fn a_labelled_question_is_found_and_an_endless_one_is_cut() {
        assert_eq!(Question::read("Please research this.\nQuestion: Who kept it?").text, "Who kept it?");
        assert!(Question::read(&"灯".repeat(5_000)).text.len() <= QUESTION_BYTES_MAX);
    }
}
