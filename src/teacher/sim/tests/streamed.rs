//! Streamed answers say what whole ones say.

use super::*;

/// The chunks of a stream that ends as it should.
async fn chunks(base: &str, path: &str, body: &Value) -> Vec<Value> {
    let response = plain_client().post(format!("{base}/{path}")).body(body.to_string()).send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let text = response.text().await.expect("a whole stream");
    let mut events: Vec<&str> = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").expect("an event")).collect();
    assert_eq!(events.pop(), Some("[DONE]"));
    events.into_iter().map(|event| serde_json::from_str(event).expect("JSON")).collect()
}

fn joined(chunks: &[Value], pointer: &str) -> String {
    chunks.iter().filter_map(|chunk| chunk.pointer(pointer)?.as_str()).collect()
}

#[tokio::test]
async fn the_deltas_of_a_chat_make_up_its_message() {
    let running = start(SimSettings::default()).await;
    for tools in [json!([]), json!([{"type": "function", "function": {"name": "search"}}])] {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "which dam stands above Pellin?"}], "tools": tools});
        let whole = post(&running.base, &body).await.1;
        let message = &whole["choices"][0]["message"];
        body["stream"] = json!(true);
        let plain = chunks(&running.base, "chat/completions", &body).await;
        body["stream_options"] = json!({"include_usage": true});
        let chunks = chunks(&running.base, "chat/completions", &body).await;
        assert!(plain.iter().all(|chunk| chunk.get("usage").is_none()) && plain.len() + 1 == chunks.len());

        assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
        assert_eq!(joined(&chunks, "/choices/0/delta/content"), message["content"].as_str().unwrap_or_default());
        assert_eq!(joined(&chunks, "/choices/0/delta/reasoning_content"), message["reasoning_content"].as_str().unwrap_or_default());
        let mut calls: Vec<Value> = Vec::new();
        for delta in chunks.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0")) {
            let index = usize::try_from(delta["index"].as_u64().expect("an index")).expect("small");
            if delta.get("id").is_some() {
                assert_eq!(index, calls.len());
                calls.push(json!({"id": delta["id"], "type": delta["type"], "function": delta["function"]}));
            } else {
                let so_far = calls[index]["function"]["arguments"].as_str().expect("text").to_owned();
                calls[index]["function"]["arguments"] = json!(so_far + delta["function"]["arguments"].as_str().expect("text"));
            }
        }
        for call in &mut calls {
            // Ids tell which request they belong to, and this is another.
            call["id"] = Value::Null;
        }
        let mut expected = message.get("tool_calls").cloned().unwrap_or(json!([]));
        for call in expected.as_array_mut().expect("calls") {
            call["id"] = Value::Null;
        }
        assert_eq!(json!(calls), expected);
        let finish = &chunks[chunks.len() - 2]["choices"][0];
        assert_eq!((&finish["finish_reason"], &finish["delta"]), (&whole["choices"][0]["finish_reason"], &json!({})));
        let last = &chunks[chunks.len() - 1];
        assert_eq!((&last["usage"], &last["choices"]), (&whole["usage"], &json!([])));
    }
}

#[tokio::test]
async fn a_raw_stream_makes_up_its_text_and_ends_where_it_is_stopped() {
    let running = start(SimSettings::default()).await;
    let mut body = json!({"model": "m", "prompt": "which dam?", "max_tokens": 400, "stop": ["</tool_call>"]});
    let whole = post_to(&running.base, "completions", &body).await.1;
    body["stream"] = json!(true);
    let chunks = chunks(&running.base, "completions", &body).await;
    assert_eq!(joined(&chunks, "/choices/0/text"), whole["choices"][0]["text"].as_str().expect("text"));
    assert!(chunks.iter().all(|chunk| chunk["object"] == "text_completion" && chunk["id"] == chunks[0]["id"]));
    let finish = &chunks[chunks.len() - 1]["choices"][0];
    assert_eq!((&finish["finish_reason"], &finish["stop_reason"]), (&json!("stop"), &json!("</tool_call>")));
}

#[tokio::test(start_paused = true)]
async fn a_stream_takes_the_time_of_its_tokens_and_holds_its_slot_so_long() {
    let settings = SimSettings {
        latency_mean: Duration::from_secs(2),
        tokens_per_second: Some(10.0),
        slots: 1,
        latency_shape: LatencyShape::Fixed,
        ..SimSettings::default()
    };
    let running = start(settings).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "which dam?"}], "stream": true, "max_tokens": 20});
    let begun = Instant::now();
    let post = plain_client().post(format!("{}/chat/completions", running.base)).body(body.to_string());
    let mut response = post.send().await.expect("an answer");
    let mut arrivals = Vec::new();
    while let Some(chunk) = response.chunk().await.expect("no cut") {
        arrivals.push((begun.elapsed(), chunk));
    }
    let second = arrivals.first().expect("chunks").0.as_secs_f64();
    let last = arrivals.last().expect("chunks").0.as_secs_f64();
    assert!((2.0..2.5).contains(&second) && (4.0..4.2).contains(&last), "first token after 2 s, 20 tokens at 10 a second: {arrivals:?}");
    assert!(arrivals.len() > 5, "spread over the time: {arrivals:?}");

    let streams = (0..3).map(|_| chunks(&running.base, "chat/completions", &body));
    let begun = Instant::now();
    futures::future::join_all(streams).await;
    assert!((11.9..12.5).contains(&begun.elapsed().as_secs_f64()), "one after the other: {:?}", begun.elapsed());
}
