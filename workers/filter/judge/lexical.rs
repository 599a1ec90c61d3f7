//! The lexical judge: no model, only a comparison of the answer's words with the reference answers. `prompts/lexical.txt` states the rule in full.
//!
//! It is made for short, factual references and reports how it decided. It cannot see a negation, a paraphrase or a wrong context, so a
//! campaign for training should ask a model.
//!
//! Against 17,364 human labels of answers by five systems (EVOUNA, Natural Questions and TriviaQA): agreement 0.903, kappa 0.75, precision 0.984,
//! recall 0.890. It errs on the side of rejecting.

use std::collections::{HashMap, HashSet};

use super::final_line::{final_line, without_confidence};
use super::normal::{Token, is_stop_word, sentences, tokens, words};
use crate::plain::plain;

/// The rule in words; its digest is the lexical judge's rubric.
pub(super) const RULE: &str = include_str!("../prompts/lexical.txt");

/// Score from which on an answer counts as correct.
const CORRECT_AT: f64 = 0.5;
/// A reference of more words than this is compared by the content words it shares, not as a whole.
const SHORT_WORDS_MAX: f64 = 30.0;
/// Words that may lie between a reference and the nearer end of the answer at full score; twice as many halve it.
const READ_WORDS: f64 = 100.0;
/// Score of a reference that stands in the text while a final-answer line says something else.
const CONTRADICTED: f64 = 0.3;
/// Score of a reference whose words all stand in one sentence, but not in a row; less in proportion when some are missing.
const SCATTERED: f64 = 0.8;
/// Content words of a long reference that an answer must have for full score.
const CONTENT_WORDS_MAX: usize = 40;
/// An answer may be so many times as long as a long reference before its score is scaled down.
const LONGER_MAX: f64 = 4.0;
/// Longest answer that is read, in characters; far above what the rules let pass.
const ANSWER_CHARS_MAX: usize = 100_000;
/// Words quoted from a reference.
const QUOTED_CHARS_MAX: usize = 60;

/// How an answer compares with its references.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    /// Whether some reference stands in the answer, its words in a row.
    pub(crate) contains: bool,
    /// The best F1 of any reference with any sentence, or the final-answer line, of the answer.
    pub(crate) f1: f64,
    /// The score, 0 to 1.
    pub(crate) score: f64,
    /// The final-answer line.
    pub(crate) extracted: Option<String>,
    /// How it was decided.
    pub(crate) words: String,
}

impl Comparison {
    /// Compares; nothing when there is no reference with a word in it.
    pub(crate) fn of(question: &str, references: &[String], answer: &str) -> Option<Self> {
        let said = Said::of(question, answer);
        let mut best: Option<Self> = None;
        let (mut contains, mut f1_best) = (false, 0.0_f64);
        for (n, reference) in references.iter().enumerate() {
            let wanted = tokens(reference);
            if wanted.is_empty() {
                continue;
            }
            let found = said.compare(&wanted);
            contains |= found.contains;
            f1_best = f1_best.max(found.f1);
            if best.as_ref().is_none_or(|best| found.score > best.score) {
                let quoted: String = reference.chars().take(QUOTED_CHARS_MAX).collect();
                let words = format!("reference {} of {}, `{quoted}`, {}: score {:.2}", n + 1, references.len(), found.how, found.score);
                best = Some(Self { contains: false, f1: 0.0, score: found.score, extracted: said.final_line.clone(), words });
            }
        }
        best.map(|best| Self { contains, f1: f1_best, ..best })
    }

    /// Whether the score is that of a correct answer.
    pub(crate) fn is_correct(&self) -> bool {
        self.score >= CORRECT_AT
    }
}

/// An answer, read once.
struct Said {
    question: HashSet<Token>,
    all: Vec<Token>,
    /// Sentences, each with its nearness.
    sentences: Vec<(Vec<Token>, f64)>,
    content: HashSet<Token>,
    final_line: Option<String>,
    final_tokens: Option<Vec<Token>>,
}

/// How one reference fared.
struct Found {
    contains: bool,
    f1: f64,
    score: f64,
    how: String,
}

impl Said {
    fn of(question: &str, answer: &str) -> Self {
        let bounded: String = answer.chars().take(ANSWER_CHARS_MAX).collect();
        let text = without_confidence(&plain(&bounded));
        let sentences = sentences(&text);
        let all = sentences.concat();
        let whole = words(&all);
        let mut before = 0.0;
        let mut placed = Vec::with_capacity(sentences.len());
        for sentence in sentences {
            let length = words(&sentence);
            let after = whole - before - length;
            placed.push((sentence, nearness(before, after)));
            before += length;
        }
        let final_line = final_line(&text);
        Self {
            question: tokens(question).into_iter().collect(),
            content: content(&all),
            all,
            sentences: placed,
            final_tokens: final_line.as_deref().map(tokens),
            final_line,
        }
    }

    fn compare(&self, wanted: &[Token]) -> Found {
        let contains = position(wanted, &self.all).is_some();
        let lines = self.sentences.iter().map(|(line, _)| line).chain(&self.final_tokens);
        let f1 = lines.map(|line| f1(wanted, line)).fold(0.0, f64::max);
        let (score, how) = if words(wanted) > SHORT_WORDS_MAX { self.compare_long(wanted) } else { self.compare_short(wanted) };
        Found { contains, f1, score, how }
    }

    fn compare_short(&self, wanted: &[Token]) -> (f64, String) {
        if is_yes_or_no(wanted) {
            let agrees = self.final_tokens.as_ref().unwrap_or(&self.all).first() == wanted.first();
            let (score, not) = if agrees { (1.0, "") } else { (0.0, " not") };
            return (score, format!("is{not} the first word of the answer"));
        }
        let place = position(wanted, &self.all);
        if let Some(line) = &self.final_tokens {
            return if let Some(before) = position(wanted, line) {
                (
                    nearness(words(line.get(..before).unwrap_or_default()), words(line.get(before..).unwrap_or_default())),
                    "stands in the final-answer line".to_owned(),
                )
            } else if place.is_some() {
                (CONTRADICTED, "stands in the text, but not in the final-answer line".to_owned())
            } else {
                let score = self.partial(wanted, line);
                (score, "stands nowhere in the answer in a row; partly in the final-answer line".to_owned())
            };
        }
        if let Some(at) = place {
            let before = words(self.all.get(..at).unwrap_or_default());
            let last = position_last(wanted, &self.all).unwrap_or(at);
            let after = words(self.all.get(last + wanted.len()..).unwrap_or_default());
            return (nearness(before, after), format!("stands in the answer, {:.0} words from its nearer end", before.min(after)));
        }
        let score = self.sentences.iter().map(|(line, near)| self.partial(wanted, line) * near).fold(0.0, f64::max);
        (score, "stands nowhere in the answer in a row; partly in one sentence".to_owned())
    }

    /// How much of a short reference stands in `line` at all. Numbers stand there all or the rest does not count: half a date is another date.
    fn partial(&self, wanted: &[Token], line: &[Token]) -> f64 {
        let is_number = |token: &Token| token.text.starts_with(|c: char| c.is_ascii_digit());
        if wanted.iter().any(|token| is_number(token) && !line.contains(token)) {
            return 0.0;
        }
        let telling: Vec<&Token> = wanted.iter().filter(|token| !is_stop_word(token) && !self.question.contains(*token)).collect();
        // One sign is no word, and a single word that does not stand there cannot stand there in part.
        let may_be_scattered = telling.len() > 1 && !wanted.iter().any(|token| token.is_sign);
        let shared = telling.iter().filter(|token| line.contains(token)).count();
        let scattered = if may_be_scattered { SCATTERED * shared as f64 / telling.len() as f64 } else { 0.0 };
        scattered.max(f1(wanted, line))
    }

    fn compare_long(&self, wanted: &[Token]) -> (f64, String) {
        let mut wanted_content = content(wanted);
        wanted_content.retain(|token| !self.question.contains(token));
        let expected = wanted_content.len().clamp(1, CONTENT_WORDS_MAX);
        let shared = wanted_content.intersection(&self.content).count();
        let recall = (shared as f64 / expected as f64).min(1.0);
        let longer = words(&self.all) / words(wanted);
        let score = if longer > LONGER_MAX { recall * LONGER_MAX / longer } else { recall };
        (score, format!("is long, and the answer has {shared} of {expected} content words expected of it, at {longer:.1} times its length"))
    }
}

/// Full score within the first or the last words of an answer, then falling: who quotes a page has not answered.
fn nearness(words_before: f64, words_after: f64) -> f64 {
    READ_WORDS / words_before.min(words_after).max(READ_WORDS)
}

fn is_yes_or_no(wanted: &[Token]) -> bool {
    matches!(wanted, [only] if matches!(only.text.as_str(), "yes" | "no" | "true" | "false"))
}

/// Where `wanted` first stands in `text`, in a row.
fn position(wanted: &[Token], text: &[Token]) -> Option<usize> {
    text.windows(wanted.len().max(1)).position(|window| window == wanted)
}

fn position_last(wanted: &[Token], text: &[Token]) -> Option<usize> {
    text.windows(wanted.len().max(1)).rposition(|window| window == wanted)
}

/// Distinct words that carry content; of scripts compared by character, pairs of neighbours, since one character says little.
fn content(tokens: &[Token]) -> HashSet<Token> {
    let pairs = tokens.windows(2).filter_map(|pair| match pair {
        [a, b] if a.is_sign && b.is_sign => Some(Token { text: format!("{}{}", a.text, b.text), is_sign: true }),
        _ => None,
    });
    let words = tokens.iter().filter(|token| !token.is_sign && !is_stop_word(token)).cloned();
    pairs.chain(words).collect()
}

/// Harmonic mean of precision and recall over tokens, each as often as it occurs.
fn f1(wanted: &[Token], line: &[Token]) -> f64 {
    let mut left: HashMap<&Token, usize> = HashMap::new();
    for token in wanted {
        *left.entry(token).or_default() += 1;
    }
    let mut shared = 0_usize;
    for token in line {
        if let Some(count) = left.get_mut(token).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    if shared == 0 { 0.0 } else { 2.0 * shared as f64 / (wanted.len() + line.len()) as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(references: &[&str], answer: &str) -> Comparison {
        let references: Vec<String> = references.iter().map(|reference| (*reference).to_owned()).collect();
        Comparison::of("When and by whom was the mill built?", &references, answer).expect("there is a reference")
    }

    #[test]
    fn a_reference_in_the_answer_is_correct_however_it_is_written_in_four_languages() {
        for (reference, answer) in [
            ("1,170 men", "It was built by 1170 men【3†L2】."),
            ("J. K. Miller", "The mill was built by **J.K. Miller** of Bergen."),
            ("李时珍", "这座磨坊由李时珍所建。"),
            ("小林一茶", "水車は小林一茶によって建てられた。"),
            ("Иван Кузнецов", "Мельницу построил Иван Кузнецов."),
            ("Kuznetsov, Ivan", "The mill was the work of Ivan Kuznetsov."),
        ] {
            let found = compare(&["nothing like it", reference], answer);
            assert!(found.is_correct() && found.words.contains("reference 2 of 2"), "{reference}: {}", found.words);
        }
    }

    #[test]
    fn a_part_of_a_word_or_of_a_date_is_not_the_reference() {
        assert!(!compare(&["Art"], "It was built by an Artist.").is_correct());
        assert!(!compare(&["12 March 1170"], "It was built on 14 March 1170.").is_correct());
        assert!(!compare(&["李时珍"], "这座磨坊由李先生所建。").is_correct());
    }

    #[test]
    fn a_final_answer_line_goes_before_the_text() {
        let settled = "The abbey records name Ada Miller. Other sources disagree.\nExact Answer: Bo Carpenter\nConfidence: 70%";
        assert!(!compare(&["Ada Miller"], settled).is_correct());
        let right = compare(&["Bo Carpenter"], settled);
        assert!(right.score == 1.0 && right.extracted.as_deref() == Some("Bo Carpenter"), "{}", right.words);
        assert!(compare(&["Ada Miller"], settled).contains);
    }

    #[test]
    fn a_reference_in_the_middle_of_a_long_page_does_not_count() {
        let page = "Some words about the river and its many boats. ".repeat(60);
        assert!(!compare(&["Ada Miller"], &format!("{page}\nAda Miller built it.\n{page}")).is_correct());
        assert!(compare(&["Ada Miller"], &format!("Ada Miller built it.\n{page}")).is_correct());
        assert!(compare(&["Ada Miller"], &format!("{page}\nSo it was Ada Miller.")).is_correct());
    }

    #[test]
    fn yes_and_no_count_only_as_the_first_word() {
        assert!(compare(&["no"], "No, it was never built.").is_correct());
        assert!(!compare(&["no"], "Yes. There is no doubt.").is_correct());
        assert!(compare(&["yes"], "Records differ.\nAnswer: Yes").is_correct());
    }

    #[test]
    fn a_long_reference_is_compared_by_its_content_words() {
        let reference = "The wheel turns when the tide falls and water leaves the pond through a narrow gate. Grain is poured between two stones, \
            the upper one of which is driven by a shaft of oak. Flour is gathered in sacks and carried to the abbey by mule twice a week.";
        let retold = "As the tide falls, water from the pond runs through a gate and drives the wheel; the upper of two stones turns on an oak shaft, \
            grinding grain to flour that mules carry to the abbey in sacks.";
        let other = "The building was sold in the war, lost its roof in a storm and stands empty since then beside the old coast road.";
        assert!(compare(&[reference], retold).is_correct());
        assert!(!compare(&[reference], other).is_correct());
    }

    #[test]
    fn without_a_reference_there_is_nothing_to_compare() {
        assert_eq!(Comparison::of("q", &[], "a"), None);
        assert_eq!(Comparison::of("q", &["?".into()], "a"), None);
    }

    proptest! {
        #[test]
        fn any_texts_can_be_compared(question in "\\PC{0,40}", reference in "(\\PC|[ .,0-9a-z]){0,200}", answer in "(\\PC|[ .\n0-9a-z]){0,300}") {
            if let Some(found) = Comparison::of(&question, &[reference], &answer) {
                prop_assert!((0.0..=1.0).contains(&found.score) && (0.0..=1.0).contains(&found.f1), "{found:?}");
            }
        }

        #[test]
        fn an_answer_that_is_the_reference_is_correct(reference in "[a-zA-Z0-9àé東京 ]{1,80}") {
            if let Some(found) = Comparison::of("?", std::slice::from_ref(&reference), &reference) {
                prop_assert!(found.is_correct() && found.contains, "{found:?}");
            }
        }
    }
}
