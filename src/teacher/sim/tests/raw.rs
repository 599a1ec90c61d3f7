//! Raw completions: the messages are in the prompt, and the answer goes on where it ends.

use super::*;

const PROMPT: &str = "<|im_start|>system\nrules<|im_end|>\n<|im_start|>user\nwhich dam?<|im_end|>\n<|im_start|>assistant\n";

async fn complete(running: &Running, prompt: &str, more: Value) -> Value {
    let mut body = json!({"model": "m", "prompt": prompt, "max_tokens": 500});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let (status, answer) = post_to(&running.base, "completions", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

#[tokio::test]
async fn a_prompt_is_understood_and_its_tail_continued() {
    let running = start(SimSettings::default()).await;
    let answer = complete(&running, PROMPT, json!({})).await;
    let text = answer["choices"][0]["text"].as_str().expect("text").to_owned();
    assert!(text.starts_with("<think>hm</think><tool_call>\n{\"name\": \"search\", \"arguments\": {\"query\": \"which dam?\"}}"), "{text}");
    assert_eq!((&answer["object"], &answer["choices"][0]["finish_reason"]), (&json!("text_completion"), &json!("stop")));
    assert!(answer["usage"]["prompt_tokens"].as_u64().is_some_and(|tokens| tokens > 0));
    let heard = running.parrot.heard.lock().expect("no panic under the lock")[0].clone();
    assert_eq!(heard, [Message::text(Role::System, "rules"), Message::text(Role::User, "which dam?")]);

    for length in [3, 12, 40] {
        let (begun, rest) = text.split_at(length);
        let answer = complete(&running, &format!("{PROMPT}{begun}"), json!({})).await;
        assert_eq!(answer["choices"][0]["text"], json!(rest), "the whole turn is the same however it is cut");
    }
    let answer = complete(&running, &format!("{PROMPT}<think>\n"), json!({})).await;
    assert!(answer["choices"][0]["text"].as_str().is_some_and(|text| text.starts_with("hm</think>")), "{answer}");
}

#[tokio::test]
async fn a_turn_that_has_begun_to_answer_calls_no_tool_any_more() {
    let running = start(SimSettings::default()).await;
    complete(&running, &format!("{PROMPT}<think>enough</think>\n"), json!({})).await;
    complete(&running, &format!("{PROMPT}<think>enough</think>\nIt is"), json!({})).await;
    assert_eq!(*running.parrot.calls.lock().expect("no panic under the lock"), [Calls::Offered, Calls::Forbidden]);
}

#[tokio::test]
async fn limits_and_stops_hold_for_raw_completions_too() {
    let running = start(SimSettings::default()).await;
    let answer = complete(&running, PROMPT, json!({"stop": ["</tool_call>"], "include_stop_str_in_output": true})).await;
    let choice = &answer["choices"][0];
    assert!(choice["text"].as_str().is_some_and(|text| text.ends_with("}\n</tool_call>") && text.matches("tool_call>").count() == 2));
    assert_eq!((&choice["finish_reason"], &choice["stop_reason"]), (&json!("stop"), &json!("</tool_call>")));

    let answer = complete(&running, PROMPT, json!({"max_tokens": null})).await;
    assert_eq!((&answer["usage"]["completion_tokens"], &answer["choices"][0]["finish_reason"]), (&json!(16), &json!("length")));
    for prompt in [json!([1, 2]), json!(["a", "b"]), Value::Null] {
        let (status, answer) = post_to(&running.base, "completions", json!({"model": "m", "prompt": prompt})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("`prompt`")), "{answer}");
    }
    let (status, _) = post_to(&running.base, "completions", json!({"model": "m", "prompt": ["a"]})).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn harmony_is_written_in_its_channels() {
    let running = start(SimSettings { dialect: Some(Dialect::Harmony), ..SimSettings::default() }).await;
    let prompt = "<|start|>user<|message|>which dam?<|end|><|start|>functions.search to=assistant<|channel|>commentary<|message|>\"page\"<|end|>\
                  <|start|>assistant";
    let answer = complete(&running, prompt, json!({})).await;
    let text = answer["choices"][0]["text"].as_str().expect("text");
    let begins = "<|channel|>analysis<|message|>done<|end|><|start|>assistant<|channel|>final<|message|>Seen:";
    assert!(text.starts_with(begins), "{text}");
    let begun = complete(&running, &format!("{prompt}<|channel|>final<|message|>"), json!({})).await;
    assert!(begun["choices"][0]["text"].as_str().is_some_and(|text| text.starts_with("Seen:")), "{begun}");
}
