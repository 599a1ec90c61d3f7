//! The page of a find's results: for each match a heading that is a link to its line, and the lines that begin there.

use std::sync::Arc;

use super::document_page::{DocumentPage, Subject};
use super::page::{Page, one_line};
use super::pattern::Folded;

/// Matches beyond these are not shown, and the page says so.
const MATCHES_MAX: usize = 50;
/// Lines shown of each match, the one it begins on included; more where it goes on longer.
const MATCH_LINES: u32 = 4;
/// A longer pattern is cut in the title, in characters.
const PATTERN_CHARS_SHOWN: usize = 80;
/// Only so many words of a pattern that was not found are looked for one by one.
const WORDS_MAX: usize = 5;
/// Shorter words say nothing, in bytes; numbers do.
const WORD_BYTES_MIN: usize = 4;

/// A page of matches.
#[derive(Debug)]
pub(crate) struct FindPage {
    pub(crate) page: Page,
    /// The document that was searched.
    pub(crate) subject: Arc<Subject>,
    /// In the order of their link ids.
    pub(crate) matches: Vec<Match>,
}

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// First and last line of the document that are shown.
    pub(crate) document_lines: (u32, u32),
    /// The line of its heading on this page; the document's lines follow it one by one.
    pub(crate) heading: u32,
}

impl FindPage {
    /// The matches of `pattern` in `document`; none if there are none.
    pub(crate) fn new(document: &DocumentPage, pattern: &str) -> Option<Self> {
        let folded = fold(document);
        let folded_pattern = Folded::pattern(pattern);
        let shown_pattern = one_line(pattern, PATTERN_CHARS_SHOWN);
        let title = format!("Find results for text: `{shown_pattern}` in `{}`", document.subject.title);
        let mut page = Page::new(&title, &document.subject.url);
        page.add_head_tags(document.title_tags);
        let mut matches: Vec<Match> = Vec::new();
        let mut from = 0;
        while let Some(found) = folded.find(&folded_pattern, from) {
            if matches.len() == MATCHES_MAX {
                page.end_line();
                page.write(&format!("There are more matches; the first {MATCHES_MAX} are shown."));
                page.end_unbroken_line();
                break;
            }
            let first = document.text_first + found.first_line as u32;
            let end = document.text_first + found.last_line as u32;
            // Below the text stand links, which say nothing about a match in it.
            let context_last = if first <= document.text_last { document.text_last } else { document.page.last_line() };
            let last = end.max((first + MATCH_LINES - 1).min(context_last));
            if !matches.is_empty() {
                page.end_line();
            }
            let heading = page.line_count();
            page.write(&format!("# 【{}†match at L{first}】", matches.len()));
            page.end_unbroken_line();
            for number in first..=last {
                page.write_part(&document.page, document.plain_part(number));
                page.end_unbroken_line();
            }
            matches.push(Match { document_lines: (first, last), heading });
            from = (last + 1 - document.text_first) as usize;
        }
        (!matches.is_empty()).then(|| Self { page, subject: Arc::clone(&document.subject), matches })
    }

    /// For each match of which these lines of the page show more than the heading: the lines of the page among them, and the document's
    /// lines there.
    pub(crate) fn shown(&self, first: u32, last: u32) -> impl Iterator<Item = ((u32, u32), (u32, u32))> {
        self.matches.iter().filter_map(move |found| {
            let (from, to) = found.document_lines;
            let (page_from, page_to) = (found.heading, found.heading + 1 + to - from);
            let shown = (first.max(page_from), last.min(page_to));
            let document_line = |page_line: u32| (page_line + from).saturating_sub(found.heading + 1).max(from);
            (shown.0 <= shown.1 && shown.1 > found.heading).then(|| (shown, (document_line(shown.0), document_line(shown.1))))
        })
    }
}

/// Of a pattern that is nowhere in `document`, those of its longest words that are, each with its first line.
pub(crate) fn words_present<'p>(document: &DocumentPage, pattern: &'p str) -> Vec<(&'p str, u32)> {
    let folded = fold(document);
    let mut words: Vec<&str> = pattern.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    words.retain(|word| word.len() >= WORD_BYTES_MIN || word.bytes().any(|b| b.is_ascii_digit()));
    words.sort_unstable_by(|a, b| (b.len(), a).cmp(&(a.len(), b)));
    words.dedup();
    words.truncate(WORDS_MAX);
    let line_of = |word| folded.find(&Folded::pattern(word), 0).map(|found| (word, document.text_first + found.first_line as u32));
    words.into_iter().filter_map(line_of).collect()
}

fn fold(document: &DocumentPage) -> Folded {
    let mut folded = Folded::with_capacity(document.page.line_range(document.page.last_line()).end);
    for number in document.text_first..=document.page.last_line() {
        folded.push_line(document.page.text(document.plain_part(number)), document.page.is_continuation(number));
    }
    folded
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::document::{Document, Link, Ordinal};

    fn document(text: &str) -> DocumentPage {
        let links = vec![Link { url: "https://o.org/x".into(), text: Some("A rare link".into()) }];
        let (url, title, text) = ("https://e.org/a".into(), "A title".into(), text.to_owned());
        DocumentPage::new(Document { ordinal: Ordinal(0), url, title, text, links, metadata: Map::new() })
    }

    fn lines(page: &Page) -> Vec<&str> {
        (2..=page.last_line()).map(|number| page.line(number)).collect()
    }

    #[test]
    fn matches_have_headings_that_link_and_four_lines() {
        let found = FindPage::new(&document("zero\nneedle\ntwo\nneedle\nfour\nfive\nsix needle\nseven"), "NEEDLE").expect("found");
        assert_eq!(found.page.title(), "Find results for text: `NEEDLE` in `A title`");
        let expected = ["# 【0†match at L3】", "needle", "two", "needle", "four", "", "# 【1†match at L8】", "six needle", "seven"];
        assert_eq!(lines(&found.page), expected);
        let lines: Vec<_> = found.matches.iter().map(|found| found.document_lines).collect();
        assert_eq!(lines, [(3, 6), (8, 9)]);
    }

    #[test]
    fn a_long_match_is_shown_to_its_end() {
        let found = FindPage::new(&document("a\nb\nc\nd\ne\nf\ng"), "a b c d e f").expect("found");
        assert_eq!(found.matches, [Match { document_lines: (2, 7), heading: 2 }]);
    }

    #[test]
    fn links_are_found_by_their_text_and_shown_without_brackets() {
        let found = FindPage::new(&document("text"), "rare link").expect("found");
        assert_eq!(lines(&found.page), ["# 【0†match at L5】", "A rare link"]);
    }

    #[test]
    fn at_most_fifty_matches_are_shown_and_the_page_says_so() {
        let found = FindPage::new(&document(&"needle\n1\n2\n3\n".repeat(60)), "needle").expect("found");
        assert_eq!(found.matches.len(), 50);
        assert_eq!(found.page.line(found.page.last_line()), "There are more matches; the first 50 are shown.");
    }

    #[test]
    fn lines_of_the_page_lead_to_lines_of_the_document() {
        let found = FindPage::new(&document("zero\nneedle\ntwo\nthree\nfour\nfive\nsix needle\nseven"), "needle").expect("found");
        assert_eq!(found.shown(0, 1).count(), 0);
        assert_eq!(found.shown(2, 4).collect::<Vec<_>>(), [((2, 4), (3, 4))]);
        assert_eq!(found.shown(5, 99).collect::<Vec<_>>(), [((5, 6), (5, 6)), ((8, 10), (8, 9))]);
    }

    #[test]
    fn words_of_a_missing_phrase_are_looked_for() {
        assert_eq!(
            words_present(&document("blue\nthe whale of 84"), "the blue shark-whale whale, 84"),
            [("whale", 3), ("blue", 2), ("84", 3)]
        );
    }
}
