//! Citation markers as models write them, and what they name.
//!
//! `【…】` is also a bracket of ordinary Chinese and Japanese; what does not begin with a number is no marker. A number copied from a link,
//! `【3†Title†domain】`, is no cursor: it is a marker that names nothing.

/// A longer marker is none, in bytes.
const MARKER_BYTES_MAX: usize = 200;

/// What a marker, or a part of it, names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cited {
    /// None if that is not to be made out.
    pub(super) cursor: Option<u32>,
    pub(super) lines: Option<(u32, u32)>,
}

/// The markers of `answer`, brackets included, in order. In square brackets there must be a dagger.
pub(super) fn markers(answer: &str) -> Vec<&str> {
    let mut markers = Vec::new();
    let mut rest = answer;
    while let Some(start) = rest.find(['【', '[']) {
        let open = rest.get(start..).unwrap_or("");
        let (opening, closing) = if open.starts_with('【') { ('【', '】') } else { ('[', ']') };
        let inner = open.get(opening.len_utf8()..).unwrap_or("");
        let end = inner.find(['【', '】', '[', ']', '\n']).filter(|end| *end <= MARKER_BYTES_MAX);
        let content = end
            .and_then(|end| inner.get(..end))
            .filter(|_| end.is_some_and(|end| inner.get(end..).is_some_and(|e| e.starts_with(closing))));
        if let Some(content) = content.filter(|content| is_marker(content, closing)) {
            let bytes = opening.len_utf8() + content.len() + closing.len_utf8();
            markers.extend(open.get(..bytes));
        }
        rest = inner;
    }
    markers
}

fn is_marker(content: &str, closing: char) -> bool {
    let Some((_, after)) = cursor(content) else { return false };
    let has_dagger = content.contains('†');
    let is_separated = after.is_empty() || after.starts_with(['†', ':', ',', ';', ' ', '#', 'L', 'l']);
    is_separated && (has_dagger || closing == '】')
}

/// What a marker names, part by part.
pub(super) fn read(marker: &str) -> Vec<Cited> {
    let content = marker.trim_start_matches(['【', '[']).trim_end_matches(['】', ']']);
    let mut cited: Vec<Cited> = Vec::new();
    for part in content.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()) {
        let further = cited.last().copied().and_then(|last| further_lines(last, part));
        cited.push(further.unwrap_or_else(|| whole(part)));
    }
    // `3, L9` is one citation.
    if let [Cited { cursor, lines: None }, Cited { cursor: again, lines: Some(_) }, ..] = cited.as_slice()
        && cursor == again
    {
        cited.remove(0);
    }
    cited
}

/// `L15` after `3†L9-L11`: more lines of the same page. A bare number is one only behind lines, else another cursor.
fn further_lines(last: Cited, part: &str) -> Option<Cited> {
    let is_marked = part.starts_with(['L', 'l']) || last.lines.is_some();
    (is_marked && !part.contains('†')).then(|| lines(part))?.map(|lines| Cited { lines: Some(lines), ..last })
}

/// A part that begins with a cursor.
fn whole(part: &str) -> Cited {
    let nothing = Cited { cursor: None, lines: None };
    let Some((cursor, after)) = cursor(part) else { return nothing };
    let after = after.trim_start_matches([':', '#', ' ']);
    let named = after.strip_prefix('†').unwrap_or(after).split('†').next().unwrap_or("").trim();
    match lines(named) {
        Some(lines) => Cited { cursor: Some(cursor), lines: Some(lines) },
        None if matches!(named, "" | "source") => Cited { cursor: Some(cursor), lines: None },
        None => nothing,
    }
}

/// `3`, `cursor 3` or `page 3`, and what follows.
fn cursor(text: &str) -> Option<(u32, &str)> {
    let text = text.trim_start();
    let text = text.strip_prefix("cursor").or_else(|| text.strip_prefix("page")).unwrap_or(text);
    let (number, after) = number(text.trim_start())?;
    Some((number, after.trim_start_matches(' ')))
}

/// `L9`, `L9-L11`, `L9–11`, `lines 9-11`, `9`; the smaller first.
fn lines(text: &str) -> Option<(u32, u32)> {
    let text = text.trim();
    let text = text.strip_prefix("lines").or_else(|| text.strip_prefix("line")).unwrap_or(text);
    let (first, after) = line(text)?;
    let after = after.trim_start();
    if after.is_empty() {
        return Some((first, first));
    }
    let (last, after) = line(after.strip_prefix(['-', '–', '—', '‑', '~', '−'])?)?;
    after.trim().is_empty().then_some((first.min(last), first.max(last)))
}

fn line(text: &str) -> Option<(u32, &str)> {
    let text = text.trim_start();
    number(text.strip_prefix(['L', 'l']).unwrap_or(text))
}

fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text.get(..digits)?.parse().ok()?, text.get(digits..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cited(cursor: u32, lines: Option<(u32, u32)>) -> Cited {
        Cited { cursor: Some(cursor), lines }
    }

    #[test]
    fn careful_and_careless_markers_are_read() {
        for (marker, expected) in [
            ("【3†L9-L11】", vec![cited(3, Some((9, 11)))]),
            ("【3†L9】", vec![cited(3, Some((9, 9)))]),
            ("【3】", vec![cited(3, None)]),
            ("【3†source】", vec![cited(3, None)]),
            ("【 3 † L9 – L11 】", vec![cited(3, Some((9, 11)))]),
            ("【3†L11-9】", vec![cited(3, Some((9, 11)))]),
            ("【cursor 3†lines 9-11】", vec![cited(3, Some((9, 11)))]),
            ("【3†9-11】", vec![cited(3, Some((9, 11)))]),
            ("【3:L9】", vec![cited(3, Some((9, 9)))]),
            ("【3 L9】", vec![cited(3, Some((9, 9)))]),
            ("【3, L9】", vec![cited(3, Some((9, 9)))]),
            ("[3†L9-L11]", vec![cited(3, Some((9, 11)))]),
            ("【3†L9-L11†e.org】", vec![cited(3, Some((9, 11)))]),
            ("【3†L9-L11, L15】", vec![cited(3, Some((9, 11))), cited(3, Some((15, 15)))]),
            ("【3†L9; 4†L2】", vec![cited(3, Some((9, 9))), cited(4, Some((2, 2)))]),
            ("【3, 5】", vec![cited(3, None), cited(5, None)]),
            ("【3†Black Death†e.org】", vec![Cited { cursor: None, lines: None }]),
            ("【99999999999†L1】", vec![Cited { cursor: None, lines: None }]),
        ] {
            assert_eq!(read(marker), expected, "{marker}");
        }
    }

    #[test]
    fn markers_are_told_from_other_brackets() {
        let answer = "One【3†L9】 two [4†L1-L2], three [5] and 【注】 four 【2024年】 [x](y) 【6】【7†L1\n】 【8†L1】.";
        assert_eq!(markers(answer), ["【3†L9】", "[4†L1-L2]", "【6】", "【8†L1】"]);
        assert_eq!(markers(&format!("【3†{}】【4】", "x".repeat(300))), ["【4】"]);
    }

    proptest! {
        #[test]
        fn whatever_was_found_is_part_of_the_answer_and_names_something(answer in "(【|】|\\[|\\]|†|L|[0-9]{1,3}|-|,|;| |a|東){0,60}") {
            for marker in markers(&answer) {
                prop_assert!(answer.contains(marker));
                prop_assert!(!read(marker).is_empty());
            }
        }
    }
}
