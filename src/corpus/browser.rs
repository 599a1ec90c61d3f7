//! One job's view of the corpus: search, open, find, and the pages they showed, each under its cursor; or, for the tool box `Web`, result
//! lists and whole pages without cursors, which leave no trace in it.
//!
//! Every page that is displayed gets the next cursor; trouble gets none. State is only what a browser's own calls made, so the same calls on
//! the same corpus show the same pages byte for byte: no clock, no randomness, nothing shared between jobs. The texts of documents are kept
//! for the latest few only and made again when needed. A browser blocks; it grows by one view per displayed page, which the recipe's
//! tool-call budget bounds.

mod crawl;
mod document_page;
mod excerpt;
mod find_page;
mod links;
mod page;
mod pattern;
mod search_page;
mod shown;
mod trouble;
mod web_search;
mod window;
mod wrap;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use model::Observation;
use model::settings::RecipeSettings;

use crate::document::Ordinal;
use crate::neutralise::neutralise;
use crate::snapshot::Corpus;
use document_page::{DocumentPage, Subject};
use find_page::{FindPage, words_present};
use page::Page;
use search_page::{SearchPage, search_number};
use window::{Extent, Window};

pub use shown::{ShownPage, ShownPart};
pub use trouble::CORPUS_FAULT;
pub(crate) use trouble::{Echo, Trouble};

/// Opening a match begins so many lines above it.
const LINES_ABOVE_MATCH: u32 = 4;
/// A window holds no more lines than this, however many are asked for.
const WINDOW_LINES_MAX: u32 = 400;
/// Asked for lines, or showing search results, a window may hold so many times its usual tokens.
const WINDOW_TOKENS_FACTOR: u32 = 4;
/// Pages of documents are kept until they occupy more than this, in bytes; the latest is always kept.
const RECENT_BYTES_MAX: usize = 1 << 20;

/// What of the tools may be set; everything else is a constant, because the tools' descriptions promise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolLimits {
    /// Tokens of page text that one observation shows, rounded up to a whole line.
    pub window_tokens: u32,
    /// Which tools there are.
    pub toolbox: ToolBox,
    /// Tokens of page text that one call of `crawl_page` shows, of all its pages together.
    pub page_tokens: u32,
    /// Whether the web tools treat queries and URLs exactly as O-Researcher's tool server does, losses included: which it drops, how results
    /// are shared out and listed, and what it says when nothing is left.
    pub strict: bool,
}

impl Default for ToolLimits {
    fn default() -> Self {
        Self { window_tokens: 1024, toolbox: ToolBox::Browse, page_tokens: 4096, strict: false }
    }
}

/// A set of tools that belong together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ToolBox {
    /// `search`, `open`, `find`: a browser with cursors.
    #[default]
    Browse,
    /// `web_search`, `crawl_page`: result pages and whole pages, without cursors.
    Web,
}

impl ToolLimits {
    /// The tools of a recipe, within its limits.
    pub fn of(recipe: &RecipeSettings) -> Self {
        match recipe {
            RecipeSettings::Browse(_) => Self::default(),
            RecipeSettings::Decompose(decompose) => {
                Self { toolbox: ToolBox::Web, page_tokens: decompose.page_tokens, strict: decompose.strict, ..Self::default() }
            }
        }
    }
}

/// One job's view of the corpus. Clones are independent and cheap: they share the pages, which never change.
#[derive(Clone)]
pub struct Browser {
    corpus: Corpus,
    limits: ToolLimits,
    /// By cursor.
    views: Vec<View>,
    /// Searches that had results.
    searches: u32,
    /// Pages of documents, the latest last. Decides how fast something is shown, never what.
    recent: VecDeque<Arc<DocumentPage>>,
}

/// What one cursor showed.
#[derive(Clone)]
struct View {
    target: Target,
    first: u32,
    last: u32,
}

/// What it is a view of.
#[derive(Clone)]
enum Target {
    Document(Arc<Subject>),
    Search(Arc<SearchPage>),
    Find(Arc<FindPage>),
}

/// What to open, as `open` was asked. Numbers that were absent or -1 are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenRequest {
    /// A link or a URL; none scrolls the page of `cursor`.
    pub(crate) what: Option<Reference>,
    /// The page that links and scrolling refer to; none is the latest.
    pub(crate) cursor: Option<i64>,
    /// The first line to show; none is the beginning, the match that a link leads to, or, when scrolling, the next line.
    pub(crate) loc: Option<i64>,
    /// Lines to show; none is as many as fit the window.
    pub(crate) num_lines: Option<u32>,
}

/// What to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A link of a page, by its number.
    Link(i64),
    /// A URL as the model wrote it.
    Url(String),
}

impl Browser {
    /// Which tools it has.
    pub(crate) fn toolbox(&self) -> ToolBox {
        self.limits.toolbox
    }

    /// Whether the web tools treat what they are asked as O-Researcher's server does.
    pub(crate) fn is_strict(&self) -> bool {
        self.limits.strict
    }

    /// A browser that has not been used.
    pub fn new(corpus: Corpus, limits: ToolLimits) -> Self {
        Self { corpus, limits, views: Vec::new(), searches: 0, recent: VecDeque::new() }
    }

    /// Searches for one or several queries and shows the best results of all, `topn` together.
    pub(crate) fn search(&mut self, queries: &[String], topn: usize) -> Result<Observation, Trouble> {
        let joined = queries.join(" | ");
        let mut lists = Vec::with_capacity(queries.len());
        for query in queries {
            lists.push(self.corpus.search(query, topn)?.into_iter());
        }
        // Rank by rank over all queries, so that none crowds out another.
        let mut hits = Vec::with_capacity(topn);
        let mut seen = HashSet::new();
        while hits.len() < topn && lists.iter().any(|list| list.len() > 0) {
            hits.extend(lists.iter_mut().filter_map(Iterator::next).filter(|hit| seen.insert(hit.ordinal)));
        }
        hits.truncate(topn);
        if hits.is_empty() {
            return Err(Trouble::NoResults(Echo::new(&joined)));
        }
        self.searches += 1;
        let search = Arc::new(SearchPage::new(self.searches, &neutralise(&joined).text, hits));
        Ok(self.show_search(search, 0, None))
    }

    /// Opens a link, a URL or another part of a page.
    pub(crate) fn open(&mut self, request: &OpenRequest) -> Result<Observation, Trouble> {
        match &request.what {
            Some(Reference::Link(id)) => self.open_link(*id, request),
            Some(Reference::Url(url)) => self.open_url(url, request),
            None => self.scroll(request),
        }
    }

    /// Shows where `pattern`, which is not empty, stands in the document of `cursor`.
    pub(crate) fn find(&mut self, pattern: &str, cursor: Option<i64>) -> Result<Observation, Trouble> {
        let Target::Document(subject) = self.view(cursor)?.target.clone() else {
            return Err(Trouble::FindOnResults { documents: self.document_cursors() });
        };
        let document = self.document(subject.ordinal)?;
        let pattern = neutralise(pattern).text;
        match FindPage::new(&document, &pattern) {
            Some(found) => Ok(self.show_find(Arc::new(found), 0, None)),
            None => {
                let present = words_present(&document, &pattern).into_iter().map(|(word, line)| (Echo::new(word), line)).collect();
                Err(Trouble::NoMatch { pattern: Echo::new(&pattern), present })
            }
        }
    }

    fn open_link(&mut self, id: i64, request: &OpenRequest) -> Result<Observation, Trouble> {
        let target = self.view(request.cursor)?.target.clone();
        let invalid = |links| Trouble::InvalidLink { id, links };
        let index = usize::try_from(id).unwrap_or(usize::MAX);
        let (ordinal, first) = match &target {
            Target::Search(search) => (search.results.get(index).ok_or_else(|| invalid(search.results.len()))?.subject.ordinal, 0),
            Target::Find(find) => {
                let found = find.matches.get(index).ok_or_else(|| invalid(find.matches.len()))?;
                (find.subject.ordinal, found.document_lines.0.saturating_sub(LINES_ABOVE_MATCH))
            }
            Target::Document(subject) => {
                let document = self.document(subject.ordinal)?;
                let url = document.link_url(index).ok_or_else(|| invalid(document.links.len()))?;
                (self.lookup(&url)?, 0)
            }
        };
        let document = self.document(ordinal)?;
        let first = line_asked_for(request.loc, &document.page)?.unwrap_or(first);
        Ok(self.show_document(&document, first, request.num_lines))
    }

    fn open_url(&mut self, url: &str, request: &OpenRequest) -> Result<Observation, Trouble> {
        if let Some(search) = search_number(url).and_then(|number| self.search_page(number)) {
            let first = line_asked_for(request.loc, &search.page)?.unwrap_or(0);
            return Ok(self.show_search(search, first, request.num_lines));
        }
        let ordinal = self.lookup(url)?;
        let document = self.document(ordinal)?;
        let first = line_asked_for(request.loc, &document.page)?.unwrap_or(0);
        Ok(self.show_document(&document, first, request.num_lines))
    }

    /// Shows the page of a cursor from `loc` on, or from where its view ended.
    fn scroll(&mut self, request: &OpenRequest) -> Result<Observation, Trouble> {
        let View { target, last, .. } = self.view(request.cursor)?.clone();
        let first = |page: &Page| match line_asked_for(request.loc, page)? {
            Some(first) => Ok(first),
            None if last < page.last_line() => Ok(last + 1),
            None => Err(Trouble::EndOfPage { last: page.last_line() }),
        };
        Ok(match target {
            Target::Search(search) => {
                let first = first(&search.page)?;
                self.show_search(search, first, request.num_lines)
            }
            Target::Find(find) => {
                let first = first(&find.page)?;
                self.show_find(find, first, request.num_lines)
            }
            Target::Document(subject) => {
                let document = self.document(subject.ordinal)?;
                let first = first(&document.page)?;
                self.show_document(&document, first, request.num_lines)
            }
        })
    }

    fn show_document(&mut self, document: &DocumentPage, first: u32, num_lines: Option<u32>) -> Observation {
        let extent = self.extent(num_lines, 1);
        let observation = self.show(Target::Document(Arc::clone(&document.subject)), &document.page, first, extent);
        let url = document.subject.url.clone();
        Observation { urls_shown: vec![url.clone()], url_opened: Some(url), ..observation }
    }

    /// Search results are made to be seen together, so their window is larger.
    fn show_search(&mut self, search: Arc<SearchPage>, first: u32, num_lines: Option<u32>) -> Observation {
        let extent = self.extent(num_lines, WINDOW_TOKENS_FACTOR);
        let observation = self.show(Target::Search(Arc::clone(&search)), &search.page, first, extent);
        let last = self.views.last().map_or(first, |view| view.last);
        let urls_shown = search.shown(first, last).map(|result| result.subject.url.clone()).collect();
        Observation { urls_shown, ..observation }
    }

    fn show_find(&mut self, find: Arc<FindPage>, first: u32, num_lines: Option<u32>) -> Observation {
        let extent = self.extent(num_lines, 1);
        let observation = self.show(Target::Find(Arc::clone(&find)), &find.page, first, extent);
        Observation { urls_shown: vec![find.subject.url.clone()], ..observation }
    }

    /// Displays a page: the one place where a cursor is given away.
    fn show(&mut self, target: Target, page: &Page, first: u32, extent: Extent) -> Observation {
        let cursor = u32::try_from(self.views.len()).unwrap_or(u32::MAX);
        let Window { text, tokens, first, last } = Window::new(page, cursor, first, extent);
        self.views.push(View { target, first, last });
        let neutralised = u32::try_from(page.tags_shown(first, last)).unwrap_or(u32::MAX);
        Observation { text, tokens, cursor: Some(cursor), neutralised, ..Observation::default() }
    }

    fn extent(&self, num_lines: Option<u32>, tokens_factor: u32) -> Extent {
        let tokens = self.limits.window_tokens;
        match num_lines {
            Some(lines) => Extent { tokens: tokens.saturating_mul(WINDOW_TOKENS_FACTOR), lines: lines.min(WINDOW_LINES_MAX) },
            None => Extent { tokens: tokens.saturating_mul(tokens_factor), lines: WINDOW_LINES_MAX },
        }
    }

    fn view(&self, cursor: Option<i64>) -> Result<&View, Trouble> {
        let last = self.views.len().checked_sub(1).ok_or(Trouble::NoPages)?;
        let index = cursor.map_or(Some(last), |cursor| usize::try_from(cursor).ok());
        let out_of_range = || Trouble::CursorOutOfRange { cursor: cursor.unwrap_or(-1), last: u32::try_from(last).unwrap_or(u32::MAX) };
        index.and_then(|index| self.views.get(index)).ok_or_else(out_of_range)
    }

    /// The page of an earlier search, by the number in its URL.
    fn search_page(&self, number: u32) -> Option<Arc<SearchPage>> {
        self.views.iter().find_map(|view| match &view.target {
            Target::Search(search) if search_number(search.page.url()) == Some(number) => Some(Arc::clone(search)),
            _ => None,
        })
    }

    /// The latest cursor of each of the latest few documents, ascending.
    fn document_cursors(&self) -> Vec<usize> {
        const CURSORS_MAX: usize = 5;
        let mut seen = HashSet::new();
        let documents = self.views.iter().enumerate().rev().filter(|(_, view)| match &view.target {
            Target::Document(subject) => seen.insert(subject.ordinal),
            _ => false,
        });
        let mut cursors: Vec<usize> = documents.map(|(cursor, _)| cursor).take(CURSORS_MAX).collect();
        cursors.reverse();
        cursors
    }

    /// The document at `url` as a model writes it.
    fn lookup(&self, url: &str) -> Result<Ordinal, Trouble> {
        self.corpus.lookup_written(url)?.ok_or_else(|| Trouble::NotInCorpus(Echo::new(url.trim())))
    }

    /// The page of a document, from the latest few or made anew.
    fn document(&mut self, ordinal: Ordinal) -> Result<Arc<DocumentPage>, Trouble> {
        let at = self.recent.iter().position(|document| document.subject.ordinal == ordinal);
        let document = match at.and_then(|at| self.recent.remove(at)) {
            Some(document) => document,
            None => Arc::new(DocumentPage::new(self.corpus.document(ordinal)?)),
        };
        self.recent.push_back(Arc::clone(&document));
        let mut bytes: usize = self.recent.iter().map(|document| document.memory_bytes()).sum();
        while bytes > RECENT_BYTES_MAX && self.recent.len() > 1 {
            bytes -= self.recent.pop_front().map_or(0, |forgotten| forgotten.memory_bytes());
        }
        Ok(document)
    }
}

/// The line that `loc` names, if it is one of the page's.
fn line_asked_for(loc: Option<i64>, page: &Page) -> Result<Option<u32>, Trouble> {
    let last = page.last_line();
    let Some(loc) = loc else { return Ok(None) };
    u32::try_from(loc).ok().filter(|line| *line <= last).map(Some).ok_or(Trouble::InvalidLocation { loc, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::line;
    use crate::tools::testing::corpus_with;

    #[test]
    fn texts_of_documents_are_kept_for_the_latest_few_only() {
        let text = "A sentence of a long text. ".repeat(20_000);
        let lines: Vec<String> = (0..6).map(|n| line(&format!("https://e.org/{n}"), "Long", &format!("{n} {text}"))).collect();
        let corpus = corpus_with(&lines);
        let mut browser = Browser::new(corpus.clone(), ToolLimits::default());
        for n in 0..6 {
            let request = OpenRequest { what: Some(Reference::Url(format!("https://e.org/{n}"))), ..OpenRequest::default() };
            browser.open(&request).expect("it opens");
        }
        let kept: Vec<&str> = browser.recent.iter().map(|document| document.subject.url.as_str()).collect();
        assert_eq!(kept, ["https://e.org/5"]);
        assert_eq!(browser.views.len(), 6);
    }
}
