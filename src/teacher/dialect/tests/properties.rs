//! Any text at all: read without panic, alike each time, nothing special left; and what is written is read.

use proptest::prelude::*;

use super::*;

/// What the dialects are made of.
const PARTS: [&str; 79] = [
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "<tool_response>",
    "<function=search>",
    "<parameter=query>",
    "</parameter>",
    "</function>",
    "{\"name\": \"search\", \"arguments\": {\"query\": \"",
    "{\"name\": \"search\", \"parameters\": {\"query\": \"",
    "\"}}",
    "{'name': 'open', 'arguments': '",
    "```json\n",
    "\\u",
    "<|start|>",
    "assistant",
    "<|channel|>",
    "analysis",
    "final",
    "commentary",
    " to=functions.search ",
    "<|constrain|>",
    "json",
    "<|message|>",
    "<|end|>",
    "<|call|>",
    "<|return|>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "function",
    "<｜tool▁sep｜>",
    "search\n",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "<｜end▁of▁sentence｜>",
    "<|tool_calls_section_begin|>",
    "<|tool_call_begin|>",
    "functions.search:0",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<|im_end|>",
    "<|im_start|>",
    "<|python_tag|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|eot_id|>",
    "[search(query=",
    "open(id=3)",
    ")]",
    "; ",
    "\n",
    "[TOOL_CALLS]",
    "[ARGS]",
    "[CALL_ID]",
    "[THINK]",
    "[/THINK]",
    "</s>",
    "<web_search>",
    "</web_search>",
    "<crawl_page>",
    "<observation>",
    "<|",
    "_end|>",
    "<function=search{",
    "<function=",
    "DSML",
    "｜",
    "<parameter=",
    "<｜DSML｜function_calls>",
    "<｜DSML｜invoke name=\"search\">",
    "<｜DSML｜parameter name=\"query\" string=\"false\">",
    "</｜DSML｜parameter>",
    "</｜DSML｜invoke>",
    "</｜DSML｜>",
    "< | DSML | calls>",
    "</｜｜DSML｜｜ invoke>",
    "<｜",
    "DSML｜",
];

fn fragments() -> impl Strategy<Value = String> {
    let part = prop_oneof![3 => proptest::sample::select(PARTS.as_slice()).prop_map(str::to_owned), 1 => ".{0,8}"];
    proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

fn dialect() -> impl Strategy<Value = Dialect> {
    proptest::sample::select(Dialect::ALL.as_slice())
}

fn argument_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        fragments().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "(true|[0-9]{1,3}|null|\"a\"|\\[1\\]|\n?a\n?)".prop_map(Value::from),
        Just(Value::Null)
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((".{0,6}", inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Whether a special token or a tag of a call stands in the text; of the tag protocol's tags only its own dialect knows.
fn holds_a_mark(dialect: Dialect, text: &str) -> bool {
    use super::super::marks::{Kind, Marks};
    let marks = Marks::of(text, dialect == Dialect::Mistral);
    let mut at = 0;
    while let Some(mark) = marks.next(at) {
        let is_text = match mark.kind {
            Kind::ParameterOpen | Kind::ParameterClose | Kind::Protocol => true,
            Kind::ToolOpen | Kind::ToolClose | Kind::ObservationOpen | Kind::ObservationClose => dialect != Dialect::Tags,
            _ => false,
        };
        if !is_text {
            return true;
        }
        at = mark.end();
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_text_is_read_without_panic_and_says_either_something_or_why_not(dialect in dialect(), text in fragments(), cut: bool, is_native: bool) {
        let finish_reason = if cut { FinishReason::Length } else { FinishReason::Stop };
        let completion = if is_native { native(&[("a", &text, &text)]) } else { of_text(&text) };
        let completion = Completion { finish_reason, ..completion };
        let reading = read(dialect, &completion);
        prop_assert!(reading.problems.len() <= 9);
        for action in &reading.actions {
            prop_assert!(action.unreadable.is_none() || action.arguments.is_empty());
        }
        prop_assert!(!holds_a_mark(dialect, &reading.text), "{}", reading.text);
        prop_assert_eq!(&reading, &read(dialect, &completion), "it is read alike each time");
        let kept = reading.raw.as_deref().unwrap_or(&reading.text);
        let own = completion.text.get(..reading.forged_from.unwrap_or(completion.text.len())).expect("at a mark");
        let whole = Completion { text: own.to_owned(), ..completion.clone() };
        let whole = format!("{own}{}", closing(dialect, &whole).unwrap_or_default());
        prop_assert_eq!(kept, whole.as_str(), "what was written is kept but for what was made up, and whole again");
        read_tags_strictly(&completion);
        announces_a_call(&text, &["search", "open"]);
        refuses(&text);
        let sent = assistant_message(dialect, Mode::Completion, &completion);
        prop_assert!(sent.text.starts_with(&completion.text));
    }

    #[test]
    fn what_is_written_is_read_back_alike(
        dialect in dialect(),
        name in "[a-z_.]{1,12}",
        arguments in proptest::collection::vec((prop_oneof![".{0,8}", "[a-z_]{1,8}"], argument_value()), 0..4),
        before in "[^<{\\[(]{0,20}",
    ) {
        let arguments: Map<String, Value> = arguments.into_iter().collect();
        let written = write(dialect, &name, &arguments);
        let reading = read(dialect, &of_text(&format!("{before}\n{written}\n{written}")));
        prop_assert_eq!(reading.actions.len(), 2, "{}\n{:?}", written, reading.problems);
        for action in &reading.actions {
            prop_assert_eq!((&action.tool, &action.arguments, action.repairs.len()), (&name, &arguments, 0), "{}", written);
        }
        prop_assert_eq!(reading.text, before.trim());
    }

    #[test]
    fn what_is_written_in_the_tag_protocol_is_read_back_alike(
        list in proptest::collection::hash_set("[a-zA-Z0-9&=é灯/.:]{1,10}( [a-z|]{1,5})?", 1..5),
        num in proptest::option::of(1..=20_u64),
        is_search: bool,
    ) {
        let mut arguments = Map::new();
        arguments.insert(if is_search { "query" } else { "url" }.to_owned(), list.into_iter().map(Value::from).collect());
        if let Some(num) = num.filter(|_| is_search) {
            arguments.insert("num".to_owned(), json!(num));
        }
        let name = if is_search { "web_search" } else { "crawl_page" };
        let reading = read(Dialect::Tags, &of_text(&write(Dialect::Tags, name, &arguments)));
        prop_assert_eq!(calls(&reading), [(name, Value::from(arguments))]);
    }
}
