//! The pool as a job meets it, over real HTTP: who is asked, who is passed over, who is left alone and comes back.

use std::error::Error;

use futures::future::join_all;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::*;

/// What a server does that has so many places and refuses the rest.
#[derive(Clone)]
struct Places {
    free: Arc<tokio::sync::Semaphore>,
    refused: Arc<AtomicU32>,
}

impl Places {
    async fn start(places: usize) -> (Self, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = Self { free: Arc::new(tokio::sync::Semaphore::new(places)), refused: Arc::default() };
        let routes = Router::new().fallback(in_a_place).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (server, format!("http://{address}/v1"))
    }
}

/// Answers after a moment of work.
async fn in_a_place(State(server): State<Places>) -> Response {
    let Ok(_place) = server.free.try_acquire() else {
        server.refused.fetch_add(1, Ordering::Relaxed);
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    };
    tokio::time::sleep(Duration::from_millis(3)).await;
    said("yes").body.into_response()
}

fn state(teacher: &HttpTeacher, number: usize) -> String {
    teacher.health()[number].state.clone()
}

#[tokio::test]
async fn jobs_are_spread_by_weight_and_each_thread_keeps_to_its_server() {
    let (light, heavy) = (Server::start([said("light")]).await, Server::start([said("heavy")]).await);
    let mut teacher = teacher(&[light.endpoint(), heavy.endpoint()], json!({}));
    teacher.pool = Pool::new(&[light.endpoint(), heavy.endpoint()], &[1, 3], 512).expect("two URLs");
    for number in 0..100 {
        let first = teacher.complete(&of_job(number)).await.expect("an answer").text;
        let second = teacher.complete(&of_job(number)).await.expect("an answer").text;
        assert_eq!(first, second);
    }
    let of_light = light.seen().len() / 2;
    assert!((5..50).contains(&of_light), "about 25 of 100: {of_light}");
}

#[tokio::test]
async fn a_thread_that_had_to_move_stays_where_it_went_and_others_go_home() {
    let (home, other) = (Server::start([answer(503, ""), said("home")]).await, Server::start([said("other")]).await);
    let teacher = teacher(&[home.endpoint(), other.endpoint()], json!({}));
    let moved = at_home(&teacher, 0);
    for _ in 0..3 {
        assert_eq!(teacher.complete(&moved).await.expect("one works").text, "other");
    }
    let sibling = (1..)
        .map(|thread| Request { key: JournalKey { thread, ..moved.key }, ..moved.clone() })
        .find(|asked| teacher.pool.home(Thread::of(&asked.job, asked.key.thread)) == 0)
        .expect("threads of one job go to several servers");
    assert_eq!(teacher.complete(&sibling).await.expect("it works").text, "home");
    other.becomes(answer(500, ""));
    assert_eq!(teacher.complete(&moved).await.expect("one works").text, "home", "and comes back when it has to");
}

#[tokio::test]
async fn the_window_finds_what_a_server_can_do_and_everybody_is_served() {
    let (server, endpoint) = Places::start(3).await;
    let mut teacher = teacher(&[endpoint], json!({}));
    teacher.policy.tries = Some(100);
    let jobs = (0..40).map(of_job).collect::<Vec<_>>();
    for round in 0..5 {
        let answers = join_all(jobs.iter().map(|asked| teacher.complete(asked))).await;
        assert!(answers.iter().all(Result::is_ok), "round {round}: {answers:?}");
    }
    let health = &teacher.health()[0];
    assert!(health.window <= 6 && health.in_flight == 0 && health.waiting == 0, "{health:?}");
    let refused = server.refused.load(Ordering::Relaxed);
    assert!(refused > 0 && refused < 100, "{refused} of 200 went in vain: it learned");
}

#[tokio::test]
async fn the_window_doubles_where_nothing_is_refused() {
    let (_server, endpoint) = Places::start(10_000).await;
    let teacher = teacher(&[endpoint], json!({}));
    let jobs = (0..64).map(of_job).collect::<Vec<_>>();
    for _ in 0..3 {
        join_all(jobs.iter().map(|asked| teacher.complete(asked))).await;
    }
    let health = &teacher.health()[0];
    assert!(health.window > 32 && health.answered == 192, "{health:?}");
}

#[tokio::test]
async fn a_server_that_asks_for_rest_gets_it_and_others_serve_meanwhile() {
    let rest = Answer { headers: vec![("retry-after", "20")], ..answer(429, "") };
    let (tired, other) = (Server::start([rest.clone(), rest, said("tired")]).await, Server::start([said("other")]).await);
    let teacher = teacher(&[tired.endpoint(), other.endpoint()], json!({}));
    let asked = at_home(&teacher, 0);
    for _ in 0..2 {
        assert_eq!(teacher.complete(&asked).await.expect("the other serves").text, "other");
    }
    for number in 0..20 {
        assert_eq!(teacher.complete(&of_job(number)).await.expect("the other serves").text, "other");
    }
    assert_eq!(tired.seen().len(), 2);
    assert_eq!(state(&teacher, 0), "up", "a server that asks for rest is not broken");
}

#[tokio::test]
async fn where_there_is_no_other_a_short_rest_is_waited_for_and_a_long_one_holds_the_jobs() {
    let rest = |seconds| Answer { headers: vec![("retry-after", seconds)], ..answer(429, "") };
    let server = Server::start([rest("0.03"), said("yes"), rest("600"), said("no")]).await;
    let teacher = teacher(&[server.endpoint()], json!({}));
    let began = std::time::Instant::now();
    let answers = join_all([teacher.complete(&of_job(0)), teacher.complete(&of_job(0))]).await;
    let first_two: Vec<_> = answers.into_iter().map(|answer| answer.is_ok()).collect();
    assert!(began.elapsed() >= Duration::from_millis(30));
    // One of the two met the second rest; from then on nobody is sent.
    assert!(first_two.contains(&true) && first_two.contains(&false), "{first_two:?}");
    let sent = server.seen().len();
    let error = teacher.complete(&of_job(1)).await.expect_err("it rests");
    assert_eq!((error.kind, server.seen().len()), (TeacherErrorKind::Outage, sent));
    assert!(error.retry_after > Some(Duration::from_secs(50)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_fails_everybody_is_left_alone_and_comes_back_by_one_probe() {
    let server = Server::start([answer(500, "")]).await;
    let teacher = teacher(&[server.endpoint()], json!({}));
    let mut number = 0;
    while state(&teacher, 0) == "up" {
        assert!(number < 20, "it takes sixteen failures of several jobs");
        teacher.complete(&of_job(number)).await.expect_err("it is broken");
        number += 1;
    }
    let (sent, listings) = (server.seen().len(), server.listings.load(Ordering::Relaxed));
    let error = teacher.complete(&of_job(0)).await.expect_err("it is left alone");
    assert_eq!((error.kind, server.seen().len()), (TeacherErrorKind::Outage, sent), "and nothing is sent");
    assert!(error.message.contains("500") && error.message.contains(&server.endpoint()), "{}", error.message);

    server.becomes(said("yes"));
    tokio::time::sleep(error.retry_after.expect("until it is tried again")).await;
    let answers = join_all((0..8).map(of_job).collect::<Vec<_>>().iter().map(|asked| teacher.complete(asked))).await;
    assert!(answers.iter().all(Result::is_ok), "one asks, the others wait for how that ends: {answers:?}");
    assert_eq!(server.listings.load(Ordering::Relaxed), listings + 1);
    assert_eq!(state(&teacher, 0), "up");
}

/// Names nobody at first, as often as it says, and then always `to`.
struct Flaky {
    misses: AtomicU32,
    to: SocketAddr,
}

impl Resolve for Flaky {
    fn resolve(&self, _name: Name) -> Resolving {
        let misses = self.misses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |misses| misses.checked_sub(1));
        let found: Result<Addrs, Box<dyn Error + Send + Sync>> = match misses {
            Ok(_) => Err("no such name".into()),
            Err(_) => Ok(Box::new([self.to].into_iter())),
        };
        Box::pin(std::future::ready(found))
    }
}

#[tokio::test]
async fn one_connection_that_does_not_come_about_does_not_close_a_living_server_for_the_others() {
    let server = Server::start([said("yes")]).await;
    let endpoint = format!("http://some.host:{}/v1", server.address.port());
    for (misses, expected) in [(1, None), (2, Some(TeacherErrorKind::Outage))] {
        let mut teacher = teacher(std::slice::from_ref(&endpoint), json!({}));
        let resolver = Arc::new(Flaky { misses: AtomicU32::new(misses), to: server.address });
        teacher.client = reqwest::Client::builder().dns_resolver(resolver).build().expect("a client");
        let listings = server.listings.load(Ordering::Relaxed);
        let answered = teacher.complete(&of_job(0)).await;
        assert_eq!(answered.err().map(|error| error.kind), expected, "{misses}");
        // Asked for a sign of life, it gives one, and the request is tried again.
        assert_eq!(server.listings.load(Ordering::Relaxed) - listings, u32::from(misses == 1));
        assert_eq!(state(&teacher, 0), if misses == 1 { "up" } else { "down" });
    }
}

#[tokio::test]
async fn one_poisonous_conversation_does_not_close_a_server_for_the_others() {
    let server = Server::start([answer(500, "")]).await;
    let teacher = teacher(&[server.endpoint()], json!({}));
    for _ in 0..30 {
        let error = teacher.complete(&of_job(0)).await.expect_err("it chokes");
        assert_eq!(error.kind, TeacherErrorKind::Transient);
    }
    server.becomes(said("yes"));
    assert_eq!(teacher.complete(&of_job(1)).await.expect("it is up").text, "yes");
}

#[tokio::test]
async fn when_all_are_down_that_is_said_at_once_and_as_often_as_it_is_asked() {
    let (one, two) = (nobody().await, nobody().await);
    let teacher = teacher(&[one.clone(), two.clone()], json!({}));
    let began = std::time::Instant::now();
    for number in 0..200 {
        let error = teacher.complete(&of_job(number)).await.expect_err("nobody is there");
        assert_eq!(error.kind, TeacherErrorKind::Outage);
        assert!(error.message.contains(&one) && error.message.contains(&two), "{}", error.message);
        assert!(error.retry_after.is_some_and(|after| after <= Duration::from_secs(2)), "{:?}", error.retry_after);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!([state(&teacher, 0), state(&teacher, 1)], ["down", "down"]);
}

#[tokio::test]
async fn after_a_timeout_one_other_server_is_tried() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let routes = Router::new().fallback(std::future::pending::<StatusCode>);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let sound = Server::start([said("yes")]).await;
    let mut teacher = teacher(&[format!("http://{address}/v1"), sound.endpoint()], json!({}));
    teacher.timeout = Duration::from_millis(50);
    assert_eq!(teacher.complete(&at_home(&teacher, 0)).await.expect("the other answers").text, "yes");
}

#[tokio::test]
async fn requests_go_as_evenly_as_their_limit_says() {
    let server = Server::start([said("yes")]).await;
    let mut teacher = teacher(&[server.endpoint()], json!({}));
    let settings = HttpSettings { endpoints: vec![server.endpoint()], requests_per_minute: Some(1200), ..HttpSettings::default() };
    teacher.limits = Limits::new(&settings, "some-model");
    let began = std::time::Instant::now();
    let answers = join_all((0..6).map(of_job).collect::<Vec<_>>().iter().map(|asked| teacher.complete(asked))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert!(began.elapsed() >= Duration::from_millis(250), "one each 50 ms: {:?}", began.elapsed());
}

#[tokio::test]
async fn what_a_server_does_not_count_we_count() {
    let words = "The Edersee dam was finished in the year nineteen hundred and fourteen.";
    let server = Server::start([said(words)]).await;
    let usage = teacher(&[server.endpoint()], json!({})).complete(&question()).await.expect("an answer").usage;
    let count = |text| u64::from(Tokens::default().count(text));
    assert_eq!((usage.completion_tokens, usage.calls), (count(words), 1));
    assert_eq!(usage.prompt_tokens, count("rules") + count("which dam?"));
}
