//! Elements of XML that are calls and their parameters: `<function=…>`, `<invoke name="…">`, and the same with a prefix between bars.

use memchr::{memchr, memchr3};

use super::tokens::bar;
use super::{Kind, Mark};

/// What stands between the bars of a prefix (DeepSeek V3.2).
const PREFIX: &[u8; 4] = b"DSML";
/// Longest tag, in bytes: longer ones are text.
const TAG_BYTES_MAX: usize = 192;
/// Most bars and spaces before the prefix, and behind it.
const BARS_MAX: usize = 6;
/// Within how many bytes the prefix begins.
const BARS_BYTES_MAX: usize = 16;

/// `<function=name>`, `<function name="name">` and the like, where `rest` begins with `<` and perhaps this element. Models leave out the
/// `>` before JSON; the mark ends without it there.
#[inline]
pub(super) fn open(start: usize, rest: &[u8], element: &str) -> Option<Mark> {
    let tag = rest.get(1..)?.strip_prefix(element.as_bytes())?;
    if !(tag.starts_with(b"=") && element != "invoke" || tag.starts_with(b" name=")) {
        return None;
    }
    let near = tag.get(..TAG_BYTES_MAX).unwrap_or(tag);
    let end = memchr3(b'>', b'<', b'\n', near);
    let name_at = start + 1 + element.len();
    if element == "parameter" {
        return closed_at(end, near).map(|end| Mark::new(Kind::ParameterOpen, start, name_at + end + 1));
    }
    match memchr(b'{', near.get(..end.unwrap_or(near.len()))?) {
        Some(brace) => (brace > 1).then(|| Mark::new(Kind::FunctionOpen, start, name_at + brace)),
        None => closed_at(end, near).map(|end| Mark::new(Kind::FunctionOpen, start, name_at + end + 1)),
    }
}

/// The end of a tag, if it is its `>`.
fn closed_at(end: Option<usize>, tag: &[u8]) -> Option<usize> {
    end.filter(|end| tag.get(*end) == Some(&b'>'))
}

/// `<｜DSML｜invoke name="…">`, `</｜DSML｜parameter>` and the like (DeepSeek V3.2). Servers and relays double the bars, make them plain and
/// put spaces about them.
pub(super) fn prefixed(start: usize, rest: &[u8]) -> Option<Mark> {
    let closes = rest.get(1) == Some(&b'/');
    let usual = if closes { "</｜DSML｜" } else { "<｜DSML｜" };
    let element_at = if rest.starts_with(usual.as_bytes()) { usual.len() } else { behind_prefix(rest, 1 + usize::from(closes))? };
    let tag = rest.get(element_at..)?;
    let len = closed_at(memchr3(b'>', b'<', b'\n', tag.get(..TAG_BYTES_MAX).unwrap_or(tag)), tag)?;
    let kind = match (tag.get(..len)?.split(|byte| *byte == b' ').next()?, closes) {
        (b"invoke", false) => Kind::FunctionOpen,
        (b"invoke", true) => Kind::FunctionClose,
        (b"parameter", false) => Kind::ParameterOpen,
        (b"parameter", true) => Kind::ParameterClose,
        (_, false) => Kind::SectionOpen,
        (_, true) => Kind::SectionClose,
    };
    Some(Mark::new(kind, start, start + element_at + len + 1))
}

/// Where a prefix ends that begins at `at`, bars and spaces about it included.
fn behind_prefix(rest: &[u8], at: usize) -> Option<usize> {
    let near = rest.get(..BARS_BYTES_MAX).unwrap_or(rest);
    // Without branches, so that all are compared at once: of hostile text no more is looked at.
    if !near.iter().fold(false, |any, byte| any | (*byte == PREFIX[0])) {
        return None;
    }
    let prefix_at = behind_bars(rest, at)?;
    if !rest.get(prefix_at..)?.starts_with(PREFIX) {
        return None;
    }
    behind_bars(rest, prefix_at + PREFIX.len())
}

/// Where the bars and spaces end that begin at `at`, if there is a bar among them.
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

/// The name in the tag of a function or parameter, which is given without its brackets.
pub(super) fn name(tag: &str) -> &str {
    let name = attribute(tag, "name").unwrap_or_else(|| {
        let name = tag.split_once('=').unwrap_or_default().1;
        name.strip_prefix("parameter=").unwrap_or(name)
    });
    name.trim().trim_matches(['"', '\'', '=']).trim()
}

/// The value of an attribute, in quotes or as a word.
pub(super) fn attribute<'a>(tag: &'a str, key: &str) -> Option<&'a str> {
    let (at, _) = tag.match_indices(key).find(|(at, _)| {
        let is_parted = tag.get(..*at).is_some_and(|before| before.ends_with([' ', '=']));
        is_parted && tag.get(at + key.len()..).is_some_and(|behind| behind.starts_with('='))
    })?;
    let value = tag.get(at + key.len() + 1..)?;
    match value.chars().next()? {
        quote @ ('"' | '\'') => value.get(1..)?.split(quote).next(),
        _ => value.split(' ').next(),
    }
}
