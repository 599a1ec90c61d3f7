//! The table of O-Researcher's parser: what it makes of each body, and what we make of it.

use proptest::prelude::*;

use super::*;

/// Tool, body, what we read, whether something had to be mended, and what O-Researcher's parser reads.
type Row = (&'static str, &'static str, Value, bool, Value);

fn table() -> Vec<Row> {
    vec![
        (
            "web_search",
            "query=a b | c d&num=20",
            json!({"query": ["a b", "c d"], "num": 20}),
            false,
            json!({"query": ["a b ", " c d"], "num": 20}),
        ),
        ("web_search", "a b | c d&serp_num=10", json!({"query": ["a b", "c d"], "num": 10}), false, json!({"query": [], "num": 10})),
        ("web_search", "query=a | b&serp_num=7", json!({"query": ["a", "b"], "num": 7}), false, json!({"query": ["a ", " b"], "num": 7})),
        ("web_search", "query=a", json!({"query": ["a"]}), false, json!({"query": ["a"], "num": 10})),
        ("web_search", "num=5&query=a | b", json!({"query": ["a", "b"], "num": 5}), false, json!({"query": ["a ", " b"], "num": 5})),
        (
            "web_search",
            "query=AT&T history | b&num=5",
            json!({"query": ["AT&T history", "b"], "num": 5}),
            false,
            json!({"query": ["AT"], "num": 5}),
        ),
        ("web_search", "query=a\nb&num=5", json!({"query": ["a b"], "num": 5}), true, json!({"query": [], "num": 5})),
        ("web_search", "query=a&num=50", json!({"query": ["a"], "num": 20}), true, json!({"query": ["a"], "num": 50})),
        (
            "crawl_page",
            "url=http://a | https://b",
            json!({"url": ["http://a", "https://b"]}),
            false,
            json!({"url": ["url=http://a ", " https://b"]}),
        ),
        ("crawl_page", "url=http://a", json!({"url": ["http://a"]}), false, json!({"url": ["url=http://a"]})),
        (
            "crawl_page",
            "http://a | https://b",
            json!({"url": ["http://a", "https://b"]}),
            false,
            json!({"url": ["http://a ", " https://b"]}),
        ),
        ("crawl_page", "http://a\nhttps://b", json!({"url": ["http://a", "https://b"]}), true, json!({"url": ["http://a"]})),
    ]
}

#[test]
fn every_body_of_the_table_is_mended_and_what_was_mended_is_said() {
    for (tool, body, expected, is_mended, _) in table() {
        let (found, repairs) = read(tool, body).expect(body);
        assert_eq!(Value::from(found), expected, "{body}");
        assert_eq!(!repairs.is_empty(), is_mended, "{body}: {repairs:?}");
    }
}

#[test]
fn every_body_of_the_table_is_lost_in_the_peers_way_when_read_strictly() {
    for (tool, body, _, _, expected) in table() {
        assert_eq!(Value::from(read_strict(tool, body).expect(body)), expected, "{body}");
    }
    assert_eq!(read_strict("plan", "query=a"), None);
    assert_eq!(read_strict("web_search", "query=a\nb query=c&num=x").map(Value::from), Some(json!({"query": ["c"], "num": 10})));
}

#[test]
fn what_models_mix_up_is_sorted_out_and_said() {
    for (tool, body, expected, repair) in [
        ("web_search", "a | | b |", json!({"query": ["a", "b"]}), "dropped an empty part"),
        ("web_search", "a | b | a", json!({"query": ["a", "b"]}), "dropped a repeated part"),
        ("web_search", "a ｜ b", json!({"query": ["a", "b"]}), "read `｜` as `|`"),
        ("web_search", "query=a&query=b&num=3", json!({"query": ["a", "b"], "num": 3}), "split several `query=`"),
        ("web_search", "a&num=3&num=4", json!({"query": ["a"], "num": 4}), "kept the last of several numbers of results"),
        ("web_search", "a&num=ten", json!({"query": ["a"]}), "ignored a number of results that is no number"),
        ("web_search", "a&num=0", json!({"query": ["a"], "num": 1}), "a search gives 1 to 20 results, not 0"),
        ("web_search", "{\"query\": \"a\", \"num\": 3}", json!({"query": ["a"], "num": 3}), "read arguments written as JSON"),
        ("crawl_page", "https://a https://b", json!({"url": ["https://a", "https://b"]}), "split URLs at spaces"),
        ("crawl_page", "https://a, https://a", json!({"url": ["https://a"]}), "dropped a repeated part"),
    ] {
        let (found, repairs) = read(tool, body).expect(body);
        assert_eq!(Value::from(found), expected, "{body}");
        assert!(repairs.iter().any(|noted| noted == repair), "{body}: {repairs:?}");
    }
    let (found, repairs) = read("crawl_page", "https://a/?q=x|y").expect("one URL");
    assert_eq!((Value::from(found), repairs.len()), (json!({"url": ["https://a/?q=x|y"]}), 0), "a bar within a URL is its own");
    let (found, repairs) = read("web_search", "R&D spending & growth").expect("one query");
    assert_eq!((Value::from(found), repairs.len()), (json!({"query": ["R&D spending & growth"]}), 0));
}

#[test]
fn a_body_without_anything_is_told() {
    for (tool, body) in
        [("web_search", ""), ("web_search", "query=&num=5"), ("web_search", " | "), ("crawl_page", "url="), ("crawl_page", "\n")]
    {
        assert!(read(tool, body).is_err(), "{body}");
    }
}

proptest! {
    #[test]
    fn any_body_is_read_and_bounded(body in "[a-z&|=\n{ ]{0,40}|(num=|&num=|query=|url=|https://a| \\| |\n|&){0,40}") {
        for tool in ["web_search", "crawl_page"] {
            if let Ok((found, _)) = read(tool, &body) {
                let key = if tool == "web_search" { "query" } else { "url" };
                prop_assert!((1..=PARTS_MAX).contains(&found[key].as_array().map_or(0, Vec::len)));
            }
            prop_assert!(read_strict(tool, &body).is_some());
        }
    }
}
