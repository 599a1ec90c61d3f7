//! The heuristic's own words: what it thinks before a call, and the frame around its quotations. Varied by content, never by chance.

use super::answer::Quote;
use super::asked::Kind;
use super::plan::Move;
use super::question::{Language, Question};
use super::text::shortened;

/// The longest title that is named, in bytes.
const TITLE_BYTES_MAX: usize = 120;

/// What is thought before `moves`; `variant` picks among wordings, `calls` is how many were made before.
pub(super) fn thought(question: &Question, moves: &[Move], calls: usize, variant: u64) -> String {
    let pick = |wordings: [String; 3]| {
        let [first, second, third] = wordings;
        match variant % 3 {
            0 => first,
            1 => second,
            _ => third,
        }
    };
    let wanted = wanted(question.kind);
    match moves {
        [] => String::new(),
        [Move::Search { query }] if calls == 0 => pick([
            format!("The question asks for {wanted}. I start with the words that a page about it would use: {query}."),
            format!("I need {wanted}. Nothing is known yet, so a broad search for “{query}” comes first."),
            format!("To find {wanted}, I look for documents that mention {query}."),
        ]),
        [Move::Search { query }] => pick([
            format!("Part of the question is still open. Another search, now for “{query}”, may show a page that settles it."),
            format!("I want a second source before I answer. I search for {query}."),
            format!("What I have read suggests other words. Let me try “{query}”."),
        ]),
        [Move::Open { title, .. }] => {
            let title = shortened(title, TITLE_BYTES_MAX);
            pick([
                format!("The result “{title}” matches the question best. A snippet is no evidence, so I open the page."),
                format!("“{title}” looks promising; I read it before relying on it."),
                format!("Next I open “{title}” to see whether it holds {wanted}."),
            ])
        }
        [Move::Find { pattern, cursor }] => pick([
            format!("I check where page {cursor} mentions “{pattern}”."),
            format!("The word “{pattern}” should lead to the passage that matters on page {cursor}."),
            format!("Before I go on, I look for “{pattern}” on page {cursor}, so that nothing nearby is missed."),
        ]),
        [Move::Scroll { cursor, loc }] => pick([
            format!("There is a match below what I have seen. I go to line {loc} of page {cursor}."),
            format!("The match lies outside the window; I read page {cursor} from line {loc}."),
            format!("I have to see the lines around the match, so I move to line {loc}."),
        ]),
        _ => pick([
            "Two calls do not depend on each other here, so I make both at once.".to_owned(),
            format!("I still look for {wanted}; both of these could hold it, and I can ask for them together."),
            "These two are independent of each other. I send them together.".to_owned(),
        ]),
    }
}

/// What is thought before the answer.
pub(super) fn conclusion(is_found: bool, variant: u64) -> &'static str {
    match (is_found, variant % 3) {
        (true, 0) => "The pages I have read are enough. I answer with the passage that fits the question best.",
        (true, 1) => "This passage covers what was asked, so I can answer and cite it.",
        (true, _) => "I have read what the results offer. The best passage answers the question.",
        (false, 0) => "None of the pages holds what was asked. I say so.",
        (false, _) => "Nothing I could read speaks about this, so I cannot give an answer.",
    }
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Person => "a person or a group",
        Kind::Date => "a date",
        Kind::Place => "a place",
        Kind::Number => "a number",
        Kind::Thing => "a particular thing",
        Kind::Choice => "one of two things",
        Kind::YesNo => "a yes or a no",
        Kind::Explanation => "an explanation",
    }
}

/// Quotations with their places, then the short answer on a line of its own.
pub(super) fn answer(question: &Question, quotes: &[Quote], exact: &str) -> String {
    let mut text = String::new();
    for (nth, Quote { text: quoted, title, marker }) in quotes.iter().enumerate() {
        if nth > 0 && question.language != Language::Chinese && question.language != Language::Japanese {
            text.push(' ');
        }
        let framed = match (question.language, nth) {
            (Language::English, 0) => format!("According to “{title}”: {quoted} {marker}"),
            (Language::English, _) => format!("It is also said under “{title}”: {quoted} {marker}"),
            (Language::Chinese, 0) => format!("根据《{title}》的记载：{quoted}{marker}"),
            (Language::Chinese, _) => format!("《{title}》中还写道：{quoted}{marker}"),
            (Language::Japanese, 0) => format!("「{title}」には次のように書かれています。{quoted}{marker}"),
            (Language::Japanese, _) => format!("「{title}」にはこうもあります。{quoted}{marker}"),
            (Language::Other, _) => format!("{quoted} {marker}"),
        };
        text.push_str(&framed);
    }
    format!("{text}\n\nExact Answer: {exact}")
}

/// The short answer to a question that wants no more.
pub(super) fn yes_or_no(question: &Question, is_yes: bool) -> &'static str {
    match (question.language, is_yes) {
        (Language::Chinese, true) => "是",
        (Language::Chinese, false) => "否",
        (Language::Japanese, true) => "はい",
        (Language::Japanese, false) => "いいえ",
        (_, true) => "yes",
        (_, false) => "no",
    }
}

/// Says that nothing was found.
pub(super) fn nothing_found(question: &Question) -> String {
    match question.language {
        Language::English | Language::Other => {
            "I could not find an answer: none of the pages I searched and read speaks about this question.\n\nExact Answer: not found"
                .to_owned()
        }
        Language::Chinese => "我没有找到答案：检索和阅读过的页面都没有谈到这个问题。\n\nExact Answer: 没有找到".to_owned(),
        Language::Japanese => {
            "答えは見つかりませんでした。検索して読んだページは、いずれもこの質問に触れていません。\n\nExact Answer: 見つかりませんでした"
                .to_owned()
        }
    }
}
