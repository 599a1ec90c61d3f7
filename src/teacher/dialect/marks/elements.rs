//! Elements that are calls and their parameters: `<function=…>`, and DeepSeek's with a prefix between bars, `<｜DSML｜invoke name="…">`.

use memchr::memchr3;

use super::tokens::bar;
use super::{Kind, Mark};

/// What stands between the bars of a prefix (DeepSeek V3.2).
pub(super) const PREFIX: [u8; 4] = *b"DSML";
/// Longest tag, in bytes: longer ones are text.
const TAG_BYTES_MAX: usize = 192;
/// Most bars and spaces before the prefix, and behind it.
const BARS_MAX: usize = 6;

/// `<parameter=name>`.
pub(super) fn parameter(start: usize, rest: &[u8]) -> Option<Mark> {
    let tag = rest.strip_prefix(b"<parameter=")?;
    let end = closed_at(tag)?;
    Some(Mark::new(Kind::ParameterOpen, start, start + rest.len() - tag.len() + end + 1))
}

/// `<function=name>`. Models that write JSON behind it leave out the `>` (`<function=search{"query": …}`): the mark ends before the JSON.
pub(super) fn function(start: usize, rest: &[u8]) -> Option<Mark> {
    let tag = rest.strip_prefix(b"<function=")?;
    let tag_at = start + rest.len() - tag.len();
    let near = tag.get(..TAG_BYTES_MAX).unwrap_or(tag);
    let first = memchr3(b'>', b'<', b'{', near)?;
    if near.get(first) == Some(&b'{') {
        let name = std::str::from_utf8(near.get(..first)?).ok()?;
        return is_name(bare(name)).then(|| Mark::new(Kind::FunctionOpen, start, tag_at + first));
    }
    Some(Mark::new(Kind::FunctionOpen, start, tag_at + closed_at(tag)? + 1))
}

/// Where the `>` of a tag stands, if nothing stands before it that no tag has.
fn closed_at(tag: &[u8]) -> Option<usize> {
    let near = tag.get(..TAG_BYTES_MAX).unwrap_or(tag);
    memchr3(b'>', b'<', b'\n', near).filter(|end| near.get(*end) == Some(&b'>'))
}

/// `<｜DSML｜invoke name="…">`, `</｜DSML｜parameter>` and the like. Servers and relays double the bars, make them plain and put spaces about
/// them. What encloses all calls has several names.
pub(super) fn prefixed(start: usize, rest: &[u8]) -> Option<Mark> {
    let closes = rest.get(1) == Some(&b'/');
    let prefix_at = behind_bars(rest, 1 + usize::from(closes))?;
    if !rest.get(prefix_at..)?.starts_with(&PREFIX) {
        return None;
    }
    let element_at = behind_bars(rest, prefix_at + PREFIX.len())?;
    let tag = rest.get(element_at..)?;
    let end = closed_at(tag)?;
    let kind = match (tag.get(..end)?.split(|byte| *byte == b' ').next()?, closes) {
        (b"invoke", false) => Kind::FunctionOpen,
        (b"invoke", true) => Kind::FunctionClose,
        (b"parameter", false) => Kind::ParameterOpen,
        (b"parameter", true) => Kind::ParameterClose,
        (_, false) => Kind::SectionOpen,
        (_, true) => Kind::SectionClose,
    };
    Some(Mark::new(kind, start, start + element_at + end + 1))
}

/// Where the bars and spaces end that begin at `at`, if there is a bar among them.
#[inline]
fn behind_bars(rest: &[u8], mut at: usize) -> Option<usize> {
    let mut has_bar = false;
    for _ in 0..BARS_MAX {
        let bytes = rest.get(at..)?;
        at += match bar(bytes) {
            0 if bytes.starts_with(b" ") => 1,
            0 => break,
            bar => {
                has_bar = true;
                bar
            }
        };
    }
    has_bar.then_some(at)
}

/// The name in the tag of a function or parameter.
pub(super) fn name(tag: &str) -> &str {
    match attribute(tag, "name") {
        Some(name) => name.trim(),
        None => bare(tag.trim_end_matches('>').split_once('=').unwrap_or_default().1),
    }
}

/// The name behind `<function=` or `<parameter=` without what models put about it: quotes, another `=`, or its key once more
/// (`<function=name="search"`, `<parameter=parameter=query>`).
fn bare(name: &str) -> &str {
    let name = ["name=", "parameter="].into_iter().find_map(|key| name.strip_prefix(key)).unwrap_or(name);
    name.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '='))
}

/// Whether a tool may have this name.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The value of an attribute in quotes, in a prefixed tag; other tags have none.
pub(super) fn attribute<'a>(tag: &'a str, key: &str) -> Option<&'a str> {
    let attributes = tag.split_once("DSML")?.1;
    attributes.split(' ').find_map(|attribute| attribute.strip_prefix(key)?.strip_prefix("=\"")).and_then(|value| value.split('"').next())
}
