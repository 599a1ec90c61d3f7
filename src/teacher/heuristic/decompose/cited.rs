//! Text with numbered citations, read: which statement rests on which numbers, and what the numbers stand for.

use std::collections::BTreeMap;

use crate::heuristic::text::sentences;

/// The longest marker that is read, in bytes: `[12, 13, 14]`.
const MARKER_BYTES_MAX: usize = 40;
/// The longest statement, in bytes; of a longer one the sentences next to the marker count.
const STATEMENT_BYTES_MAX: usize = 700;
/// Numbers above this are no references but years.
const NUMBER_MAX: u32 = 999;
/// The longest address, in bytes.
pub(super) const URL_BYTES_MAX: usize = 2_000;
/// Headings of a list of references.
const LISTS: [&str; 5] = ["references", "sources", "参考文献", "参考资料", "文献"];

/// A statement and the references it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) numbers: Vec<u32>,
}

/// The numbers of the marker whose bracket stands at `open`, and where it ends.
pub(super) fn marker_at(text: &str, open: usize) -> Option<(Vec<u32>, usize)> {
    let inside = text.get(open..)?.strip_prefix('[')?;
    let close = inside.bytes().take(MARKER_BYTES_MAX).position(|byte| byte == b']')?;
    let read = |number: &str| number.trim().parse().ok().filter(|number| (1..=NUMBER_MAX).contains(number));
    let numbers: Option<Vec<u32>> = inside.get(..close)?.split(',').map(read).collect();
    Some((numbers?, open + close + 2))
}

/// The statements of `text` that have a marker, in order; its list of references has none.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let text = without_list(text);
    let mut found: Vec<Statement> = Vec::new();
    let mut from = 0;
    for (open, _) in text.match_indices('[') {
        let Some((numbers, end)) = marker_at(text, open).filter(|_| open >= from) else { continue };
        let said = statement(text.get(from..open).unwrap_or_default());
        from = end;
        match found.last_mut() {
            Some(last) if said.is_empty() => last.numbers.extend(numbers),
            _ if said.is_empty() => {}
            _ => found.push(Statement { text: said, numbers }),
        }
    }
    found
}

/// What stands before a marker, on one line: without headings, without the mark that closed the statement before it, and not too long.
fn statement(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let bare = lines.map(|line| ["- ", "* ", "• "].iter().find_map(|sign| line.strip_prefix(sign)).unwrap_or(line));
    let joined = bare.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let said = joined.trim_start_matches(['.', '。', ',', '，', ';', '；', ' ']).trim_end();
    if said.len() <= STATEMENT_BYTES_MAX {
        return said.to_owned();
    }
    let mut ranges = Vec::new();
    sentences(said, 0..said.len(), &mut ranges);
    let from = ranges.iter().map(|range| range.start).find(|start| said.len() - start <= STATEMENT_BYTES_MAX);
    let last = ranges.last().map_or(0, |range| range.start);
    said.get(from.unwrap_or(last)..).unwrap_or_default().to_owned()
}

/// `text` up to the heading of its list of references.
pub(super) fn without_list(text: &str) -> &str {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let heading = line.trim().trim_matches(['#', '*', ':', '：', ' ']).to_lowercase();
        if LISTS.contains(&heading.as_str()) {
            return text.get(..at).unwrap_or(text);
        }
        at += line.len();
    }
    text
}

/// What the lines `[3]. URL - Title` of `text` say, by number: URL and title.
pub(super) fn references(text: &str) -> BTreeMap<u32, (&str, &str)> {
    let mut found = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        let Some((numbers, end)) = marker_at(line, 0) else { continue };
        let rest = line.get(end..).unwrap_or_default().trim_start_matches(['.', ':', ' ']);
        let (url, title) = rest.split_once(" - ").unwrap_or((rest, ""));
        if let ([number], true) = (numbers.as_slice(), url.contains("://") && url.len() <= URL_BYTES_MAX) {
            found.entry(*number).or_insert((url.trim(), title.trim()));
        }
    }
    found
}

/// `text` without what looks like a marker: pages have footnotes of their own.
pub(super) fn unmarked(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for (open, _) in text.match_indices('[') {
        let Some((_, end)) = marker_at(text, open).filter(|_| open >= from) else { continue };
        kept.push_str(text.get(from..open).unwrap_or_default());
        from = end;
    }
    kept.push_str(text.get(from..).unwrap_or_default());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_keeps_its_numbers() {
        let text =
            "## Tower\n- It was lit in 1821 [1]. It has [sic] nine floors. [2] [3, 4] Uncited.\n\nReferences\n[1]. https://a.example - A";
        let expected = [("It was lit in 1821", vec![1]), ("It has [sic] nine floors.", vec![2, 3, 4])];
        let found: Vec<(String, Vec<u32>)> = statements(text).into_iter().map(|found| (found.text, found.numbers)).collect();
        assert_eq!(found, expected.map(|(text, numbers)| (text.to_owned(), numbers)));
        assert!(statements("[1] alone, in [1821] nothing").is_empty());
    }

    #[test]
    fn a_list_is_read_line_by_line() {
        let list =
            "参考文献\n[1]. https://a.example/x - Light - a history\n[2]: https://b.example\n[3]. no address\n[1]. https://c.example - C";
        let read = references(list);
        assert_eq!(read.get(&1), Some(&("https://a.example/x", "Light - a history")));
        assert_eq!(read.get(&2), Some(&("https://b.example", "")));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn footnotes_of_a_page_are_no_markers_of_ours() {
        assert_eq!(unmarked("Lit in 1821.[12] Built [in 1820] by Roe [3]."), "Lit in 1821. Built [in 1820] by Roe .");
    }

    #[test]
    fn a_long_statement_is_cut_to_the_sentences_before_its_marker() {
        let text = format!("{} It was lit in 1821. [1]", "The keeper wrote a line every day. ".repeat(60));
        let statement = statements(&text).remove(0).text;
        assert!(statement.len() <= STATEMENT_BYTES_MAX && statement.ends_with("day.  It was lit in 1821."), "{statement}");
    }
}
