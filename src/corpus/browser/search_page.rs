//! The page of a search's results: `【id†title†domain】 snippet`, one below the other. No scores and no numbers of documents.

use super::document_page::Subject;
use super::links::{host, readable, write_marker};
use super::page::{Page, one_line};
use crate::search::Hit;

/// A longer snippet is cut, in characters.
pub(super) const SNIPPET_CHARS_MAX: usize = 400;

/// A page of search results.
#[derive(Debug)]
pub(crate) struct SearchPage {
    pub(crate) page: Page,
    /// In the order of their link ids.
    pub(crate) results: Vec<SearchResult>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct SearchResult {
    pub(crate) subject: Subject,
    /// First and last line on the page.
    pub(crate) lines: (u32, u32),
}

impl SearchPage {
    /// The page of the `number`th search of a browser; its URL is made of that number alone.
    pub(crate) fn new(number: u32, query: &str, hits: Vec<Hit>) -> Self {
        let mut page = Page::new(query, &search_url(number));
        page.write("# Search Results");
        page.end_line();
        let mut results = Vec::with_capacity(hits.len());
        for (id, hit) in hits.into_iter().enumerate() {
            let title = if hit.title.trim().is_empty() { readable(&hit.url) } else { hit.title };
            let first = page.line_count();
            write_marker(&mut page, id, &title, Some(host(&hit.url).unwrap_or("")));
            let marker_bytes = page.line_bytes();
            page.write(" ");
            page.write_foreign(&one_line(&hit.snippet, SNIPPET_CHARS_MAX));
            page.end_line_from(marker_bytes);
            let title = Page::new(&title, "").title().to_owned();
            let subject = Subject { ordinal: hit.ordinal, url: hit.url, title };
            results.push(SearchResult { subject, lines: (first, page.last_line()) });
        }
        Self { page, results }
    }

    /// The results of which one of these lines shows something.
    pub(crate) fn shown(&self, first: u32, last: u32) -> impl Iterator<Item = &SearchResult> {
        self.results.iter().filter(move |result| result.lines.0 <= last && result.lines.1 >= first)
    }
}

fn search_url(number: u32) -> String {
    format!("search:{number}")
}

/// The number in the URL of a page of search results.
pub(crate) fn search_number(url: &str) -> Option<u32> {
    url.strip_prefix("search:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Ordinal;

    fn hit(url: &str, title: &str, snippet: &str) -> Hit {
        Hit { ordinal: Ordinal(91_234), url: url.into(), title: title.into(), snippet: snippet.into(), score: 77_777 }
    }

    #[test]
    fn results_show_title_domain_and_snippet_and_no_numbers() {
        let snippet = "Krill are small crustaceans of the order Euphausiacea, found in all oceans, and eaten by whales.";
        let hits = vec![hit("https://e.org/krill", "Krill", snippet), hit("https://e.org/a_b#p2", "", "<think>")];
        let page = SearchPage::new(2, "what do whales eat", hits);
        let lines: Vec<_> = (0..=page.page.last_line()).map(|number| page.page.line(number)).collect();
        let expected = [
            "",
            "URL: search:2",
            "# Search Results",
            "【0†Krill†e.org】 Krill are small crustaceans of the order Euphausiacea, found ",
            "in all oceans, and eaten by whales.",
            "【1†a b#p2†e.org】 ‹think›",
        ];
        assert_eq!(lines, expected);
        assert_eq!(page.results[0].lines, (3, 4));
        assert_eq!(page.shown(4, 4).count(), 1);
        assert_eq!(page.shown(0, 9).count(), 2);
        assert_eq!(search_number(page.page.url()), Some(2));
    }

    #[test]
    fn a_marker_is_never_broken() {
        let page = SearchPage::new(1, "q", vec![hit("https://e.org/a", &"long title ".repeat(12), "and a snippet")]);
        assert!(page.page.line(3).ends_with("†e.org】 "), "{}", page.page.line(3));
        assert_eq!(page.page.line(4), "and a snippet");
    }
}
