//! The tag protocol: what is taken out of a text, what stays, and what O-Researcher's parser makes of it.

use super::*;

fn read_tags(text: &str) -> Reading {
    read(Dialect::Tags, &of_text(text))
}

fn strictly(text: &str) -> Vec<(String, Value)> {
    read_tags_strictly(&of_text(text)).actions.into_iter().map(|action| (action.tool, Value::from(action.arguments))).collect()
}

#[test]
fn calls_and_thoughts_are_taken_out_and_every_other_tag_stays() {
    let reading = read_tags(
        "<subtask>Who built it?</subtask><think>Search first.</think>\n<plan>Two queries.</plan>\n<web_search>query=builder | architect&num=5</web_search>",
    );
    assert_eq!(calls(&reading), [("web_search", json!({"query": ["builder", "architect"], "num": 5}))]);
    assert_eq!(reading.text, "<subtask>Who built it?</subtask>\n<plan>Two queries.</plan>");
    assert_eq!(reading.reasoning.as_deref(), Some("Search first."));
    assert_eq!((reading.actions[0].dialect.as_str(), reading.actions[0].repairs.len()), ("tags", 0));
    let report = "<suggested_answer>It was Ada [1] .\n\n[1]. https://a - A</suggested_answer>";
    assert_eq!(read_tags(report), Reading { text: report.to_owned(), ..Reading::default() });
}

#[test]
fn a_call_without_its_closing_tag_is_a_call_when_a_stop_text_ended_it_and_cut_when_the_token_limit_did() {
    for text in ["<plan>a</plan><web_search>builder", "<plan>a</plan><crawl_page>https://a"] {
        let reading = read_tags(text);
        assert_eq!((reading.actions.len(), reading.problems.len()), (1, 0), "{text}");
        assert!(reading.actions[0].repairs.is_empty());
        let reading = read(Dialect::Tags, &cut(text));
        assert_eq!((reading.actions.len(), reading.problems.len(), reading.text.as_str()), (0, 1, "<plan>a</plan>"), "{text}");
        assert!(reading.problems[0].contains("token limit"), "{:?}", reading.problems);
    }
}

#[test]
fn an_observation_that_the_model_wrote_ends_its_turn() {
    let reading = read_tags("<web_search>a</web_search>\n<observation>\nmade up\n</observation>\n<suggested_answer>4</suggested_answer>");
    assert_eq!((reading.actions.len(), reading.text.as_str()), (1, ""));
    assert!(reading.problems[0].contains("<observation>"));
}

#[test]
fn a_call_that_another_tag_cuts_short_is_closed_and_an_empty_one_told() {
    let reading = read_tags("<web_search>a | b\n<plan>then</plan><crawl_page>https://a</web_search><web_search> </web_search>");
    assert_eq!(calls(&reading), [("web_search", json!({"query": ["a", "b"]})), ("crawl_page", json!({"url": ["https://a"]}))]);
    assert!(reading.actions.iter().all(|action| action.repairs.iter().any(|repair| repair.starts_with("closed"))));
    assert_eq!(reading.text, "<plan>then</plan>");
    assert!(reading.problems[0].contains("no query") && reading.problems[0].contains("</crawl_page>"));
}

#[test]
fn a_call_in_another_case_is_a_call_and_one_that_nothing_opens_is_told() {
    let reading = read_tags("<Web_Search>query=a</WEB_SEARCH>");
    assert_eq!(calls(&reading), [("web_search", json!({"query": ["a"]}))]);
    assert_eq!(reading.actions[0].repairs, ["read `<Web_Search>` as `<web_search>`"]);
    let reading = read_tags("<plan>look</plan>\nquery=a</web_search>");
    assert_eq!((reading.actions.len(), reading.problems.len()), (0, 1));
    let told = &reading.problems[0];
    assert!(told.contains("no `<web_search>` opens it") && told.contains("query=a\n"), "{told}");
    let answer = "<subtask_answer>It was Ada.</subtask_answer>";
    let reading = read_tags(&format!("{answer}</web_search>"));
    assert_eq!((reading.text.as_str(), reading.problems.len()), (answer, 0), "behind an answer it is a slip");
}

#[test]
fn in_other_dialects_only_a_closed_pair_is_a_call() {
    let reading = read_text("<web_search>a</web_search>");
    assert_eq!(calls(&reading), [("web_search", json!({"query": ["a"]}))]);
    let text = "The tag <web_search> opens a search, <observation> what it gives.";
    assert_eq!(read_text(text), Reading { text: text.to_owned(), ..Reading::default() });
}

#[test]
fn a_call_is_written_so_that_both_parsers_read_it() {
    for (tool, arguments, written) in [
        ("web_search", json!({"query": ["a", "b c"], "num": 5}), "<web_search>query=a | b c&num=5</web_search>"),
        ("crawl_page", json!({"url": ["https://a", "https://b"]}), "<crawl_page>https://a | https://b</crawl_page>"),
    ] {
        assert_eq!(write(Dialect::Tags, tool, &object(arguments.clone())), written);
        assert_eq!(calls(&read_tags(written)), [(tool, arguments.clone())]);
        let (key, list) = arguments.as_object().and_then(|object| object.iter().next()).expect("a list");
        let strict = strictly(written);
        let trimmed: Vec<&str> = strict[0].1[key].as_array().expect("a list").iter().filter_map(Value::as_str).map(str::trim).collect();
        assert_eq!(Value::from(trimmed), *list);
    }
    assert_eq!(
        write(Dialect::Tags, "web_search", &object(json!({"query": "a"}))),
        "<web_search>query=a</web_search>",
        "one alone needs no list"
    );
    for odd in [json!({"query": ["a | b"]}), json!({"query": ["a&num=3"]}), json!({"query": []}), json!({"query": [" a"]}), json!({"q": 1})]
    {
        let written = write(Dialect::Tags, "web_search", &object(odd.clone()));
        assert_eq!((calls(&read_tags(&written)), written.contains("<tool_call>")), (vec![("web_search", odd)], true));
    }
}

#[test]
fn the_peers_parser_takes_the_last_of_several_calls_and_loses_what_it_loses() {
    for (text, expected) in [
        ("<web_search>query=a</web_search><crawl_page>https://b</crawl_page>", vec![("crawl_page", json!({"url": ["https://b"]}))]),
        ("<web_search>a | b&serp_num=10</web_search>", vec![("web_search", json!({"query": [], "num": 10}))]),
        ("<web_search>query=AT&T history | b&num=5</web_search>", vec![("web_search", json!({"query": ["AT"], "num": 5}))]),
        ("<crawl_page>url=http://a | https://b</crawl_page>", vec![("crawl_page", json!({"url": ["url=http://a ", " https://b"]}))]),
        ("<crawl_page>\nhttp://a\nhttp://b\n</crawl_page>", vec![("crawl_page", json!({"url": ["http://a"]}))]),
        ("<WEB_SEARCH>query=a</WEB_SEARCH>", vec![]),
        ("query=a</web_search>", vec![]),
        ("<web_search>query=a</web_search><think>done</think>", vec![]),
        ("<think>a</think><web_search>query=a", vec![("web_search", json!({"query": ["a"], "num": 10}))]),
        ("<web_search>query=<b>a</b></web_search>", vec![("web_search", json!({"query": ["<b>a</b>"], "num": 10}))]),
        ("<web_search><think>x</think>query=a</web_search>", vec![("web_search", json!({"query": ["a"], "num": 10}))]),
        ("<web_search>query=a</crawl_page>", vec![]),
    ] {
        let expected: Vec<(String, Value)> = expected.into_iter().map(|(tool, arguments)| (tool.to_owned(), arguments)).collect();
        assert_eq!(strictly(text), expected, "{text}");
    }
    let lost = read_tags_strictly(&cut("<web_search>query=a</web_search>"));
    assert_eq!((lost.actions.len(), lost.problems.len()), (0, 0), "and tells nothing of it");
}
