//! Quoted strings: where they end, though models forget to escape, and what their escapes stand for.

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
        self.at += if open == Quote::Curly { '“'.len_utf8() } else { 1 };
        let mut string = String::new();
        let mut copied = self.at;
        let mut marks = 0;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let Some(step) = rest.iter().position(|byte| SPECIAL[usize::from(*byte)]) else { return Err(Broken::OpenString) };
            self.at += step;
            match rest.get(step).copied().unwrap_or_default() {
                b'\\' => {
                    self.copy(&mut string, copied);
                    self.at += 1;
                    self.escape(&mut string)?;
                    copied = self.at;
                }
                // No mark begins with two of them.
                b'<' if rest.get(step + 1) == Some(&b'<') => {
                    let run = rest.get(step..).unwrap_or_default().iter().take_while(|byte| **byte == b'<').count();
                    self.at += run - 1;
                }
                b'<' | b'[' => match self.marks.and_then(|within| within.at(self.at)) {
                    None => self.at += 1,
                    Some(_) if marks == MARKS_WITHIN_MAX => return Err(Broken::OpenString),
                    Some(mark) => {
                        marks += 1;
                        self.at = mark.end;
                    }
                },
                byte if byte < 0x20 => {
                    self.note(Repair::LineBreak);
                    self.at += 1;
                }
                _ => match self.closing_quote(open) {
                    0 => self.at += 1,
                    len if self.may_follow(self.at + len, is_key) => {
                        self.copy(&mut string, copied);
                        self.at += len;
                        return Ok(string);
                    }
                    _ if marks > 0 => return Err(Broken::OpenString),
                    len => {
                        self.note(Repair::InnerQuote);
                        self.at += len;
                    }
                },
            }
        }
    }

    /// Adds what stands between `from` and here.
    fn copy(&self, string: &mut String, from: usize) {
        string.push_str(self.text.get(from..self.at).unwrap_or_default());
    }

    /// Length in bytes of the quote here, if it can close a string that `open` began; else 0.
    fn closing_quote(&self, open: Quote) -> usize {
        match (self.byte(), open) {
            (Some(b'"'), Quote::Double | Quote::Curly) | (Some(b'\''), Quote::Single) => 1,
            (Some(0xE2), Quote::Curly) if self.rest().starts_with(['“', '”']) => '”'.len_utf8(),
            _ => 0,
        }
    }

    fn may_follow(&self, at: usize, is_key: bool) -> bool {
        let at = self.behind_space(at);
        match self.text.as_bytes().get(at) {
            None => true,
            Some(b':') => is_key,
            Some(b',' | b'}' | b']') => !is_key,
            Some(b')') => !is_key && self.grammar == Grammar::Python,
            Some(b'<' | b'[') => self.is_mark(at),
            Some(_) => false,
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self, string: &mut String) -> Result<(), Broken> {
        let Some(byte) = self.byte() else { return Err(Broken::OpenString) };
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' => string.push(char::from(byte)),
            b'b' => string.push('\u{8}'),
            b'f' => string.push('\u{c}'),
            b'n' => string.push('\n'),
            b'r' => string.push('\r'),
            b't' => string.push('\t'),
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
