//! `web_search`: the best documents of each query, as a search engine's result page lists them.
//!
//! The shape is that of O-Researcher's search server, less what only the live web has. Results are shared out over the queries as there: the
//! rest of `num` by the rest of the queries, each document once, and when documents run out, up to three more for each query. The server's
//! losses (a query whose results were all listed before gets none; what is topped up may be listed twice) are only in strict mode.

use std::collections::HashSet;

use model::Observation;

use super::links::readable;
use super::page::{TITLE_CHARS_MAX, URL_CHARS_MAX, cut, one_line};
use super::search_page::SNIPPET_CHARS_MAX;
use super::{Browser, Trouble};
use crate::error::CorpusError;
use crate::neutralise::neutralise;
use crate::search::Hit;
use crate::tokens::count_tokens;

/// More results for one query, when others had fewer than their share.
const TOP_UP_MAX: usize = 3;

/// The results of one query.
struct Section<'q> {
    query: &'q str,
    hits: Vec<Hit>,
    /// Whether it found anything, listed here or under another query.
    has_found: bool,
}

impl Browser {
    /// The best results of each of `queries`, `num` together, or one for each when that is more.
    pub(crate) fn web_search(&self, queries: &[String], num: usize) -> Result<Observation, Trouble> {
        let sections = if self.limits.strict { self.shared_out_strictly(queries, num)? } else { self.shared_out(queries, num)? };
        let listed: Vec<String> = sections.iter().map(|section| section.text(self.limits.strict)).collect();
        let total: usize = sections.iter().map(|section| section.hits.len()).sum();
        if total == 0 {
            return Err(Trouble::NothingFound(listed.join("\n\n")));
        }
        let text = format!("# Search Summary\nTotal results: {total}\n\n{}", listed.join("\n\n"));
        // All of it at once: a title may become a special token only by the brackets around it.
        let neutral = neutralise(&text);
        let mut seen = HashSet::new();
        let urls = sections.iter().flat_map(|section| &section.hits).filter(|hit| seen.insert(hit.ordinal)).map(|hit| hit.url.clone());
        Ok(Observation {
            tokens: count_tokens(&neutral.text),
            neutralised: u32::try_from(neutral.tags.len()).unwrap_or(u32::MAX),
            urls_shown: urls.collect(),
            text: neutral.text.into_owned(),
            ..Observation::default()
        })
    }

    fn shared_out<'q>(&self, queries: &'q [String], num: usize) -> Result<Vec<Section<'q>>, CorpusError> {
        let mut seen = HashSet::new();
        // The best that no query has listed: among so many there are enough.
        let mut fresh = |query: &str, count: usize| -> Result<(Vec<Hit>, bool), CorpusError> {
            let mut hits = self.corpus.search(query, count + seen.len())?;
            let has_found = !hits.is_empty();
            hits.retain(|hit| !seen.contains(&hit.ordinal));
            hits.truncate(count);
            seen.extend(hits.iter().map(|hit| hit.ordinal));
            Ok((hits, has_found))
        };
        let mut sections = Vec::with_capacity(queries.len());
        let mut left = num;
        for (at, query) in queries.iter().enumerate() {
            let (hits, has_found) = fresh(query, share(left, queries.len() - at))?;
            left = left.saturating_sub(hits.len());
            sections.push(Section { query, hits, has_found });
        }
        for at in by_number_of_hits(&sections) {
            if left == 0 || queries.len() == 1 {
                break;
            }
            if let Some(section) = sections.get_mut(at).filter(|section| section.has_found) {
                let (hits, _) = fresh(section.query, left.min(TOP_UP_MAX))?;
                left -= hits.len();
                section.hits.extend(hits);
            }
        }
        Ok(sections)
    }

    /// As O-Researcher's server does it: results are taken from the first ones of a query whether or not these were listed, a query that is
    /// there twice keeps what the second found, and the list topped up looks for repetitions only in itself.
    fn shared_out_strictly<'q>(&self, queries: &'q [String], num: usize) -> Result<Vec<Section<'q>>, CorpusError> {
        let mut seen = HashSet::new();
        let mut sections: Vec<Section<'q>> = Vec::with_capacity(queries.len());
        let mut left = num;
        let mut total = 0;
        for (at, query) in queries.iter().enumerate() {
            let mut hits = self.corpus.search(query, share(left, queries.len() - at))?;
            hits.retain(|hit| seen.insert(hit.ordinal));
            left = left.saturating_sub(hits.len());
            total += hits.len();
            match sections.iter_mut().find(|section| section.query == query) {
                Some(section) => section.hits = hits,
                None => sections.push(Section { query, hits, has_found: false }),
            }
        }
        let mut needed = num.saturating_sub(total);
        for at in by_number_of_hits(&sections) {
            if needed == 0 || queries.len() == 1 {
                break;
            }
            let Some(section) = sections.get_mut(at) else { continue };
            let mut hits = self.corpus.search(section.query, needed.min(TOP_UP_MAX))?;
            hits.retain(|hit| section.hits.iter().all(|listed| listed.ordinal != hit.ordinal));
            needed -= hits.len();
            section.hits.extend(hits);
        }
        Ok(sections)
    }
}

/// What one query gets of the results that are left.
fn share(left: usize, queries_left: usize) -> usize {
    (left / queries_left.max(1)).max(1)
}

/// The places of `sections`, those with the fewest results first.
fn by_number_of_hits(sections: &[Section<'_>]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..sections.len()).collect();
    places.sort_by_key(|at| sections.get(*at).map_or(0, |section| section.hits.len()));
    places
}

impl Section<'_> {
    fn text(&self, is_strict: bool) -> String {
        let query = one_line(self.query, usize::MAX);
        // Defused before the rest is: what the model wrote itself does not count as a document's.
        let query = neutralise(&query).text;
        if self.hits.is_empty() {
            return match (is_strict, self.has_found) {
                (true, _) => format!("No results found for '{query}'. Try with a more general query, or remove the year filter."),
                (false, true) => format!("No further results for '{query}'. What it finds is listed under another query."),
                (false, false) => format!("No results found for '{query}'. Try other words for the same thing, or fewer of them."),
            };
        }
        // The server puts two line ends there.
        let gap = if is_strict { "\n\n" } else { "\n" };
        let results: Vec<String> = (1..).zip(&self.hits).map(|(number, hit)| format!("{number}. {}", result(hit, gap))).collect();
        format!("## Query: '{query}'\nFound {} results:\n\n{}", results.len(), results.join("\n\n"))
    }
}

/// `[title](url)` and the snippet below it. Neither is more than a line, so a document makes no results of its own; and no link ends within
/// its title or begins within a snippet.
fn result(hit: &Hit, gap: &str) -> String {
    let title = if hit.title.trim().is_empty() { readable(&hit.url) } else { one_line(&hit.title, TITLE_CHARS_MAX) };
    let snippet = one_line(&hit.snippet, SNIPPET_CHARS_MAX);
    let unlinked = |text: &str| text.replace("](", "] (");
    format!("[{}]({}){gap}{}", unlinked(&title), cut(&hit.url, URL_CHARS_MAX), unlinked(snippet.trim_start_matches(['#', ' '])))
}
