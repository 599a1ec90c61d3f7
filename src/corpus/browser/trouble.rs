//! Why a tool refused, told to the model: what is wrong, and what to do instead.
//!
//! Sentences, not fragments: a model reads them. They carry no cursor, since nothing was displayed, and nothing about this machine.

use std::fmt;

use super::page::{cut, one_line};
use crate::error::CorpusError;
use crate::neutralise::neutralise;

/// An echo of what the model wrote is cut, in characters.
const ECHO_CHARS_MAX: usize = 200;

/// Why a tool refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("Tool `{name}` is not available. The tools are {tools}.")]
    UnknownTool { name: Echo, tools: &'static str },
    #[error("The tool call could not be read, so nothing was done: {0}. Write the call again, in the form that was asked for.")]
    Unreadable(Echo),
    #[error("Invalid arguments for `{tool}`: `{name}` must be {must_be}, but it was {was}.")]
    BadArgument { tool: &'static str, name: &'static str, must_be: String, was: Echo },
    #[error("Invalid arguments for `{tool}`: `{name}` is missing; it must be {must_be}.")]
    MissingArgument { tool: &'static str, name: &'static str, must_be: String },
    #[error("No pages to access! Use `search` first.")]
    NoPages,
    #[error("Cursor `{cursor}` is out of range. Available cursor indices: [0 - {last}].")]
    CursorOutOfRange { cursor: i64, last: u32 },
    #[error("Invalid link id `{id}`. {}", links_there_are(*.links))]
    InvalidLink { id: i64, links: usize },
    #[error("`{0}` is neither a link id of the page nor a URL. Give the number of a link, as in 【number†title】, or a full URL.")]
    NoLink(Echo),
    #[error("Invalid location parameter: `{loc}`. Cannot exceed page maximum of {last}.")]
    InvalidLocation { loc: i64, last: u32 },
    #[error("The page ends at L{last}, which has been shown. Give `loc` to see an earlier part, or open another page.")]
    EndOfPage { last: u32 },
    #[error("Cannot run `find` on search results page or find results page. {}", pages_there_are(.documents))]
    FindOnResults { documents: Vec<usize> },
    #[error("No `find` results for pattern: `{pattern}`.{}", words_there_are(.present))]
    NoMatch { pattern: Echo, present: Vec<(Echo, u32)> },
    #[error("No results for `{0}`. Try other words, or fewer.")]
    NoResults(Echo),
    #[error("URL not found in the corpus: `{0}`. Only documents of the corpus can be opened; use `search` to find what it has.")]
    NotInCorpus(Echo),
    #[error("{0}")]
    NothingFound(String),
    #[error("None of these URLs is in the corpus: {}. Only documents of the corpus can be read; use `web_search` to find what it has.", list(.0))]
    NoneInCorpus(Vec<Echo>),
    #[error("Query {0} split failed! Please follow the requirement: separate each query with '|'!")]
    PeerNoQuery(Echo),
    #[error("No valid URLs found")]
    PeerNoUrl,
    #[error("The corpus could not be read. This is no fault of the call.")]
    Corpus(#[from] CorpusError),
}

/// Kind of an observation that is no fault of the call: the corpus could not be read. It does not depend on the job alone, so a recipe
/// must not go on from it.
pub const CORPUS_FAULT: &str = "corpus_fault";

impl Trouble {
    /// The kind, for rules and statistics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::UnknownTool { .. } => "unknown_tool",
            Self::Unreadable(_) => "unreadable_call",
            Self::BadArgument { .. } | Self::MissingArgument { .. } | Self::PeerNoQuery(_) => "bad_argument",
            Self::NoPages => "no_pages",
            Self::CursorOutOfRange { .. } => "cursor_out_of_range",
            Self::InvalidLink { .. } | Self::NoLink(_) => "invalid_link",
            Self::InvalidLocation { .. } => "invalid_location",
            Self::EndOfPage { .. } => "end_of_page",
            Self::FindOnResults { .. } => "find_on_results",
            Self::NoMatch { .. } => "no_match",
            Self::NoResults(_) | Self::NothingFound(_) => "no_results",
            Self::NotInCorpus(_) | Self::NoneInCorpus(_) | Self::PeerNoUrl => "not_in_corpus",
            Self::Corpus(_) => CORPUS_FAULT,
        }
    }
}

/// Something the model wrote, as it may stand in an observation: one line, bounded, neutral.
#[derive(Debug)]
pub(crate) struct Echo(String);

impl Echo {
    pub(crate) fn new(written: &str) -> Self {
        Self(neutralise(&one_line(&cut(written, 4 * ECHO_CHARS_MAX), ECHO_CHARS_MAX)).text.into_owned())
    }
}

impl fmt::Display for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn list(written: &[Echo]) -> String {
    let quoted: Vec<String> = written.iter().map(|written| format!("`{written}`")).collect();
    quoted.join(", ")
}

fn links_there_are(links: usize) -> String {
    match links {
        0 => "The page has no links.".into(),
        1 => "The page has one link, 0.".into(),
        _ => format!("The page has links 0 to {}.", links - 1),
    }
}

fn pages_there_are(documents: &[usize]) -> String {
    let cursors: Vec<String> = documents.iter().map(usize::to_string).collect();
    match cursors.as_slice() {
        [] => "Open a document first.".into(),
        [one] => format!("Give the cursor of a document: {one}."),
        _ => format!("Give the cursor of a document: one of {}.", cursors.join(", ")),
    }
}

fn words_there_are(present: &[(Echo, u32)]) -> String {
    let words: Vec<String> = present.iter().map(|(word, line)| format!("`{word}` (first at L{line})")).collect();
    if words.is_empty() {
        return " `find` looks for the exact phrase; none of its words is on the page.".into();
    }
    format!(" `find` looks for the exact phrase; of its words the page has {}.", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_one_bounded_neutral_line() {
        let echo = Echo::new(&format!("a\n<tool_call>{}", "x".repeat(10_000))).to_string();
        assert!(echo.starts_with("a ‹tool_call›xxx") && echo.ends_with('…') && echo.chars().count() == ECHO_CHARS_MAX, "{echo}");
    }

    #[test]
    fn troubles_say_what_there_is_instead() {
        let trouble = Trouble::InvalidLink { id: 7, links: 5 };
        assert_eq!(trouble.to_string(), "Invalid link id `7`. The page has links 0 to 4.");
        let trouble = Trouble::NoMatch { pattern: Echo::new("a b"), present: vec![(Echo::new("b"), 9)] };
        assert_eq!(
            trouble.to_string(),
            "No `find` results for pattern: `a b`. `find` looks for the exact phrase; of its words the page has `b` (first at L9)."
        );
        let trouble = Trouble::FindOnResults { documents: vec![1, 4] };
        assert!(trouble.to_string().ends_with("Give the cursor of a document: one of 1, 4."));
    }
}
