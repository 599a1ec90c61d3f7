//! Prompts of raw completions: that they grow, and what they are.

use model::{JobId, JournalKey, Sampling, ToolDefinition, Uid};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::template::tests::{CHATML, HEADERS, STRICT, THINKING, template};
use super::*;
use crate::{Calls, Conversation, Rendered};

fn request(conversation: &Conversation, tools: &Arc<Vec<ToolDefinition>>) -> Request {
    Request {
        job: JobId::of(&Uid("u".into()), "seed", 0),
        key: JournalKey { thread: 0, turn: 0, call: 0 },
        messages: conversation.messages(),
        rendered: conversation.rendered(),
        tools: Arc::clone(tools),
        calls: Calls::Offered,
        sampling: Sampling { temperature: 0.0, top_p: 1.0, max_completion_tokens: 100, seed: 1 },
    }
}

fn prompt(request: &Request, template: &Template) -> String {
    let mut body = Vec::new();
    write_prompt(&mut body, request, template, Dialect::Hermes).expect("the template takes it");
    serde_json::from_slice::<String>(&body).expect("a JSON string")
}

fn tools(are_offered: bool) -> Arc<Vec<ToolDefinition>> {
    let tool = ToolDefinition { name: "search".into(), description: "Finds.".into(), parameters: json!({"type": "object"}) };
    Arc::new(if are_offered { vec![tool] } else { Vec::new() })
}

/// One answer and what follows it.
#[derive(Debug, Clone)]
struct Turn {
    answer: String,
    results: Vec<String>,
    notices: Vec<String>,
}

fn words() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a",
        " ",
        "\n",
        "\"",
        "\\",
        "é",
        "水",
        "\u{1}",
        "{{ x }}",
        "</think>",
        "<think>",
        "<tool_call>",
        "{\"name\": \"search\"}",
        "placeholderofananswer",
        "'",
        "[INST]",
    ]);
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let some = |most: usize| prop::collection::vec(words(), 0..most);
    let turn = (words(), some(3), some(3)).prop_map(|(answer, results, notices)| Turn { answer, results, notices });
    prop::collection::vec(turn, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_prompt_begins_with_the_one_before_it(turns in turns(), question in words(), are_offered: bool) {
        for text in [CHATML, HEADERS, THINKING, STRICT] {
            let template = template(text);
            // This one writes no tools.
            let tools = tools(are_offered && text != THINKING);
            let mut conversation = Conversation::new([Message::text(Role::System, "rules"), Message::text(Role::User, question.clone())]);
            let mut before = prompt(&request(&conversation, &tools), &template);
            if text != STRICT {
                prop_assert_eq!(&before, &template.whole(&conversation.messages(), &tools));
            }
            for turn in &turns {
                conversation.push(Message::text(Role::Assistant, turn.answer.clone()));
                let continued = prompt(&request(&conversation, &tools), &template);
                prop_assert_eq!(&continued, &format!("{before}{}", turn.answer));
                for result in &turn.results {
                    conversation.push(Message::text(Role::Tool, result.clone()));
                }
                for notice in &turn.notices {
                    conversation.push(Message::text(Role::User, notice.clone()));
                }
                let asked = request(&conversation, &tools);
                let after = prompt(&asked, &template);
                prop_assert!(after.starts_with(&continued), "{} does not begin with {}", after, continued);
                let anew = prompt(&Request { rendered: Rendered::default(), ..asked }, &template);
                prop_assert_eq!(&anew, &after, "what is kept is what would be made");
                before = after;
            }
        }
    }

    #[test]
    fn a_prompt_is_what_the_template_makes_of_the_whole(turns in turns(), are_offered: bool) {
        for text in [CHATML, HEADERS] {
            let (template, tools) = (template(text), tools(are_offered));
            let mut conversation = Conversation::new([Message::text(Role::System, "rules"), Message::text(Role::User, "q")]);
            for turn in &turns {
                conversation.push(Message::text(Role::Assistant, turn.answer.clone()));
                let last = turn.notices.first().map_or("go on", String::as_str);
                let results = turn.results.iter().map(|result| Message::text(Role::Tool, result.clone()));
                for message in results.chain([Message::text(Role::User, last)]) {
                    conversation.push(message);
                }
                let whole = template.whole(&conversation.messages(), &tools);
                prop_assert_eq!(prompt(&request(&conversation, &tools), &template), whole);
            }
        }
    }
}

#[test]
fn a_begun_answer_is_gone_on_with() {
    let template = template(CHATML);
    let mut conversation = Conversation::new([Message::text(Role::User, "q"), Message::text(Role::Assistant, "<answer>")]);
    let begun = prompt(&request(&conversation, &tools(false)), &template);
    assert!(begun.ends_with("<|im_start|>assistant\n<answer>"), "{begun}");
    conversation.push(Message::text(Role::Assistant, "The dam"));
    conversation.push(Message::text(Role::User, "sure?"));
    let after = prompt(&request(&conversation, &tools(false)), &template);
    assert!(after.starts_with(&format!("{begun}The dam<|im_end|>\n<|im_start|>user\nsure?")), "{after}");
}

#[test]
fn a_piece_that_another_template_made_is_not_taken() {
    let (one, two) = (template(CHATML), template(HEADERS));
    let conversation =
        Conversation::new([Message::text(Role::User, "q"), Message::text(Role::Assistant, "a"), Message::text(Role::User, "r")]);
    let asked = request(&conversation, &tools(false));
    let first = prompt(&asked, &one);
    let other = prompt(&asked, &two);
    assert!(other.contains("<|start_header_id|>") && !other.contains("<|im_start|>"), "{other}");
    assert_eq!(prompt(&asked, &one), first);
    let with_tools = prompt(&request(&conversation, &tools(true)), &one);
    assert!(with_tools.contains("<tools>") && with_tools.ends_with("r<|im_end|>\n<|im_start|>assistant\n"), "{with_tools}");
}

#[test]
fn what_is_kept_is_not_rendered_again() {
    let template = template(CHATML);
    let conversation =
        Conversation::new([Message::text(Role::User, "q"), Message::text(Role::Assistant, "a"), Message::text(Role::User, "r")]);
    let asked = request(&conversation, &tools(false));
    let whole = prompt(&asked, &template);
    let kept = |index: usize| asked.rendered.kept(&asked.messages, index).expect("its own");
    let pieces: Vec<&str> = [0, 2].into_iter().filter_map(|index| kept(index).piece.get()).map(|piece| piece.text.as_ref()).collect();
    let put_together = format!("\"{}a{}\"", pieces[0], pieces[1]);
    assert_eq!(serde_json::from_str::<Value>(&put_together).expect("a string"), Value::from(whole));
}
