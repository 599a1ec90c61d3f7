//! What models see, compared to the letter with files under `golden/`: each is a session, calls and observations in turn.
//!
//! `SLUICE_WRITE_GOLDEN=1 cargo test -p corpus golden` writes them anew; then read the difference before you keep it.

use std::fs;
use std::path::Path;

use super::testing::{TestBrowser, corpus};
use crate::browser::{ToolBox, ToolLimits};

fn check(name: &str, calls: &[(&str, &str)]) {
    check_with(ToolLimits::default(), name, calls);
}

fn check_with(limits: ToolLimits, name: &str, calls: &[(&str, &str)]) {
    let corpus = corpus();
    let mut browser = TestBrowser::with(&corpus, limits);
    let mut session = String::new();
    for (tool, arguments) in calls {
        let observation = browser.call(tool, arguments);
        session.push_str(&format!(">>> {tool} {arguments}\n{}\n", observation.text));
        let kind = observation.error.map(|kind| format!("error {kind}, ")).unwrap_or_default();
        let opened = observation.url_opened.map(|url| format!(", opened {url}")).unwrap_or_default();
        let too = &observation.urls_opened_too;
        let too = if too.is_empty() { String::new() } else { format!(" and {too:?}") };
        session.push_str(&format!("--- {kind}{} tokens, shown {:?}{opened}{too}", observation.tokens, observation.urls_shown));
        session.push_str(&format!(", neutralised {}\n\n", observation.neutralised));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("SLUICE_WRITE_GOLDEN").is_some() {
        fs::write(&path, &session).expect("write the golden file");
    }
    let expected = fs::read_to_string(&path).expect("the golden file");
    assert!(session == expected, "{name} differs; SLUICE_WRITE_GOLDEN=1 writes it anew:\n{session}");
}

#[test]
fn searching() {
    check(
        "search.txt",
        &[
            ("search", r#"{"query": "granite lighthouse at the Vell estuary"}"#),
            ("browser.search", r#"{"query": ["ferry to Skarholm", "tide tables"], "topn": "3"}"#),
            ("search", r#"{"query": "灯台の光源", "topn": 1}"#),
            ("search", r#"{"query": 1984, "topn": 1}"#),
            ("search", r#"{"query": "zyzzyva quux"}"#),
        ],
    );
}

#[test]
fn opening() {
    check(
        "open.txt",
        &[
            ("open", r#"{"id": 0}"#),
            ("search", r#"{"query": "Skarholm Light keeper", "topn": 2}"#),
            ("open", r#"{"id": 0}"#),
            ("open", r#"{"id": 4, "cursor": 1}"#),
            ("open", r#"{"id": "0", "cursor": "1", "num_lines": 4.0}"#),
            ("open", r#"{"loc": 2, "num_lines": 2}"#),
            ("open", r#"{}"#),
            ("open", r#"{"id": 3, "cursor": 1}"#),
            ("open", r#"{"id": 17, "cursor": 1}"#),
            ("open", r#"{"id": "jp.example/todai"}"#),
            ("open", r#"{"id": "https://notes.example/unsafe_page"}"#),
            ("open", r#"{"cursor": 12}"#),
            ("open", r#"{"cursor": -2}"#),
            ("open", r#"{"loc": 999}"#),
            ("open", r#"{"loc": "ten"}"#),
        ],
    );
}

#[test]
fn finding() {
    check(
        "find.txt",
        &[
            ("search", r#"{"query": "Skarholm Light", "topn": 1}"#),
            ("find", r#"{"pattern": "granite"}"#),
            ("open", r#"{"id": "https://harbour.example/lights/skarholm"}"#),
            ("find", r#"{"pattern": "GRANITE"}"#),
            ("open", r#"{"id": 1}"#),
            ("find", r#"{"pattern": "replaced by a paraffin vapour  burner", "cursor": 1}"#),
            ("find", r#"{"pattern": "fog signal takes over", "cursor": 1}"#),
            ("find", r#"{"pattern": "the red lamp of the tower", "cursor": 1}"#),
            ("find", r#"{"pattern": "", "cursor": 1}"#),
            ("find", r#"{"pattern": "lamp", "cursor": 2}"#),
        ],
    );
}

#[test]
fn searching_the_web() {
    let calls = [
        ("web_search", r#"{"query": ["granite lighthouse at the Vell estuary"], "num": 3}"#),
        ("web_search", r#"{"query": "ferry to Skarholm | tide tables | zyzzyva quux", "serp_num": "5"}"#),
        ("web_search", r#"{"queries": ["tide tables", "tables of the tide"], "num": 2}"#),
        ("web_search", r#"{"query": "灯台の光源", "num": 1}"#),
        ("web_search", r#"{"query": ["boat to the light <tool_call>"], "num": 1}"#),
        ("web_search", r#"{"query": ["zyzzyva", "quux"]}"#),
        ("web_search", r#"{"query": []}"#),
        ("search", r#"{"query": "tide"}"#),
    ];
    let limits = ToolLimits { toolbox: ToolBox::Web, ..ToolLimits::default() };
    check_with(limits, "web_search.txt", &calls);
    check_with(ToolLimits { strict: true, ..limits }, "web_search_strict.txt", &calls);
}

#[test]
fn crawling() {
    let calls = [
        ("crawl_page", r#"{"url": ["https://harbour.example/places/oster-vell"]}"#),
        ("crawl_page", r#"{"url": "harbour.example/lights/skarholm | https://nowhere.example/a | http://jp.example/todai"}"#),
        ("crawl_page", r#"{"urls": ["https://notes.example/unsafe_page", "https://notes.example/tide_tables#p4"]}"#),
        ("crawl_page", r#"{"url": "nowhere.example/a | INST"}"#),
        ("crawl_page", r#"{"url": ""}"#),
        ("open", r#"{"id": "https://jp.example/todai"}"#),
    ];
    let limits = ToolLimits { toolbox: ToolBox::Web, page_tokens: 256, ..ToolLimits::default() };
    check_with(limits, "crawl_page.txt", &calls);
    check_with(ToolLimits { strict: true, ..limits }, "crawl_page_strict.txt", &calls);
}
