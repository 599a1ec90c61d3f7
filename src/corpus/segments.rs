//! Cuts text into the stretches that become index terms: words, and the pairs (and some single characters) of unspaced runs.
//!
//! A cut is only a byte range: folding and stemming happen in `terms`, so that a reader who needs few of the stretches pays for few.
//! ASCII goes byte by byte. An apostrophe separates, and a possessive `'s` belongs to nothing.

use crate::fold::{Class, class};

/// A stretch of text that becomes one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: Kind,
}

/// What a stretch is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word of ASCII letters and digits.
    Ascii,
    /// A word with other letters.
    Word,
    /// One or two characters of an unspaced run.
    Run,
}

/// Which single characters of a run are segments beside the pairs; a run of one character is always one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Singles {
    /// Those that are often a word: for documents.
    Signs,
    /// None: for queries, where the pairs say more.
    None,
}

/// A position in a text, cutting as it goes.
#[derive(Clone, Debug)]
pub(crate) struct Segments<'a> {
    text: &'a str,
    at: usize,
    singles: Singles,
    run: Option<Run>,
}

/// The character of a run that the next segment starts with.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    end: usize,
    is_sign: bool,
    is_first: bool,
    paired: bool,
}

impl<'a> Segments<'a> {
    pub(crate) fn new(text: &'a str, singles: Singles) -> Self {
        Self { text, at: 0, singles, run: None }
    }

    fn char_at(&self, at: usize) -> Option<char> {
        self.text.get(at..).and_then(|rest| rest.chars().next())
    }

    /// The end of a word that starts before `at`, and whether it holds anything but ASCII from there on.
    fn word_end(&self, mut at: usize) -> (usize, bool) {
        let bytes = self.text.as_bytes();
        let mut foreign = false;
        while let Some(&byte) = bytes.get(at) {
            if byte.is_ascii_alphanumeric() {
                at += 1;
            } else if byte.is_ascii() {
                break;
            } else {
                let Some(c) = self.char_at(at) else { break };
                if !matches!(class(c), Class::Word | Class::Mark) {
                    break;
                }
                foreign = true;
                at += c.len_utf8();
            }
        }
        (at, foreign)
    }

    /// Where to go on after a word that ends at `end`: behind a possessive `'s`, if there is one.
    fn after_word(&self, end: usize) -> usize {
        let bytes = self.text.as_bytes();
        let apostrophe = match bytes.get(end) {
            Some(b'\'') => 1,
            Some(0xE2) if bytes.get(end..end + 3) == Some("\u{2019}".as_bytes()) => 3,
            _ => return end,
        };
        let after = end + apostrophe;
        let is_possessive = matches!(bytes.get(after), Some(b's' | b'S')) && self.word_end(after + 1).0 == after + 1;
        if is_possessive { after + 1 } else { end }
    }

    /// The run character at `at` with the marks behind it.
    fn run_at(&self, at: usize, is_first: bool) -> Option<Run> {
        let c = self.char_at(at)?;
        let is_sign = match class(c) {
            Class::Sign => true,
            Class::Pair => false,
            _ => return None,
        };
        let mut end = at + c.len_utf8();
        while let Some(mark) = self.char_at(end).filter(|c| !c.is_ascii() && class(*c) == Class::Mark) {
            end += mark.len_utf8();
        }
        Some(Run { start: at, end, is_sign, is_first, paired: false })
    }

    /// The next segment of the run: for each character its pair with the next one, then itself where singles are wanted.
    fn next_in_run(&mut self, run: Run) -> Option<Segment> {
        let next = self.run_at(run.end, false);
        if let (false, Some(next)) = (run.paired, next) {
            self.run = Some(Run { paired: true, ..run });
            return Some(Segment { start: run.start, end: next.end, kind: Kind::Run });
        }
        self.run = next;
        if next.is_none() {
            self.at = run.end;
        }
        let is_alone = run.is_first && next.is_none();
        let is_wanted = is_alone || (run.is_sign && self.singles == Singles::Signs);
        is_wanted.then_some(Segment { start: run.start, end: run.end, kind: Kind::Run })
    }
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        loop {
            if let Some(run) = self.run {
                match self.next_in_run(run) {
                    Some(segment) => return Some(segment),
                    None => continue,
                }
            }
            let start = self.at;
            let byte = *self.text.as_bytes().get(start)?;
            if byte.is_ascii_alphanumeric() {
                let (end, foreign) = self.word_end(start + 1);
                self.at = self.after_word(end);
                return Some(Segment { start, end, kind: if foreign { Kind::Word } else { Kind::Ascii } });
            }
            if byte.is_ascii() {
                self.at += 1;
                continue;
            }
            let c = self.char_at(start)?;
            match class(c) {
                Class::Word => {
                    let (end, _) = self.word_end(start + c.len_utf8());
                    self.at = self.after_word(end);
                    return Some(Segment { start, end, kind: Kind::Word });
                }
                Class::Sign | Class::Pair => self.run = self.run_at(start, true),
                Class::Mark | Class::Other => self.at += c.len_utf8(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str, singles: Singles) -> Vec<&str> {
        Segments::new(text, singles).map(|segment| text.get(segment.start..segment.end).expect("cut on character boundaries")).collect()
    }

    #[test]
    fn words_are_letters_and_digits_without_possessives() {
        let text = "The dog's 2nd B-side, don’t (café’s!)";
        assert_eq!(cut(text, Singles::Signs), ["The", "dog", "2nd", "B", "side", "don", "t", "café"]);
        assert_eq!(cut("'s o'sullivan", Singles::Signs), ["s", "o", "sullivan"]);
    }

    #[test]
    fn unspaced_runs_are_cut_into_pairs() {
        assert_eq!(cut("東京都", Singles::None), ["東京", "京都"]);
        assert_eq!(cut("東京都", Singles::Signs), ["東京", "東", "京都", "京", "都"]);
        assert_eq!(cut("猫 cat カナ", Singles::None), ["猫", "cat", "カナ"]);
        assert_eq!(cut("iPhone手机。ok", Singles::None), ["iPhone", "手机", "ok"]);
        assert_eq!(cut("ภาษา", Singles::Signs), ["ภา", "าษ", "ษา"]);
    }

    proptest! {
        #[test]
        fn segments_lie_on_character_boundaries_and_end(text in "[a-z '’漢字かﾞガไทย한é\u{301}.]{0,40}") {
            let segments: Vec<_> = Segments::new(&text, Singles::Signs).collect();
            prop_assert!(segments.len() <= 2 * text.chars().count());
            for segment in segments {
                prop_assert!(text.get(segment.start..segment.end).is_some_and(|part| !part.is_empty()));
            }
        }
    }
}
