//! The bodies of the tag protocol's calls as arguments, and back.
//!
//! Two ways of writing them are about: O-Researcher's repository has `query=a | b&num=20` and `url=https://a`, its published data `a |
//! b&serp_num=10` and bare URLs. Models mix both. Here all of them are read, `{"query": ["a", "b"], "num": 10}` and `{"url":
//! ["https://a"]}`, and what had to be mended is said. [`read_strict`] gives what O-Researcher's own parser makes of a body, losses
//! included.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::arguments;
use super::white::{trim, trim_end, trim_start};

/// The two tools.
const SEARCH: &str = "web_search";
const CRAWL: &str = "crawl_page";
/// Results of a search, at most.
const NUM_MAX: u64 = 20;
/// Results of a search where O-Researcher's parser finds no number.
const NUM_DEFAULT: u64 = 10;
/// Queries or URLs that are looked at in one body; a body with more is no call that a tool would carry out.
const PARTS_MAX: usize = 64;
/// A query that is longer, in bytes, is none that a tool would take, and is left as it is.
const QUERY_BYTES_MAX: usize = 4096;
/// Numbers of results in a row that are taken off a body.
const COUNTS_MAX: usize = 4;
/// Keys of the number of results.
const NUM_KEYS: [&str; 2] = ["num", "serp_num"];

type Read = Result<(Map<String, Value>, Vec<String>), String>;

/// The arguments in the body of a call of `tool`, and what had to be mended.
pub(super) fn read(tool: &str, body: &str) -> Read {
    let body = trim(body);
    let (key, parse): (_, fn(&str) -> Read) = if tool == CRAWL { ("url", read_crawl) } else { ("query", read_search) };
    if !body.starts_with('{') {
        return parse(body);
    }
    let (mut object, mut repairs) = arguments::from_text(body, false)?;
    repairs.push("read arguments written as JSON".to_owned());
    match object.get_mut(key) {
        Some(Value::Array(list)) if !list.is_empty() => {}
        Some(value @ Value::String(_)) => *value = Value::Array(vec![value.take()]),
        _ => return Err(format!("it has no `{key}`")),
    }
    Ok((object, repairs))
}

/// Queries or URLs in order, each once, and what had to be mended to get them.
#[derive(Default)]
struct Parts {
    kept: Vec<Value>,
    seen: HashSet<String>,
    looked_at: usize,
    repairs: Vec<String>,
}

impl Parts {
    fn note(&mut self, repair: &str) {
        if !self.repairs.iter().any(|noted| noted == repair) {
            self.repairs.push(repair.to_owned());
        }
    }

    /// Whether one more part may be looked at.
    fn has_room(&mut self) -> bool {
        self.looked_at += 1;
        if self.looked_at > PARTS_MAX {
            self.note("left out what followed the first 64");
        }
        self.looked_at <= PARTS_MAX
    }

    fn add(&mut self, part: &str) {
        if part.is_empty() {
            self.note("dropped an empty part");
        } else if self.seen.insert(part.to_owned()) {
            self.kept.push(Value::from(part));
        } else {
            self.note("dropped a repeated part");
        }
    }
}

fn read_search(body: &str) -> Read {
    let mut parts = Parts::default();
    let mut counts = Vec::new();
    let mut rest = body;
    for _ in 0..COUNTS_MAX {
        let Some((before, count)) = trailing_count(rest) else { break };
        rest = before;
        counts.push(count);
    }
    for _ in 0..COUNTS_MAX {
        let Some((count, behind)) = leading_count(rest) else { break };
        rest = behind;
        counts.push(count);
    }
    let mut rest = Cow::from(rest);
    if rest.contains('｜') {
        parts.note("read `｜` as `|`");
        rest = rest.replace('｜', "|").into();
    }
    let mut is_cut = false;
    'body: for keyed in ["query=", "queries=", "q="].iter().find_map(|key| rest.strip_prefix(key)).unwrap_or(&rest).split("&query=") {
        if is_cut {
            parts.note("split several `query=`");
        }
        is_cut = true;
        for query in keyed.split('|') {
            if !parts.has_room() {
                break 'body;
            }
            match own_count(query) {
                Some(count) => counts.push(Some(count)),
                None => add_query(&mut parts, query),
            }
        }
    }
    if parts.kept.is_empty() {
        return Err("it holds no query".to_owned());
    }
    let mut found = Map::new();
    found.insert("query".to_owned(), Value::Array(std::mem::take(&mut parts.kept)));
    if counts.len() > 1 {
        parts.note("kept the last of several numbers of results");
    }
    match counts.first() {
        Some(Some(count)) => {
            let num = (*count).clamp(1, NUM_MAX);
            if num != *count {
                parts.note(&format!("a search gives 1 to {NUM_MAX} results, not {count}"));
            }
            found.insert("num".to_owned(), json!(num));
        }
        Some(None) => parts.note("ignored a number of results that is no number"),
        None => {}
    }
    Ok((found, parts.repairs))
}

fn add_query(parts: &mut Parts, query: &str) {
    let query = trim(query);
    if query.contains('\n') && query.len() <= QUERY_BYTES_MAX {
        parts.note("joined the lines of a query");
        let joined = query.split_whitespace().collect::<Vec<_>>().join(" ");
        parts.add(&joined);
    } else {
        parts.add(query);
    }
}

/// `…&num=5` at the end: what stands before, and the number, or none if it is no number.
fn trailing_count(text: &str) -> Option<(&str, Option<u64>)> {
    let (before, last) = text.rsplit_once('&')?;
    let last = last.strip_prefix("amp;").unwrap_or(last);
    Some((trim_end(before), count(last)?))
}

/// `num=5&…` at the beginning.
fn leading_count(text: &str) -> Option<(Option<u64>, &str)> {
    let (first, behind) = text.split_once('&')?;
    Some((count(first)?, trim_start(behind)))
}

/// A query that is nothing but `num=5`.
fn own_count(query: &str) -> Option<u64> {
    count(query)?
}

/// The number in `num=5` or `serp_num=5`; none if it has a key and no number.
fn count(text: &str) -> Option<Option<u64>> {
    let (key, value) = text.split_once('=')?;
    let (key, value) = (trim(key), trim(value));
    if !NUM_KEYS.contains(&key) || value.contains(|c: char| c.is_whitespace() || c == '|') {
        return None;
    }
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    Some(is_number.then(|| value.parse().unwrap_or(u64::MAX)))
}

fn read_crawl(body: &str) -> Read {
    let mut parts = Parts::default();
    let mut is_further = false;
    'lines: for line in body.lines() {
        if is_further {
            parts.note("took URLs from several lines");
        }
        is_further = true;
        for part in at_bars(line) {
            for url in at_spaces(part) {
                if !parts.has_room() {
                    break 'lines;
                }
                if url.len() < trim(part).len() {
                    parts.note("split URLs at spaces");
                }
                parts.add(bare_url(url));
            }
        }
    }
    if parts.kept.is_empty() {
        return Err("it holds no URL".to_owned());
    }
    let mut found = Map::new();
    found.insert("url".to_owned(), Value::Array(parts.kept));
    Ok((found, parts.repairs))
}

/// The text between bars. A bar in the middle of a URL belongs to it.
fn at_bars(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let is_between = |(at, _): &(usize, &str)| {
            let (before, behind) = (text.get(..*at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
            before.is_empty()
                || behind.is_empty()
                || before.ends_with(char::is_whitespace)
                || behind.starts_with(char::is_whitespace)
                || begins_url(behind)
        };
        match text.match_indices('|').find(is_between) {
            Some((at, _)) => {
                rest = text.get(at + 1..);
                text.get(..at)
            }
            None => Some(text),
        }
    })
}

/// The words of `part` if each of them is a URL, else all of it.
fn at_spaces(part: &str) -> impl Iterator<Item = &str> {
    let part = trim(part);
    let is_list = part.contains(char::is_whitespace) && part.split_whitespace().all(begins_url);
    let whole = (!is_list).then_some(part);
    whole.into_iter().chain(part.split_whitespace().filter(move |_| is_list))
}

fn begins_url(text: &str) -> bool {
    ["http://", "https://", "url="].iter().any(|start| text.starts_with(start))
}

fn bare_url(url: &str) -> &str {
    let url = url.trim();
    let url = ["url=", "urls="].iter().find_map(|key| url.strip_prefix(key)).unwrap_or(url);
    url.trim_matches(['<', '>', '"', '\'']).trim_end_matches([',', ';']).trim()
}

/// What O-Researcher's parser (`extract_specific_tag` of its `infer/utils.py`) makes of the content of `tag`; nothing if it is no call.
///
/// Queries stand behind the first `query=` up to `&`, on one line, else there are none; a number behind `num=` anywhere; of URLs the first
/// line counts. Nothing is trimmed or stripped of its key.
pub(super) fn read_strict(tag: &str, content: &str) -> Option<Map<String, Value>> {
    let mut found = Map::new();
    match tag {
        SEARCH => {
            let queries = strict_query(content).map(|query| query.split('|').map(Value::from).collect());
            found.insert("query".to_owned(), Value::Array(queries.unwrap_or_default()));
            found.insert("num".to_owned(), json!(strict_count(content).unwrap_or(NUM_DEFAULT)));
        }
        CRAWL => {
            let first = content.split('\n').next().unwrap_or_default();
            found.insert("url".to_owned(), first.split('|').map(Value::from).collect());
        }
        _ => return None,
    }
    Some(found)
}

/// `query=(.*?)(&|$)`, where `.` is no line break and `$` the end of the content.
fn strict_query(content: &str) -> Option<&str> {
    let mut rest = content;
    while let Some((_, behind)) = rest.split_once("query=") {
        let end = behind.find(['&', '\n']).unwrap_or(behind.len());
        if behind.as_bytes().get(end) != Some(&b'\n') {
            return behind.get(..end);
        }
        // What follows on the same line has no `&` either.
        rest = behind.get(end..).unwrap_or_default();
    }
    None
}

/// `num=(\d+)`.
fn strict_count(content: &str) -> Option<u64> {
    content.match_indices("num=").find_map(|(at, key)| {
        let digits = content.get(at + key.len()..)?;
        let digits = digits.get(..digits.bytes().take_while(u8::is_ascii_digit).count())?;
        (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX))
    })
}

/// The body of a call, and the arguments that are read from it: a query or URL alone becomes a list. `None` if the tool is none of the
/// protocol's or has other arguments.
///
/// Queries have their key, URLs have none: so O-Researcher's own parser reads both.
pub(super) fn write(tool: &str, arguments: &Map<String, Value>) -> Option<(String, Map<String, Value>)> {
    let key = match tool {
        SEARCH => "query",
        CRAWL => "url",
        _ => return None,
    };
    let list = match arguments.get(key)? {
        Value::Array(list) => list.clone(),
        text => vec![text.clone()],
    };
    let written: Vec<&str> = list.iter().map(Value::as_str).collect::<Option<_>>()?;
    let mut body = if tool == SEARCH { format!("query={}", written.join(" | ")) } else { written.join(" | ") };
    if let Some(num) = arguments.get("num").filter(|_| tool == SEARCH) {
        body.push_str(&format!("&num={num}"));
    }
    let is_whole = arguments.keys().all(|given| given == key || given == "num" && tool == SEARCH);
    let mut listed = arguments.clone();
    listed.insert(key.to_owned(), Value::Array(list));
    is_whole.then_some((body, listed))
}

#[cfg(test)]
mod tests;
