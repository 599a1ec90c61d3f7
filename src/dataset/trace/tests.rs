//! What stands in a trace, character by character.

use model::{Action, Digest, Notice, NoticeKind};
use serde_json::json;

use super::*;
use crate::testing::{acts, call, observed, researcher, says};

fn tagged(tool: &str) -> Action {
    Action { dialect: "tags".into(), ..call(tool, &json!({"query": "never read: what the model wrote counts"})) }
}

fn planner(reasoning: &str) -> Thread {
    Thread::new(ThreadRole::Planner, Digest::of(b""), vec![acts(reasoning, "a list", Vec::new())])
}

fn summarizer(reasoning: &str) -> Thread {
    Thread::new(ThreadRole::Summarizer, Digest::of(b""), vec![acts(reasoning, "<suggested_answer>raw</suggested_answer>", Vec::new())])
}

/// Threads with text in several scripts, one researcher speaking in tags and one natively.
fn threads() -> Vec<Thread> {
    let raw =
        "<think>Zuerst die Größe – 大小?</think>\n<plan>look &amp; see</plan>  <web_search>query=大坝 |  Staumauer &num=5</web_search>";
    let in_tags =
        Turn { raw: Some(raw.into()), ..acts("parsed apart", "parsed apart", vec![(tagged("web_search"), observed("結果 🏗 1"))]) };
    let last = Turn {
        raw: Some("<think>enough</think>\n\n<subtask_answer>raw [1]</subtask_answer>".into()),
        ..acts("enough", "<subtask_answer>raw [1]</subtask_answer>", Vec::new())
    };
    let native = acts(
        "weigh it",
        "I read both.",
        vec![
            (call("crawl_page", &json!({"url": "https://a.example"})), observed("page α")),
            (call("web_search", &json!({"query": ["b", "c"], "num": 3})), observed("page β")),
        ],
    );
    vec![
        planner("divide it"),
        researcher("the\ndam", vec![in_tags, last], Some("It is high [2] ")),
        researcher("the builder", vec![native, says("It was her [1].")], Some("It was her [1] ")),
        summarizer("put together"),
    ]
}

fn keyed(threads: &[Thread], answer: Option<&str>) -> Trace {
    Trace::of(threads, answer, CallStyle::Keyed, PageText::Seen)
}

#[test]
fn a_trace_is_written_in_the_order_of_the_protocol_to_the_character() {
    let expected = "<think>divide it</think>\n<subtask_list>\n1. the dam\n2. the builder\n</subtask_list>\n\n<subtask>\nthe\ndam\n</subtask>\n\n\
        <think>Zuerst die Größe – 大小?</think>\n<plan>look &amp; see</plan>  <web_search>query=大坝 |  Staumauer &num=5</web_search>\
        \n\n<observation>\n結果 🏗 1\n</observation>\n\n<think>enough</think>\n\n<subtask_answer>\nIt is high [2] \n</subtask_answer>\
        \n\n<subtask>\nthe builder\n</subtask>\n\n<think>weigh it</think>\n<plan>I read both.</plan>\n\
        <crawl_page>url=https://a.example</crawl_page>\n\n<observation>\npage α\n</observation>\n\n\
        <web_search>query=b | c&num=3</web_search>\n\n<observation>\npage β\n</observation>\n\n<subtask_answer>\nIt was her [1] \n</subtask_answer>\
        \n\n<think>put together</think>\n<suggested_answer>\n# Über\n</suggested_answer>";
    assert_eq!(keyed(&threads(), Some("# Über")).text, expected);
}

#[test]
fn spans_are_the_whole_text_and_the_mask_slices_exactly_the_observations() {
    let trace = keyed(&threads(), Some("# Über 🏗"));
    let joined: String = trace.spans.iter().map(|span| trace.part(span)).collect();
    assert_eq!(joined, trace.text);
    assert!(trace.spans.first().is_some_and(|span| span.range.start == 0));
    assert!(trace.spans.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
    // As Python slices: by code points.
    let characters: Vec<char> = trace.text.chars().collect();
    let sliced: Vec<String> = trace.mask().into_iter().map(|[begin, end]| characters[begin..end].iter().collect()).collect();
    let expected = ["結果 🏗 1", "page α", "page β"].map(|text| format!("\n\n<observation>\n{text}\n</observation>\n\n"));
    assert_eq!(sliced, expected);
    let of_models = trace.spans.iter().filter(|span| span.origin == Origin::Model);
    assert!(of_models.clone().count() == 4 && of_models.clone().all(|span| !trace.part(span).contains("observation>")));
}

#[test]
fn what_came_to_nothing_leaves_the_trace_with_the_notice_that_said_so() {
    let notice = |kind| vec![Notice { kind, text: "Notice: …".into() }];
    let early =
        Turn { notices: notice(NoticeKind::TooFewCalls), ..acts("hasty", "<subtask_answer>too early</subtask_answer>", Vec::new()) };
    let narrated = Turn { notices: notice(NoticeKind::NarratedCall), ..says("I will search now.") };
    let mut threads = threads();
    let before = keyed(&threads, Some("r")).text;
    threads[1].turns.insert(0, early);
    threads[2].turns.insert(1, narrated);
    assert_eq!(keyed(&threads, Some("r")).text, before);
}

#[test]
fn a_thread_without_an_answer_ends_with_its_last_observation() {
    let mut threads = threads();
    threads[2].answer = None;
    let text = keyed(&threads, None).text;
    assert!(text.ends_with("<observation>\npage β\n</observation>\n\n"), "{text}");
}

#[test]
fn what_a_server_or_a_template_took_away_from_tagged_text_is_put_back() {
    let trace = |reasoning: Option<&str>, raw: &str| {
        let turn = Turn {
            reasoning: reasoning.map(str::to_owned),
            raw: Some(raw.into()),
            ..acts("", "", vec![(tagged("web_search"), observed("o"))])
        };
        let text = keyed(&[researcher("s", vec![turn], None)], None).text;
        text.split("</subtask>\n\n").nth(1).and_then(|rest| rest.split("\n\n<observation>").next()).expect("a turn").to_owned()
    };
    let search = "<plan>p</plan><web_search>q</web_search>";
    assert_eq!(trace(Some("why"), search), format!("<think>why</think>\n{search}"), "reasoning that the server gave apart");
    assert_eq!(trace(Some("why"), &format!("why</think>{search}")), format!("<think>why</think>{search}"), "a template opened it");
    assert_eq!(trace(Some("why"), &format!("<think>why</think> {search}")), format!("<think>why</think> {search}"));
    assert_eq!(trace(None, search), search);
}

#[test]
fn what_each_of_several_calls_of_a_turn_returned_follows_it() {
    let both = vec![(tagged("web_search"), observed("one")), (tagged("crawl_page"), observed("two"))];
    let turn = |raw: &str| Turn { raw: Some(raw.into()), reasoning: Some("r".into()), ..acts("", "", both.clone()) };
    let trace = |raw: &str| keyed(&[researcher("s", vec![turn(raw)], None)], None).text;
    let raw = "<think>r <web_search>no</web_search></think><web_search>q</web_search>\n<crawl_page>u</crawl_page>";
    let expected =
        "<web_search>q</web_search>\n\n<observation>\none\n</observation>\n\n\n<crawl_page>u</crawl_page>\n\n<observation>\ntwo\n";
    assert!(trace(raw).contains(expected), "{}", trace(raw));
    let odd = "<think>r</think><web_search>q<crawl_page>u</crawl_page>";
    assert!(trace(odd).contains("u</crawl_page>\n\n<observation>\none"), "one after the other where they cannot be told apart");
}

#[test]
fn an_answer_replaces_the_one_that_was_written_and_keeps_what_led_to_it() {
    let answered = |turn: Turn| {
        let first = Turn {
            reasoning: None,
            raw: Some("<web_search>q</web_search>".into()),
            ..acts("", "", vec![(tagged("web_search"), observed("o"))])
        };
        let text = keyed(&[researcher("s", vec![first, turn], Some("A [1] "))], None).text;
        text.split("</observation>\n\n").nth(1).expect("an answer").to_owned()
    };
    let answer = "<subtask_answer>\nA [1] \n</subtask_answer>";
    let raw = |raw: &str| Turn { raw: Some(raw.into()), ..acts("r", "t", Vec::new()) };
    assert_eq!(answered(raw("<think>r</think> <plan>p</plan>\n<subtask_answer>old")), format!("<think>r</think> <plan>p</plan>\n{answer}"));
    assert_eq!(answered(raw("<think>r</think>plain")), format!("<think>r</think>\n{answer}"), "all of the text was the answer");
    let called = raw("<think>r</think><web_search>q</web_search><subtask_answer>old</subtask_answer>");
    assert_eq!(answered(called), format!("<think>r</think>\n{answer}"), "a forbidden call has no observation");
}

#[test]
fn visible_text_is_a_plan_unless_it_says_so_itself() {
    let trace = |text: &str| {
        let turn = acts(" ", text, vec![(call("crawl_page", &json!({"url": "u"})), observed("o"))]);
        keyed(&[researcher("s", vec![turn], None)], None).text
    };
    assert!(trace("see").contains("</subtask>\n\n<plan>see</plan>\n<crawl_page>"), "and blank reasoning is none");
    assert!(trace("<plan>see</plan>").contains("</subtask>\n\n<plan>see</plan>\n<crawl_page>"));
    assert!(trace(" ").contains("</subtask>\n\n<crawl_page>"));
}

#[test]
fn page_or_extract_is_chosen_when_the_trace_is_made() {
    let observation = Observation { extract: Some("in brief".into()), ..observed("at length") };
    let turn = acts("r", "", vec![(call("crawl_page", &json!({"url": "u"})), observation)]);
    let threads = [researcher("s", vec![turn], None)];
    for (pages, expected) in [(PageText::Seen, "in brief"), (PageText::Extract, "in brief"), (PageText::Page, "at length")] {
        let text = Trace::of(&threads, None, CallStyle::Keyed, pages).text;
        assert!(text.contains(&format!("<observation>\n{expected}\n</observation>")), "{pages:?}: {text}");
    }
}

#[test]
fn no_threads_make_an_empty_trace() {
    assert_eq!(keyed(&[], None), Trace::default());
    assert_eq!(keyed(&[], Some("a")).text, "<suggested_answer>\na\n</suggested_answer>");
}
