//! Each dialect as its models write it: reasoning, text, one call and several.

use super::*;

/// Dialect, text, form of the calls, reasoning, visible text, calls.
type Fixture = (Dialect, &'static str, &'static str, Option<&'static str>, &'static str, Vec<(&'static str, Value)>);

fn check(fixtures: Vec<Fixture>) {
    for (dialect, text, form, reasoning, visible, expected) in fixtures {
        let reading = read(dialect, &of_text(text));
        assert_eq!(calls(&reading), expected, "{text}");
        assert_eq!((reading.reasoning.as_deref(), reading.text.as_str()), (reasoning, visible), "{text}");
        assert_eq!(reading.problems, Vec::<String>::new(), "{text}");
        for action in &reading.actions {
            assert_eq!((action.dialect.as_str(), action.repairs.as_slice()), (form, [].as_slice()), "{text}");
            assert_eq!(action.id, "", "a call of the text has no id");
        }
    }
}

#[test]
fn qwen3_coder() {
    check(vec![
        (
            Dialect::Qwen3Coder,
            "I look for both.\n\n<tool_call>\n<function=search>\n<parameter=query>\nlock gates\non the canal\n</parameter>\n<parameter=topn>\n5\n\
             </parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=open>\n<parameter=id>\nhttps://a.example/?x=1&y=<2>\n</parameter>\n\
             </function>\n</tool_call>",
            "qwen3_coder",
            None,
            "I look for both.",
            vec![
                ("search", json!({"query": "lock gates\non the canal", "topn": 5})),
                ("open", json!({"id": "https://a.example/?x=1&y=<2>"})),
            ],
        ),
        (
            Dialect::Qwen3Coder,
            "<function=search>\n<parameter=query>\n[\"a\", \"b\"]\n</parameter>\n<parameter=year>\n007\n</parameter>\n<parameter=exact>\ntrue\n</parameter>\n\
             </function>",
            "qwen3_coder",
            None,
            "",
            vec![("search", json!({"query": ["a", "b"], "year": "007", "exact": true}))],
        ),
    ]);
}

#[test]
fn harmony() {
    check(vec![
        (
            Dialect::Harmony,
            "<|channel|>analysis<|message|>The user asks for the builder. Search.<|end|><|start|>assistant<|channel|>commentary to=functions.search \
             <|constrain|>json<|message|>{\"query\": \"Marrow Light builder\", \"topn\": 5}<|call|>",
            "harmony",
            Some("The user asks for the builder. Search."),
            "",
            vec![("search", json!({"query": "Marrow Light builder", "topn": 5}))],
        ),
        // The recipient before the channel, and none of the tokens that say it is JSON.
        (
            Dialect::Harmony,
            "<|start|>assistant to=functions.open<|channel|>commentary<|message|>{\"id\": 3}<|call|>",
            "harmony",
            None,
            "",
            vec![("open", json!({"id": 3}))],
        ),
        // The browser it was trained with, on the channel of its thoughts.
        (
            Dialect::Harmony,
            "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>analysis to=browser.search code<|message|>{\"query\":\"灯塔\"}<|call|>",
            "harmony",
            Some("Look."),
            "",
            vec![("search", json!({"query": "灯塔"}))],
        ),
        // What it says before it calls, and several calls.
        (
            Dialect::Harmony,
            "<|channel|>commentary<|message|>I check two pages.<|end|><|start|>assistant<|channel|>commentary to=functions.open \
             <|constrain|>json<|message|>{\"id\":1}<|call|><|start|>assistant<|channel|>commentary to=functions.open <|constrain|>json<|message|>{\"id\":2}",
            "harmony",
            None,
            "I check two pages.",
            vec![("open", json!({"id": 1})), ("open", json!({"id": 2}))],
        ),
        (
            Dialect::Harmony,
            "<|channel|>analysis<|message|>Known.<|end|><|start|>assistant<|channel|>final<|message|>It was Ada Venn.【2†L3】<|return|>",
            "harmony",
            Some("Known."),
            "It was Ada Venn.【2†L3】",
            vec![],
        ),
        (Dialect::Harmony, "<|channel|>commentary to=functions.list<|message|><|call|>", "harmony", None, "", vec![("list", json!({}))]),
    ]);
}

#[test]
fn deepseek() {
    check(vec![
        (
            Dialect::Deepseek,
            "<think>\nTwo places.\n</think>\n\nI look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>search\n```json\n{\"query\": \"dam\"}\n```\
             <｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>open\n```json\n{\"id\": 3}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>",
            "deepseek",
            Some("Two places."),
            "I look.",
            vec![("search", json!({"query": "dam"})), ("open", json!({"id": 3}))],
        ),
        (
            Dialect::Deepseek,
            "Two places.</think>I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>search<｜tool▁sep｜>{\"query\": \"dam\"}<｜tool▁call▁end｜>\
             <｜tool▁call▁begin｜>open<｜tool▁sep｜>{\"id\": 3}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "deepseek",
            Some("Two places."),
            "I look.",
            vec![("search", json!({"query": "dam"})), ("open", json!({"id": 3}))],
        ),
        (
            Dialect::Deepseek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "deepseek",
            None,
            "",
            vec![("function", json!({"a": 1}))],
        ),
        (
            Dialect::Deepseek,
            "Two places.</think>I look.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"search\">\n<｜DSML｜parameter name=\"query\" \
             string=\"true\">\n1936 <b></｜DSML｜parameter>\n<｜DSML｜parameter name=\"topn\" string=\"false\"> 5 </｜DSML｜parameter>\n</｜DSML｜invoke>\n\
             <｜DSML｜invoke name=\"open\">\n<｜DSML｜parameter name=\"ids\" string=\"false\">[3, {\"a\": null}]</｜DSML｜parameter>\n<｜DSML｜parameter \
             name=\"page\" string=\"true\">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n<｜DSML｜invoke name=\"now\">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
            "deepseek",
            Some("Two places."),
            "I look.",
            vec![
                ("search", json!({"query": "\n1936 <b>", "topn": 5})),
                ("open", json!({"ids": [3, {"a": null}], "page": "2"})),
                ("now", json!({})),
            ],
        ),
    ]);
}

#[test]
fn the_prefix_of_deepseek_s_elements_is_known_however_its_bars_are_written() {
    for (open, close) in [
        ("<｜DSML｜", "</｜DSML｜"),
        ("<｜DSML｜ ", "</｜DSML｜ "),
        ("<|DSML|", "</|DSML|"),
        ("<｜｜DSML｜｜ ", "</｜｜DSML｜｜ "),
        ("< | DSML | ", "</ | DSML | "),
    ] {
        let text = format!(
            "I look.\n{open}tool_calls>\n{open}invoke name=\"search\">\n{open}parameter name=\"query\" string=\"true\">a | b{close}parameter>\n\
             {close}invoke>\n{close}tool_calls>"
        );
        let reading = read(Dialect::Deepseek, &of_text(&text));
        assert_eq!(calls(&reading), [("search", json!({"query": "a | b"}))], "{text}");
        assert_eq!((reading.text.as_str(), reading.problems.len()), ("I look.", 0), "{text}");
        assert_eq!(reading.actions[0].repairs, [""; 0], "{text}");
        let reading = read(Dialect::Deepseek, &of_text(&format!("It is 4.{}>", close.trim_end())));
        assert_eq!(reading.text, "It is 4.", "a mark at the very end");
    }
}

#[test]
fn kimi() {
    check(vec![(
        Dialect::Kimi,
        "<think>Two places.</think>I look.<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0<|tool_call_argument_begin|>{\"query\": \"a <b> c\"}\
         <|tool_call_end|><|tool_call_begin|>functions.open:1<|tool_call_argument_begin|>{\"id\": 3}<|tool_call_end|><|tool_calls_section_end|><|im_end|>",
        "kimi",
        Some("Two places."),
        "I look.",
        vec![("search", json!({"query": "a <b> c"})), ("open", json!({"id": 3}))],
    )]);
}

#[test]
fn llama_json() {
    check(vec![
        (
            Dialect::LlamaJson,
            "{\"name\": \"search\", \"parameters\": {\"query\": \"{dam}\"}}; {\"name\": \"open\", \"parameters\": {\"id\": 3}}<|eot_id|>",
            "llama_json",
            None,
            "",
            vec![("search", json!({"query": "{dam}"})), ("open", json!({"id": 3}))],
        ),
        (
            Dialect::LlamaJson,
            "I look.\n\n{\"name\": \"search\", \"parameters\": {\"query\": \"dam\"}}\n{\"type\": \"function\", \"name\": \"open\", \"parameters\": {\"id\": 3}}",
            "llama_json",
            None,
            "I look.",
            vec![("search", json!({"query": "dam"})), ("open", json!({"id": 3}))],
        ),
        (
            Dialect::LlamaJson,
            "<|python_tag|>{\"name\": \"search\", \"parameters\": {\"query\": \"dam\"}}; {\"name\": \"open\", \"parameters\": {}}<|eom_id|>",
            "llama_json",
            None,
            "",
            vec![("search", json!({"query": "dam"})), ("open", json!({}))],
        ),
        (
            Dialect::LlamaJson,
            "<function=search>{\"query\": \"dam\"}</function>",
            "llama_json",
            None,
            "",
            vec![("search", json!({"query": "dam"}))],
        ),
        (
            Dialect::LlamaJson,
            "```json\n{\"name\": \"open\", \"parameters\": {\"id\": 3}}\n```",
            "llama_json",
            None,
            "",
            vec![("open", json!({"id": 3}))],
        ),
    ]);
}

#[test]
fn llama_pythonic() {
    check(vec![
        (
            Dialect::LlamaPythonic,
            "[search(query=\"the \\\"best\\\" dam\", topn=5), open(id=3, exact=True, cursor=None, more=[1, 'two', {'a': -1.5}])]<|eot|>",
            "llama_pythonic",
            None,
            "",
            vec![
                ("search", json!({"query": "the \"best\" dam", "topn": 5})),
                ("open", json!({"id": 3, "exact": true, "cursor": null, "more": [1, "two", {"a": -1.5}]})),
            ],
        ),
        (
            Dialect::LlamaPythonic,
            "I look.\n<|python_start|>[search(query='it\\'s \\x41 \\u706f')]<|python_end|>",
            "llama_pythonic",
            None,
            "I look.",
            vec![("search", json!({"query": "it's A 灯"}))],
        ),
        (
            Dialect::LlamaPythonic,
            "I look.\n[search(query=\"dam\")]\n[list()]",
            "llama_pythonic",
            None,
            "I look.",
            vec![("search", json!({"query": "dam"})), ("list", json!({}))],
        ),
        (
            Dialect::LlamaPythonic,
            "<|python_tag|>brave_search.call(query=\"dam\")<|eom_id|>",
            "llama_pythonic",
            None,
            "",
            vec![("brave_search", json!({"query": "dam"}))],
        ),
    ]);
}

#[test]
fn mistral() {
    check(vec![
        (
            Dialect::Mistral,
            "[TOOL_CALLS] [{\"name\": \"search\", \"arguments\": {\"query\": \"dam [ARGS]\"}, \"id\": \"k2Vw9aBcD\"}, {\"name\": \"open\", \"arguments\": \
             {\"id\": 3}}]</s>",
            "mistral",
            None,
            "",
            vec![("search", json!({"query": "dam [ARGS]"})), ("open", json!({"id": 3}))],
        ),
        (
            Dialect::Mistral,
            "[THINK]Two places.[/THINK]I look.[TOOL_CALLS]search[CALL_ID]k2Vw9aBcD[ARGS]{\"query\": \"dam\"}[TOOL_CALLS]open[ARGS]{\"id\": 3}</s>",
            "mistral",
            Some("Two places."),
            "I look.",
            vec![("search", json!({"query": "dam"})), ("open", json!({"id": 3}))],
        ),
        (
            Dialect::Mistral,
            "[TOOL_CALLS]search{\"query\": [\"a\", \"b\"]}",
            "mistral",
            None,
            "",
            vec![("search", json!({"query": ["a", "b"]}))],
        ),
        (Dialect::Mistral, "It was Ada Venn [1].", "mistral", None, "It was Ada Venn [1].", vec![]),
    ]);
}

#[test]
fn a_call_of_another_form_is_found_in_every_dialect() {
    let arguments = object(json!({"query": ["灯塔"]}));
    for own in Dialect::ALL {
        for other in Dialect::ALL {
            let reading = read(own, &of_text(&write(other, "web_search", &arguments)));
            assert_eq!(calls(&reading), [("web_search", Value::from(arguments.clone()))], "{other:?} read as {own:?}");
            assert_eq!((reading.text.as_str(), reading.problems.len()), ("", 0), "{other:?} read as {own:?}");
        }
    }
}

#[test]
fn a_call_is_written_as_the_models_of_its_dialect_write_it() {
    let arguments = object(json!({"query": "dam", "topn": 5}));
    for (dialect, expected) in [
        (Dialect::Hermes, "<tool_call>\n{\"name\": \"search\", \"arguments\": {\"query\": \"dam\", \"topn\": 5}}\n</tool_call>"),
        (
            Dialect::Qwen3Coder,
            "<tool_call>\n<function=search>\n<parameter=query>\ndam\n</parameter>\n<parameter=topn>\n5\n</parameter>\n</function>\n</tool_call>",
        ),
        (
            Dialect::Harmony,
            "<|channel|>commentary to=functions.search <|constrain|>json<|message|>{\"query\": \"dam\", \"topn\": 5}<|call|>",
        ),
        (
            Dialect::Deepseek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>search<｜tool▁sep｜>{\"query\": \"dam\", \"topn\": 5}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
        (
            Dialect::Kimi,
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0<|tool_call_argument_begin|>{\"query\": \"dam\", \"topn\": \
             5}<|tool_call_end|><|tool_calls_section_end|>",
        ),
        (Dialect::LlamaJson, "{\"name\": \"search\", \"parameters\": {\"query\": \"dam\", \"topn\": 5}}"),
        (Dialect::LlamaPythonic, "[search(query=\"dam\", topn=5)]"),
        (Dialect::Mistral, "[TOOL_CALLS]search[ARGS]{\"query\": \"dam\", \"topn\": 5}"),
    ] {
        assert_eq!(write(dialect, "search", &arguments), expected);
    }
}
