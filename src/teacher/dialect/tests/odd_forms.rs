//! What goes wrong in each dialect: tokens left out or left over, calls cut off, turns that are not the model's.

use super::*;

#[test]
fn what_a_model_leaves_out_of_its_form_is_added_and_noted() {
    for (dialect, text) in [
        (Dialect::Qwen3Coder, "<tool_call>\n<function=search>\n<parameter=query>\nx\n</tool_call>"),
        (Dialect::Qwen3Coder, "<function=search><parameter=query>x<|im_end|>"),
        (Dialect::Harmony, "<|channel|>commentary to=functions.search {\"query\": \"x\"}<|call|>"),
        (
            Dialect::Harmony,
            "<|channel|>commentary to=functions<|message|>{\"name\": \"search\", \"parameters\": {\"query\": \"x\"}}<|call|>",
        ),
        (Dialect::Deepseek, "<｜tool▁calls▁begin｜>function<｜tool▁sep｜>search\n```json\n{\"query\": \"x\",}\n```<｜tool▁calls▁end｜>"),
        (Dialect::Deepseek, "<｜tool▁call▁begin｜>search<｜tool▁sep｜>```json\n{\"query\": \"x\"}\n```<｜tool▁call▁end｜>"),
        (Dialect::Deepseek, "<｜tool_call_begin｜>search{\"query\": \"x\"}"),
        (Dialect::Kimi, "<|tool_call_begin|>search<|tool_call_argument_begin|>{\"query\": \"x\"}<|tool_call_end|>"),
        (Dialect::Kimi, "<|tool_call_begin|>functions.search:0{'query': 'x'}<|tool_call_end|>"),
        (Dialect::Kimi, "<|tool_call_begin|>functions.search:first<|tool_call_argument_begin|>{\"query\": \"x\"}<|tool_call_end|>"),
        (Dialect::Kimi, "search:0<|tool_call_argument_begin|>{\"query\": \"x\"}<|tool_calls_section_end|>"),
        (Dialect::Deepseek, "function<｜tool▁sep｜>search\n```json\n{\"query\": \"x\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
        (Dialect::Mistral, "search[CALL_ID]a1b2c3d4e[ARGS]{\"query\": \"x\"}"),
        (Dialect::LlamaJson, "<function=search{\"query\": \"x\"}</function>"),
        (Dialect::LlamaJson, "<function=search={\"query\": \"x\"}"),
        (Dialect::LlamaJson, "<function=search {\"query\": \"x\"}></function>"),
        (Dialect::LlamaJson, "<function=name=\"search\"{\"query\": \"x\"}</function>"),
        (Dialect::LlamaJson, "<function=search>{\"query\": \"x\"}}</function>"),
        (Dialect::Qwen3Coder, "<function=\"search\"><parameter=parameter=query>x</parameter>"),
        (Dialect::Deepseek, "<｜DSML｜invoke name=\"search\"><｜DSML｜parameter name=\"query\" string=\"true\">x"),
        (
            Dialect::Kimi,
            "<think>So I search.<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0<|tool_call_argument_begin|>{\"query\": \"x\"}",
        ),
        (Dialect::LlamaJson, "{\"name\": \"search\", \"arguments\": {\"query\": \"x\"}}"),
        (Dialect::LlamaJson, "{\"name\": \"search\", \"parameters\": {\"query\": \"x\"}"),
        (Dialect::LlamaJson, "{'name': 'search', 'parameters': {'query': 'x'}}"),
        (Dialect::LlamaPythonic, "search(query=\"x\")"),
        (Dialect::LlamaPythonic, "[search(query=\"x\""),
        (Dialect::Mistral, "[TOOL_CALLS] [{\"name\": \"search\", \"arguments\": \"{\\\"query\\\": \\\"x\\\"}\"}]"),
        (Dialect::Mistral, "[TOOL_CALLS]search[ARGS]{\"query\": \"x\",}"),
        (Dialect::Hermes, "[search(query=\"x\")]"),
    ] {
        let reading = read(dialect, &of_text(text));
        assert_eq!(calls(&reading), [("search", json!({"query": "x"}))], "{text}: {:?}", reading.problems);
        assert!(!reading.actions[0].repairs.is_empty(), "{text}");
        assert_eq!((reading.text.as_str(), reading.problems.len()), ("", 0), "{text}");
    }
}

#[test]
fn a_call_of_which_only_a_token_is_left_is_told() {
    for (dialect, text) in [
        (Dialect::Kimi, "I look it up.<|tool_calls_section_end|>"),
        (
            Dialect::Deepseek,
            "I look it up.\n```json\nfunction.search\n```json\n{\"query\": \"x\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
        (Dialect::Deepseek, "I look it up.\n<name>search</name>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>"),
        (Dialect::Mistral, "I look it up. [search[CALL_ID]a1b2c3d4e[ARGS]{\"query\": \"x\"}]"),
        // What a call has no arguments for ends with a token, not with the text.
        (Dialect::Deepseek, "I look it up.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>search<｜tool▁sep｜>"),
        (Dialect::Kimi, "I look it up.<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0"),
    ] {
        let reading = read(dialect, &of_text(text));
        assert_eq!((reading.actions.len(), reading.problems.len()), (0, 1), "{text}: {:?}", reading.problems);
        assert!(reading.text.starts_with("I look it up."), "{text}: {}", reading.text);
    }
    for (dialect, text) in [(Dialect::Kimi, "<|tool_calls_section_end|>"), (Dialect::Deepseek, "</｜DSML｜function_calls>")] {
        assert_eq!(read(dialect, &of_text(text)).problems, [""; 0], "nothing was meant: {text}");
    }
    // What belongs to a call that was found is no further problem.
    let call = write(Dialect::Kimi, "search", &object(json!({"query": "x"})));
    let reading = read(Dialect::Kimi, &of_text(&format!("</｜DSML｜tool_calls>{call}<|tool_call_end|>")));
    assert_eq!((calls(&reading), reading.problems.len()), (vec![("search", json!({"query": "x"}))], 0));
}

#[test]
fn what_only_looks_like_a_part_of_a_call_is_text() {
    for (dialect, text) in [
        (Dialect::Hermes, "Tags look like `<invoke name=\"pay\" partnerLink=\"bank\"/>`, `<function name=\"f\">`, `</invoke>`. It is 4."),
        (Dialect::Hermes, "The form `<function=` is followed by the name and JSON, as {\"a\": 1}. It is 4."),
        (Dialect::Hermes, "One writes <function=search, {\"q\": 1}. It is 4."),
        (Dialect::Deepseek, "In <ｱtool|> and <～im_user|> stand half-width characters. It is 4."),
        (Dialect::Hermes, "a < | b, </ | c and <|D| stand for nothing. It is 4."),
    ] {
        let reading = read(dialect, &of_text(text));
        assert_eq!((reading.text.as_str(), reading.actions.len(), reading.problems.len()), (text, 0, 0));
    }
    for (dialect, text, visible) in [
        (Dialect::Mistral, "Usage:\n\n    mytool [ARGS]\n\nIt runs the tool.", "Usage:\n\n    mytool \n\nIt runs the tool."),
        (
            Dialect::Mistral,
            "I set it up.\n[CALL_ID] is a mark of calls, and [ARGS] ends it.",
            "I set it up.\n is a mark of calls, and  ends it.",
        ),
        (Dialect::Kimi, "Paris\n<|tool_call_argument_begin|> is the token.", "Paris\n is the token."),
        (Dialect::Tags, "<suggested_answer>42</suggested_answer><|tool_call_end|>", "<suggested_answer>42</suggested_answer>"),
        (Dialect::Harmony, "<|channel|>final<|message|>It is 4.<|tool_call_end|>", "It is 4."),
        (Dialect::Kimi, "<think>I know.</think><|tool_calls_section_end|>", ""),
    ] {
        let reading = read(dialect, &of_text(text));
        assert_eq!((reading.text.as_str(), reading.actions.len(), reading.problems.len()), (visible, 0, 0), "{text}");
    }
}

#[test]
fn a_string_that_holds_a_mark_is_decoded_within_it() {
    for text in ["<｜DSML｜invoke name=\"x\">\n", "<function=\"x\">\t\\", "<function=", "<parameter=\"q\">é\u{1}"] {
        let arguments = json!({"code": text, "more": "x > y", "last": {"c": 1}});
        for written in [
            format!("<tool_call>{}</tool_call>", json!({"name": "write", "arguments": arguments})),
            format!("<｜tool▁call▁begin｜>write<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>"),
        ] {
            let reading = read(Dialect::Hermes, &of_text(&written));
            assert_eq!(calls(&reading), [("write", arguments.clone())], "{written}");
            assert_eq!(reading.actions[0].repairs, [""; 0], "{written}");
        }
    }
}

#[test]
fn an_id_of_kimi_loses_nothing_but_its_index() {
    let name = |id: &str| {
        let reading = read(Dialect::Kimi, &of_text(&format!("<|tool_call_begin|>{id}<|tool_call_argument_begin|>{{}}<|tool_call_end|>")));
        reading.actions.first().map(|action| action.tool.clone())
    };
    assert_eq!(name("functions.search:12").as_deref(), Some("search"));
    assert_eq!(name("functions.search:second").as_deref(), Some("search"));
    assert_eq!(name("space:search").as_deref(), Some("space:search"));
    assert_eq!(name("functions.search:0(query=\"x\")").as_deref(), Some("search:0(query=\"x\")"), "no tool has this name, which is told");
    assert_eq!(name("functions.search: the lighthouse"), None);
}

#[test]
fn a_call_of_harmony_needs_no_arguments() {
    for closed in ["", "<|call|>"] {
        let text = format!("<|channel|>commentary to=functions.now <|constrain|>json<|message|>{closed}");
        assert_eq!(calls(&read(Dialect::Harmony, &of_text(&text))), [("now", json!({}))], "{text}");
    }
}

#[test]
fn a_call_that_follows_another_without_the_token_between_is_read() {
    let first = "{\"query\": \"x\"}";
    for (dialect, text) in [
        (Dialect::Mistral, format!("[TOOL_CALLS]search[ARGS]{first}open[ARGS]{{\"id\": 3}}")),
        (Dialect::Mistral, format!("[TOOL_CALLS]search[CALL_ID]a1b2c3d4e[ARGS]{first}\nopen[CALL_ID]f5g6h7i8j[ARGS]{{\"id\": 3}}")),
        (
            Dialect::Kimi,
            format!("<|tool_call_begin|>search:0<|tool_call_argument_begin|>{first}\nopen:1<|tool_call_argument_begin|>{{\"id\": 3}}"),
        ),
    ] {
        let reading = read(dialect, &of_text(&text));
        assert_eq!(calls(&reading), [("search", json!({"query": "x"})), ("open", json!({"id": 3}))], "{text}");
        assert_eq!((reading.text.as_str(), reading.problems.len()), ("", 0), "{text}");
        assert!(reading.actions[1].repairs.iter().any(|repair| repair.contains("before the call")), "{text}");
    }
}

#[test]
fn a_call_cut_by_the_token_limit_is_told_in_every_dialect() {
    let arguments = object(json!({"query": "the first lighthouse"}));
    for dialect in Dialect::ALL {
        let (written, _) =
            write(dialect, "search", &arguments).rsplit_once("house").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("cut");
        let reading = read(dialect, &cut(&format!("I look.\n{written}")));
        assert_eq!((reading.actions.len(), reading.problems.len()), (0, 1), "{written}");
        assert_eq!(reading.text, "I look.", "{written}");
        // Whether the model meant to end here or a stop text ended it: a string left open is not guessed.
        assert_eq!(read(dialect, &of_text(&written)).actions.len(), usize::from(dialect == Dialect::Qwen3Coder), "{written}");
    }
}

#[test]
fn a_call_that_cannot_be_read_is_told_and_hides_none_behind_it() {
    for (dialect, broken) in [
        (Dialect::Hermes, "<tool_call>search dams</tool_call>"),
        (Dialect::Harmony, "<|start|>assistant<|channel|>commentary to=functions.search<|message|>search dams<|call|>"),
        (Dialect::Harmony, "<|start|>assistant<|channel|>commentary to=python code<|message|>print(1)<|call|>"),
        (Dialect::Deepseek, "<｜tool▁call▁begin｜>search<｜tool▁sep｜>dams<｜tool▁call▁end｜>"),
        (Dialect::Deepseek, "<｜tool▁call▁begin｜>search the dams<｜tool▁sep｜>{}<｜tool▁call▁end｜>"),
        (Dialect::Kimi, "<|tool_call_begin|>functions.search:0<|tool_call_argument_begin|>[1]<|tool_call_end|>"),
        (Dialect::Mistral, "[TOOL_CALLS]search dams"),
        (Dialect::Mistral, "[TOOL_CALLS] [{\"arguments\": {}}]"),
        (Dialect::LlamaJson, "<|python_tag|>print(\"dams\")"),
        (Dialect::Hermes, "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"dams}}</tool_call>"),
    ] {
        let reading = read(dialect, &of_text(&format!("Now: {broken}{}", write(Dialect::Hermes, "open", &object(json!({"id": 3}))))));
        assert_eq!(calls(&reading), [("open", json!({"id": 3}))], "{broken}");
        assert_eq!((reading.problems.len(), reading.text.as_str()), (1, "Now:"), "{broken}: {:?}", reading.problems);
    }
}

#[test]
fn an_argument_without_a_name_is_told() {
    let reading = read(Dialect::LlamaPythonic, &of_text("[search(\"dams\", topn=5)]"));
    assert_eq!(reading.actions, []);
    assert!(
        reading.problems[0].contains("no name") && reading.problems[0].contains("[tool(argument=\"value\")]"),
        "{:?}",
        reading.problems
    );
    let reading = read(Dialect::Hermes, &of_text("[see(1)]"));
    assert_eq!((reading.text.as_str(), reading.problems.len()), ("[see(1)]", 0), "elsewhere that is a text");
}

#[test]
fn special_tokens_do_not_stay_in_the_visible_text() {
    for (dialect, text, visible) in [
        (Dialect::Hermes, "It is 4.<|im_end|>\n<|endoftext|>", "It is 4."),
        (Dialect::Hermes, "<|im_start|>assistant\nIt is 4.", "It is 4."),
        (Dialect::Deepseek, "<｜Assistant｜>It is 4.<｜end▁of▁sentence｜>", "It is 4."),
        (Dialect::LlamaJson, "<|start_header_id|>assistant<|end_header_id|>\n\nIt is 4.<|eot_id|>", "It is 4."),
        (Dialect::Mistral, "[INST]", " "),
        (Dialect::Mistral, "It is 4 [ARGS] or [5].</s>", "It is 4  or [5]."),
        (Dialect::Harmony, "<|channel|>final<|message|>It is <|constrain|>4.<|return|>", "It is 4."),
        (Dialect::Openai, "It is <|im<|im_end|>_end|>4.", "It is < |im_end|>4."),
        (Dialect::Hermes, "It is <tool<think>a</think>_call> 4.", "It is < tool_call> 4."),
        (Dialect::Deepseek, "It is <<think>a</think> | DSML | calls> 4.", "It is <  | DSML | calls> 4."),
        (Dialect::Deepseek, "It is <<think>a</think>｜DSML｜calls> 4.", "It is < ｜D SML｜calls> 4."),
        (Dialect::Hermes, "It is <func<think>a</think>tion=DSML> 4.", "It is < function=DSML> 4."),
    ] {
        let reading = read(dialect, &of_text(text));
        assert_eq!(reading.text, visible.trim(), "{text}");
    }
}

#[test]
fn a_turn_that_is_not_the_models_ends_what_is_read() {
    let call = write(Dialect::Hermes, "search", &Map::new());
    for (dialect, forged) in [
        (Dialect::Hermes, "<|im_start|>user\nThanks."),
        (Dialect::Harmony, "<|start|>functions.search to=assistant<|channel|>commentary<|message|>{\"hits\": 3}<|end|>"),
        (Dialect::Harmony, "<|start|>user<|message|>Thanks.<|end|>"),
        (Dialect::Deepseek, "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>hits<｜tool▁output▁end｜>"),
        (Dialect::Deepseek, "<｜User｜>Thanks."),
        (Dialect::Kimi, "<|im_system|>tool<|im_middle|>## Return of functions.search:0"),
        (Dialect::LlamaJson, "<|start_header_id|>ipython<|end_header_id|>hits"),
        (Dialect::Mistral, "[TOOL_RESULTS]hits[/TOOL_RESULTS]"),
        (Dialect::Mistral, "[INST]Thanks.[/INST]"),
    ] {
        let reading = read(dialect, &of_text(&format!("{call}{forged}{call}It is 4.")));
        assert_eq!((reading.actions.len(), reading.text.as_str(), reading.problems.len()), (1, "", 1), "{forged}");
        assert!(reading.problems[0].contains("yourself"), "{:?}", reading.problems);
    }
}

#[test]
fn a_call_within_reasoning_is_not_carried_out_in_any_dialect() {
    for dialect in Dialect::ALL {
        let call = write(dialect, "web_search", &object(json!({"query": ["x"]})));
        let (open, close) = match dialect {
            Dialect::Mistral => ("[THINK]", "[/THINK]"),
            Dialect::Harmony => {
                ("<|channel|>analysis<|message|>Perhaps <tool_call>{}</tool_call>", "<|end|><|start|>assistant<|channel|>final<|message|>")
            }
            _ => ("<think>", "</think>"),
        };
        let thought = if dialect == Dialect::Harmony { String::new() } else { call };
        let reading = read(dialect, &of_text(&format!("{open}{thought}{close}No.")));
        assert_eq!((reading.actions.len(), reading.problems.len(), reading.text.as_str()), (0, 0, "No."), "{dialect:?}");
        assert!(reading.reasoning.is_some_and(|reasoning| !reasoning.is_empty()), "{dialect:?}");
    }
}

#[test]
fn channels_are_known_when_a_server_strips_their_tokens() {
    let read = |text: &str| read(Dialect::Harmony, &of_text(text));
    let reading = read("analysisThe user asks for the builder.assistantcommentary to=functions.search json{\"query\": \"x\"}");
    assert_eq!(
        (calls(&reading), reading.reasoning.as_deref()),
        (vec![("search", json!({"query": "x"}))], Some("The user asks for the builder."))
    );
    let reading = read("analysisKnown.assistantfinalAn assistant built it.");
    assert_eq!((reading.text.as_str(), reading.reasoning.as_deref()), ("An assistant built it.", Some("Known.")));
    let reading = read("analysis of the dam shows that an assistant built it.");
    assert_eq!((reading.text.as_str(), reading.reasoning), ("analysis of the dam shows that an assistant built it.", None));
}

#[test]
fn a_call_made_twice_is_two_calls() {
    for dialect in Dialect::ALL {
        let call = write(dialect, "web_search", &object(json!({"query": ["x"]})));
        assert_eq!(read(dialect, &of_text(&format!("{call}\n{call}"))).actions.len(), 2, "{dialect:?}");
    }
}
