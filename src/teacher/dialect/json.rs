//! JSON as models write it: read strictly first, then with the mistakes that are common mended, each mending noted.
//!
//! Mended are single, curly and missing quotes, trailing commas, line breaks and bare quotes within strings, unknown escapes, Python's literals,
//! code fences, what follows the value, and brackets left open at the end. A string that is left open is not closed: its rest is unknown.

use std::str::Chars;

use serde_json::{Map, Number, Value};

/// Deepest nesting that is read. Tool arguments nest, but not like this; what is read must also pass `model::wire`, which reads 96 levels,
/// some twenty of them of the record around the arguments.
pub(super) const DEPTH_MAX: usize = 32;

/// Values, and what had to be mended to read them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Mended {
    pub(super) values: Vec<Value>,
    pub(super) repairs: Vec<&'static str>,
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The text ends within a string.
    OpenString,
    /// The text ends within an object or list, and closing it was not allowed or not enough.
    OpenBracket,
    /// Nested too deeply.
    TooDeep,
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
            Self::Empty => "there is nothing in it",
            Self::NotJson => "it is not valid JSON",
        }
    }
}

/// The values of `text`, one after another, as JSON demands it.
pub(super) fn strict(text: &str) -> Result<Vec<Value>, Broken> {
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value {
            Ok(value) => values.push(value),
            Err(error) if error.is_eof() => return Err(Broken::OpenString),
            Err(_) => return Err(Broken::NotJson),
        }
    }
    match values.as_slice() {
        [] => Err(Broken::Empty),
        values if values.iter().any(|value| is_deeper_than(value, DEPTH_MAX)) => Err(Broken::TooDeep),
        _ => Ok(values),
    }
}

/// Recurses no deeper than the reader that made `value`, which has a bound of its own.
fn is_deeper_than(value: &Value, levels: usize) -> bool {
    let is_inner_deeper = |inner: &Value| levels == 0 || is_deeper_than(inner, levels - 1);
    match value {
        Value::Array(list) => list.iter().any(is_inner_deeper),
        Value::Object(object) => object.values().any(is_inner_deeper),
        _ => false,
    }
}

/// The values of `text`, with mistakes mended. `may_close` says whether brackets left open at the end may be closed.
pub(super) fn lenient(text: &str, may_close: bool) -> Result<Mended, Broken> {
    let mut mended = Mended::default();
    let inner = without_fence(text);
    if inner.len() != text.trim().len() {
        mended.repairs.push("removed a code fence");
    }
    let mut reader = Reader { chars: inner.chars(), may_close, repairs: mended.repairs };
    loop {
        reader.skip(|c| c.is_whitespace() || matches!(c, ',' | ';'));
        match reader.peek() {
            Some('{' | '[') => mended.values.push(reader.value(0)?),
            None if mended.values.is_empty() => return Err(Broken::Empty),
            None => break,
            Some(_) if mended.values.is_empty() => return Err(Broken::NotJson),
            Some(_) => {
                reader.note("ignored what follows the JSON");
                break;
            }
        }
    }
    mended.repairs = reader.repairs;
    Ok(mended)
}

/// `text` without the code fence around it.
pub(super) fn without_fence(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```") else { return text };
    let inner = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    inner.strip_suffix("```").unwrap_or(inner).trim()
}

struct Reader<'a> {
    chars: Chars<'a>,
    may_close: bool,
    repairs: Vec<&'static str>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.clone().next()
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&skipped) {
            self.chars.next();
        }
    }

    fn note(&mut self, repair: &'static str) {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Broken> {
        if depth > DEPTH_MAX {
            return Err(Broken::TooDeep);
        }
        self.skip(char::is_whitespace);
        match self.peek() {
            None => Err(Broken::OpenBracket),
            Some('{') => self.object(depth).map(Value::Object),
            Some('[') => self.list(depth).map(Value::Array),
            Some('"' | '\'' | '“' | '”') => self.string(&[',', '}', ']']).map(Value::String),
            Some(_) => self.bare_value(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Map<String, Value>, Broken> {
        self.chars.next();
        let mut object = Map::new();
        while self.next_member('}')? {
            let key = match self.peek() {
                Some('"' | '\'' | '“' | '”') => self.string(&[':'])?,
                _ => {
                    self.note("quoted a bare key");
                    self.word(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))?
                }
            };
            self.skip(char::is_whitespace);
            match self.chars.next() {
                Some(':') => {}
                None => return Err(Broken::OpenBracket),
                Some(_) => return Err(Broken::NotJson),
            }
            let value = self.value(depth + 1)?;
            object.insert(key, value);
        }
        Ok(object)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, Broken> {
        self.chars.next();
        let mut list = Vec::new();
        while self.next_member(']')? {
            list.push(self.value(depth + 1)?);
        }
        Ok(list)
    }

    /// Goes to the next member of an object or list; false when it is closed.
    fn next_member(&mut self, close: char) -> Result<bool, Broken> {
        self.skip(char::is_whitespace);
        let mut comma = false;
        while self.peek() == Some(',') {
            comma = true;
            self.chars.next();
            self.skip(char::is_whitespace);
        }
        match self.peek() {
            Some(c) if c == close => {
                self.chars.next();
                if comma {
                    self.note("removed a trailing comma");
                }
                Ok(false)
            }
            Some('}' | ']') => Err(Broken::NotJson),
            Some(_) => Ok(true),
            None if self.may_close => {
                self.note("closed brackets left open");
                Ok(false)
            }
            None => Err(Broken::OpenBracket),
        }
    }

    /// A quoted string. A quote ends it only where one of `followers`, or the end, comes next: models forget to escape quotes within.
    fn string(&mut self, followers: &[char]) -> Result<String, Broken> {
        let open = self.chars.next().unwrap_or('"');
        let closes: &[char] = match open {
            '\'' => &['\''],
            '"' => &['"'],
            _ => &['”', '“', '"'],
        };
        if open != '"' {
            self.note("replaced the quotes of a string");
        }
        let mut string = String::new();
        loop {
            match self.chars.next() {
                None => return Err(Broken::OpenString),
                Some(c) if closes.contains(&c) => {
                    let next = self.chars.clone().find(|c| !c.is_whitespace());
                    if next.is_none_or(|next| followers.contains(&next)) {
                        return Ok(string);
                    }
                    self.note("escaped a quote within a string");
                    string.push(c);
                }
                Some('\\') => self.escape(&mut string)?,
                Some(c) => {
                    if c.is_control() {
                        self.note("escaped a line break within a string");
                    }
                    string.push(c);
                }
            }
        }
    }

    fn escape(&mut self, string: &mut String) -> Result<(), Broken> {
        let Some(c) = self.chars.next() else { return Err(Broken::OpenString) };
        match c {
            '"' | '\\' | '/' => string.push(c),
            'b' => string.push('\u{8}'),
            'f' => string.push('\u{c}'),
            'n' => string.push('\n'),
            'r' => string.push('\r'),
            't' => string.push('\t'),
            'u' => string.push(self.unicode()),
            '\'' => {
                self.note("removed an escape that JSON does not know");
                string.push('\'');
            }
            other => {
                self.note("kept the backslash of an escape that JSON does not know");
                string.extend(['\\', other]);
            }
        }
        Ok(())
    }

    /// The character of `\uXXXX`, with its second half where it needs one; halves alone become the replacement character.
    fn unicode(&mut self) -> char {
        let Some(high) = self.hex() else { return char::REPLACEMENT_CHARACTER };
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        let before = self.chars.clone();
        if self.chars.as_str().starts_with("\\u") {
            self.chars.nth(1);
            if let Some(low @ 0xDC00..0xE000) = self.hex() {
                return char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
        }
        self.chars = before;
        char::REPLACEMENT_CHARACTER
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.chars.as_str().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let number = u32::from_str_radix(digits, 16).ok()?;
        self.chars.nth(3);
        Some(number)
    }

    fn word(&mut self, within: impl Fn(char) -> bool) -> Result<String, Broken> {
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| within(*c)) {
            word.push(c);
            self.chars.next();
        }
        if word.is_empty() { Err(Broken::NotJson) } else { Ok(word) }
    }

    fn bare_value(&mut self) -> Result<Value, Broken> {
        let word = self.word(|c| c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'))?;
        let value = match word.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            "True" | "False" | "None" => {
                self.note("replaced a Python literal");
                if word == "None" { Value::Null } else { Value::Bool(word == "True") }
            }
            number => match number.parse::<Number>() {
                Ok(number) => Value::Number(number),
                Err(_) if self.peek().is_none() => return Err(Broken::OpenBracket),
                Err(_) => return Err(Broken::NotJson),
            },
        };
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mend(text: &str) -> Value {
        let mended = lenient(text, true).expect("mendable");
        assert!(!mended.repairs.is_empty(), "a repair is noted for {text}");
        mended.values.into_iter().next().expect("a value")
    }

    #[test]
    fn common_mistakes_are_mended_and_noted() {
        assert_eq!(mend("{'a': 'it's late', b: True,}"), json!({"a": "it's late", "b": true}));
        assert_eq!(mend("```json\n{\"a\": [1, 2,]}\n```"), json!({"a": [1, 2]}));
        assert_eq!(mend("{\"q\": \"the \"best\" one\"}"), json!({"q": "the \"best\" one"}));
        assert_eq!(mend("{\"q\": \"two\nlines\"}"), json!({"q": "two\nlines"}));
        assert_eq!(mend("{\"q\": \"\\d+\", \"r\": None}"), json!({"q": "\\d+", "r": null}));
        assert_eq!(mend("{“q”: “東京”}"), json!({"q": "東京"}));
        assert_eq!(mend("{\"a\": {\"b\": [1"), json!({"a": {"b": [1]}}));
        assert_eq!(mend("{\"a\": 1}}"), json!({"a": 1}));
    }

    #[test]
    fn what_is_valid_is_read_alike_both_ways() {
        let text = r#"{"a": "\ud83d\ude00 \u00e9 \"x\"", "b": [1.5e3, -2, null, {"c": {}}]}"#;
        let mended = lenient(text, false).expect("valid");
        assert_eq!((mended.values, mended.repairs), (strict(text).expect("valid"), vec![]));
    }

    #[test]
    fn what_is_cut_off_is_not_guessed() {
        assert_eq!(lenient("{\"query\": \"the cap", true), Err(Broken::OpenString));
        assert_eq!(lenient("{\"a\": {\"b\": 1}", false), Err(Broken::OpenBracket));
        assert_eq!(lenient("{\"a\": tr", true), Err(Broken::OpenBracket));
        assert_eq!(lenient(&"[".repeat(10_000), true), Err(Broken::TooDeep));
        assert_eq!(lenient("search for cats", true), Err(Broken::NotJson));
    }

    #[test]
    fn both_ways_read_to_the_same_depth() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(strict(&nested(DEPTH_MAX)).expect("not too deep"), lenient(&nested(DEPTH_MAX), false).expect("not too deep").values);
        for levels in [DEPTH_MAX + 1, 87, 127] {
            assert_eq!((strict(&nested(levels)), lenient(&nested(levels), true)), (Err(Broken::TooDeep), Err(Broken::TooDeep)), "{levels}");
        }
    }
}
