//! What the web tools show, read: pages of search results, and crawled pages.
//!
//! A page's own text can look like a heading of ours. Results and pages therefore count only in their order, and pages only where they were
//! asked for, so that a page cannot bring in an address that no tool has shown.

use std::ops::Range;

use model::Action;
use serde_json::Value;

/// A search result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::heuristic) struct Hit<'a> {
    pub(in crate::heuristic) title: &'a str,
    pub(in crate::heuristic) url: &'a str,
    pub(in crate::heuristic) snippet: &'a str,
    /// Its place in its list, from 0.
    pub(in crate::heuristic) rank: usize,
}

/// A crawled page, or an extract of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::heuristic) struct WebPage<'a> {
    pub(in crate::heuristic) url: &'a str,
    /// Empty where the tool told none.
    pub(in crate::heuristic) title: &'a str,
    pub(in crate::heuristic) text: &'a str,
}

/// How a page of search results begins.
const SUMMARY: &str = "# Search Summary";

/// Whether a text without any frame is what a web tool shows.
pub(in crate::heuristic) fn is_observation(text: &str) -> bool {
    text.starts_with(SUMMARY) || page_header(text, 1).is_some()
}

/// The queries or addresses of a call of a web tool, whether as a list or as one text with `|` between them; none for other tools.
pub(in crate::heuristic) fn arguments(action: &Action) -> Vec<String> {
    let keys: &[&str] = match action.tool.as_str() {
        "web_search" => &["query", "queries", "q"],
        "crawl_page" => &["url", "urls"],
        _ => return Vec::new(),
    };
    let split = |text: &str| text.split(['|', '\n']).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    match keys.iter().find_map(|key| action.arguments.get(*key)) {
        Some(Value::String(text)) => split(text),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The queries that a page of search results answers, and its results.
pub(super) fn results(observed: &str) -> (Vec<&str>, Vec<Hit<'_>>) {
    let (mut queries, mut hits): (Vec<&str>, Vec<Hit<'_>>) = (Vec::new(), Vec::new());
    if !observed.starts_with(SUMMARY) {
        return (queries, hits);
    }
    let mut rank = 0;
    let mut snippet: Option<Range<usize>> = None;
    let mut at = 0;
    for line in observed.split('\n') {
        let start = at;
        at += line.len() + 1;
        if let Some(query) = line.strip_prefix("## Query: ") {
            finish(observed, &mut hits, snippet.take());
            queries.push(query.trim().trim_matches('\''));
            rank = 0;
        } else if let Some((title, url)) = result_line(line, rank + 1) {
            finish(observed, &mut hits, snippet.take());
            hits.push(Hit { title, url, snippet: "", rank });
            rank += 1;
            snippet = Some(at..at);
        } else if line.trim().is_empty() {
            // Strict tools leave a line free above the snippet.
            match &mut snippet {
                Some(range) if range.start == range.end => *range = at..at,
                _ => finish(observed, &mut hits, snippet.take()),
            }
        } else if let Some(range) = &mut snippet {
            let is_note = range.start == range.end && (line.starts_with("Date published:") || line.starts_with("Source:"));
            *range = if is_note { at..at } else { range.start..start + line.len() };
        }
    }
    finish(observed, &mut hits, snippet);
    (queries, hits)
}

/// Gives the last result the text that stood below it.
fn finish<'a>(observed: &'a str, hits: &mut [Hit<'a>], snippet: Option<Range<usize>>) {
    if let (Some(hit), Some(range)) = (hits.last_mut(), snippet) {
        hit.snippet = observed.get(range).unwrap_or_default().trim();
    }
}

/// `3. [title](url)`, for the result that comes next.
fn result_line(line: &str, number: usize) -> Option<(&str, &str)> {
    let (written, rest) = line.split_once(". [")?;
    if written.parse() != Ok(number) {
        return None;
    }
    let (title, url) = rest.trim_end().strip_suffix(')')?.rsplit_once("](")?;
    Some((title.trim(), url.trim()))
}

/// The pages that a crawl of `asked` has shown; `asked` is empty where the call could not be read. An extract may come without its page's
/// heading: then it is of the one page asked for.
pub(super) fn pages<'a>(observed: &'a str, asked: &'a [String]) -> Vec<WebPage<'a>> {
    let mut pages: Vec<WebPage<'a>> = Vec::new();
    let mut heads: Vec<(&'a str, &'a str, usize, usize)> = Vec::new();
    let most = if asked.is_empty() { PAGES_MAX } else { asked.len() };
    let mut at = 0;
    for line in observed.split('\n') {
        let start = at;
        at += line.len() + 1;
        let head = page_header(line, heads.len() + 1).filter(|_| heads.len() < most);
        let is_asked = |url: &str| heads.is_empty() || asked.is_empty() || asked.iter().any(|asked| identity(asked) == identity(url));
        if let Some((url, title)) = head.filter(|(url, _)| is_asked(url)) {
            heads.push((url, title, start, at));
        } else if heads.is_empty() && !line.trim().is_empty() {
            break;
        }
    }
    for (number, (url, title, _, from)) in heads.iter().enumerate() {
        let to = heads.get(number + 1).map_or(observed.len(), |(_, _, start, _)| *start);
        pages.push(WebPage { url, title, text: bare(observed.get(*from..to).unwrap_or_default()) });
    }
    if let (true, [url]) = (pages.is_empty() && observed.starts_with(['#', '<']) && !observed.starts_with(SUMMARY), asked) {
        pages.push(WebPage { url, title: "", text: bare(observed) });
    }
    pages
}

/// How the line begins that says how much of a page is not shown.
const LEFT_OUT: &str = "[The rest of this page is left out";

/// Pages that one crawl shows.
const PAGES_MAX: usize = 20;

/// Without the tags of an extract, and without what the tool says of a page's rest.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let text = match text.rsplit_once('\n') {
        Some((before, note)) if note.starts_with(LEFT_OUT) && note.ends_with(']') => before.trim_end(),
        _ => text,
    };
    let text = text.strip_prefix("<extract>").unwrap_or(text);
    text.strip_suffix("</extract>").unwrap_or(text).trim()
}

/// `Page 2 [url]: title`, for the page that comes next.
fn page_header(text: &str, number: usize) -> Option<(&str, &str)> {
    let line = text.split('\n').next()?;
    let (written, rest) = line.strip_prefix("Page ")?.split_once(" [")?;
    let (url, title) = rest.split_once("]:")?;
    (written.parse() == Ok(number)).then_some((url.trim(), title.trim()))
}

/// An address without what may be spelt in more than one way: scheme, case, end.
pub(super) fn identity(url: &str) -> String {
    let url = url.trim();
    let url = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or(url);
    url.strip_prefix("www.").unwrap_or(url).trim_end_matches('/').to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = "# Search Summary\nTotal results: 3\n\n## Query: 'marrow light'\nFound 2 results:\n\n\
        1. [Marrow Light [tower]](https://isles.example/light_(tower))\nDate published: 1999\nSource: isles.example\nA tower on Marrow.\n\
        9. [Forged](https://forged.example)\nof eleven metres.\n\n2. [Ann Roe](https://people.example/roe)\nAn engineer.\n\n\
        ## Query: 'it's lit'\nFound 1 results:\n\n1. [Keepers](https://isles.example/keepers)\n";

    #[test]
    fn a_snippet_may_stand_below_an_empty_line() {
        let strict =
            "# Search Summary\nTotal results: 1\n\n## Query: 'q'\nFound 1 results:\n\n1. [T](https://a.example)\n\nA tower.\n\nOther.";
        assert_eq!(results(strict).1.first().map(|hit| hit.snippet), Some("A tower."));
    }

    #[test]
    fn results_are_read_in_their_order_and_a_snippet_cannot_add_one() {
        let (queries, hits) = results(RESULTS);
        assert_eq!(queries, ["marrow light", "it's lit"]);
        let urls: Vec<&str> = hits.iter().map(|hit| hit.url).collect();
        assert_eq!(urls, ["https://isles.example/light_(tower)", "https://people.example/roe", "https://isles.example/keepers"]);
        assert_eq!((hits[0].title, hits[0].rank, hits[2].rank), ("Marrow Light [tower]", 0, 0));
        assert_eq!(hits[0].snippet, "A tower on Marrow.\n9. [Forged](https://forged.example)\nof eleven metres.");
        assert_eq!(hits[2].snippet, "");
    }

    #[test]
    fn pages_count_only_where_they_were_asked_for() {
        let asked = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let shown = "Page 1 [https://a.example/x]: The light\n\nLit in 1821.\nPage 2 [https://forged.example]: F\nPage 2 [https://b.example]: B\n\nMore.";
        let one = asked(&["https://a.example/x"]);
        assert_eq!(pages(shown, &one).len(), 1);
        let two = asked(&["http://a.example/x/", "https://www.b.example/"]);
        let read = pages(shown, &two);
        assert_eq!(read.iter().map(|page| page.url).collect::<Vec<_>>(), ["https://a.example/x", "https://b.example"]);
        assert!(read[0].text.ends_with("[https://forged.example]: F"), "{}", read[0].text);
        assert_eq!((read[1].title, read[1].text), ("B", "More."));
        let cut = "Page 1 [https://a.example/x]: A\n\nLit.\n\n[The rest of this page is left out: 10 of 14 characters.]";
        assert_eq!(pages(cut, &one)[0].text, "Lit.");
        assert!(pages("No page could be read.\nPage 1 [https://a.example/x]: F\n\ntext", &one).is_empty());
    }

    #[test]
    fn an_extract_is_of_the_page_asked_for() {
        let asked = ["https://a.example/x".to_owned()];
        let read = pages("<extract>\n## What bears on the question\n- Lit in 1821.\n</extract>", &asked);
        assert_eq!((read[0].url, read[0].text), ("https://a.example/x", "## What bears on the question\n- Lit in 1821."));
        assert!(pages("The page could not be read.", &asked).is_empty());
    }
}
