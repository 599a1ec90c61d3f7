//! One source line: what it says, or why it is unusable.
//!
//! A line is a JSON object with `url` and `text`; `title` and `links` may be absent or null; everything else is metadata. A line is taken
//! whole or not at all.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::canonical::canonical_url;
use crate::document::Link;
use crate::stored::Rest;

/// A digest cut to 128 bits: enough to tell documents apart, half the memory.
pub(crate) type Mark = [u8; 16];

/// What a usable line says. Strings without escapes are borrowed from the line.
pub(crate) struct Line<'a> {
    /// Canonical.
    pub(crate) url: String,
    pub(crate) title: Cow<'a, str>,
    pub(crate) text: Cow<'a, str>,
    pub(crate) rest: Rest,
}

impl<'a> Line<'a> {
    /// Reads a line, or says why it cannot be used.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let bytes = bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(bytes);
        let raw: RawLine<'a> = serde_json::from_slice(bytes).map_err(|error| reason(&error))?;
        let url = raw.url.ok_or("field `url` is missing")?;
        let url = canonical_url(&url).map_err(|error| error.to_string())?;
        let text = raw.text.ok_or("field `text` is missing")?;
        if text.trim().is_empty() {
            return Err("field `text` is empty".to_owned());
        }
        let links = raw.links.into_iter().enumerate().map(|(at, link)| link_of(at, link)).collect::<Result<_, _>>()?;
        Ok(Self { url, title: raw.title.unwrap_or_default(), text, rest: Rest { links, metadata: raw.metadata } })
    }

    /// See [`Marks`].
    pub(crate) fn marks(&self) -> Marks {
        Marks::of(&self.url, &self.title, &self.text, self.rest.to_json().as_deref())
    }
}

/// Marks of a document's URL, of its text, and of all that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) url: Mark,
    pub(crate) text: Mark,
    pub(crate) content: Mark,
}

impl Marks {
    /// `rest` as [`Rest::to_json`] writes it.
    pub(crate) fn of(url: &str, title: &str, text: &str, rest: Option<&str>) -> Self {
        let url = blake3::hash(url.as_bytes());
        let text = blake3::hash(text.as_bytes());
        let mut content = blake3::Hasher::new();
        content.update(url.as_bytes()).update(text.as_bytes()).update(blake3::hash(title.as_bytes()).as_bytes());
        content.update(rest.unwrap_or("").as_bytes());
        Self { url: mark(url), text: mark(text), content: mark(content.finalize()) }
    }
}

fn mark(hash: blake3::Hash) -> Mark {
    std::array::from_fn(|at| hash.as_bytes()[at])
}

/// serde_json says "at line 1 column c" of what is one line to it and another line to the reader: only the column is kept.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message.split(" at line 1 column ").next().unwrap_or(&message);
    format!("{message} (column {})", error.column())
}

fn link_of(at: usize, link: Value) -> Result<Link, String> {
    match link {
        Value::String(url) => Ok(Link { url, text: None }),
        object => {
            let written: WrittenLink = serde_json::from_value(object)
                .map_err(|error| format!("`links[{at}]` is neither a string nor an object with a `url`: {error}"))?;
            Ok(Link { url: written.url, text: written.text })
        }
    }
}

/// A link object; other fields of it are not kept.
#[derive(Deserialize)]
struct WrittenLink {
    url: String,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Default)]
struct RawLine<'a> {
    url: Option<Cow<'a, str>>,
    title: Option<Cow<'a, str>>,
    text: Option<Cow<'a, str>>,
    links: Vec<Value>,
    metadata: Map<String, Value>,
}

/// A string, borrowed when it can be.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Written out, since serde's `flatten` would copy every field of every line.
impl<'de> Deserialize<'de> for RawLine<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = RawLine<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object with `url`, `title` and `text`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawLine<'de>, A::Error> {
                let mut line = RawLine::default();
                let mut has_links = false;
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    let is_repeated = match &*key {
                        "url" => line.url.replace(map.next_value::<Text<'de>>()?.0).is_some(),
                        "title" => replaced(&mut line.title, map.next_value::<Option<Text<'de>>>()?),
                        "text" => line.text.replace(map.next_value::<Text<'de>>()?.0).is_some(),
                        "links" => {
                            line.links = map.next_value::<Option<Vec<Value>>>()?.unwrap_or_default();
                            std::mem::replace(&mut has_links, true)
                        }
                        other => line.metadata.insert(other.to_owned(), map.next_value()?).is_some(),
                    };
                    if is_repeated {
                        return Err(de::Error::custom(format_args!("field `{key}` is there twice")));
                    }
                }
                Ok(line)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

fn replaced<'a>(field: &mut Option<Cow<'a, str>>, value: Option<Text<'a>>) -> bool {
    value.is_some_and(|Text(value)| field.replace(value).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_its_fields_and_keeps_the_others() {
        let line = Line::parse(
            br#"{"id":7,"url":"https://E.org/a","title":null,"text":"a\nb","links":["/x",{"url":"y","text":"Y","rel":"n"}],"lang":"en"}"#,
        )
        .expect("usable line");
        assert_eq!((line.url.as_str(), &*line.title, &*line.text), ("https://e.org/a", "", "a\nb"));
        assert_eq!(line.rest.links[0], Link { url: "/x".into(), text: None });
        assert_eq!(line.rest.links[1], Link { url: "y".into(), text: Some("Y".into()) });
        assert_eq!(line.rest.metadata.keys().collect::<Vec<_>>(), ["id", "lang"]);
    }

    #[test]
    fn an_unusable_line_says_why() {
        for (line, part) in [
            (r#"{"text":"t"}"#, "`url` is missing"),
            (r#"{"url":"https://e.org"}"#, "`text` is missing"),
            (r#"{"url":"https://e.org","text":" \n"}"#, "`text` is empty"),
            (r#"{"url":"e.org","text":"t"}"#, "url is not absolute"),
            (r#"{"url":"https://e.org","text":1}"#, "invalid type: integer"),
            (r#"{"url":"https://e.org","text":"a","text":"b"}"#, "`text` is there twice"),
            (r#"{"url":"https://e.org","text":"a","links":[3]}"#, "`links[0]` is neither"),
            (r#"{"url":"https://e.org","text":"a""#, "EOF while parsing an object (column 33)"),
            (r#"["url"]"#, "a JSON object with"),
        ] {
            let reason = Line::parse(line.as_bytes()).err().expect("unusable line");
            assert!(reason.contains(part), "{line}: {reason}");
        }
        assert!(Line::parse(b"{\"url\":\"https://e.org\",\"text\":\"\xff\"}").is_err());
    }

    #[test]
    fn every_part_of_a_document_shows_in_its_mark() {
        let marks = |line: &str| Line::parse(line.as_bytes()).expect("usable line").marks();
        let base = marks(r#"{"url":"https://e.org/","title":"T","text":"t"}"#);
        assert_eq!(base, marks(r#" {"text":"\u0074","title":"T","url":"HTTPS://e.org"}"#), "writing does not matter");
        for changed in [
            r#"{"url":"https://e.org/b","title":"T","text":"t"}"#,
            r#"{"url":"https://e.org/","title":"U","text":"t"}"#,
            r#"{"url":"https://e.org/","title":"T","text":"u"}"#,
            r#"{"url":"https://e.org/","title":"T","text":"t","links":["x"]}"#,
            r#"{"url":"https://e.org/","title":"T","text":"t","n":1}"#,
        ] {
            assert_ne!(base.content, marks(changed).content, "{changed}");
        }
    }
}
