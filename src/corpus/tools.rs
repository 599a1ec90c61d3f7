//! The tools: the only place where an action and a browser become an observation.
//!
//! Recipes, `verify`, `sluice tools` and the command line all come through [`perform`]; so what one of them saw, each of them sees. It never
//! fails: whatever is wrong with a call is told to the model. Only a corpus that cannot be read is nobody's call's fault, and has a kind of
//! its own.

mod web;

use std::sync::LazyLock;

use model::{Action, Observation, ToolDefinition};
use serde_json::Value;

use crate::arguments::{Arguments, whole_number};
use crate::browser::{Browser, Echo, OpenRequest, Reference, ToolBox, Trouble};
use crate::tokens::count_tokens;

/// Results of a search, when it does not say how many, and at most.
const TOPN_DEFAULT: usize = 10;
const TOPN_MAX: i64 = 20;
/// Queries of one search, at most.
const QUERIES_MAX: usize = 8;
/// Longest query, in characters.
const QUERY_CHARS_MAX: usize = 1_000;
/// Longest pattern, in characters.
const PATTERN_CHARS_MAX: usize = 300;

static BROWSE: LazyLock<Vec<ToolDefinition>> = LazyLock::new(|| read(include_str!("prompts/tools.json")));
static WEB: LazyLock<Vec<ToolDefinition>> = LazyLock::new(|| read(include_str!("prompts/web_tools.json")));

fn read(definitions: &str) -> Vec<ToolDefinition> {
    serde_json::from_str(definitions).expect("the definitions are well formed, which a test of this file makes sure of")
}

/// The tools of a box as they are offered to a model.
pub fn definitions(toolbox: ToolBox) -> Vec<ToolDefinition> {
    match toolbox {
        ToolBox::Browse => BROWSE.clone(),
        ToolBox::Web => WEB.clone(),
    }
}

/// Performs `action` on `browser`. Never fails: trouble is an observation with `error` set, without a cursor, and with a text that helps the
/// model. After an observation whose error is [`CORPUS_FAULT`](crate::CORPUS_FAULT) a recipe must not go on: it does not depend on the
/// job alone.
pub fn perform(browser: &mut Browser, action: &Action) -> Observation {
    attempt(browser, action).unwrap_or_else(|trouble| {
        if let Trouble::Corpus(error) = &trouble {
            tracing::error!(%error, tool = %action.tool, "failed to perform a tool call");
        }
        let text = trouble.to_string();
        Observation { tokens: count_tokens(&text), text, error: Some(trouble.kind().to_owned()), ..Observation::default() }
    })
}

fn attempt(browser: &mut Browser, action: &Action) -> Result<Observation, Trouble> {
    if let Some(reason) = &action.unreadable {
        return Err(Trouble::Unreadable(Echo::new(reason)));
    }
    let name = action.tool.trim();
    let arguments = |tool| Arguments::new(tool, &action.arguments);
    let unknown = |tools| Err(Trouble::UnknownTool { name: Echo::new(name), tools });
    match browser.toolbox() {
        ToolBox::Browse => match name.strip_prefix("browser.").unwrap_or(name) {
            "search" => search(browser, arguments("search")),
            "open" => browser.open(&open_request(arguments("open"))?),
            "find" => find(browser, arguments("find")),
            _ => unknown("`search`, `open` and `find`"),
        },
        ToolBox::Web => match name {
            "web_search" => web::search(browser, arguments("web_search")),
            "crawl_page" => web::crawl(browser, arguments("crawl_page")),
            _ => unknown("`web_search` and `crawl_page`"),
        },
    }
}

fn search(browser: &mut Browser, arguments: Arguments<'_>) -> Result<Observation, Trouble> {
    let queries = arguments.texts("query", QUERIES_MAX, QUERY_CHARS_MAX)?;
    let topn = arguments.number("topn")?.map_or(TOPN_DEFAULT, |topn| topn.clamp(1, TOPN_MAX) as usize);
    browser.search(&queries, topn)
}

fn find(browser: &mut Browser, arguments: Arguments<'_>) -> Result<Observation, Trouble> {
    let pattern = arguments.text("pattern", PATTERN_CHARS_MAX)?;
    browser.find(&pattern, arguments.number("cursor")?)
}

fn open_request(arguments: Arguments<'_>) -> Result<OpenRequest, Trouble> {
    let what = arguments.get("id").or_else(|| arguments.get("url")).map_or(Ok(None), |id| reference(id, arguments))?;
    let num_lines = match arguments.number("num_lines")? {
        Some(lines @ ..1) => return Err(arguments.bad("num_lines", "at least 1, or -1 for as many as fit", &Value::from(lines))),
        lines => lines.map(|lines| u32::try_from(lines).unwrap_or(u32::MAX)),
    };
    Ok(OpenRequest { what, cursor: arguments.number("cursor")?, loc: arguments.number("loc")?, num_lines })
}

/// What `id` refers to: a number in whatever type or copied with its brackets is a link, -1 is nothing, anything with a dot or a colon a URL.
fn reference(id: &Value, arguments: Arguments<'_>) -> Result<Option<Reference>, Trouble> {
    if let Some(number) = whole_number(id) {
        return Ok((number != -1).then_some(Reference::Link(number)));
    }
    let Some(text) = id.as_str().map(str::trim) else {
        return Err(arguments.bad("id", "the number of a link or a URL", id));
    };
    if let Some(number) = text.strip_prefix('【').and_then(|text| text.split(['†', '】']).next()).and_then(|number| number.parse().ok())
    {
        return Ok(Some(Reference::Link(number)));
    }
    let is_url = text.contains(['.', ':']) && !text.contains(char::is_whitespace);
    if is_url { Ok(Some(Reference::Url(text.to_owned()))) } else { Err(Trouble::NoLink(Echo::new(text))) }
}

#[cfg(test)]
mod contract;
#[cfg(test)]
mod golden;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod web_contract;
