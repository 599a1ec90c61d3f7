//! The text behind numbered lines: wrapped lines joined back into paragraphs, cut into sentences, and every place traceable to its lines.

use std::ops::Range;

use super::reading::Page;
use super::text::{Word, is_dense, sentences, words};

/// Columns at which the browser wraps.
const WRAP_COLUMNS: usize = 80;

/// A page's text.
pub(super) struct Prose {
    pub(super) text: String,
    pub(super) words: Vec<Word>,
    pub(super) sentences: Vec<Sentence>,
    pub(super) paragraphs: Vec<Range<usize>>,
    /// Where each line begins in `text`, with its number.
    lines: Vec<(usize, u32)>,
}

/// One sentence, or a heading, or a row of a table.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    pub(super) range: Range<usize>,
    /// Its words, as a range of [`Prose::words`].
    pub(super) words: Range<usize>,
    /// The sentence that is the heading above it.
    pub(super) heading: Option<usize>,
    pub(super) is_heading: bool,
}

impl Prose {
    /// Joins the lines of `page`, without its address line.
    pub(super) fn of(page: &Page<'_>) -> Self {
        let (text, lines, paragraphs) = join(page);
        let words = words(&text);
        let mut prose = Self { text, words, sentences: Vec::new(), paragraphs, lines };
        prose.cut();
        prose
    }

    /// A text without line numbers: each of its lines is a paragraph, without the sign of a list before it.
    pub(super) fn of_text(text: impl Into<String>) -> Self {
        let text = text.into();
        let mut paragraphs = Vec::new();
        let mut at = 0;
        for line in text.split('\n') {
            let trimmed = line.trim();
            let bare = ["- ", "* ", "• ", "> "].iter().find_map(|sign| trimmed.strip_prefix(sign)).unwrap_or(trimmed).trim_start();
            let end = at + line.trim_end().len();
            if !bare.is_empty() {
                paragraphs.push(end - bare.len()..end);
            }
            at += line.len() + 1;
        }
        let words = words(&text);
        let mut prose = Self { text, words, sentences: Vec::new(), paragraphs, lines: Vec::new() };
        prose.cut();
        prose
    }

    /// The text of a sentence.
    pub(super) fn sentence(&self, number: usize) -> &str {
        self.sentences.get(number).and_then(|sentence| self.text.get(sentence.range.clone())).unwrap_or_default()
    }

    /// First and last line of a range of the text.
    pub(super) fn lines_of(&self, range: &Range<usize>) -> (u32, u32) {
        let line_at = |at: usize| {
            let after = self.lines.partition_point(|(start, _)| *start <= at);
            self.lines.get(after.saturating_sub(1)).map_or(0, |(_, number)| *number)
        };
        (line_at(range.start), line_at(range.end.saturating_sub(1).max(range.start)))
    }

    fn cut(&mut self) {
        let mut ranges = Vec::new();
        let mut heading = None;
        let mut from = 0;
        for paragraph in &self.paragraphs {
            ranges.clear();
            let first = self.text.as_bytes().get(paragraph.start);
            let is_heading = first == Some(&b'#');
            if is_heading || first == Some(&b'|') {
                ranges.push(paragraph.clone());
            } else {
                sentences(&self.text, paragraph.clone(), &mut ranges);
            }
            for range in ranges.drain(..) {
                let start = from + self.words.get(from..).map_or(0, |words| words.partition_point(|word| word.start < range.start));
                let end = start + self.words.get(start..).map_or(0, |words| words.partition_point(|word| word.end <= range.end));
                from = end;
                if is_heading {
                    heading = Some(self.sentences.len());
                }
                let under = heading.filter(|_| !is_heading);
                self.sentences.push(Sentence { range, words: start..end, heading: under, is_heading });
            }
        }
    }
}

/// The page's text, where its lines begin in it, and its paragraphs.
fn join(page: &Page<'_>) -> (String, Vec<(usize, u32)>, Vec<Range<usize>>) {
    let mut text = String::with_capacity(4_096);
    let mut lines = Vec::new();
    let mut paragraphs: Vec<Range<usize>> = Vec::new();
    let mut previous = "";
    for (number, line) in page.lines() {
        let is_address = number < 3 && line.starts_with("URL: ");
        if is_address || line.trim().is_empty() {
            previous = "";
            continue;
        }
        match paragraphs.last_mut().filter(|_| continues(previous, line)) {
            Some(paragraph) => {
                lines.push((text.len(), number));
                text.push_str(line);
                paragraph.end = text.len();
            }
            None => {
                if !text.is_empty() {
                    text.push('\n');
                }
                lines.push((text.len(), number));
                let start = text.len();
                text.push_str(line);
                paragraphs.push(start..text.len());
            }
        }
        previous = line;
    }
    (text, lines, paragraphs)
}

/// Whether `line` is the rest of a paragraph that was wrapped after `previous`. Wrapping loses nothing: a line that was broken after a space
/// still ends with it; one broken within a dense script is full, and so is one broken within a word, which then has the line for itself.
fn continues(previous: &str, line: &str) -> bool {
    if previous.is_empty() || line.starts_with(['|', '【']) {
        return false;
    }
    let is_full = columns(previous) + 2 > WRAP_COLUMNS;
    let is_unspaced = previous.chars().next_back().is_some_and(|c| !c.is_ascii()) || !previous.contains(char::is_whitespace);
    previous.ends_with(char::is_whitespace) || is_full && is_unspaced && !line.starts_with('#')
}

fn columns(line: &str) -> usize {
    if line.is_ascii() { line.len() } else { line.chars().map(|c| if is_dense(c) || c >= '\u{FF00}' { 2 } else { 1 }).sum() }
}

#[cfg(test)]
mod tests {
    use super::super::reading::tests::page;
    use super::super::reading::{Conversation, PageKind};
    use super::*;
    use model::{Message, Role};

    fn prose(lines: &[&str]) -> Prose {
        let messages = [Message::text(Role::User, "q"), Message::text(Role::Tool, page(1, "T", "https://x.org/t", lines))];
        let conversation = Conversation::read(&messages);
        let (_, page) = conversation.pages(PageKind::Document).next().expect("a document");
        Prose::of(&page)
    }

    #[test]
    fn a_sentence_is_whole_across_wrapped_lines_and_knows_its_lines() {
        let prose = prose(&[
            "",
            "URL: https://x.org/t",
            "The tide mill at Marl was built by two brothers who had learnt their trade on ",
            "the far coast. It ground rye until 1911.",
            "A second mill followed.",
        ]);
        let texts: Vec<&str> = (0..prose.sentences.len()).map(|number| prose.sentence(number)).collect();
        let first = "The tide mill at Marl was built by two brothers who had learnt their trade on the far coast.";
        assert_eq!(texts, [first, "It ground rye until 1911.", "A second mill followed."]);
        assert_eq!(prose.lines_of(&prose.sentences[0].range), (2, 3));
        assert_eq!(prose.lines_of(&prose.sentences[1].range), (3, 3));
    }

    #[test]
    fn a_section_knows_its_heading_and_rows_stay_apart() {
        let prose = prose(&["## Keepers", "Ann Roe kept it.", "| Name | Year |", "| Roe | 1821 |"]);
        assert!(prose.sentences[0].is_heading);
        assert_eq!(prose.sentences[1].heading, Some(0));
        assert_eq!(prose.sentence(3), "| Roe | 1821 |");
    }

    #[test]
    fn dense_script_is_joined_without_spaces() {
        let prose = prose(&["灯塔建于一八二一年由两兄弟设计并且在此后的一百年间一直由同一个家族看守直到最后一", "位看守人离开。"]);
        assert_eq!(prose.sentences.len(), 1);
        assert!(!prose.text.contains(' '));
    }
}
