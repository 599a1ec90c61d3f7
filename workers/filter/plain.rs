//! An answer as plain text: without citation markers, links, markup and the list of sources at its end.
//!
//! Rules and the lexical judge look at the same text, so that no verdict hangs on decoration. Bounded work, one pass per kind of
//! decoration; nothing here is a Markdown parser, and what it does not recognise it leaves alone.

use std::ops::Range;

use model::report::is_fence;

/// Longest marker that is looked for, in characters. A bracket that stays open longer is no marker.
const MARKER_CHARS_MAX: usize = 200;

/// Titles of the section that lists sources; it ends the answer.
const SOURCES_TITLES: [&str; 13] = [
    "references",
    "reference",
    "sources",
    "source",
    "citations",
    "bibliography",
    "works cited",
    "参考文献",
    "参考资料",
    "参考",
    "出典",
    "来源",
    "참고 문헌",
];

/// A report as it is read: without its list of references, and without the markers ` [n] ` that lead to it.
pub(crate) fn without_references(report: &str) -> String {
    let (text, _) = model::references::split_references(report);
    without(text, model::references::markers(text).into_iter().map(|marker| marker.range))
}

/// The answer's words in reading order: markup, markers, addresses and the list of sources removed.
pub(crate) fn plain(answer: &str) -> String {
    let mut text = String::with_capacity(answer.len());
    for line in lines(&without_markers(answer)) {
        if !is_fence(line) {
            push_line(line, &mut text);
        }
    }
    text
}

/// Like [`plain`], without code: what is left is written in a human language.
pub(crate) fn prose(answer: &str) -> String {
    let mut text = String::with_capacity(answer.len());
    let mut in_fence = false;
    for line in lines(&without_markers(answer)) {
        if is_fence(line) {
            in_fence = !in_fence;
        } else if !in_fence {
            // Every second piece between backticks is code; an unpaired backtick opens nothing.
            let pieces: Vec<&str> = line.split('`').collect();
            let paired = pieces.len() % 2 == 1;
            let spoken: Vec<&str> = pieces.iter().enumerate().filter(|(n, _)| !paired || n % 2 == 0).map(|(_, piece)| *piece).collect();
            push_line(&spoken.join(" "), &mut text);
        }
    }
    text
}

/// Lines up to the list of sources. A title in the first line opens a text, not a list.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().enumerate().take_while(|(n, line)| *n == 0 || !is_sources_title(line)).map(|(_, line)| line)
}

fn is_sources_title(line: &str) -> bool {
    let title = line.trim_matches(|c: char| c.is_whitespace() || matches!(c, '#' | '*' | '_' | ':' | '：')).to_lowercase();
    SOURCES_TITLES.contains(&title.as_str())
}

fn push_line(line: &str, text: &mut String) {
    let line = line.trim().trim_start_matches(['#', '>', '*', '+', '•', '-']).trim_start();
    for (n, word) in without_links(line).split_whitespace().filter(|word| !is_address(word)).enumerate() {
        if n > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
    text.push('\n');
}

fn is_address(word: &str) -> bool {
    let word = word.trim_start_matches(['(', '<', '[', '"']);
    word.starts_with("http://") || word.starts_with("https://") || word.starts_with("www.")
}

/// `[text](address)` becomes `text`, with a space on either side; `![text](address)` too.
fn without_links(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((label, after)) = link.split_once("](") else { break };
        let Some((_, after)) = after.split_once(')') else { break };
        text.push_str(before);
        text.push_str(label);
        text.push(' ');
        rest = after;
    }
    text.push_str(rest);
    text
}

fn without_markers(text: &str) -> String {
    without(text, markers(text).into_iter())
}

/// `text` without `ranges`, which are in order; several may be the same.
fn without(text: &str, ranges: impl Iterator<Item = Range<usize>>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        kept.push_str(text.get(end..range.start).unwrap_or_default());
        end = range.end;
    }
    kept.push_str(text.get(end..).unwrap_or_default());
    kept
}

/// Where citation markers stand: `【3†L9-L11】`, the same in square brackets, and `【3】` or `【3, L9】`. A plain `[3]` is not taken for one, since
/// quoted pages bring such footnotes along, nor is a Japanese heading like `【3月】`. Every marker that is resolved in a trajectory is found here.
pub(crate) fn markers(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (start, open) in text.match_indices(['【', '[']) {
        let close = if open == "【" { '】' } else { ']' };
        let inside_start = start + open.len();
        let rest = text.get(inside_start..).unwrap_or_default();
        let is_inside = |c: &char| !matches!(c, '【' | '】' | '[' | ']' | '\n');
        let inside: String = rest.chars().take_while(is_inside).take(MARKER_CHARS_MAX).collect();
        let inside_end = inside_start + inside.len();
        let is_closed = text.get(inside_end..).is_some_and(|rest| rest.starts_with(close));
        if is_closed && (inside.contains('†') || (open == "【" && names_a_cursor(&inside))) {
            found.push(start..inside_end + close.len_utf8());
        }
    }
    found
}

/// Whether `inside` begins with the number of a cursor and nothing that would make the number part of a word.
fn names_a_cursor(inside: &str) -> bool {
    let inside = inside.trim_start();
    let number = inside.strip_prefix("cursor").or_else(|| inside.strip_prefix("page")).unwrap_or(inside).trim_start();
    let after = number.trim_start_matches(|c: char| c.is_ascii_digit());
    after.len() < number.len() && (after.is_empty() || after.starts_with([':', ',', ';', ' ', '#', 'L', 'l']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markers_links_markup_and_sources_are_removed_in_three_scripts() {
        let answer =
            "## Result\n\n- **Paris** is the [capital](https://e.org/a) of France【0†L3-L5】.\n\n### References:\n1. https://e.org";
        assert_eq!(plain(answer), "Result\n\n**Paris** is the capital  of France.\n\n".replace("  ", " "));
        assert_eq!(plain("东京是日本的首都【1†L2】。\n参考文献\n一"), "东京是日本的首都。\n");
        assert_eq!(plain("Москва — столица[2†L1-L4] России."), "Москва — столица России.\n");
    }

    #[test]
    fn a_footnote_of_a_quoted_page_and_a_japanese_heading_are_no_markers() {
        assert!(markers("as shown [3] and 【回答】 and 【").is_empty());
        assert!(markers("【3月の報告】 and 【page】").is_empty());
        for (text, count) in [("x【3】", 1), ("【 3, L9 】【page 2】", 2), ("see [[3†L1]]", 1), ("【3†Title†domain】", 1)] {
            assert_eq!(markers(text).len(), count, "{text}");
        }
    }

    #[test]
    fn a_report_is_read_without_its_markers_and_references() {
        let report = "## 引言\n磨坊 [1] 建于 1170 年 [1, 2] 。\n\n## References\n[1]. https://e.org/a - A\n[2]. https://e.org/b - B\n";
        let read = without_references(report);
        assert!(read.contains("建于 1170 年") && !read.contains(['[', ']']) && !read.contains("e.org"), "{read}");
    }

    #[test]
    fn code_is_no_prose_but_may_be_the_answer() {
        let answer = "Use `let x` here:\n```rust\nfn main() {}\n```\ndone";
        assert_eq!(prose(answer), "Use here:\ndone\n");
        assert!(plain(answer).contains("fn main() {}"));
    }

    proptest! {
        #[test]
        fn any_text_can_be_made_plain(text in "(\\PC|[【】†\\[\\]()`#\n]){0,300}") {
            prop_assert!(plain(&text).lines().count() <= text.lines().count());
            prose(&text);
            for range in markers(&text) {
                prop_assert!(text.get(range).is_some());
            }
        }
    }
}
