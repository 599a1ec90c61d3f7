//! Finding a phrase in a page's text as a reader would: letter case, line breaks and spacing do not matter.
//!
//! Text and pattern are folded alike: lower case, plain quotes and dashes, and whitespace kept only between two words, as one space; a
//! blank line ends a paragraph and is not crossed. So a phrase is found across the wrap, across the lines of a paragraph, and where the source
//! has a stray space before a comma. Accents and spelling do matter.

/// Text made ready to be searched, line by line.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    text: String,
    /// Where each line begins in `text`.
    lines: Vec<usize>,
    gap: Gap,
    after_word: bool,
}

/// Whitespace since the last visible character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Space,
    LineEnd,
    Paragraph,
}

/// Where a pattern was found, in lines counted from the first one pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) first_line: usize,
    pub(crate) last_line: usize,
}

impl Folded {
    /// Nothing yet, with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), lines: Vec::with_capacity(bytes / 64), ..Self::default() }
    }

    /// A folded pattern.
    pub(crate) fn pattern(text: &str) -> String {
        let mut folded = Self::default();
        folded.push_line(text, false);
        folded.text
    }

    /// Appends a line; a continuation follows the line before without any gap.
    pub(crate) fn push_line(&mut self, line: &str, is_continuation: bool) {
        if !is_continuation && !self.lines.is_empty() {
            self.push_line_end();
        }
        self.lines.push(self.text.len());
        for c in line.chars() {
            match c {
                // Most characters of most texts.
                'a'..='z' if self.after_word && self.gap == Gap::None => self.text.push(c),
                '\n' => self.push_line_end(),
                c if c.is_whitespace() => self.gap = self.gap.max(Gap::Space),
                // Invisible.
                '\u{AD}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}' => {}
                c => self.push_visible(c),
            }
        }
    }

    fn push_line_end(&mut self) {
        self.gap = if self.gap >= Gap::LineEnd { Gap::Paragraph } else { Gap::LineEnd };
    }

    fn push_visible(&mut self, c: char) {
        let is_word = is_word(c);
        match self.gap {
            Gap::Paragraph if !self.text.is_empty() => self.text.push('\n'),
            Gap::Space | Gap::LineEnd if is_word && self.after_word => self.text.push(' '),
            _ => {}
        }
        self.gap = Gap::None;
        self.after_word = is_word;
        match c {
            '‘' | '’' | '‚' | '′' | '`' => self.text.push('\''),
            '“' | '”' | '„' | '″' | '«' | '»' => self.text.push('"'),
            '‐'..='―' | '−' => self.text.push('-'),
            c if c.is_ascii() => self.text.push(c.to_ascii_lowercase()),
            c => self.text.extend(c.to_lowercase()),
        }
    }

    /// The first place of the folded `pattern` at or after the beginning of line `from`.
    pub(crate) fn find(&self, pattern: &str, from: usize) -> Option<Found> {
        let start = *self.lines.get(from)?;
        let at = start + self.text.get(start..)?.find(pattern)?;
        let line_of = |at: usize| self.lines.partition_point(|line| *line <= at) - 1;
        Some(Found { first_line: line_of(at), last_line: line_of(at + pattern.len().saturating_sub(1)) })
    }
}

/// Whether `c` is of a word that spaces set apart. Scripts that are written without spaces are not.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || (!c.is_ascii()
            && c.is_alphanumeric()
            && !matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{2E80}'..='\u{31FF}' | '\u{3400}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{FF66}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFF}'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines of `text`; `|` ends a display line, `\n` a source line.
    fn folded(text: &str) -> Folded {
        let mut folded = Folded::default();
        for source_line in text.split('\n') {
            for (at, line) in source_line.split('|').enumerate() {
                folded.push_line(line, at > 0);
            }
        }
        folded
    }

    fn first_line(text: &str, pattern: &str) -> Option<usize> {
        folded(text).find(&Folded::pattern(pattern), 0).map(|found| found.first_line)
    }

    #[test]
    fn case_spacing_quotes_and_dashes_do_not_matter() {
        assert_eq!(first_line("zero\nThe  Dwarf\tPlanet 's “orbit” — here", "the dwarf planet's \"orbit\" - HERE"), Some(1));
        assert_eq!(first_line("a x<y b", "X < Y"), Some(0));
        assert_eq!(first_line("ÉCOLE", "école"), Some(0));
        assert_eq!(first_line("as in", "asin"), None);
    }

    #[test]
    fn phrases_are_found_across_wraps_and_lines_but_not_across_paragraphs() {
        assert_eq!(first_line("see the blue |whale here", "blue whale"), Some(0));
        assert_eq!(first_line("x\nsee the blue\nwhale here", "blue whale"), Some(1));
        assert_eq!(first_line("cut in the mid|dle", "middle"), Some(0));
        assert_eq!(first_line("ends blue\n\nwhale begins", "blue whale"), None);
        assert_eq!(first_line("ends blue\n \nwhale begins", "blue whale"), None);
        assert_eq!(first_line("東\n京", "東京"), Some(0));
    }

    #[test]
    fn a_find_knows_its_first_and_last_line_and_goes_on_from_a_line() {
        let text = folded("one\ntwo three\nfour five\nthree four");
        let pattern = Folded::pattern("three four");
        assert_eq!(text.find(&pattern, 0), Some(Found { first_line: 1, last_line: 2 }));
        assert_eq!(text.find(&pattern, 2), Some(Found { first_line: 3, last_line: 3 }));
        assert_eq!(text.find(&pattern, 4), None);
    }

    #[test]
    fn empty_lines_before_a_match_are_not_its_line() {
        assert_eq!(first_line("a\n\n\nb\n\n", "b"), Some(3));
    }

    proptest! {
        #[test]
        fn any_piece_of_a_paragraph_is_found_on_its_line_or_before(
            words in prop::collection::vec("[a-zA-Z,.'東京é]{1,6}", 1..60), from in 0usize..60, count in 1usize..8, per_line in 1usize..9,
        ) {
            let from = from % words.len();
            let to = (from + count).min(words.len());
            let text = words.chunks(per_line).map(|line| line.join(" ")).collect::<Vec<_>>().join("\n");
            let found = folded(&text).find(&Folded::pattern(&words[from..to].join("  ")), 0);
            prop_assert!(found.is_some_and(|found| found.first_line <= from / per_line));
        }
    }
}
