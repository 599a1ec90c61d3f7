//! Quoted strings: where they end, though models forget to escape, and what their escapes stand for.

use super::super::white;
use super::{Broken, Grammar, MARKS_WITHIN_MAX, Reader, Repair};

/// Bytes that mean something within a string, of any kind.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        special[control] = true;
        control += 1;
    }
    special[b'"' as usize] = true;
    special[b'\'' as usize] = true;
    special[b'\\' as usize] = true;
    special[b'<' as usize] = true;
    special[b'[' as usize] = true;
    // The first byte of curly quotes.
    special[0xE2] = true;
    special
};

/// What a byte behind a backslash stands for, where that is one byte too; else 0.
const ESCAPED: [u8; 256] = {
    let mut escaped = [0; 256];
    escaped[b'"' as usize] = b'"';
    escaped[b'\\' as usize] = b'\\';
    escaped[b'/' as usize] = b'/';
    escaped[b'b' as usize] = 0x08;
    escaped[b'f' as usize] = 0x0C;
    escaped[b'n' as usize] = b'\n';
    escaped[b'r' as usize] = b'\r';
    escaped[b't' as usize] = b'\t';
    escaped
};

/// The quotes that strings begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    Double,
    Single,
    Curly,
}

impl Reader<'_> {
    /// The quote that begins here.
    pub(super) fn quote(&self) -> Option<Quote> {
        match self.peek()? {
            b'"' => Some(Quote::Double),
            b'\'' => Some(Quote::Single),
            0xE2 if self.rest().starts_with(['“', '”']) => Some(Quote::Curly),
            _ => None,
        }
    }

    /// A quoted string. A quote ends it only where what may follow a key or a value comes next, or the end: models forget to escape quotes
    /// within. Behind a mark within the string nothing is mended any more: more likely its own quote is missing.
    pub(super) fn string(&mut self, is_key: bool) -> Result<String, Broken> {
        let Some(open) = self.quote() else { return Err(Broken::NotJson) };
        if open != Quote::Double {
            self.note(Repair::Quotes);
        }
        let bytes = self.text.as_bytes();
        let mut at = self.at + if open == Quote::Curly { '“'.len_utf8() } else { 1 };
        let mut string = String::new();
        // What stands between `copied` and `at` is not yet in `string`.
        let mut copied = at;
        let mut marks = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(step) = rest.iter().position(|byte| SPECIAL[usize::from(*byte)]) else { return Err(Broken::OpenString) };
            at += step;
            match (rest.get(step), rest.get(step + 1)) {
                (Some(b'\\'), escaped) => {
                    self.copy(&mut string, copied, at);
                    match escaped.map(|byte| ESCAPED[usize::from(*byte)]) {
                        Some(0) | None => {
                            self.at = at + 1;
                            self.escape(&mut string)?;
                            at = self.at;
                        }
                        Some(byte) => {
                            string.push(char::from(byte));
                            at += 2;
                        }
                    }
                    copied = at;
                }
                // No mark begins with two of them.
                (Some(b'<'), Some(b'<')) => {
                    at += rest.get(step + 1..).unwrap_or_default().iter().position(|byte| *byte != b'<').unwrap_or(rest.len() - step - 1);
                }
                (Some(b'<' | b'['), _) => match self.marks.as_ref().and_then(|within| within.at(at)) {
                    None => at += 1,
                    Some(_) if marks == MARKS_WITHIN_MAX => return Err(Broken::OpenString),
                    // What stands in the mark is read as ever: a tag may hold quotes.
                    Some(_) => {
                        marks += 1;
                        at += 1;
                    }
                },
                (Some(..0x20), _) => {
                    self.note(Repair::LineBreak);
                    at += 1;
                }
                _ => match closing_quote(rest.get(step..).unwrap_or_default(), open) {
                    0 => at += 1,
                    len if self.may_follow(at + len, is_key) => {
                        self.copy(&mut string, copied, at);
                        self.at = at + len;
                        return Ok(string);
                    }
                    _ if marks > 0 => return Err(Broken::OpenString),
                    len => {
                        self.note(Repair::InnerQuote);
                        at += len;
                    }
                },
            }
        }
    }

    /// Adds what stands between `from` and `to`.
    #[inline]
    fn copy(&self, string: &mut String, from: usize, to: usize) {
        if from < to {
            string.push_str(self.text.get(from..to).unwrap_or_default());
        }
    }

    #[inline]
    fn may_follow(&self, at: usize, is_key: bool) -> bool {
        let at = white::behind(self.text.as_bytes(), at);
        match self.text.as_bytes().get(at) {
            None => true,
            Some(b':') => is_key,
            Some(b',' | b'}' | b']') => !is_key,
            Some(b')') => !is_key && self.grammar == Grammar::Python,
            Some(b'<' | b'[') => self.is_mark(at),
            Some(_) => false,
        }
    }

    /// What stands behind a backslash, where it is more than a byte or needs mending.
    fn escape(&mut self, string: &mut String) -> Result<(), Broken> {
        let Some(byte) = self.byte() else { return Err(Broken::OpenString) };
        self.at += 1;
        match byte {
            b'u' => string.push(self.unicode()),
            b'\'' => {
                self.note(Repair::NeedlessEscape);
                string.push('\'');
            }
            b'x' | b'U' if self.grammar == Grammar::Python => {
                let code = self.hex(if byte == b'x' { 2 } else { 8 });
                string.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => {
                self.note(Repair::UnknownEscape);
                let unknown = self.text.get(self.at - 1..).and_then(|rest| rest.chars().next());
                self.at += unknown.map_or(0, |unknown| unknown.len_utf8() - 1);
                string.push('\\');
                string.extend(unknown);
            }
        }
        Ok(())
    }

    /// The character of `\uXXXX`, with its second half where it needs one; halves alone become the replacement character.
    fn unicode(&mut self) -> char {
        let character = match self.hex(4) {
            Some(high @ 0xD800..0xDC00) => self.second_half(high),
            Some(code) => char::from_u32(code),
            None => None,
        };
        character.unwrap_or_else(|| {
            self.note(Repair::HalfCharacter);
            char::REPLACEMENT_CHARACTER
        })
    }

    fn second_half(&mut self, high: u32) -> Option<char> {
        let before = self.at;
        if self.rest().starts_with("\\u") {
            self.at += 2;
            if let Some(low @ 0xDC00..0xE000) = self.hex(4) {
                return char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
            }
        }
        self.at = before;
        None
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let written = self.text.as_bytes().get(self.at..self.at + digits)?;
        let number = written.iter().try_fold(0_u32, |number, byte| Some((number << 4) | char::from(*byte).to_digit(16)?))?;
        self.at += digits;
        Some(number)
    }
}

/// Length in bytes of the quote that `rest` begins with, if it can close a string that `open` began; else 0.
#[inline]
fn closing_quote(rest: &[u8], open: Quote) -> usize {
    match (rest.first(), open) {
        (Some(b'"'), Quote::Double | Quote::Curly) | (Some(b'\''), Quote::Single) => 1,
        (Some(0xE2), Quote::Curly) if ["“", "”"].iter().any(|quote| rest.starts_with(quote.as_bytes())) => '”'.len_utf8(),
        _ => 0,
    }
}
