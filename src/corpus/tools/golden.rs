//! What models see, compared to the letter with files under `golden/`: each is a session, calls and observations in turn.
//!
//! `SLUICE_WRITE_GOLDEN=1 cargo test -p corpus golden` writes them anew; then read the difference before you keep it.

use std::fs;
use std::path::Path;

use super::testing::{TestBrowser, corpus};

fn check(name: &str, calls: &[(&str, &str)]) {
    let corpus = corpus();
    let mut browser = TestBrowser::new(&corpus);
    let mut session = String::new();
    for (tool, arguments) in calls {
        let observation = browser.call(tool, arguments);
        session.push_str(&format!(">>> {tool} {arguments}\n{}\n", observation.text));
        let kind = observation.error.map(|kind| format!("error {kind}, ")).unwrap_or_default();
        let opened = observation.url_opened.map(|url| format!(", opened {url}")).unwrap_or_default();
        session.push_str(&format!("--- {kind}{} tokens, shown {:?}{opened}", observation.tokens, observation.urls_shown));
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
