//! Reading a tool call's arguments the way models write them: numbers as strings or with `.0`, one query or a list of them.
//!
//! What can only mean one thing is accepted; everything else is refused by name, with what it must be. Arguments nobody asks for are ignored.

use serde_json::{Map, Value};

use crate::browser::{Echo, Trouble};

/// The arguments of one call.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a> {
    tool: &'static str,
    given: &'a Map<String, Value>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(tool: &'static str, given: &'a Map<String, Value>) -> Self {
        Self { tool, given }
    }

    /// The argument; what a template leaves of one that is absent counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        let is_absent = |text: &str| matches!(text.trim(), "" | "null" | "None" | "none");
        self.given.get(name).filter(|value| !value.is_null() && !value.as_str().is_some_and(is_absent))
    }

    /// A whole number; none when it is absent or -1.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<i64>, Trouble> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match whole_number(value) {
            Some(-1) => Ok(None),
            Some(number) => Ok(Some(number)),
            None => Err(self.bad(name, "a whole number", value)),
        }
    }

    /// A text that is neither empty nor longer than `chars_max`; a number is read as the text it was written as.
    pub(crate) fn text(&self, name: &'static str, chars_max: usize) -> Result<String, Trouble> {
        let must_be = || format!("a text of 1 to {chars_max} characters");
        let Some(value) = self.given.get(name) else {
            return Err(Trouble::MissingArgument { tool: self.tool, name, must_be: must_be() });
        };
        plain_text(value).filter(|text| is_fit(text, chars_max)).ok_or_else(|| self.bad(name, &must_be(), value))
    }

    /// A text or a list of at most `count_max` texts.
    pub(crate) fn texts(&self, name: &'static str, count_max: usize, chars_max: usize) -> Result<Vec<String>, Trouble> {
        let Some(Value::Array(values)) = self.given.get(name) else { return Ok(vec![self.text(name, chars_max)?]) };
        let texts: Option<Vec<String>> = values.iter().map(|value| plain_text(value).filter(|text| is_fit(text, chars_max))).collect();
        let must_be = format!("a text of 1 to {chars_max} characters, or a list of 1 to {count_max} of them");
        texts.filter(|texts| (1..=count_max).contains(&texts.len())).ok_or_else(|| self.bad(name, &must_be, &Value::Array(values.clone())))
    }

    /// The texts of an argument that may go by several names: a list of them, or one text that `separators` divide. They are trimmed, and
    /// blank ones left out; none at all when the argument is absent.
    pub(crate) fn parts(&self, names: &[&'static str], separators: &[char], must_be: &str) -> Result<Vec<String>, Trouble> {
        let Some((name, value)) = names.iter().find_map(|name| Some((*name, self.given.get(*name).filter(|value| !value.is_null())?)))
        else {
            return Ok(Vec::new());
        };
        // A list in quotation marks, as dialects without types write it.
        let unquoted = value.as_str().filter(|text| text.trim_start().starts_with('[')).and_then(|text| serde_json::from_str(text).ok());
        let parts: Option<Vec<String>> = match unquoted.as_ref().unwrap_or(value) {
            Value::Array(values) => values.iter().map(plain_text).collect(),
            one => plain_text(one).map(|text| text.split(separators).map(str::to_owned).collect()),
        };
        let parts = parts.ok_or_else(|| self.bad(name, must_be, value))?;
        Ok(parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// The trouble with an argument.
    pub(crate) fn bad(&self, name: &'static str, must_be: &str, was: &Value) -> Trouble {
        let was = match was {
            Value::String(text) => format!("\"{text}\""),
            other => other.to_string(),
        };
        Trouble::BadArgument { tool: self.tool, name, must_be: must_be.to_owned(), was: Echo::new(&was) }
    }
}

/// A number in whatever type, if it is whole.
pub(crate) fn whole_number(value: &Value) -> Option<i64> {
    /// Beyond this a float does not tell whole numbers apart.
    const FLOAT_MAX: f64 = 9_007_199_254_740_992.0;
    let whole = |float: f64| (float.fract() == 0.0 && float.abs() <= FLOAT_MAX).then_some(float as i64);
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => {
            let text = text.trim();
            let is_decimal = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.'));
            text.parse().ok().or_else(|| text.parse().ok().filter(|_| is_decimal).and_then(whole))
        }
        _ => None,
    }
}

fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn is_fit(text: &str, chars_max: usize) -> bool {
    !text.trim().is_empty() && text.chars().nth(chars_max).is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T>(value: Value, read: impl Fn(Arguments<'_>) -> Result<T, Trouble>) -> Result<T, String> {
        let Value::Object(given) = value else { panic!("an object") };
        read(Arguments::new("open", &given)).map_err(|trouble| trouble.to_string())
    }

    #[test]
    fn numbers_are_read_in_any_type() {
        let number = |value| read(json!({ "loc": value }), |arguments| arguments.number("loc"));
        for written in [json!(12), json!(12.0), json!("12"), json!(" 12 "), json!("12.0"), json!("+12")] {
            assert_eq!(number(written.clone()), Ok(Some(12)), "{written}");
        }
        for absent in [json!(-1), json!("-1"), json!(-1.0), json!(null), json!(""), json!("null"), json!("None")] {
            assert_eq!(number(absent.clone()), Ok(None), "{absent}");
        }
        assert_eq!(number(json!(-2)), Ok(Some(-2)));
    }

    #[test]
    fn what_is_no_number_is_refused_by_name() {
        let number = |value| read(json!({ "loc": value }), |arguments| arguments.number("loc"));
        for wrong in [json!("ten"), json!(1.5), json!(true), json!([1]), json!("inf"), json!("1e3"), json!(1e300)] {
            let message = number(wrong.clone()).expect_err("no whole number");
            assert!(message.starts_with("Invalid arguments for `open`: `loc` must be a whole number, but it was"), "{wrong}: {message}");
        }
    }

    #[test]
    fn texts_are_one_or_a_list_and_may_be_numbers() {
        let texts = |value| read(json!({ "query": value }), |arguments| arguments.texts("query", 2, 10));
        assert_eq!(texts(json!("whales")), Ok(vec!["whales".to_owned()]));
        assert_eq!(texts(json!(1984)), Ok(vec!["1984".to_owned()]));
        assert_eq!(texts(json!(["a", 2])), Ok(vec!["a".to_owned(), "2".to_owned()]));
        for wrong in [json!([]), json!(["a", "b", "c"]), json!(["a", ""]), json!({"a": 1}), json!(" "), json!("x".repeat(11))] {
            let message = texts(wrong.clone()).expect_err("refused");
            assert!(message.contains("`query` must be a text of 1 to 10 characters"), "{wrong}: {message}");
        }
        let message = read(json!({}), |arguments| arguments.texts("query", 2, 10)).expect_err("missing");
        assert_eq!(message, "Invalid arguments for `open`: `query` is missing; it must be a text of 1 to 10 characters.");
    }
}
