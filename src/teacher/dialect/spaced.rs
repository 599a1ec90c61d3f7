//! JSON as chat templates write it, on one line with a space after `:` and `,`; and what such JSON needs to stand between marks.

use std::io;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::Formatter;

use super::marks::Marks;

/// JSON on one line with a space after `:` and `,`.
pub(super) fn spaced(value: &Value) -> String {
    write(value, Spaced { is_guarded: false, is_python: false })
}

/// The same, so that no mark of any dialect stands in it: escaped, `<` and `[` cannot be mistaken for one, and in JSON they stand escaped
/// within strings only. Without marks in it nothing is escaped.
pub(super) fn guarded(value: &Value) -> String {
    let json = spaced(value);
    if Marks::of(&json, true).next(0).is_none() { json } else { write(value, Spaced { is_guarded: true, is_python: false }) }
}

/// The same as Python writes it: `True`, `False`, `None`.
pub(super) fn python(value: &Value) -> String {
    let is_guarded = Marks::of(&spaced(value), true).next(0).is_some();
    write(value, Spaced { is_guarded, is_python: true })
}

fn write(value: &Value, formatter: Spaced) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    if let Err(error) = value.serialize(&mut serializer) {
        unreachable!("a JSON value is always written to memory: {error}");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Clone, Copy)]
struct Spaced {
    is_guarded: bool,
    is_python: bool,
}

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_null<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(if self.is_python { b"None" } else { b"null" })
    }

    fn write_bool<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: bool) -> io::Result<()> {
        let written = match (value, self.is_python) {
            (true, true) => "True",
            (true, false) => "true",
            (false, true) => "False",
            (false, false) => "false",
        };
        writer.write_all(written.as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if !self.is_guarded {
            return writer.write_all(fragment.as_bytes());
        }
        writer.write_all(fragment.replace('<', "\\u003c").replace('[', "\\u005b").as_bytes())
    }
}
