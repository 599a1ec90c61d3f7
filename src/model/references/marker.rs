//! Where the markers of a text are: `[3]`, `[1, 2]`, `[1][2]`, `[1-3]`, `［3］`, `【3】`. Code is no text: `a[3]` in it is an index.

use std::ops::Range;

use super::NumberedMarker;

/// A higher number is a year.
const NUMBER_MAX: u32 = 999;
/// A longer range is no range of references.
const RANGE_MAX: u32 = 16;
/// A longer bracket is no marker, in bytes.
const BRACKET_BYTES_MAX: usize = 200;
/// A longer link is none, in bytes.
const TARGET_BYTES_MAX: usize = 2_048;

/// The markers of `text` in order, outside code. Lines of a list of references are no markers: split those off first.
pub fn markers(text: &str) -> Vec<NumberedMarker> {
    let mut found = Vec::new();
    let mut fence: Option<Fence> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        match (fence, Fence::of(line)) {
            (None, None) => markers_of_line(line, start, &mut found),
            (None, opening) => fence = opening.filter(|opening| opening.may_open),
            (Some(opening), Some(closing)) if closing.closes(opening) => fence = None,
            (Some(_), _) => {}
        }
        start += line.len();
    }
    found
}

/// A line that begins or ends a block of code.
#[derive(Clone, Copy)]
struct Fence {
    sign: char,
    length: usize,
    /// A run of backticks with another one behind it is code within a line.
    may_open: bool,
    may_close: bool,
}

impl Fence {
    fn of(line: &str) -> Option<Self> {
        let line = line.trim();
        let sign = line.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
        let behind = line.trim_start_matches(sign);
        let length = line.len() - behind.len();
        let may_open = sign == '~' || !behind.contains('`');
        (length >= 3).then_some(Self { sign, length, may_open, may_close: behind.is_empty() })
    }

    fn closes(self, opening: Self) -> bool {
        self.may_close && self.sign == opening.sign && self.length >= opening.length
    }
}

fn markers_of_line(line: &str, offset: usize, found: &mut Vec<NumberedMarker>) {
    let mut unclosed = [false; 3];
    let mut at = 0;
    while let Some(rest) = line.get(at..)
        && let Some(step) = rest.find(['`', '[', '［', '【'])
    {
        at += step;
        let rest = rest.get(step..).unwrap_or("");
        if rest.starts_with('`') {
            at += code_bytes(rest, &mut unclosed);
        } else if let Some((numbers, bytes)) = bracket(rest) {
            let range = with_link(line, at..at + bytes);
            at = range.end;
            let range = offset + range.start..offset + range.end;
            found.extend(numbers.into_iter().map(|number| NumberedMarker { number, range: range.clone() }));
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
}

/// Length of the code that `rest`, which begins with a backtick, begins with; of the backticks alone when they open none. What was
/// looked for in vain once is not looked for again: that keeps a line of backticks linear.
fn code_bytes(rest: &str, unclosed: &mut [bool; 3]) -> usize {
    let run = |text: &str| text.bytes().take_while(|byte| *byte == b'`').count();
    let opening = run(rest);
    if unclosed.get(opening).is_none_or(|unclosed| *unclosed) {
        return opening;
    }
    let mut at = opening;
    while let Some(step) = rest.get(at..).and_then(|rest| rest.find('`')) {
        at += step;
        let closing = rest.get(at..).map_or(1, run);
        at += closing;
        if closing == opening {
            return at;
        }
    }
    if let Some(unclosed) = unclosed.get_mut(opening) {
        *unclosed = true;
    }
    opening
}

/// The numbers of the bracket that `rest` begins with, and its length.
pub(super) fn bracket(rest: &str) -> Option<(Vec<u32>, usize)> {
    let opening = rest.chars().next()?;
    let closing = match opening {
        '[' => ']',
        '［' => '］',
        '【' => '】',
        _ => return None,
    };
    let inner = rest.get(opening.len_utf8()..)?;
    let bytes = inner.find(|c: char| !(c.is_ascii_digit() || c == ' ' || is_comma(c) || is_dash(c)))?;
    let content = inner.get(..bytes).filter(|content| content.len() <= BRACKET_BYTES_MAX)?;
    if !inner.get(bytes..)?.starts_with(closing) {
        return None;
    }
    let mut numbers = Vec::new();
    for part in content.split(is_comma) {
        match part.split_once(is_dash) {
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                let is_range = first < last && last - first < RANGE_MAX;
                numbers.extend(is_range.then_some(first..=last)?);
            }
            None => numbers.push(number(part)?),
        }
    }
    Some((numbers, opening.len_utf8() + bytes + closing.len_utf8()))
}

/// A number as references have them: no zero in front, so that `[0]` and `[007]` are none.
pub(super) fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|number| is_plain && (1..=NUMBER_MAX).contains(number))
}

fn is_comma(c: char) -> bool {
    matches!(c, ',' | ';' | '，' | '；' | '、')
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '–' | '—' | '‑' | '−' | '~' | '～')
}

/// The bracket at `range` with the link that it may be: `[3](https://…)`, `[[3]](https://…)`.
fn with_link(line: &str, range: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = range;
    let is_within = line.get(..start).is_some_and(|before| before.ends_with('['));
    if is_within && line.get(end..).is_some_and(|after| after.starts_with(']')) {
        (start, end) = (start - 1, end + 1);
    }
    start..end + line.get(end..).and_then(target_bytes).unwrap_or(0)
}

/// Length of the link target that `after` begins with, parentheses included.
fn target_bytes(after: &str) -> Option<usize> {
    let target = after.strip_prefix('(')?;
    if !["https://", "http://", "#"].iter().any(|beginning| target.starts_with(beginning)) {
        return None;
    }
    let mut depth = 0_u32;
    for (at, c) in target.char_indices().take_while(|(at, _)| *at <= TARGET_BYTES_MAX) {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some('('.len_utf8() + at + ')'.len_utf8()),
            ')' => depth -= 1,
            // An opening bracket too: else a line of links that do not end would be read once for each.
            '[' | '<' | '>' | '"' => return None,
            c if c.is_whitespace() => return None,
            _ => {}
        }
    }
    None
}
