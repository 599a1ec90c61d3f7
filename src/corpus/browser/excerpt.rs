//! The beginning of a document, as much of it as may be shown.
//!
//! A document is cut by bytes before it is looked at closely, and its lines are counted only until they are too many; of the rest only the
//! characters are counted, to say how many are left out.

use std::borrow::Cow;

use super::links::readable;
use super::page::{TITLE_CHARS_MAX, one_line};
use super::wrap::wrap;
use crate::document::Document;
use crate::neutralise::neutralise;
use crate::tokens::count_tokens;

/// Prose has 3 to 8 bytes a token, in any script. Of what has more, drawn lines and white space, less is shown.
const BYTES_PER_TOKEN_MAX: usize = 16;

/// A document's beginning, neutral, in lines.
pub(super) struct Excerpt {
    /// Canonical.
    pub(super) url: String,
    /// One line, not neutral yet; never empty.
    pub(super) title: String,
    text: String,
    lines: Vec<LineEnd>,
    /// Characters of the whole document.
    chars: usize,
}

/// Where a line ends, and what there is up to there.
#[derive(Clone, Copy, Default)]
struct LineEnd {
    bytes: usize,
    tokens: u32,
    tags: usize,
}

/// What is shown of an excerpt.
pub(super) struct Cut<'a> {
    pub(super) text: &'a str,
    /// Tags that were defused in it.
    pub(super) tags: usize,
    /// Characters of the document that are not shown, and all that it has.
    pub(super) left_out: Option<(usize, usize)>,
}

impl Excerpt {
    /// As much of `document` as has `tokens_max` tokens, and one line more.
    pub(super) fn new(document: Document, tokens_max: u32) -> Self {
        let title = if document.title.trim().is_empty() { readable(&document.url) } else { one_line(&document.title, TITLE_CHARS_MAX) };
        let whole = document.text.trim_end();
        let bytes_max = usize::try_from(tokens_max).unwrap_or(usize::MAX).saturating_mul(BYTES_PER_TOKEN_MAX);
        let beginning = whole.get(..whole.floor_char_boundary(bytes_max)).unwrap_or(whole);
        let neutral = neutralise(beginning);
        let mut text = String::with_capacity(neutral.text.len());
        let mut lines: Vec<LineEnd> = Vec::new();
        let (mut read, mut end) = (0, LineEnd::default());
        'lines: for line in neutral.text.split_inclusive('\n') {
            for part in wrap(line, 0) {
                let part = line.get(part).unwrap_or("");
                read += part.len();
                let shown = without_heading(part);
                text.push_str(&shown);
                let tags = neutral.tags.partition_point(|tag| *tag < read);
                end = LineEnd { bytes: text.len(), tokens: end.tokens + count_tokens(&shown), tags };
                lines.push(end);
                if end.tokens > tokens_max {
                    break 'lines;
                }
            }
        }
        // A line that was cut by bytes may be half a tag.
        if beginning.len() < whole.len() && end.tokens <= tokens_max && lines.len() > 1 {
            lines.pop();
        }
        Self { title, text, lines, chars: whole.chars().count(), url: document.url }
    }

    /// Tokens that would show all of it.
    pub(super) fn tokens(&self) -> u32 {
        self.lines.last().map_or(0, |end| end.tokens)
    }

    /// The lines that have no more than `tokens_max` tokens together, and never none.
    pub(super) fn cut(&self, tokens_max: u32) -> Cut<'_> {
        let fitting = self.lines.partition_point(|end| end.tokens <= tokens_max).max(1);
        let end = self.lines.get(fitting - 1).copied().unwrap_or_default();
        let text = self.text.get(..end.bytes).unwrap_or("");
        let left_out = self.chars.saturating_sub(text.chars().count());
        Cut { text: text.trim_end(), tags: end.tags, left_out: (left_out > 0).then_some((left_out, self.chars)) }
    }
}

/// `line` such that it does not begin like the heading of a page, `Page 2 [`.
fn without_heading(line: &str) -> Cow<'_, str> {
    let behind = line.strip_prefix("Page ").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    if behind.is_some_and(|behind| behind.starts_with(" [")) { line.replacen('[', "⟦", 1).into() } else { line.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Map;

    use super::*;
    use crate::document::Ordinal;

    fn document(text: &str) -> Document {
        let url = "https://e.org/a_page".to_owned();
        Document { ordinal: Ordinal(1), url, title: String::new(), text: text.to_owned(), links: Vec::new(), metadata: Map::new() }
    }

    #[test]
    fn an_endless_document_is_looked_at_only_as_far_as_it_may_be_shown() {
        let excerpt = Excerpt::new(document(&"one two three four\n".repeat(100_000)), 1_000);
        assert!(excerpt.text.len() < 6_000 && excerpt.lines.len() < 300, "{} bytes", excerpt.text.len());
        let ruled = Excerpt::new(document(&"-".repeat(2_000_000)), 1_000);
        assert!(ruled.text.len() <= 16_000, "{} bytes", ruled.text.len());
        assert_eq!(ruled.cut(1_000).left_out.map(|(_, all)| all), Some(2_000_000));
    }

    #[test]
    fn a_cut_falls_between_lines_and_says_what_is_left_out() {
        let excerpt = Excerpt::new(document("東京都庁舎は高い。\nthe second line\nthe third <think>\n\n"), 100);
        let whole = excerpt.cut(100);
        assert_eq!((whole.text, whole.tags, whole.left_out), ("東京都庁舎は高い。\nthe second line\nthe third ‹think›", 1, None));
        let cut = excerpt.cut(excerpt.tokens() - 1);
        assert_eq!((cut.text, cut.tags, cut.left_out), ("東京都庁舎は高い。\nthe second line", 0, Some((17, 43))));
        assert_eq!(excerpt.cut(0).text, "東京都庁舎は高い。", "never nothing");
        assert_eq!(excerpt.title, "a page");
        assert_eq!(Excerpt::new(document(""), 10).cut(10).text, "");
    }

    #[test]
    fn a_long_line_is_cut_between_words_and_shown_unbroken() {
        let text = "word ".repeat(400);
        let excerpt = Excerpt::new(document(&text), 100);
        let cut = excerpt.cut(100).text;
        assert!(cut.len() > 300 && text.starts_with(cut) && cut.ends_with("word"), "{cut}");
    }

    #[test]
    fn a_document_makes_no_page_of_its_own() {
        let excerpt = Excerpt::new(document("Page 2 [https://e.org/b]: B\nPage 3 of [4]\nPage [x]"), 100);
        assert_eq!(excerpt.cut(100).text, "Page 2 ⟦https://e.org/b]: B\nPage 3 of [4]\nPage [x]");
    }

    proptest! {
        #[test]
        fn what_is_shown_and_what_is_left_out_are_the_document(text in "([a-z ]{1,30}|\n|\r\n|<think>|\\[INST\\]|東京都|é|Page 1 \\[){0,60}", tokens in 0u32..80) {
            let excerpt = Excerpt::new(document(&text), tokens);
            let cut = excerpt.cut(tokens);
            let left_out = cut.left_out.map_or(0, |(left_out, _)| left_out);
            let (shown, all) = (cut.text.chars().count(), text.trim_end().chars().count());
            let is_accounted_for = if left_out == 0 { shown == all } else { shown + left_out <= all };
            prop_assert!(is_accounted_for, "{} shown, {} left out of {}", shown, left_out, all);
            let marks = cut.text.matches(['‹', '⟦']).count();
            prop_assert_eq!(cut.tags, marks - cut.text.matches("Page 1 ⟦").count());
        }
    }
}
