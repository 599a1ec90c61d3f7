//! The lines of a list of references, in the ways in which models write them.

use super::Reference;
use super::marker::{bracket, number};

/// What a list of references is called; a heading says nothing else.
const NAMES: [&str; 22] = [
    "references",
    "reference",
    "reference list",
    "list of references",
    "references and sources",
    "sources",
    "sources cited",
    "source list",
    "works cited",
    "bibliography",
    "citations",
    "参考文献",
    "参考资料",
    "参考来源",
    "引用",
    "引用来源",
    "资料来源",
    "信息来源",
    "來源",
    "来源",
    "參考文獻",
    "參考資料",
];
/// A longer line is no heading of a list, in bytes.
const HEADING_BYTES_MAX: usize = 100;
/// The longest scheme of a URL, in bytes.
const SCHEME_BYTES_MAX: usize = 16;

/// Whether `line` is the heading of a list of references: with or without `#`, asterisks, a number before it or a colon behind it.
pub(super) fn is_heading(line: &str) -> bool {
    let line = line.trim();
    if line.len() > HEADING_BYTES_MAX {
        return false;
    }
    let is_edge = |c: char| is_mark(c) || c == '_';
    let is_numbering = |c: char| c.is_ascii_digit() || is_edge(c) || matches!(c, '.' | '、' | ')') || "一二三四五六七八九十".contains(c);
    let name = line.trim_start_matches('#').trim_start_matches(is_numbering);
    let name = name.trim_end_matches(|c| is_edge(c) || matches!(c, '#' | ':' | '：'));
    NAMES.contains(&name.to_lowercase().as_str())
}

/// The rank of a heading written with `#`; 0 for any other line.
pub(super) fn level(line: &str) -> usize {
    let line = line.trim_start();
    let behind = line.trim_start_matches('#');
    if behind.starts_with([' ', '\t']) { line.len() - behind.len() } else { 0 }
}

/// Whether `line` is a reference. Where no heading says so, it has a number, and its URL is not in the middle of a sentence.
pub(super) fn is_reference(line: &str, is_strict: bool) -> bool {
    let (number, rest) = numbered(line);
    let Some(found) = Found::in_text(rest) else { return false };
    !is_strict || (number.is_some() && (found.before.is_empty() || found.after.is_empty()))
}

/// Whether `line` begins with a number, as the lines of a list do.
pub(super) fn is_numbered(line: &str) -> bool {
    numbered(line).0.is_some()
}

/// The references that `lines` are.
pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Reference> {
    let mut references: Vec<Reference> = Vec::new();
    // The number and title of a line whose URL is on the next one.
    let mut begun: Option<(u32, String)> = None;
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let (number, rest) = numbered(line);
        let Some(Found { url, before, after }) = Found::in_text(rest) else {
            begun = number.map(|number| (number, title_before(rest).to_owned()));
            continue;
        };
        let title = if before.is_empty() { after } else { before };
        let above = begun.take().filter(|_| number.is_none());
        let place = u32::try_from(references.len() + 1).unwrap_or(u32::MAX);
        let number = number.or(above.as_ref().map(|(number, _)| *number)).unwrap_or(place);
        let title = if title.is_empty() { above.map(|(_, title)| title).unwrap_or_default() } else { title.to_owned() };
        references.push(Reference { number, url: url.to_owned(), title });
    }
    references
}

/// The number that a line of a list begins with, and what is behind it.
fn numbered(line: &str) -> (Option<u32>, &str) {
    let line = line.trim();
    let line = line.strip_prefix(['-', '*', '+', '•', '·']).filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(line);
    let line = line.trim_start_matches([' ', '\t', '*']);
    let is_stop = |c: char| c.is_whitespace() || matches!(c, '.' | ':' | '：' | '．' | '*' | '-' | '–' | '—');
    if let Some((numbers, bytes)) = bracket(line)
        && let [number] = numbers.as_slice()
    {
        return (Some(*number), line.get(bytes..).unwrap_or("").trim_start_matches(is_stop));
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let behind = line.get(digits..).unwrap_or("");
    let rest = behind.strip_prefix(['.', ')', '、', '．']).filter(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
    match (line.get(..digits).and_then(number), rest) {
        (Some(number), Some(rest)) => (Some(number), rest.trim_start_matches(is_stop)),
        _ => (None, line),
    }
}

/// The URL of a reference, and the words on its sides.
struct Found<'a> {
    url: &'a str,
    before: &'a str,
    after: &'a str,
}

impl<'a> Found<'a> {
    fn in_text(text: &'a str) -> Option<Self> {
        if let Some((label, target)) = text.split_once("](")
            && url_start(target) == Some(0)
        {
            let (url, after) = target.split_at_checked(url_end(target))?;
            let title = label.split_once('[').map_or(label, |(_, label)| label);
            let before = if url_start(title).is_some() { "" } else { title_before(title) };
            return Some(Self { url, before, after: title_after(after) });
        }
        let start = url_start(text)?;
        let (before, rest) = text.split_at_checked(start)?;
        let (url, after) = rest.split_at_checked(url_end(rest))?;
        let before = title_before(before);
        // At the end of a sentence the full stop is the sentence's; `https://e.org/Acme_Inc. - Acme` is complete as it is.
        let url = if after.trim().is_empty() && !before.is_empty() { url.trim_end_matches(is_sentence_mark) } else { url };
        Some(Self { url, before, after: title_after(after) })
    }
}

/// Where the first URL begins: its scheme, or `www.`.
fn url_start(text: &str) -> Option<usize> {
    let with_scheme = text.match_indices("://").find_map(|(at, _)| {
        let scheme = text.as_bytes().get(at.saturating_sub(SCHEME_BYTES_MAX)..at)?;
        let length = scheme.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let is_scheme = scheme.get(scheme.len() - length).is_some_and(u8::is_ascii_alphabetic);
        is_scheme.then_some(at - length)
    });
    let is_beginning = |at: usize| !text.get(..at).is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric() || c == '.'));
    with_scheme.or_else(|| text.match_indices("www.").map(|(at, _)| at).find(|at| is_beginning(*at)))
}

/// Where the URL that `text` begins with ends: before what no URL holds, and before a bracket that it did not open.
fn url_end(text: &str) -> usize {
    let (mut round, mut square) = (0_u32, 0_u32);
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        let is_part = match c {
            '(' => round.checked_add(1).map(|depth| round = depth).is_some(),
            '[' => square.checked_add(1).map(|depth| square = depth).is_some(),
            ')' => round.checked_sub(1).map(|depth| round = depth).is_some(),
            ']' => square.checked_sub(1).map(|depth| square = depth).is_some(),
            '<' | '>' | '"' | '`' | '|' | '，' | '。' | '；' | '、' | '（' | '）' | '【' | '】' | '」' | '》' => false,
            c => !c.is_whitespace(),
        };
        if !is_part {
            end = at;
            break;
        }
    }
    // What encloses or follows it: no URL ends with these.
    text.get(..end).map_or(end, |url| url.trim_end_matches(['*', ',', ';', ':']).len())
}

fn is_sentence_mark(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '\'')
}

/// What stands before a URL, without what is between the two.
fn title_before(text: &str) -> &str {
    let text = text.trim_start_matches(is_mark);
    bare(text.trim_end_matches(|c| is_separator(c) || matches!(c, '(' | '[' | '（' | '<')))
}

/// What stands behind a URL, without what is between the two.
fn title_after(text: &str) -> &str {
    let text = text.trim_end_matches(is_mark);
    bare(text.trim_start_matches(|c| is_separator(c) || matches!(c, ')' | ']' | '）' | '>' | '.' | '。')))
}

/// `title` without quotation marks or brackets that enclose all of it.
fn bare(title: &str) -> &str {
    for (opening, closing) in [('"', '"'), ('“', '”'), ('[', ']')] {
        let inner = title.strip_prefix(opening).and_then(|inner| inner.strip_suffix(closing));
        if let Some(inner) = inner.filter(|inner| !inner.contains([opening, closing])) {
            return inner.trim();
        }
    }
    title
}

fn is_mark(c: char) -> bool {
    c.is_whitespace() || c == '*'
}

fn is_separator(c: char) -> bool {
    is_mark(c) || matches!(c, '-' | '–' | '—' | ':' | '：' | '|' | ',' | '，' | ';')
}
