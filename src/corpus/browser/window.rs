//! The part of a page that one observation shows: as many lines as fit a number of tokens, rounded up to a whole line.
//!
//! The shape is that of the browser tool which gpt-oss models were trained on: cursor, title and URL; which lines of how many; numbered lines.
//! Tokens are counted line by line, once each, and the sum is exact: a line's number begins a new token whatever stands before it.

use std::fmt::Write;

use super::page::Page;
use crate::tokens::count_tokens;

/// How much a window shows at most, whichever is reached first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Tokens of its lines; the line that passes the limit is still shown.
    pub(crate) tokens: u32,
    /// Lines.
    pub(crate) lines: u32,
}

/// A page's lines from `first` to `last`, as a model sees them.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) text: String,
    /// Exactly the tokens of `text`.
    pub(crate) tokens: u32,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

impl Window {
    /// The window of `page` that begins with line `first`, under `cursor`.
    pub(crate) fn new(page: &Page, cursor: u32, first: u32, extent: Extent) -> Self {
        let mut body = String::with_capacity(extent.tokens as usize * 5);
        let mut tokens = 0;
        let mut last_line_tokens = 0;
        let mut last_line_start = 0;
        let mut last = first;
        for number in first..=page.last_line() {
            last_line_start = body.len();
            push_line(&mut body, number, page.line(number));
            last_line_tokens = count_tokens(body.get(last_line_start..).unwrap_or(""));
            tokens += last_line_tokens;
            last = number;
            let is_full = tokens >= extent.tokens || number - first + 1 >= extent.lines;
            if is_full {
                break;
            }
        }
        // The text ends without a line end, and so does the last line's count.
        body.pop();
        tokens = tokens - last_line_tokens + count_tokens(body.get(last_line_start..).unwrap_or(""));
        let mut text = header(page, cursor, first, last);
        tokens += count_tokens(&text);
        text.push_str(&body);
        Self { text, tokens, first, last }
    }
}

fn header(page: &Page, cursor: u32, first: u32, last: u32) -> String {
    let (title, url, last_line) = (page.title(), page.url(), page.last_line());
    format!("[{cursor}] {title} ({url})\n**viewing lines [{first} - {last}] of {last_line}**\n\n")
}

fn push_line(body: &mut String, number: u32, line: &str) {
    // Writing into a string cannot fail.
    write!(body, "L{number}: ").ok();
    body.push_str(line);
    body.push('\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page_of(text: &str) -> Page {
        let mut page = Page::new("A title", "https://e.org/a");
        page.write_foreign(text);
        page.end_line();
        page
    }

    #[test]
    fn a_window_has_cursor_title_url_and_numbered_lines() {
        let window = Window::new(&page_of("first\nsecond\nthird"), 7, 1, Extent { tokens: 1024, lines: 3 });
        let expected = "[7] A title (https://e.org/a)\n**viewing lines [1 - 3] of 4**\n\nL1: URL: https://e.org/a\nL2: first\nL3: second";
        assert_eq!(window.text, expected);
        assert_eq!((window.first, window.last), (1, 3));
    }

    #[test]
    fn a_window_ends_with_the_line_that_passes_its_tokens() {
        let page = page_of(&"one two three four five six seven\n".repeat(300));
        let window = Window::new(&page, 0, 0, Extent { tokens: 200, lines: 400 });
        let shown = window.text.lines().skip(3).map(|line| count_tokens(&format!("{line}\n")));
        let counts: Vec<u32> = shown.collect();
        let all: u32 = counts.iter().sum();
        assert!(all >= 200 && all - counts.last().expect("a line") < 200, "{counts:?}");
    }

    proptest! {
        #[test]
        fn tokens_are_those_of_the_text(
            text in "([a-zA-Z]{1,9}|[0-9]{1,5}|  ?|[.,!?*/|#-]{1,3}|\n|\r\n|\u{2028}|\u{85}|\u{b}|東京|é|🚀|\u{A0}){0,200}",
            limit in 1u32..300,
        ) {
            let window = Window::new(&page_of(&text), 3, 0, Extent { tokens: limit, lines: 40 });
            prop_assert_eq!(window.tokens, count_tokens(&window.text));
        }
    }
}
