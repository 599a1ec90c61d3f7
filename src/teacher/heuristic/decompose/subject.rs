//! What a question is about: the things it names, its years, the two sides it compares, and the relation it asks for.

use crate::heuristic::figure::is_year;
use crate::heuristic::lexicon::{DENSE_QUESTION_WORDS, is_break_word, is_weak, kind_of_question_word};
use crate::heuristic::question::{Language, Question};
use crate::heuristic::text::{Shape, is_dense, key, shortened, words};

/// Things that are told apart.
const THINGS_MAX: usize = 6;
/// The longest thing, in bytes.
const THING_BYTES_MAX: usize = 80;
/// Words of a relation.
const RELATION_WORDS_MAX: usize = 8;
/// Characters of an unspaced script above which a run holds more than one thing.
const RUN_CHARS_MAX: usize = 10;

/// The parts of a question.
#[derive(Debug)]
pub(super) struct Subject {
    /// Names; where there are none, the phrases of the question. None contains another.
    pub(super) things: Vec<String>,
    pub(super) years: Vec<String>,
    pub(super) sides: Option<[String; 2]>,
    /// The words that say what is asked of the things.
    pub(super) relation: String,
    /// The question without its mark.
    pub(super) whole: String,
}

impl Subject {
    /// The parts of `question`.
    pub(super) fn of(question: &Question) -> Self {
        let text = question.text.as_str();
        let is_unspaced = matches!(question.language, Language::Chinese | Language::Japanese);
        let sides = question.options.clone().or_else(|| if is_unspaced { sides_unspaced(text) } else { sides(text) });
        let phrases = if is_unspaced { phrases_unspaced(text) } else { phrases(text) };
        let names = question.names.iter().filter(|name| name.chars().any(char::is_alphabetic)).cloned();
        let mut things = apart(sides.iter().flatten().cloned().chain(names));
        // One name leaves room for what is asked of it; several are enough.
        if is_unspaced || things.is_empty() {
            things = apart(things.into_iter().chain(phrases));
        } else if things.len() == 1 {
            let named: Vec<u64> = things.iter().flat_map(|thing| words(thing)).map(|word| word.key).collect();
            let is_other = |phrase: &String| phrase.contains(' ') && words(phrase).iter().all(|word| !named.contains(&word.key));
            things = apart(things.into_iter().chain(phrases.into_iter().filter(is_other)));
        }
        let is_year_term = |surface: &&str| is_year(surface);
        let years = question.terms.iter().map(|term| term.surface.as_str()).filter(is_year_term).map(str::to_owned).collect();
        let first = things.first().map(String::as_str).unwrap_or_default();
        let of_relation = question.terms.iter().filter(|term| !term.is_name && !first.contains(&term.surface));
        let relation: Vec<&str> = of_relation.map(|term| term.surface.as_str()).take(RELATION_WORDS_MAX).collect();
        let relation = if is_unspaced { things.iter().skip(1).cloned().collect::<Vec<_>>().join(" ") } else { relation.join(" ") };
        let whole = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let whole = whole.trim_end_matches(['?', '？', '。', '.', ' ']).to_owned();
        Self { things, years, sides, relation, whole }
    }
}

/// Each once, in order; what is part of an earlier one, or has one as its part, goes.
fn apart(candidates: impl Iterator<Item = String>) -> Vec<String> {
    let mut things: Vec<String> = Vec::new();
    for candidate in candidates {
        let candidate = shortened(candidate.trim(), THING_BYTES_MAX).to_owned();
        let lower = candidate.to_lowercase();
        let overlaps = |thing: &String| {
            let thing = thing.to_lowercase();
            thing.contains(&lower) || lower.contains(&thing)
        };
        if !candidate.is_empty() && !things.iter().any(overlaps) {
            things.push(candidate);
        }
        if things.len() == THINGS_MAX {
            break;
        }
    }
    things
}

/// Runs of content words: "tide mill" in "how does a tide mill work".
fn phrases(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut run: Option<(usize, usize)> = None;
    for word in words(text) {
        let lower = text.get(word.start..word.end).unwrap_or_default().to_lowercase();
        let is_asking = kind_of_question_word(&lower, Language::English).is_some();
        let is_content = word.shape != Shape::Number && !is_break_word(&lower) && !is_weak(&lower) && !is_asking;
        let joins = run.is_some_and(|(_, end)| matches!(text.get(end..word.start), Some(" " | "-")));
        match run {
            Some((start, _)) if is_content && joins => run = Some((start, word.end)),
            _ => {
                found.extend(run.take());
                run = is_content.then_some((word.start, word.end));
            }
        }
    }
    found.extend(run);
    let phrases = found.into_iter().filter_map(|(start, end)| text.get(start..end)).filter(|phrase| phrase.len() > 2);
    let mut phrases: Vec<String> = phrases.map(str::to_owned).collect();
    // A phrase says more than a single word, which may be a verb.
    phrases.sort_by_key(|phrase| !phrase.contains([' ', '-']));
    phrases
}

/// Chinese and Japanese words that end a run, beyond the question words.
const STOPS: [&str; 24] = [
    "有哪些",
    "哪些",
    "哪个",
    "以及",
    "什么",
    "关于",
    "之间",
    "还是",
    "分别",
    "请问",
    "相比",
    "比较",
    "对比",
    "区别",
    "哪",
    "的",
    "是",
    "了",
    "吗",
    "呢",
    "在",
    "与",
    "几",
    "请",
];
/// Characters at which only a long run is cut: they are parts of words too.
const LOOSE_STOPS: [char; 12] = ['对', '和', '中', '为', '以', '由', '从', '向', '及', '或', '被', '于'];

/// Runs between question words, particles and marks.
fn phrases_unspaced(text: &str) -> Vec<String> {
    let mut cut = text.to_owned();
    let mut stops: Vec<&str> = DENSE_QUESTION_WORDS.iter().map(|(word, _)| *word).chain(STOPS).collect();
    stops.sort_by_key(|stop| std::cmp::Reverse(stop.len()));
    for stop in stops {
        cut = cut.replace(stop, "\n");
    }
    let is_cut =
        |c: char| matches!(c, '\n' | '\u{3041}'..='\u{309F}') || !c.is_alphanumeric() && !matches!(c, ' ' | '-' | '·' | '.' | '\'');
    let mut phrases: Vec<String> = Vec::new();
    for run in cut.split(is_cut).map(str::trim) {
        let chars = run.chars().filter(|c| is_dense(*c)).count();
        let parts: Vec<&str> = if chars > RUN_CHARS_MAX { run.split(LOOSE_STOPS).collect() } else { vec![run] };
        let is_thing = |part: &&str| part.chars().count() > 1 && part.chars().any(char::is_alphabetic) && !is_year(part);
        phrases.extend(parts.into_iter().map(str::trim).filter(is_thing).map(str::to_owned));
    }
    phrases
}

/// Both sides of "between A and B", "compare A with B", "A versus B".
fn sides(text: &str) -> Option<[String; 2]> {
    let lower = text.to_ascii_lowercase();
    let after = |sign: &str| lower.find(sign).and_then(|at| text.get(at + sign.len()..));
    let split = |rest: &str, signs: &[&str]| {
        let (at, sign) = signs.iter().filter_map(|sign| Some((rest.find(sign)?, *sign))).min()?;
        Some((rest.get(..at)?.to_owned(), rest.get(at + sign.len()..)?.to_owned()))
    };
    let is_difference = lower.contains("difference") || lower.contains("compar");
    let between = after("between ").filter(|_| is_difference).and_then(|rest| split(rest, &[" and "]));
    let compared = || after("compare ").and_then(|rest| split(rest, &[" and ", " with ", " to "]));
    let versus = || split(text, &[" vs. ", " vs ", " versus "]);
    let (left, right) = between.or_else(compared).or_else(versus)?;
    let left = left.rsplit([',', ':', ';']).next().unwrap_or_default().trim();
    let right = right.split([',', ';', '?', '.']).next().unwrap_or_default();
    let right = [" in ", " with ", " for ", " on "].iter().fold(right, |right, end| right.split(end).next().unwrap_or(right)).trim();
    checked(left, right, 8)
}

/// Both sides of "A还是B", and of "A和B" where something is compared.
fn sides_unspaced(text: &str) -> Option<[String; 2]> {
    const COMPARES: [&str; 8] = ["比较", "区别", "差异", "不同", "异同", "对比", "相比", "更"];
    let is_compared = COMPARES.iter().any(|sign| text.contains(sign));
    let joint = if text.contains("还是") {
        "还是"
    } else {
        ["和", "与", "跟"].into_iter().find(|joint| is_compared && text.contains(joint))?
    };
    let (left, right) = text.split_once(joint)?;
    let mark = |c: char| matches!(c, '，' | '。' | '：' | '；' | '？' | ',' | '?' | ':');
    let left = left.rsplit(mark).next().unwrap_or_default().trim();
    let left = ["请", "比较", "对比"].iter().fold(left, |left, sign| left.strip_prefix(sign).unwrap_or(left));
    let right = right.split(mark).next().unwrap_or_default();
    let ends = ["之间", "相比", "哪", "的", "在", "有", "更", "谁"];
    let right = ends.iter().fold(right, |right, end| right.split(end).next().unwrap_or(right)).trim();
    checked(left, right, 12)
}

/// Two sides that are short, and not the same. A word is one of an alphabet, or a character of an unspaced script.
fn checked(left: &str, right: &str, words_max: usize) -> Option<[String; 2]> {
    let is_short = |side: &str| {
        let count = side.split_whitespace().count().max(side.chars().filter(|c| is_dense(*c)).count());
        (1..=words_max).contains(&count)
    };
    (is_short(left) && is_short(right) && key(left) != key(right)).then(|| [left.to_owned(), right.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &str) -> Subject {
        Subject::of(&Question::read(text))
    }

    #[test]
    fn a_question_falls_into_things_years_and_relation() {
        let named = subject("In 1821, who designed the tower of Marrow Light on the Isle of Marrow?");
        assert_eq!(named.things, ["Marrow Light", "Isle of Marrow"]);
        assert_eq!((named.years.as_slice(), named.relation.as_str()), (["1821".to_owned()].as_slice(), "designed tower"));
        assert_eq!(subject("How does a tide mill grind grain?").things.first().map(String::as_str), Some("tide mill grind grain"));
        assert_eq!(subject("马罗灯塔是哪一年由安罗设计的？").things, ["马罗灯塔", "由安罗设计"]);
        assert_eq!(subject("灯台はいつ建てられましたか。").things, ["灯台"]);
    }

    #[test]
    fn the_sides_of_a_comparison_are_found() {
        let pairs = [
            ("What is the difference between tide mills and wind mills in yield?", ["tide mills", "wind mills"]),
            ("Compare Kettle Bridge with Marl Bridge.", ["Kettle Bridge", "Marl Bridge"]),
            ("Costs: Kettle Bridge vs. Marl Bridge", ["Kettle Bridge", "Marl Bridge"]),
            ("Which is older, Kettle Bridge or Marl Bridge?", ["Kettle Bridge", "Marl Bridge"]),
            ("马罗灯塔和水壶桥哪个更古老？", ["马罗灯塔", "水壶桥"]),
            ("请比较潮汐磨坊与风力磨坊的产量。", ["潮汐磨坊", "风力磨坊"]),
        ];
        for (text, sides) in pairs {
            assert_eq!(subject(text).sides, Some(sides.map(str::to_owned)), "{text}");
        }
        assert_eq!(subject("中华人民共和国是哪一年成立的？").sides, None);
    }
}
