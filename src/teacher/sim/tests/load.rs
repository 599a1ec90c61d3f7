//! Many requests at once: slots, the queue, rate limits, down windows, and what the metrics say of them. Time stands still in these tests
//! except where something waits for it.

use super::*;

fn second() -> SimSettings {
    SimSettings { latency_mean: Duration::from_secs(1), latency_shape: LatencyShape::Fixed, ..SimSettings::default() }
}

/// Status and `Retry-After` of a completion, and when it was answered.
async fn ask(client: &reqwest::Client, base: &str, number: usize) -> Option<(u16, Option<u64>, Duration)> {
    let begun = Instant::now();
    let body = json!({"model": "m", "messages": [{"role": "user", "content": format!("question {number}")}], "max_tokens": 100});
    let response = client.post(format!("{base}/chat/completions")).body(body.to_string()).send().await.ok()?;
    let wait = response.headers().get("retry-after").map(|value| value.to_str().expect("text").parse().expect("seconds"));
    let status = response.status().as_u16();
    response.bytes().await.ok()?;
    Some((status, wait, begun.elapsed()))
}

/// The answers to so many requests at once: the clock stands still until all of them have arrived.
async fn ask_all(running: &Running, count: usize) -> Vec<(u16, Option<u64>, Duration)> {
    let client = plain_client();
    let asked = (0..count).map(|number| ask(&client, &running.base, number));
    let arrived = running.server.arrivals.load(Ordering::Relaxed) + count as u64;
    let (release, held) = std::sync::mpsc::channel::<()>();
    // A paused clock does not jump while anything blocks.
    let holding = tokio::task::spawn_blocking(move || held.recv().is_err());
    let releasing = async {
        while running.server.arrivals.load(Ordering::Relaxed) < arrived {
            tokio::task::yield_now().await;
        }
        drop(release);
        holding.await.expect("no panic");
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(asked), releasing);
    answers.into_iter().map(|answer| answer.expect("an answer")).collect()
}

fn count(answers: &[(u16, Option<u64>, Duration)], status: u16) -> usize {
    answers.iter().filter(|(each, ..)| *each == status).count()
}

#[tokio::test(start_paused = true)]
async fn two_hundred_and_fifty_six_clients_do_not_wait_for_one_another() {
    let running = start(second()).await;
    let answers = ask_all(&running, 256).await;
    assert!(answers.iter().all(|(status, _, took)| *status == 200 && (0.99..1.1).contains(&took.as_secs_f64())), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_server_lets_wait_and_a_full_queue_sends_away() {
    for (full_429, status) in [(false, 503), (true, 429)] {
        let running = start(SimSettings { slots: 2, queue: 4, retry_after_s: 3, full_429, ..second() }).await;
        let answers = ask_all(&running, 9).await;
        assert_eq!((count(&answers, 200), count(&answers, status)), (6, 3), "{answers:?}");
        assert!(answers.iter().all(|(each, wait, _)| (*each == status) == (*wait == Some(3))), "{answers:?}");
        let mut seconds: Vec<u64> = answers.iter().filter(|(each, ..)| *each == 200).map(|(.., took)| took.as_secs()).collect();
        seconds.sort_unstable();
        assert_eq!(seconds, [1, 1, 2, 2, 3, 3], "two at a time");
    }
}

#[tokio::test]
async fn who_goes_away_leaves_the_queue_and_the_metrics_tell() {
    let sim = Sim::bind(SimSettings { slots: 1, rate_hang: 1.0, ..SimSettings::default() }, Arc::new(Parrot::default()), |_| 1).await;
    let sim = sim.expect("a free port");
    let (base, server) = (format!("http://{}/v1", sim.address().expect("bound")), Arc::clone(&sim.server));
    tokio::spawn(sim.serve(std::future::pending()));
    let until = async |running: u32, waiting: u32| {
        while (server.admission.running(), server.admission.waiting()) != (running, waiting) {
            tokio::task::yield_now().await;
        }
    };
    let mut asked: Vec<_> = (0..3)
        .map(|number| {
            let base = base.clone();
            tokio::spawn(async move { ask(&plain_client(), &base, number).await })
        })
        .collect();
    until(1, 2).await;
    let text = reqwest::get(base.replace("/v1", "/metrics")).await.expect("an answer").text().await.expect("text");
    for line in [
        "# TYPE vllm:num_requests_running gauge",
        "vllm:num_requests_running{engine=\"0\",model_name=\"heuristic\"} 1",
        "vllm:num_requests_waiting{engine=\"0\",model_name=\"heuristic\"} 2",
        "vllm:request_success_total{engine=\"0\",finished_reason=\"stop\",model_name=\"heuristic\"} 0",
    ] {
        assert!(text.lines().any(|each| each == line), "{line} in {text}");
    }
    let last = asked.pop().expect("three");
    last.abort();
    until(1, 1).await;
    for each in asked {
        each.abort();
    }
    until(0, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_tells_how_long_to_wait_and_keeps_its_word() {
    for settings in [
        SimSettings { requests_per_minute: Some(6), ..second() },
        // Each question is a few tokens and may take 100 more, most of which are given back.
        SimSettings { tokens_per_minute: Some(620), ..second() },
    ] {
        let running = start(settings).await;
        let answers = ask_all(&running, 8).await;
        assert!((5..=7).contains(&count(&answers, 200)) && count(&answers, 429) > 0, "{answers:?}");
        let wait = answers.iter().filter_map(|(_, wait, _)| *wait).max().expect("a wait");
        assert!((1..=20).contains(&wait), "{answers:?}");
        tokio::time::advance(Duration::from_secs(wait)).await;
        assert_eq!(count(&ask_all(&running, 1).await, 200), 1, "after the wait one is admitted");
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_down_window_nothing_is_answered_and_what_is_in_work_is_cut() {
    let seconds = Duration::from_secs;
    let settings = SimSettings { latency_mean: seconds(4), down_every: Some(seconds(60)), down_for: seconds(10), ..second() };
    let running = start(settings).await;
    let client = plain_client();
    let models = async || client.get(format!("{}/models", running.base)).send().await.is_ok();
    let begun = Instant::now();
    assert!(ask(&client, &running.base, 0).await.is_some() && models().await);
    sleep_until(begun + seconds(58)).await;
    assert!(ask(&client, &running.base, 1).await.is_none(), "its answer would come at 62");
    assert!((59.9..60.5).contains(&begun.elapsed().as_secs_f64()), "cut when the window began: {:?}", begun.elapsed());
    assert!(!models().await && ask(&client, &running.base, 2).await.is_none());
    sleep_until(begun + seconds(71)).await;
    assert!(models().await && ask(&client, &running.base, 2).await.is_some(), "back again");

    sleep_until(begun + seconds(119)).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "q"}], "stream": true});
    let response = client.post(format!("{}/chat/completions", running.base)).body(body.to_string()).send().await;
    assert!(response.is_err() || response.expect("a head").text().await.is_err(), "no stream outlives the server");
}
