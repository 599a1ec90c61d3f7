//! The citations of an answer, followed to what was shown: `【3†L9-L11】`, `【3†L9】`, `【3】`, and how models write these when they are
//! not careful.
//!
//! A marker names a cursor, and lines as numbered on that cursor's page. Lines of a document count as shown under whatever cursor they were
//! shown. A find's page leads to the document's lines; a page of search results to the result that the lines show. Nothing is guessed: a
//! marker that names no page, or no one document, is unresolved.

mod marker;

use std::collections::HashSet;

use model::{Attribution, Citation};

use crate::browser::{Browser, ShownPage, ShownPart};
use marker::{Cited, markers, read};

/// The citation markers of `answer`, in order and each spelling once, resolved against what `browser` has shown. A marker that names
/// several pages or ranges of lines gives a citation for each. `lines` of a resolved citation are those of the document at `url`.
pub fn resolve_citations(browser: &Browser, answer: &str) -> Vec<Citation> {
    let mut seen = HashSet::new();
    let markers = markers(answer).into_iter().filter(|marker| seen.insert(*marker));
    markers.flat_map(|marker| read(marker).into_iter().map(move |cited| resolve(browser, marker, cited))).collect()
}

fn resolve(browser: &Browser, marker: &str, cited: Cited) -> Citation {
    let unresolved =
        Citation { marker: marker.to_owned(), url: None, title: None, lines: cited.lines, attribution: Attribution::Unresolved };
    let Some(page) = cited.cursor.and_then(|cursor| browser.shown_lines(cursor)) else { return unresolved };
    let Some((part, lines)) = cited_part(&page, cited.lines) else { return unresolved };
    let is_shown = lines.is_none_or(|lines| browser.has_shown(part.ordinal, lines));
    Citation {
        url: Some(part.url.clone()),
        title: Some(part.title.clone()),
        lines,
        attribution: if is_shown { Attribution::Shown } else { Attribution::LinesNotShown },
        ..unresolved
    }
}

/// The document that these lines of a page show, and the lines as numbered in it; a search result shows none.
fn cited_part(page: &ShownPage, lines: Option<(u32, u32)>) -> Option<(&ShownPart, Option<(u32, u32)>)> {
    let first = page.parts.first()?;
    let Some((from, to)) = lines else {
        let is_one_document = page.parts.iter().all(|part| part.ordinal == first.ordinal);
        return is_one_document.then_some((first, None));
    };
    let touched = page.parts.iter().find(|part| part.page_lines.0 <= to && part.page_lines.1 >= from);
    match touched {
        Some(part) => Some((part, part.document_lines.map(|document_lines| in_document((from, to), part.page_lines, document_lines)))),
        // Lines that the page does not have are the document's, which a find's headings name.
        None => first.document_lines.map(|_| (first, Some((from, to)))),
    }
}

/// Cited lines of a page as lines of the document.
fn in_document(cited: (u32, u32), page_lines: (u32, u32), document_lines: (u32, u32)) -> (u32, u32) {
    if page_lines == document_lines {
        return cited;
    }
    // A match: its last lines correspond, and above the first stands a heading.
    let line = |line: u32| (line + document_lines.1).saturating_sub(page_lines.1).clamp(document_lines.0, document_lines.1);
    (line(cited.0), line(cited.1))
}
