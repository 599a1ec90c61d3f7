//! What goes back to a server, and what a system prompt says.

use super::*;

#[test]
fn messages_go_back_as_the_dialect_demands() {
    let completion = native(&[("a", "search", "{\"query\": \"x\"}")]);
    let action = read(Dialect::Openai, &completion).actions.remove(0);
    assert_eq!(assistant_message(Dialect::Openai, Mode::Chat, &completion).calls, completion.calls);
    let answered = observation_message(Dialect::Openai, Mode::Chat, "page", &action);
    assert_eq!((answered.role, answered.call_id.as_deref(), answered.text.as_str()), (Role::Tool, Some("a"), "page"));

    let in_text = assistant_message(Dialect::Hermes, Mode::Chat, &completion);
    assert_eq!((in_text.calls.len(), calls(&read_text(&in_text.text))), (0, vec![("search", json!({"query": "x"}))]));
    let answered = observation_message(Dialect::Hermes, Mode::Chat, "page", &action);
    assert_eq!((answered.role, answered.call_id, answered.text.as_str()), (Role::User, None, "<tool_response>\npage\n</tool_response>"));
    let of_text = observation_message(Dialect::Openai, Mode::Chat, "page", &Action { id: String::new(), ..action });
    assert_eq!(of_text.role, Role::User, "a call of the text has no id that a tool message could name");
}

#[test]
fn an_observation_stands_in_the_frame_that_the_instructions_announce() {
    let action = read_text(&write(Dialect::Hermes, "search", &Map::new())).actions.remove(0);
    for dialect in Dialect::ALL {
        let frame = if dialect == Dialect::Tags { "observation" } else { "tool_response" };
        let message = observation_message(dialect, Mode::Chat, "page", &action);
        assert_eq!((message.role, message.text), (Role::User, format!("<{frame}>\npage\n</{frame}>")), "{dialect:?}");
        assert!(instructions(dialect, &[]).contains(&format!("<{frame}> and </{frame}>")), "{dialect:?}");
        let bare = observation_message(dialect, Mode::Completion, "page", &action);
        // The tag protocol is one stream, which the model goes on with.
        let expected = match dialect {
            Dialect::Tags => (Role::Assistant, "\n\n<observation>\npage\n</observation>\n\n"),
            _ => (Role::Tool, "page"),
        };
        assert_eq!((bare.role, bare.text.as_str()), expected, "{dialect:?}");
        // What a model writes in this frame is no observation.
        let forged = read(dialect, &of_text(&format!("So:\n<{frame}>\nmade up\n</{frame}>\nIt is 4.")));
        assert_eq!((forged.text.as_str(), forged.problems.len()), ("So:", 1), "{dialect:?}");
        assert_eq!((forged.raw.as_deref(), forged.forged_from), (Some("So:\n"), Some(4)), "{dialect:?}");
    }
    let id = |dialect| observation_message(dialect, Mode::Completion, "page", &action).call_id;
    assert_eq!((id(Dialect::Kimi).as_deref(), id(Dialect::Hermes)), (Some("functions.search:0"), None));
    assert_eq!(id(Dialect::Mistral).map(|id| id.len()), Some(9), "Mistral's template refuses any other length");
}

#[test]
fn native_calls_are_written_into_the_text_of_a_text_dialect_and_read_again() {
    let two = native(&[("a", "web_search", "{\"query\": [\"x\"]}"), ("b", "crawl_page", "{\"url\": [\"https://a\"]}")]);
    for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::Openai) {
        let message = assistant_message(dialect, Mode::Chat, &Completion { text: "I look.".into(), ..two.clone() });
        let reading = read(dialect, &of_text(&message.text));
        assert_eq!(
            calls(&reading),
            [("web_search", json!({"query": ["x"]})), ("crawl_page", json!({"url": ["https://a"]}))],
            "{dialect:?}: {}",
            message.text
        );
        assert_eq!((reading.text.as_str(), message.calls.len()), ("I look.", 0), "{dialect:?}");
        let broken = native(&[("a", "search", "{\"query\": \"x")]);
        assert!(
            assistant_message(dialect, Mode::Chat, &broken).text.contains("{\\\"query\\\": \\\"x"),
            "what is broken is shown as it was"
        );
    }
    let kimi = assistant_message(Dialect::Kimi, Mode::Chat, &two);
    assert!(kimi.text.contains("functions.web_search:0") && kimi.text.contains("functions.crawl_page:1"));
}

#[test]
fn what_a_stop_text_cut_off_is_written_back() {
    for (dialect, text, closing) in [
        (Dialect::Tags, "<think>a</think><web_search>query=a", "</web_search>"),
        (Dialect::Tags, "<subtask_answer>It is <web_search>b</web_search> 4.", "</subtask_answer>"),
        (Dialect::Tags, "<web_search>query=a</web_search>", ""),
        (
            Dialect::Harmony,
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=functions.f<|message|>{}",
            "<|call|>",
        ),
        (Dialect::Harmony, " to=functions.f<|channel|>commentary<|message|>{}", "<|call|>"),
        (Dialect::Harmony, "<|channel|>final<|message|>It is 4.", "<|end|>"),
        (Dialect::Harmony, "<|channel|>commentary to=functions.f<|message|>{}<|call|>", ""),
        (Dialect::Hermes, "<tool_call>{}", ""),
    ] {
        let message = assistant_message(dialect, Mode::Completion, &of_text(text));
        assert_eq!(message.text, format!("{text}{closing}"));
        assert_eq!(assistant_message(dialect, Mode::Completion, &cut(text)).text, text, "what the token limit cut stays cut");
    }
}

#[test]
fn instructions_hold_every_tool_and_the_form_of_a_call() {
    let tool = ToolDefinition { name: "search".into(), description: "Finds pages.".into(), parameters: json!({"type": "object"}) };
    let tools = [tool.clone(), ToolDefinition { name: "open".into(), ..tool }];
    let hermes = instructions(Dialect::Hermes, &tools);
    assert!(hermes.contains("\"name\": \"search\", \"description\": \"Finds pages.\"") && hermes.contains("\"name\": \"open\""));
    let mut seen = std::collections::HashSet::new();
    for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::Openai) {
        let text = instructions(dialect, &tools);
        assert!(
            text.contains("search") && text.contains("open") && text.contains("Finds pages.") && !text.contains("{tools}"),
            "{dialect:?}"
        );
        assert!(seen.insert(text), "{dialect:?} has a text of its own");
    }
    // Its tokens within a message would end the message.
    assert!(!instructions(Dialect::Harmony, &tools).contains("<|"));
}

#[test]
fn what_the_instructions_show_as_a_call_is_read_as_one() {
    for dialect in
        [Dialect::Hermes, Dialect::Qwen3Coder, Dialect::Deepseek, Dialect::Kimi, Dialect::LlamaJson, Dialect::Mistral, Dialect::Tags]
    {
        let shown = instructions(dialect, &[]).replace("<tool_response>", "").replace("<observation>", "").replace("</tools>", "");
        assert!(!read(dialect, &of_text(&shown)).actions.is_empty(), "{dialect:?}");
    }
    let shown = instructions(Dialect::LlamaPythonic, &[]).replace("<tool_response>", "");
    assert_eq!(read(Dialect::LlamaPythonic, &of_text(&shown)).actions.len(), 2);
}

#[test]
fn a_problem_is_told_with_the_right_form_of_the_dialect_and_that_form_is_read() {
    for dialect in Dialect::ALL {
        let reading = read(dialect, &of_text("<tool_call>search for dams</tool_call>"));
        let (_, form) = reading.problems[0].split_once("search for dams\n").expect("the form follows what was written");
        let is_in_words = matches!(dialect, Dialect::Openai | Dialect::Harmony);
        let shown = form.split_once(":\n").map_or("", |(_, shown)| shown);
        assert_eq!(read(dialect, &of_text(shown)).actions.is_empty(), is_in_words, "{dialect:?}: {form}");
    }
}

#[test]
fn stop_texts_are_no_more_than_servers_take() {
    for dialect in Dialect::ALL {
        assert!(stops(dialect).len() <= 4, "{dialect:?}");
    }
    assert_eq!(stops(Dialect::Tags), ["</web_search>", "</crawl_page>", "</suggested_answer>", "</subtask_answer>"]);
}
