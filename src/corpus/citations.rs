//! The citations of an answer, followed to what was shown: `【3†L9-L11】`, `【3†L9】`, `【3】`, and how models write these when they are
//! not careful.
//!
//! A marker names a cursor, and lines as numbered on that cursor's page. Lines of a document count as shown under whatever cursor they were
//! shown. A find's page leads to the document's lines; a page of search results to the result that the lines show. Nothing is guessed: a
//! marker that names no page, or no one document, is unresolved.

mod marker;
mod numbered;

use std::collections::HashSet;

use model::{Attribution, Citation};

use crate::browser::{Browser, ShownPage, ShownPart};
use marker::{Cited, markers, read};

pub use numbered::resolve_numbered;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing::{TestBrowser, corpus};

    const LIGHT: &str = "https://harbour.example/lights/skarholm";

    type Followed = (Option<String>, Option<(u32, u32)>, Attribution);

    fn followed(browser: &TestBrowser, answer: &str) -> Vec<Followed> {
        browser.cite(answer).into_iter().map(|citation| (citation.url, citation.lines, citation.attribution)).collect()
    }

    #[test]
    fn citations_of_a_document_lead_to_its_lines() {
        let corpus = corpus();
        let mut browser = TestBrowser::new(&corpus);
        browser.show("open", &format!(r#"{{"id": "{LIGHT}", "num_lines": 6}}"#));
        let url = || Some(LIGHT.to_owned());
        let expected = [
            (url(), Some((2, 4)), Attribution::Shown),
            (url(), None, Attribution::Shown),
            (url(), Some((5, 9)), Attribution::LinesNotShown),
            (None, Some((1, 1)), Attribution::Unresolved),
        ];
        let answer = "a【0†L2-L4】 b【0】 c【0†L5-L9】 d【7†L1】 a again【0†L2-L4】";
        assert_eq!(followed(&browser, answer), expected);
        browser.show("open", r#"{"loc": 6, "num_lines": 6}"#);
        assert_eq!(followed(&browser, "c【0†L5-L9】"), [(url(), Some((5, 9)), Attribution::Shown)], "shown under two cursors");
        assert_eq!(browser.cite("【0】").first().and_then(|citation| citation.title.clone()).as_deref(), Some("Skarholm Light"));
    }

    #[test]
    fn citations_of_search_results_lead_to_the_result() {
        let corpus = corpus();
        let mut browser = TestBrowser::new(&corpus);
        let found = browser.show("search", r#"{"query": "Skarholm", "topn": 3}"#);
        let second =
            found.text.lines().find(|line| line.contains("【1†")).and_then(|line| line.split_once(": ")).expect("a second result").0;
        let expected = (found.urls_shown.get(1).cloned(), None, Attribution::Shown);
        assert_eq!(followed(&browser, &format!("【0†{second}】")), [expected]);
        assert_eq!(followed(&browser, "【0】"), [(None, None, Attribution::Unresolved)], "which of the three?");
        assert_eq!(followed(&browser, "【0†L0-L1】"), [(None, Some((0, 1)), Attribution::Unresolved)]);
    }

    #[test]
    fn citations_of_a_find_lead_to_the_lines_of_the_document() {
        let corpus = corpus();
        let mut browser = TestBrowser::new(&corpus);
        browser.show("open", &format!(r#"{{"id": "{LIGHT}", "num_lines": 2}}"#));
        let found = browser.show("find", r#"{"pattern": "fog signal"}"#);
        let document_line: u32 = found
            .text
            .split_once("match at L")
            .and_then(|(_, after)| after.split_once('】'))
            .and_then(|(n, _)| n.parse().ok())
            .expect("a match");
        let url = || Some(LIGHT.to_owned());
        let line = |from: u32, to: u32| Some((document_line + from, document_line + to));
        assert_eq!(followed(&browser, "【1†L3-L4】"), [(url(), line(0, 1), Attribution::Shown)]);
        assert_eq!(followed(&browser, "【1†L2-L3】"), [(url(), line(0, 0), Attribution::Shown)], "with the heading");
        let named = format!("【1†L{document_line}】");
        assert_eq!(followed(&browser, &named), [(url(), line(0, 0), Attribution::Shown)], "as the heading names it");
        assert_eq!(followed(&browser, "【1】"), [(url(), None, Attribution::Shown)]);
    }
}
