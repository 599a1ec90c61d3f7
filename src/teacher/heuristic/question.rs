//! What a question asks for: its terms, the names in it, and the kind of answer that would do.

use super::asked::{Asked, Gap, Kind, asked_for, gap_of};
use super::choice;
use super::lexicon::{family, is_function_word, is_name_joint, is_weak, kind_of_question_word};
use super::text::{Shape, Word, is_dense, key, shortened, words};

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
        let mut names = quotations(&text);
        names.extend(capitalised_spans(&text, &words, &lower, language));
        let options = choice::options(&text, &names);
        let asked = asked_for(&text, &lower, language, options.is_some());
        let terms = terms_of(&text, &words, &lower, &asked, language);
        let gap = asked.at.and_then(|at| gap_of(&words, &lower, &terms, at, asked.focus.as_deref()));
        let next = asked.at.and_then(|at| lower.get(at + 1)).map(String::as_str).unwrap_or_default();
        let is_plural =
            matches!(next, "were" | "are") || asked.focus.as_deref().is_some_and(|focus| focus.len() > 3 && focus.ends_with('s'));
        Self { language, kind: asked.kind, terms, names, focus: asked.focus, gap, is_plural, options, text }
    }
}

fn asked_part(message: &str) -> String {
    let message = message.trim();
    let labelled = message.lines().find_map(|line| line.trim_start().strip_prefix("Question:"));
    let asked = labelled.map(str::trim).filter(|asked| !asked.is_empty()).unwrap_or(message);
    // What we quote of a question must not look like a tag of the protocol.
    shortened(asked, QUESTION_BYTES_MAX).replace(['<', '>'], " ")
}

/// English words that other languages do not have, and words of other languages that are written in plain letters.
const ENGLISH_SIGNS: [&str; 12] = ["the", "what", "who", "how", "which", "when", "where", "why", "of", "did", "is", "does"];
const FOREIGN_SIGNS: [&str; 9] = ["wer", "wann", "wie", "welche", "quand", "que", "cine", "unde", "care"];

fn language_of(text: &str, lower: &[String]) -> Language {
    let (mut dense, mut latin, mut kana) = (0, 0, 0);
    for c in text.chars() {
        kana += usize::from(matches!(c, '\u{3041}'..='\u{30FF}'));
        dense += usize::from(matches!(c, '\u{3041}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}'));
        latin += usize::from(c.is_ascii_alphabetic());
    }
    // A name in another script does not change a question's language.
    let has = |signs: &[&str]| lower.iter().any(|word| signs.contains(&word.as_str()));
    if dense > 0 && (dense >= latin || !has(&ENGLISH_SIGNS)) {
        return if kana > 0 { Language::Japanese } else { Language::Chinese };
    }
    let is_english = has(&ENGLISH_SIGNS) || text.is_ascii() && !has(&FOREIGN_SIGNS);
    if is_english { Language::English } else { Language::Other }
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
fn capitalised_spans(text: &str, words: &[Word], lower: &[String], language: Language) -> Vec<String> {
    let mut spans = Vec::new();
    let mut run: Option<(usize, usize)> = None;
    for (at, word) in words.iter().enumerate() {
        let is_function = lower.get(at).is_some_and(|word| is_function_word(word) || kind_of_question_word(word, language).is_some());
        let is_part = match word.shape {
            Shape::Capital => !(is_function && (at == 0 || run.is_none())),
            Shape::Number => run.is_some(),
            Shape::Lower | Shape::Dense => false,
        };
        let gap = run.and_then(|(_, end)| text.get(end..word.start)).unwrap_or_default();
        if is_part {
            let is_joined =
                gap.len() <= 3 && !gap.contains([',', '?', ';', ':', '"', '(', ')']) && !gap.contains(". ") || joined_by_joints(gap);
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
    !gap.is_empty()
        && gap.len() <= 10
        && gap.split(' ').all(|word| matches!(word, "of" | "the" | "de" | "la" | "del" | "van" | "von" | "du" | "di" | "to"))
}

fn terms_of(text: &str, words: &[Word], lower: &[String], asked: &Asked, language: Language) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for (at, (word, lower)) in words.iter().zip(lower).enumerate() {
        let is_name = word.shape == Shape::Capital && at > 0 || word.shape == Shape::Number;
        let is_asking = asked.at == Some(at) || kind_of_question_word(lower, language).is_some() && !is_name;
        let is_said = is_function_word(lower) && !(is_name && lower.len() > 2 && !is_name_joint(lower) && at > 1);
        let is_known = terms.iter().any(|term| term.keys.contains(&word.key));
        if is_asking || is_said || is_known || terms.len() == TERMS_MAX {
            continue;
        }
        let mut keys = vec![word.key];
        keys.extend(family(lower).iter().map(|form| key(form)).filter(|form| *form != word.key));
        // Right behind "which" stands what the answer is, and a page need not call it that.
        let is_focus = asked.focus.as_ref() == Some(lower) && asked.at.is_some_and(|asked| at == asked + 1);
        let weight = match () {
            () if is_name => 1.3,
            () if is_weak(lower) || is_focus => 0.5,
            () if word.shape == Shape::Dense && is_dense_particle(text, word) => 0.3,
            () => 1.0,
        };
        terms.push(Term { surface: text.get(word.start..word.end).unwrap_or_default().to_owned(), keys, weight, is_name });
    }
    terms
}

/// A pair with a hiragana character, or with one that makes questions, is grammar more often than subject.
fn is_dense_particle(text: &str, word: &Word) -> bool {
    let pair = text.get(word.start..word.end).unwrap_or_default();
    pair.chars().any(|c| {
        is_dense(c) && matches!(c, '\u{3041}'..='\u{309F}' | '的' | '是' | '了' | '在' | '什' | '么' | '哪' | '谁' | '何' | '几' | '多')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("Who was 王安石?", Language::English),
            ("Kettle Bridge 是哪一年开放的？", Language::Chinese),
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
