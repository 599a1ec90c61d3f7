//! Limits per minute, on a clock that stands still.

use model::{JobId, JournalKey, Message, Role, Sampling, Uid};
use runtime::ledger::embedded::EmbeddedLedger;

use super::*;
use crate::Calls;

const PATIENCE: Duration = Duration::from_secs(300);

fn request(bytes: usize) -> Request {
    Request {
        job: JobId::of(&Uid("u".into()), "seed", 0),
        key: JournalKey { thread: 0, turn: 0, call: 0 },
        messages: Arc::new(vec![Message::text(Role::User, "x".repeat(bytes))]),
        rendered: crate::Rendered::default(),
        tools: Arc::default(),
        calls: Calls::Offered,
        sampling: Sampling { temperature: 1.0, top_p: 1.0, max_completion_tokens: 100, seed: 0 },
    }
}

fn limits(requests_per_minute: Option<u64>, tokens_per_minute: Option<u64>) -> Limits {
    let endpoints = vec!["http://a/v1".to_owned(), "http://b/v1".to_owned()];
    Limits::new(&HttpSettings { endpoints, requests_per_minute, tokens_per_minute, ..HttpSettings::default() }, "m")
}

/// Seconds until a request of so many bytes may go.
async fn seconds(limits: &Limits, bytes: usize) -> f64 {
    let began = Instant::now();
    limits.draw(&request(bytes), PATIENCE).await.expect("within patience");
    began.elapsed().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn without_limits_nobody_waits() {
    let limits = limits(None, None);
    for _ in 0..1000 {
        assert!(seconds(&limits, 1 << 20).await < 1e-9);
    }
}

#[tokio::test(start_paused = true)]
async fn all_workers_together_keep_to_a_limit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger: Arc<dyn Ledger> = Arc::new(EmbeddedLedger::open(folder.path().join("ledger")).await.expect("a fresh ledger"));
    let mut workers = [limits(Some(60), None), limits(Some(60), None)];
    workers.iter_mut().for_each(|worker| worker.share(Arc::clone(&ledger)));
    let began = Instant::now();
    let draws = (0..30).map(|number| seconds(&workers[number % 2], 1));
    futures::future::join_all(draws).await;
    let took = began.elapsed().as_secs_f64();
    assert!((28.9..29.2).contains(&took), "thirty at one a second, whoever sends them: {took}");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_drawn_as_estimated_and_settled_as_used() {
    let limits = limits(None, Some(60));
    let drawn = limits.draw(&request(40), PATIENCE).await.expect("the first goes at once");
    assert_eq!(drawn.tokens, 10 + 100, "no completion is longer than it may be");
    // Sixty were drawn, a minute's worth; fifty are owed, and it used a hundred less than was thought.
    limits.settle(&drawn, &Usage { prompt_tokens: 8, completion_tokens: 2, ..Usage::default() });
    assert!((seconds(&limits, 40).await - 60.0).abs() < 0.1);
    // So the second drew its estimate less what the first had drawn too much.
    let second = limits.state().owed;
    assert_eq!(second, 0, "{second}");
    let mean = (COMPLETION_TOKENS + 2) / 2;
    let (drawn, _) = limits.estimate(&request(0), 60);
    assert_eq!(drawn.tokens, mean.min(100));
}

#[tokio::test(start_paused = true)]
async fn whoever_would_wait_too_long_is_told_that_nobody_is_to_blame() {
    let limits = limits(Some(1), None);
    assert!(seconds(&limits, 1).await < 1e-9);
    assert!((seconds(&limits, 1).await - 60.0).abs() < 0.1);
    let many = (0..12).map(|_| async { limits.draw(&request(1), PATIENCE).await });
    let drawn = futures::future::join_all(many).await;
    let troubles: Vec<&Trouble> = drawn.iter().filter_map(|drawn| drawn.as_ref().err()).collect();
    assert!((5..9).contains(&troubles.len()), "{} of 12 had to be told", troubles.len());
    assert!(troubles.iter().all(|trouble| trouble.kind == crate::TeacherErrorKind::Outage && trouble.retry_after.is_some()));
    assert!(troubles[0].message.contains("requests_per_minute"), "{}", troubles[0].message);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_does_not_answer_is_left_out_for_a_moment() {
    let limits = limits(Some(60), None);
    assert_eq!(limits.heard(Err("reach the ledger: gone".to_owned())), None);
    let silent_until = limits.state().silent_until;
    assert_eq!(silent_until, Some(Instant::now() + SILENT));
    assert!(seconds(&limits, 1).await < 1e-9 && seconds(&limits, 1).await > 0.9, "the rate is kept all the same");
    assert_eq!(limits.heard(Ok(Duration::from_secs(3))), Some(Duration::from_secs(3)));
    assert_eq!(limits.state().silent_until, None);
}

#[test]
fn teachers_of_one_model_at_the_same_servers_share_their_limits() {
    let named = |endpoints: [&str; 2], model| {
        let endpoints = endpoints.map(str::to_owned).to_vec();
        Limits::new(&HttpSettings { endpoints, ..HttpSettings::default() }, model).name
    };
    let one = named(["http://a/v1", "http://b/v1"], "m");
    assert_eq!(one, named(["http://b/v1", "http://a/v1"], "m"));
    assert!(one != named(["http://a/v1", "http://b/v1"], "n") && one != named(["http://a/v1", "http://c/v1"], "m"));
}
