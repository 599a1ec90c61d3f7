//! The arguments of the web tools, read the way models write them: a list, one text with `|` between its parts, other names for the same.

use std::collections::HashSet;

use model::Observation;
use serde_json::Value;

use super::{QUERIES_MAX, QUERY_CHARS_MAX, TOPN_DEFAULT, TOPN_MAX};
use crate::arguments::Arguments;
use crate::browser::{Browser, Echo, Trouble};

/// Pages of one call, at most.
const URLS_MAX: usize = 8;

pub(super) fn search(browser: &Browser, arguments: Arguments<'_>) -> Result<Observation, Trouble> {
    let must_be = format!("a text of 1 to {QUERY_CHARS_MAX} characters, or a list of 1 to {QUERIES_MAX} of them");
    let mut queries = arguments.parts(&["query", "queries", "q"], &['|'], &must_be)?;
    if queries.is_empty() && browser.is_strict() {
        return Err(Trouble::PeerNoQuery(Echo::new("")));
    }
    if !browser.is_strict() {
        queries = distinct(queries);
    }
    if queries.is_empty() {
        return Err(Trouble::MissingArgument { tool: "web_search", name: "query", must_be });
    }
    let is_fit = |query: &String| query.chars().nth(QUERY_CHARS_MAX).is_none();
    if queries.len() > QUERIES_MAX || !queries.iter().all(is_fit) {
        return Err(arguments.bad("query", &must_be, &Value::from(queries)));
    }
    let num = match arguments.number("num")? {
        Some(num) => Some(num),
        None => arguments.number("serp_num")?,
    };
    browser.web_search(&queries, num.map_or(TOPN_DEFAULT, |num| num.clamp(1, TOPN_MAX) as usize))
}

pub(super) fn crawl(browser: &Browser, arguments: Arguments<'_>) -> Result<Observation, Trouble> {
    let must_be = format!("a URL, or a list of 1 to {URLS_MAX} of them");
    let mut urls = arguments.parts(&["url", "urls"], &['|', '\n'], &must_be)?;
    if browser.is_strict() {
        urls.retain(|url| url.starts_with("http://") || url.starts_with("https://"));
        if urls.is_empty() {
            return Err(Trouble::PeerNoUrl);
        }
    } else {
        urls.iter_mut().for_each(|url| *url = url.trim_matches(['<', '>', '"', '\'', '`', ' ']).to_owned());
        urls.retain(|url| !url.is_empty());
        urls = distinct(urls);
    }
    if urls.is_empty() {
        return Err(Trouble::MissingArgument { tool: "crawl_page", name: "url", must_be });
    }
    if urls.len() > URLS_MAX {
        return Err(arguments.bad("url", &must_be, &Value::from(urls)));
    }
    browser.crawl(&urls)
}

/// Each text once, where it was first.
fn distinct(texts: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|text| seen.insert(text.clone())).collect()
}
