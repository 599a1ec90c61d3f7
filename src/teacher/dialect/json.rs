//! JSON as models write it: read in one pass, with the mistakes that are common mended, each mending noted. No mending, and it was valid.
//!
//! Mended are single, curly and missing quotes, missing and needless commas, line breaks and bare quotes within strings, unknown escapes,
//! Python's literals, code fences, what follows the value, and brackets left open at the end. A string that is left open is not closed: its
//! rest is unknown. Python's literals are read by the same reader, since they are nearly the same language.

use serde_json::{Map, Number, Value};

use super::marks::Marks;
use super::white::{self, trim};

mod repair;
mod string;
#[cfg(test)]
mod tests;

pub(super) use repair::Repair;

/// Deepest nesting that is read. Tool arguments nest, but not like this; what is read must also pass `model::wire`, which reads 96 levels,
/// some twenty of them of the row around the arguments.
pub(super) const DEPTH_MAX: usize = 32;
/// Most values of one text. A call has a dozen; making more of them than this from hostile text would cost more than reading it.
pub(super) const VALUES_MAX: usize = 512;
/// Levels around the arguments of a call: a list of calls, the call.
const LEVELS_AROUND: usize = 2;
/// Values around the arguments of a call.
const VALUES_AROUND: usize = 16;
/// Longest number, in bytes.
const NUMBER_BYTES_MAX: usize = 64;
/// How many marks may belong to a string before it counts as left open: a missing quote must not swallow the calls behind it.
const MARKS_WITHIN_MAX: usize = 3;

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The text ends within a string.
    OpenString,
    /// The text ends within an object or list, and closing it was not allowed or not enough.
    OpenBracket,
    /// Nested too deeply.
    TooDeep,
    /// Too many values.
    TooMany,
    /// There is nothing.
    Empty,
    /// It is no JSON, even so.
    NotJson,
}

impl Broken {
    /// The reason, as the model is told.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::OpenString => "the JSON ends within a string",
            Self::OpenBracket => "the JSON ends before its brackets are closed",
            Self::TooDeep => "the JSON is nested too deeply",
            Self::TooMany => "the JSON holds too many values",
            Self::Empty => "there is nothing in it",
            Self::NotJson => "it is not valid JSON",
        }
    }
}

/// Which language values are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grammar {
    Json,
    /// Either kind of quote, `True`, `None`, tuples: nothing of it is a mistake.
    Python,
}

/// Values of `text` alone, and what was mended. `may_close` says whether brackets left open at the end may be closed.
#[cfg(test)]
pub(super) fn read(text: &str, may_close: bool) -> Result<(Vec<Value>, Vec<String>), Broken> {
    let mut reader = Reader::of(text, may_close);
    Ok((reader.all_values()?, reader.repairs()))
}

/// Whether arguments are within the bounds on depth and number of values, whatever form they were read from.
pub(super) fn measure(arguments: &Map<String, Value>) -> Result<(), Broken> {
    let mut values_left = VALUES_MAX;
    arguments.values().try_for_each(|value| measure_value(value, DEPTH_MAX, &mut values_left))
}

fn measure_value(value: &Value, levels: usize, values_left: &mut usize) -> Result<(), Broken> {
    let levels = levels.checked_sub(1).ok_or(Broken::TooDeep)?;
    *values_left = values_left.checked_sub(1).ok_or(Broken::TooMany)?;
    match value {
        Value::Array(list) => list.iter().try_for_each(|value| measure_value(value, levels, values_left)),
        Value::Object(object) => object.values().try_for_each(|value| measure_value(value, levels, values_left)),
        _ => Ok(()),
    }
}

/// `text` without white space and the code fence around it.
pub(super) fn without_fence(text: &str) -> &str {
    let text = trim(text);
    let Some(inner) = text.strip_prefix("```") else { return text };
    let inner = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    trim(inner.strip_suffix("```").unwrap_or(inner))
}

/// Reads values from a place in a text on.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Where marks end what is read, and belong to a string that holds them.
    marks: Option<Marks<'a>>,
    grammar: Grammar,
    may_close: bool,
    values_left: usize,
    /// A bit for each; hostile text needs a repair at every other byte.
    repairs: u16,
}

impl<'a> Reader<'a> {
    /// A reader of JSON that stands alone.
    pub(super) fn of(text: &'a str, may_close: bool) -> Self {
        Self { text, at: 0, marks: None, grammar: Grammar::Json, may_close, values_left: VALUES_MAX + VALUES_AROUND, repairs: 0 }
    }

    /// A reader of JSON between marks, from `at` on. `may_close` is about the end of the text: at a mark brackets may always be closed.
    pub(super) fn between(marks: Marks<'a>, at: usize, may_close: bool) -> Self {
        Self { at, marks: Some(marks), ..Self::of(marks.text(), may_close) }
    }

    /// Begins at `at` instead.
    pub(super) fn from(self, at: usize) -> Self {
        Self { at, ..self }
    }

    /// Reads Python instead.
    pub(super) fn python(self) -> Self {
        Self { grammar: Grammar::Python, ..self }
    }

    /// Goes on at `at`.
    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Whether brackets left open here may be closed: everywhere but where a token limit cut the text.
    pub(super) fn may_close(&self) -> bool {
        self.may_close || self.at < self.text.len()
    }

    /// Where the text goes on, as a byte offset.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// What was mended so far.
    pub(super) fn repairs(&self) -> Vec<String> {
        Repair::ALL.into_iter().filter(|repair| self.has(*repair)).map(|repair| repair.sentence().to_owned()).collect()
    }

    /// Counts `repair` as no mistake.
    pub(super) fn forgive(&mut self, repair: Repair) {
        self.repairs &= !repair.bit();
    }

    #[inline]
    fn has(&self, repair: Repair) -> bool {
        self.repairs & repair.bit() != 0
    }

    #[inline]
    pub(super) fn note(&mut self, repair: Repair) {
        if self.grammar == Grammar::Json
            || matches!(repair, Repair::OpenBrackets | Repair::InnerQuote | Repair::LineBreak | Repair::MissingComma)
        {
            self.repairs |= repair.bit();
        }
    }

    /// All values of a text that holds nothing else.
    pub(super) fn all_values(&mut self) -> Result<Vec<Value>, Broken> {
        let values = self.values()?;
        self.skip_space();
        if !self.is_at_end() {
            self.note(Repair::Followed);
        }
        Ok(values)
    }

    /// The objects and lists that come next, at least one.
    pub(super) fn values(&mut self) -> Result<Vec<Value>, Broken> {
        self.open_fence();
        let mut values = Vec::new();
        loop {
            self.skip_space();
            while !values.is_empty() && self.take(|byte| matches!(byte, b',' | b';')) {
                self.note(Repair::NeedlessComma);
                self.skip_space();
            }
            match self.peek() {
                Some(b'{' | b'[') => values.push(self.value(0)?),
                _ if !values.is_empty() => break,
                Some(_) => return Err(Broken::NotJson),
                None => return Err(Broken::Empty),
            }
        }
        self.close_fence();
        Ok(values)
    }

    /// The one value that comes next.
    pub(super) fn one(&mut self) -> Result<Value, Broken> {
        self.open_fence();
        self.skip_space();
        if self.peek().is_none() {
            return Err(Broken::Empty);
        }
        let value = self.value(0)?;
        self.close_fence();
        Ok(value)
    }

    fn open_fence(&mut self) {
        self.skip_space();
        let Some(inner) = self.rest().strip_prefix("```") else { return };
        let inner = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        self.at = self.text.len() - inner.len();
        self.note(Repair::Fence);
    }

    fn close_fence(&mut self) {
        if self.has(Repair::Fence) {
            let before = self.at;
            self.skip_space();
            self.at = if self.rest().starts_with("```") { self.at + 3 } else { before };
        }
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn is_mark(&self, at: usize) -> bool {
        self.marks.as_ref().is_some_and(|marks| marks.at(at).is_some())
    }

    /// Whether there is nothing more to read: the end, or a mark.
    pub(super) fn is_at_end(&self) -> bool {
        self.peek().is_none()
    }

    /// The next byte, unless the text ends here or a mark begins.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.byte().filter(|byte| !(matches!(byte, b'<' | b'[') && self.is_mark(self.at)))
    }

    /// Goes behind the next byte if it is fit.
    #[inline]
    pub(super) fn take(&mut self, is_fit: impl Fn(u8) -> bool) -> bool {
        let is_taken = self.peek().is_some_and(is_fit);
        self.at += usize::from(is_taken);
        is_taken
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        self.at = white::behind(self.text.as_bytes(), self.at);
    }

    /// The value that comes next, `depth` levels within others.
    pub(super) fn value(&mut self, depth: usize) -> Result<Value, Broken> {
        if depth > DEPTH_MAX + LEVELS_AROUND {
            return Err(Broken::TooDeep);
        }
        self.values_left = self.values_left.checked_sub(1).ok_or(Broken::TooMany)?;
        self.skip_space();
        match self.peek() {
            None => Err(Broken::OpenBracket),
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.list(depth, b']').map(Value::Array),
            Some(b'(') if self.grammar == Grammar::Python => self.list(depth, b')').map(Value::Array),
            Some(_) if self.quote().is_some() => self.string(false).map(Value::String),
            Some(_) => self.bare_value(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Map<String, Value>, Broken> {
        self.at += 1;
        let mut object = Map::new();
        while self.next_member(b'}', object.is_empty())? {
            let key = if self.quote().is_some() {
                self.string(true)?
            } else {
                self.note(Repair::BareKey);
                self.word(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))?.to_owned()
            };
            self.skip_space();
            match self.peek() {
                Some(b':') => self.at += 1,
                None => return Err(Broken::OpenBracket),
                Some(_) => return Err(Broken::NotJson),
            }
            let value = self.value(depth + 1)?;
            object.insert(key, value);
        }
        Ok(object)
    }

    fn list(&mut self, depth: usize, close: u8) -> Result<Vec<Value>, Broken> {
        self.at += 1;
        let mut list = Vec::new();
        while self.next_member(close, list.is_empty())? {
            list.push(self.value(depth + 1)?);
        }
        Ok(list)
    }

    /// Goes to the next member of an object or list; false when it is closed.
    pub(super) fn next_member(&mut self, close: u8, is_first: bool) -> Result<bool, Broken> {
        self.skip_space();
        let mut commas = 0_usize;
        while self.byte() == Some(b',') {
            commas += 1;
            self.at += 1;
            self.skip_space();
        }
        let needed = usize::from(!is_first);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                if commas > 0 {
                    self.note(Repair::NeedlessComma);
                }
                Ok(false)
            }
            Some(b'}' | b']' | b')') => Err(Broken::NotJson),
            Some(_) => {
                match commas.cmp(&needed) {
                    std::cmp::Ordering::Less => self.note(Repair::MissingComma),
                    std::cmp::Ordering::Equal => {}
                    std::cmp::Ordering::Greater => self.note(Repair::NeedlessComma),
                }
                Ok(true)
            }
            None if self.may_close() => {
                self.note(Repair::OpenBrackets);
                Ok(false)
            }
            None => Err(Broken::OpenBracket),
        }
    }

    pub(super) fn word(&mut self, is_within: impl Fn(char) -> bool) -> Result<&'a str, Broken> {
        let rest = self.rest();
        let len = rest.find(|c| !is_within(c)).unwrap_or(rest.len());
        let word = rest.get(..len).filter(|word| !word.is_empty()).ok_or(Broken::NotJson)?;
        self.at += len;
        Ok(word)
    }

    fn bare_value(&mut self) -> Result<Value, Broken> {
        let word = self.word(|c| c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'))?;
        let value = match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            "True" | "False" | "None" => {
                self.note(Repair::PythonLiteral);
                if word == "None" { Value::Null } else { Value::Bool(word == "True") }
            }
            number => match (number.len() <= NUMBER_BYTES_MAX).then(|| number.parse::<Number>()) {
                Some(Ok(number)) => Value::Number(number),
                _ if self.is_at_end() => return Err(Broken::OpenBracket),
                _ => return Err(Broken::NotJson),
            },
        };
        Ok(value)
    }
}
