//! The engine that renders templates: Jinja as Hugging Face's transformers set it up.
//!
//! Blocks are trimmed, `tojson` writes what Python's `json.dumps` writes, truth and nothing are spelt as Python spells them, and methods of
//! Python's strings and mappings work. No template sees a clock: `strftime_now` tells the campaign's date, and is unknown where there is none.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value, escape_formatter};
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::date::Date;

/// Steps of one rendering, and 64 bytes of output each, before it is given up: hundreds of times what a long conversation takes.
const FUEL: u64 = 20_000_000;

/// How a template's own refusals begin.
pub(super) const REFUSAL: &str = "the template refuses it: ";

/// An engine without templates.
pub(super) fn engine(as_of: Option<Date>) -> Result<Environment<'static>, Error> {
    let mut engine = Environment::new();
    engine.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    engine.set_fuel(Some(FUEL));
    engine.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    engine.set_formatter(write_value);
    engine.add_filter("tojson", tojson);
    engine.add_filter("string", |value: &Value| python_word(value).map_or_else(|| value.to_string(), str::to_owned));
    // Nothing is no list in Python.
    engine.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    engine.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, format!("{REFUSAL}{message}")))
    });
    if let Some(date) = as_of {
        engine.add_function("strftime_now", move |format: String| {
            date.format(&format).map_err(|problem| Error::new(ErrorKind::InvalidOperation, problem))
        });
    }
    Ok(engine)
}

fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match python_word(value) {
        Some(word) => Ok(out.write_str(word)?),
        None => escape_formatter(out, state, value),
    }
}

/// Python's word for what Jinja for Rust would spell otherwise.
fn python_word(value: &Value) -> Option<&'static str> {
    match value.kind() {
        ValueKind::Bool if value.is_true() => Some("True"),
        ValueKind::Bool => Some("False"),
        ValueKind::None => Some("None"),
        _ => None,
    }
}

/// `json.dumps(value, ensure_ascii=False, indent=indent)`: blanks behind commas and colons, nothing escaped that JSON need not escape.
fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Text is never escaped beyond need and keys stay in order, which is what these ask for where a template gives them.
    for ignored in ["ensure_ascii", "sort_keys", "separators"] {
        let _: Option<Value> = options.get(ignored)?;
    }
    options.assert_all_used()?;
    match indent {
        None => dump(value, Spaced(CompactFormatter)),
        Some(indent) => dump(value, PrettyFormatter::with_indent(" ".repeat(indent.min(16)).as_bytes())),
    }
}

fn dump(value: &Value, formatter: impl Formatter) -> Result<String, Error> {
    let failed = |problem: String| Error::new(ErrorKind::BadSerialization, problem);
    let mut json = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut json, formatter)).map_err(|error| failed(error.to_string()))?;
    String::from_utf8(json).map_err(|error| failed(error.to_string()))
}

/// Python's separators: `", "` and `": "`.
struct Spaced(CompactFormatter);

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.begin_object_value(writer)?;
        writer.write_all(b" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::value::Serde;
    use serde_json::json;

    fn rendered(template: &str) -> String {
        let engine = engine(Date::read("2026-02-03").ok()).expect("an engine");
        let messages = json!([{"role": "user", "content": " a "}, {"role": "tool", "content": "<b> & 'é'", "n": [1.0, true, null, {}]}]);
        engine.render_str(template, Value::from(Serde(json!({"messages": messages, "none": null})))).expect(template)
    }

    #[test]
    fn templates_mean_what_they_mean_in_python() {
        for (template, expected) in [
            ("{{ messages[1] | tojson }}", r#"{"role": "tool", "content": "<b> & 'é'", "n": [1.0, true, null, {}]}"#),
            ("{{ messages[1].n | tojson(indent=2) }}", "[\n  1.0,\n  true,\n  null,\n  {}\n]"),
            ("{{ messages[0] | tojson(ensure_ascii=False) }}", r#"{"role": "user", "content": " a "}"#),
            ("{{ true }} {{ none }} {{ messages[1].n[1] | string }} {{ absent }}", "True None True "),
            ("{% for m in messages[::-1] %}{{ loop.index0 }}{{ m.role }}{% endfor %}", "0tool1user"),
            ("{% set ns = namespace(x=0) %}{% for m in messages %}{% set ns.x = ns.x + 1 %}{% endfor %}{{ ns.x }}", "2"),
            ("{{ messages[0].content.strip() }}{{ messages[0]['content'] | trim | upper }}", "aA"),
            ("{{ messages[0].role.startswith('us') }} {{ 'a</t>b'.split('</t>')[-1] }} {{ 'x\n'.rstrip('\n') }}", "True b x"),
            ("{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}", "role=user;content= a ;"),
            ("{{ messages[0].get('content') }}{{ messages[1:] | length }}{{ messages[-1].role }}", " a 1tool"),
            ("{% if tools is defined and tools is not none %}t{% else %}f{% endif %}{% if 'x' in absent %}y{% endif %}", "f"),
            ("  {% if true %}\n  a\n  {%- endif %}\n", "  a"),
            ("{% for m in messages %}{% if loop.index0 == 1 %}{% break %}{% endif %}{{ m.role }}{% endfor %}", "user"),
            ("{%- macro m(x) -%}<{{ x }}>{%- endmacro -%}{{ m('a') ~ 1 }}", "<a>1"),
            ("{{ none is iterable }} {{ 'a' is iterable }}", "False True"),
            ("{{ strftime_now('%d %b %Y') }}", "03 Feb 2026"),
            ("{{ messages[1].content is string }}{{ messages is iterable }}{{ messages[0] is mapping }}", "TrueTrueTrue"),
        ] {
            assert_eq!(rendered(template), expected, "{template}");
        }
    }

    #[test]
    fn a_template_that_runs_away_is_stopped() {
        let engine = engine(None).expect("an engine");
        let endless = "{% for a in range(100000) %}{% for b in range(100000) %}{{ a }}{% endfor %}{% endfor %}";
        assert_eq!(engine.render_str(endless, ()).expect_err("stopped").kind(), ErrorKind::OutOfFuel);
        assert_eq!(engine.render_str("{{ strftime_now('%Y') }}", ()).expect_err("no clock").kind(), ErrorKind::UnknownFunction);
    }
}
