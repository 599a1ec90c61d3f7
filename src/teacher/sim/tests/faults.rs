//! Each fault as a client meets it.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::sim::faults::FAULTY_TRIES;

async fn with(fault: Fault) -> Running {
    let mut settings = SimSettings { retry_after_s: 7, ..SimSettings::default() };
    *fault.share_mut(&mut settings) = 1.0;
    start(settings).await
}

fn body() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "which dam?"}]})
}

async fn send(base: &str, body: &Value) -> Result<reqwest::Response, reqwest::Error> {
    plain_client().post(format!("{base}/chat/completions")).body(body.to_string()).send().await
}

#[tokio::test]
async fn a_status_comes_with_the_wait_that_belongs_to_it() {
    for (fault, status, wait) in [
        (Fault::RateLimited, 429, Some("7")),
        (Fault::ServerError, 500, None),
        (Fault::BadGateway, 502, None),
        (Fault::Unavailable, 503, Some("7")),
    ] {
        let running = with(fault).await;
        let response = send(&running.base, &body()).await.expect("an answer");
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers().get("retry-after").map(|value| value.to_str().expect("text")), wait, "{fault:?}");
        assert!(running.parrot.heard.lock().expect("no panic under the lock").is_empty(), "nothing was played");
    }
}

#[tokio::test]
async fn a_cut_connection_carries_no_byte() {
    let running = with(Fault::Cut).await;
    let address = running.base.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let mut connection = tokio::net::TcpStream::connect(address).await.expect("connected");
    let body = body().to_string();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    connection.write_all(head.as_bytes()).await.expect("sent");
    let mut read = Vec::new();
    match connection.read_to_end(&mut read).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert_eq!(String::from_utf8_lossy(&read), "");
}

#[tokio::test]
async fn a_torn_body_is_shorter_than_it_promised() {
    let running = with(Fault::Torn).await;
    let whole = start(SimSettings::default()).await;
    let length = send(&whole.base, &body()).await.expect("an answer").bytes().await.expect("whole").len();
    let mut response = send(&running.base, &body()).await.expect("a head");
    assert_eq!((response.status().as_u16(), response.content_length()), (200, Some(length as u64)));
    let mut read = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            Ok(None) => panic!("a clean end"),
            Err(error) => break error,
        }
    };
    assert_eq!(read.len(), length / 2, "{error}");
    let mut streamed = body();
    streamed["stream"] = json!(true);
    let response = send(&running.base, &streamed).await.expect("a head");
    assert!(response.text().await.is_err(), "a torn stream has no end");
}

#[tokio::test]
async fn a_garbled_body_is_whole_and_no_json() {
    let running = with(Fault::Garbled).await;
    let text = send(&running.base, &body()).await.expect("an answer").text().await.expect("whole");
    assert!(text.starts_with("{\"id\"") && serde_json::from_str::<Value>(&text).is_err(), "{text}");
    let mut streamed = body();
    streamed["stream"] = json!(true);
    let text = send(&running.base, &streamed).await.expect("an answer").text().await.expect("whole");
    let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").expect("an event"));
    let broken = events.filter(|event| *event != "[DONE]" && serde_json::from_str::<Value>(event).is_err()).count();
    assert_eq!(broken, 1, "{text}");
    let error = client(&running.base).complete(&asking("q", false)).await.expect_err("never JSON");
    assert_eq!(error.kind, TeacherErrorKind::Transient);
}

#[tokio::test(start_paused = true)]
async fn a_trickling_body_is_whole_in_the_end() {
    let running = with(Fault::Trickle).await;
    let whole = start(SimSettings::default()).await;
    let expected = send(&whole.base, &body()).await.expect("an answer").text().await.expect("whole");
    let begun = Instant::now();
    let mut response = send(&running.base, &body()).await.expect("an answer");
    let mut pieces = Vec::new();
    while let Some(piece) = response.chunk().await.expect("no cut") {
        pieces.push(piece);
    }
    assert_eq!(String::from_utf8(pieces.concat()).expect("text"), expected);
    assert!(pieces.len() >= 10 && (9.9..10.5).contains(&begun.elapsed().as_secs_f64()), "{} in {:?}", pieces.len(), begun.elapsed());
}

#[tokio::test]
async fn what_hangs_is_dropped_when_the_server_stops() {
    let sim =
        Sim::bind(SimSettings { rate_hang: 1.0, ..SimSettings::default() }, Arc::new(Parrot::default()), |_| 1).await.expect("a port");
    let (base, server) = (format!("http://{}/v1", sim.address().expect("bound")), Arc::clone(&sim.server));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(sim.serve(async move { drop(stopped.await) }));
    let asked = tokio::spawn(async move { send(&base, &body()).await });
    while server.admission.running() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!asked.is_finished());
    drop(stop);
    serving.await.expect("no panic").expect("a clean end");
    assert!(asked.await.expect("no panic").is_err(), "cut, not answered");
}

#[tokio::test]
async fn a_numbered_try_fares_alike_in_every_run_and_the_fourth_comes_through() {
    let settings = SimSettings { rate_500: 0.4, rate_garbled: 0.3, rate_torn: 0.2, ..SimSettings::default() };
    let (one, other) = (start(settings.clone()).await, start(settings).await);
    let fared = async |base: &str, number: u64| {
        let post = plain_client().post(format!("{base}/chat/completions")).body(body().to_string());
        let response = post.header(RETRY_COUNT_HEADER, number).send().await.expect("a head");
        (response.status().as_u16(), response.bytes().await.ok())
    };
    for number in 0..=FAULTY_TRIES {
        assert_eq!(fared(&one.base, number).await, fared(&other.base, number).await, "try {number}");
    }
    let (status, bytes) = fared(&one.base, FAULTY_TRIES).await;
    assert!(status == 200 && serde_json::from_slice::<Value>(&bytes.expect("whole")).is_ok());
}

#[tokio::test]
async fn the_model_s_oddities_are_seen_in_either_dialect() {
    for (fault, dialect) in [Fault::Empty, Fault::Refusal, Fault::CutCall, Fault::BrokenCall, Fault::UnknownTool, Fault::Narrated]
        .into_iter()
        .flat_map(|fault| [(fault, Dialect::Openai), (fault, Dialect::Hermes)])
    {
        let running = with(fault).await;
        let completion = client(&running.base).complete(&asking("which dam?", dialect == Dialect::Openai)).await.expect("an answer");
        let reading = dialect::read(dialect, &completion);
        let tools: Vec<&str> =
            reading.actions.iter().filter(|action| action.unreadable.is_none()).map(|action| action.tool.as_str()).collect();
        let is_told = !reading.problems.is_empty() || reading.actions.iter().any(|action| action.unreadable.is_some());
        let is_cut = completion.finish_reason == FinishReason::Length;
        let case = format!("{fault:?} {dialect:?}: {completion:?} {reading:?}");
        match fault {
            Fault::Empty => assert!(completion.text.is_empty() && completion.calls.is_empty() && completion.reasoning.is_none(), "{case}"),
            Fault::Refusal => assert!(tools.is_empty() && completion.text.contains("can't help"), "{case}"),
            Fault::CutCall => assert!(is_cut && tools == ["search"] && is_told, "{case}"),
            Fault::BrokenCall => assert!(!is_cut && tools == ["search"] && is_told, "{case}"),
            Fault::UnknownTool => assert!(tools == ["search", "find_online"] && !is_told, "{case}"),
            _ => assert!(tools.is_empty() && !is_told && reading.text.contains("use search, then find"), "{case}"),
        }
    }
}

#[tokio::test]
async fn an_oddity_of_calls_spares_an_answer_without_any() {
    let running = with(Fault::BrokenCall).await;
    let messages = json!([{"role": "user", "content": "<tool_response>\npage\n</tool_response>"}]);
    let (_, answer) = post(&running.base, json!({"model": "m", "messages": messages})).await;
    assert!(answer["choices"][0]["message"]["content"].as_str().is_some_and(|text| text.contains("Seen: ")), "{answer}");
}
