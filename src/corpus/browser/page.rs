//! A page: a title, a URL, and text in numbered display lines, all of it neutral.
//!
//! What comes from a document goes in by [`Page::write_foreign`], which neutralises it; our own words by [`Page::write`]. Pages know no
//! corpus and no cursors; which lines of them a model sees is the window's business.

use std::borrow::Cow;
use std::ops::Range;

use super::wrap::wrap;
use crate::neutralise::neutralise;

/// A longer title is cut, in characters; so is a query that becomes one.
pub(super) const TITLE_CHARS_MAX: usize = 200;
/// A longer URL is shown cut, in characters.
pub(super) const URL_CHARS_MAX: usize = 1_000;

/// A page under construction or complete.
#[derive(Debug)]
pub(crate) struct Page {
    title: String,
    url: String,
    /// Tags defused in title and URL, which every window shows.
    head_tags: usize,
    /// All lines; line ends stand between them where the source had them.
    body: String,
    /// Display lines within `body`.
    lines: Vec<Range<usize>>,
    /// Where in `body` tags were defused, ascending.
    tags: Vec<usize>,
    /// Where the source line that is being written begins.
    open: usize,
}

impl Page {
    /// A page that has its first two lines: an empty one, and the URL's.
    pub(crate) fn new(title: &str, url: &str) -> Self {
        let (title, url) = (one_line(title, TITLE_CHARS_MAX), cut(url, URL_CHARS_MAX));
        let (title, url) = (neutralise(&title), neutralise(&url));
        let mut page = Self {
            head_tags: title.tags.len() + url.tags.len(),
            title: title.text.into_owned(),
            url: String::new(),
            body: String::new(),
            lines: Vec::new(),
            tags: Vec::new(),
            open: 0,
        };
        page.end_line();
        page.write("URL: ");
        page.write(&url.text);
        page.end_unbroken_line();
        page.url = url.text.into_owned();
        page
    }

    /// Makes room for so many bytes of text.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.body.reserve(bytes);
        self.lines.reserve(bytes / 64);
    }

    /// Appends words of our own, or neutral already, to the current line.
    pub(crate) fn write(&mut self, ours: &str) {
        self.body.push_str(ours);
    }

    /// Appends words of a document, a query or a pattern to the current line.
    pub(crate) fn write_foreign(&mut self, foreign: &str) {
        let neutral = neutralise(foreign);
        let before = self.body.len();
        self.tags.extend(neutral.tags.iter().map(|at| before + at));
        self.body.push_str(&neutral.text);
    }

    /// Appends part of a line of another page.
    pub(crate) fn write_part(&mut self, page: &Page, part: Range<usize>) {
        let before = self.body.len();
        self.tags.extend(page.tags_within(&part).iter().map(|at| before + at - part.start));
        self.body.push_str(page.body.get(part).unwrap_or(""));
    }

    /// Ends what was written since the last line's end, which may have been several source lines, and wraps it.
    pub(crate) fn end_line(&mut self) {
        self.end_line_from(0);
    }

    /// The same, keeping the first `unbroken` bytes of each source line together.
    pub(crate) fn end_line_from(&mut self, unbroken: usize) {
        let mut start = self.open;
        loop {
            let rest = self.body.get(start..).unwrap_or("");
            let end = rest.bytes().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            self.lines.extend(wrap(line, unbroken).map(|part| start + part.start..start + part.end));
            let ending = if after.starts_with("\r\n") { 2 } else { 1 };
            if after.is_empty() {
                break;
            }
            start += end + ending;
        }
        self.body.push('\n');
        self.open = self.body.len();
    }

    /// The same, without any break.
    pub(crate) fn end_unbroken_line(&mut self) {
        self.end_line_from(usize::MAX);
    }

    /// Bytes of the current line so far.
    pub(crate) fn line_bytes(&self) -> usize {
        self.body.len() - self.open
    }

    /// As shown.
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// As shown.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Number of display lines so far, which is the next line's number.
    pub(crate) fn line_count(&self) -> u32 {
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX)
    }

    /// Number of the last line.
    pub(crate) fn last_line(&self) -> u32 {
        self.line_count().saturating_sub(1)
    }

    /// Counts tags that were defused in the title before it was given to [`Page::new`].
    pub(crate) fn add_head_tags(&mut self, tags: usize) {
        self.head_tags += tags;
    }

    /// Where line `number` is, in bytes.
    pub(crate) fn line_range(&self, number: u32) -> Range<usize> {
        self.lines.get(number as usize).cloned().unwrap_or_default()
    }

    /// The text of line `number`.
    pub(crate) fn line(&self, number: u32) -> &str {
        self.text(self.line_range(number))
    }

    /// The text of a part of a line.
    pub(crate) fn text(&self, part: Range<usize>) -> &str {
        self.body.get(part).unwrap_or("")
    }

    /// Whether line `number` only continues the source line of the one before.
    pub(crate) fn is_continuation(&self, number: u32) -> bool {
        number > 0 && !self.line_range(number).is_empty() && self.line_range(number - 1).end == self.line_range(number).start
    }

    /// Tags that were defused in what a window of these lines shows.
    pub(crate) fn tags_shown(&self, first: u32, last: u32) -> usize {
        self.head_tags + self.tags_within(&(self.line_range(first).start..self.line_range(last).end)).len()
    }

    /// Roughly what it occupies, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.body.capacity() + self.lines.capacity() * size_of::<Range<usize>>()
    }

    fn tags_within(&self, part: &Range<usize>) -> &[usize] {
        let from = self.tags.partition_point(|at| *at < part.start);
        let to = self.tags.partition_point(|at| *at < part.end);
        self.tags.get(from..to).unwrap_or(&[])
    }
}

/// `text` with its whitespace collapsed, cut to `chars_max` characters.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let bytes_max = chars_max.saturating_mul(4);
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > bytes_max {
            break;
        }
    }
    cut(&line, chars_max).into_owned()
}

/// `text`, or its first characters and an ellipsis: `chars_max` together. The one place of this room where text is cut by length.
pub(crate) fn cut(text: &str, chars_max: usize) -> Cow<'_, str> {
    if text.len() <= chars_max || text.char_indices().nth(chars_max).is_none() {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    Cow::Owned(kept + "…")
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
    fn a_page_begins_with_an_empty_line_and_its_url() {
        let page = page_of("text");
        assert_eq!((0..=page.last_line()).map(|number| page.line(number)).collect::<Vec<_>>(), ["", "URL: https://e.org/a", "text"]);
    }

    #[test]
    fn every_kind_of_line_end_ends_a_line() {
        let page = page_of("a\r\nb\rc\n\nd\n");
        assert_eq!((2..=page.last_line()).map(|number| page.line(number)).collect::<Vec<_>>(), ["a", "b", "c", "", "d", ""]);
        assert!((0..=page.last_line()).all(|number| !page.is_continuation(number)));
    }

    #[test]
    fn tags_are_counted_where_they_are_shown() {
        let page = page_of("one <think>\ntwo\nthree </think> <|im_end|>");
        assert_eq!(page.tags_shown(0, page.last_line()), 3);
        assert_eq!(page.tags_shown(2, 2), 1);
        assert_eq!(page.tags_shown(3, 3), 0);
        assert_eq!(page.tags_shown(3, 4), 2);
        let mut copy = Page::new("", "u");
        copy.write("x");
        copy.write_part(&page, page.line_range(4));
        copy.end_line();
        assert_eq!(copy.tags_shown(2, 2), 2);
        assert_eq!(Page::new("<think>", "[INST]").tags_shown(0, 0), 2);
    }

    #[test]
    fn text_is_cut_by_characters_in_any_script() {
        assert_eq!(cut("naïve", 5), "naïve");
        assert_eq!(cut("naïve café", 5), "naïv…");
        assert_eq!(cut("東京都庁舎", 3), "東京…");
        assert_eq!(cut("Привет", 4), "При…");
        assert_eq!(one_line("  a \n\t b  c ", 4), "a b…");
    }

    proptest! {
        #[test]
        fn plain_text_comes_back_line_by_line(text in "([a-zA-Z0-9.|-]{1,14}| x < y |A<B |<=|>| {1,4}|\t|\n|\r\n|東京|。|é|\n\n){0,150}") {
            let page = page_of(&text);
            let mut source_lines: Vec<String> = Vec::new();
            for number in 2..=page.last_line() {
                match source_lines.last_mut() {
                    Some(line) if page.is_continuation(number) => line.push_str(page.line(number)),
                    _ => source_lines.push(page.line(number).to_owned()),
                }
            }
            let expected: Vec<&str> = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
            prop_assert_eq!(source_lines, expected);
        }
    }
}
