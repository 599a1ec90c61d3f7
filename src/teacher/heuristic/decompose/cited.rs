//! Text with numbered citations, read: which statement rests on which numbers, and what the numbers stand for.

use std::collections::BTreeMap;

use model::references::{NumberedMarker, Reference, markers, split_references};

use crate::heuristic::text::sentences;

/// The longest statement, in bytes; of a longer one the sentences next to the marker count.
const STATEMENT_BYTES_MAX: usize = 700;
/// The longest address, in bytes.
pub(super) const URL_BYTES_MAX: usize = 2_000;
/// A statement and the references it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) numbers: Vec<u32>,
}

/// The statements of `text` that have a marker, in order; its list of references has none.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let (text, _) = split_references(text);
    let mut found: Vec<Statement> = Vec::new();
    let mut from = 0;
    for NumberedMarker { number, range } in markers(text) {
        // The numbers of one marker share its range.
        let said = statement(text.get(from..range.start).unwrap_or_default());
        from = range.end;
        match found.last_mut() {
            Some(last) if said.is_empty() => last.numbers.push(number),
            _ if said.is_empty() => {}
            _ => found.push(Statement { text: said, numbers: vec![number] }),
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

/// What the list of references at the end of `text` says, by number: URL and title. Of one number the first counts.
pub(super) fn references(text: &str) -> BTreeMap<u32, Reference> {
    let mut found = BTreeMap::new();
    for reference in split_references(text).1.into_iter().filter(|reference| reference.url.len() <= URL_BYTES_MAX) {
        found.entry(reference.number).or_insert(reference);
    }
    found
}

/// `text` without what looks like a marker: pages have footnotes of their own.
pub(super) fn unmarked(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for NumberedMarker { range, .. } in markers(text) {
        kept.push_str(text.get(from..range.start).unwrap_or_default());
        from = range.end;
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
        let of = |number: u32| read.get(&number).map(|reference| (reference.url.as_str(), reference.title.as_str()));
        assert_eq!(of(1), Some(("https://a.example/x", "Light - a history")));
        assert_eq!(of(2), Some(("https://b.example", "")));
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
