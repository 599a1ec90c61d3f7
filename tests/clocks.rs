//! Budgets of time: of a thread, of a job, of a run. What a clock said is journaled, so a job that is taken up again hears the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::{Completion, Role};
use serde_json::{Value, json};
use teacher::{Request, Teacher, TeacherError};

use crate::faults::{Counting, Server};
use crate::house::House;

/// How long each turn of research takes, and nothing else: several fit into a second, and far more are asked for than into the budgets below.
const LATENCY: Duration = Duration::from_millis(100);
/// How a notice names a budget of time.
const TOLD: &str = "the time in milliseconds";

fn said(text: &str) -> Completion {
    serde_json::from_value(json!({
        "text": text, "finish_reason": "stop", "usage": {"prompt_tokens": 10, "completion_tokens": 5, "calls": 1}
    }))
    .expect("a completion")
}

/// Searches on and on until an answer is demanded.
#[derive(Default)]
struct Endless {
    counting: Counting,
    /// Somebody was warned that time runs out.
    was_warned: AtomicBool,
}

#[async_trait]
impl Teacher for Endless {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        self.counting.note(request);
        let last = request.messages.last().map_or("", |message| message.text.as_str());
        if last.to_lowercase().contains(TOLD) {
            self.was_warned.store(true, Ordering::Relaxed);
        }
        let system = request.messages.first().map_or("", |message| message.text.as_str());
        let is_research = !system.contains("<subtask_list>") && !system.contains("<suggested_answer>");
        if is_research {
            tokio::time::sleep(LATENCY).await;
        }
        let turns = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
        Ok(said(&match system {
            // Neither a list nor a report that could be taken: both are asked for again while there is time.
            _ if system.contains("<subtask_list>") => "<subtask_list>\n1. When was Pellin founded?\n2. When was Pellin founded?\n3. Who designed the Swan Bridge?\n</subtask_list>".to_owned(),
            _ if system.contains("<suggested_answer>") => "<suggested_answer>\nNobody knows.\n</suggested_answer>".to_owned(),
            _ if system.contains("<subtask_answer>") => format!("<think>on</think><plan>on</plan><web_search>query=bridge {turns}</web_search>"),
            _ => format!("<tool_call>\n{{\"name\": \"search\", \"arguments\": {{\"query\": \"bridge {turns}\"}}}}\n</tool_call>"),
        }))
    }
}

fn campaign(server: &Server<Endless>, recipe: &str, dialect: &str) -> String {
    format!(
        "{recipe}\n[teacher]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"endless\"\nconcurrency = 2\ndialect = \"{dialect}\"\n",
        server.address
    )
}

fn turns(thread: &Value) -> usize {
    thread["turns"].as_array().expect("turns").len()
}

#[test]
fn a_job_out_of_time_ends_with_what_it_has_and_hears_the_same_when_it_is_taken_up_again() {
    let server = Server::of(Arc::new(Endless::default()), Duration::ZERO);
    let house = House::new(2, "", &campaign(&server, "[recipe]\nwall_s = 4", "hermes"));
    let mut run = house.start_run();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !server.teacher.was_warned.load(Ordering::Relaxed) {
        assert!(run.try_wait().expect("a child").is_none(), "it is warned before its time is over");
        assert!(Instant::now() < deadline, "its time passes");
        std::thread::yield_now();
    }
    run.kill().expect("killed with SIGKILL");
    run.wait().expect("a child");
    let last = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(last.code, Some(0), "{}", last.text());
    house.prove_sealed(2);
    let (asked, distinct) = server.teacher.counting.counts();
    assert!(asked - distinct <= 2, "only what was in flight is asked again: {} of {asked}", asked - distinct);
    let rows = house.rows();
    assert_eq!(rows.iter().map(|row| turns(&row["threads"][0])).sum::<usize>(), distinct, "the same path was taken");
    assert!(rows.iter().any(|row| row["provenance"]["replayed"].as_u64() > Some(0)), "one was continued in the middle");
    for row in &rows {
        assert_eq!((row["limit"].as_str(), row["outcome"].as_str()), (Some("wall_time"), Some("time_limit")), "{row}");
        // Four seconds of work hold no more; without a budget there would be two hundred.
        assert!((2..=50).contains(&turns(&row["threads"][0])), "{} turns", turns(&row["threads"][0]));
    }
}

#[test]
fn a_thread_has_its_own_clock_and_a_job_s_clock_goes_on_through_all_of_them() {
    let server = Server::of(Arc::new(Endless::default()), Duration::ZERO);
    let divided = |budget: &str| {
        let recipe = format!("[recipe]\nkind = \"decompose\"\nparallel = 1\nsteps = 100\nmax_tool_calls = 100\n{budget}");
        let house = House::new(1, "", &campaign(&server, &recipe, "tags"));
        let ran = house.sluice(&["run", "campaign.toml"]);
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        house.prove_sealed(1);
        house.rows().remove(0)["threads"].as_array().expect("threads").clone()
    };
    let limit = |thread: &Value| thread["limit"].as_str().map(str::to_owned);
    let wall = Some("wall_time".to_owned());

    let own = divided("[recipe.thread]\nwall_s = 3");
    assert_eq!(own.len(), 4, "planner, two researchers, summarizer");
    for researcher in &own[1..3] {
        assert!(limit(researcher) == wall && turns(researcher) > 1, "each has three seconds: {researcher}");
    }
    assert_eq!((turns(&own[0]), turns(&own[3])), (4, 3), "there is time for all lists and reports");

    let shared = divided("wall_s = 3");
    assert!(limit(&shared[1]) == wall && turns(&shared[1]) > 0, "{}", shared[1]);
    assert!(limit(&shared[2]) == wall && turns(&shared[2]) == 0, "nothing is left for the second: {}", shared[2]);
    assert_eq!(turns(&shared[3]), 1, "one report, however it is: {}", shared[3]);
}

#[test]
fn the_time_of_a_run_ends_it_and_the_same_command_has_its_time_anew() {
    let server = Server::of(Arc::new(Endless::default()), Duration::ZERO);
    let house = House::new(4, "", &(campaign(&server, "[recipe]\nmax_turns = 16", "hermes") + "[budget]\nwall_hours = 0.0005\n"));
    let mut pauses = 0;
    let ended = loop {
        let ran = house.sluice(&["run", "campaign.toml"]);
        if ran.code != Some(130) {
            break ran;
        }
        assert!(ran.err.contains("the time of this run is over") && ran.err.contains("\ncontinue with: sluice run"), "{}", ran.text());
        let status = house.status();
        assert_eq!((&status["stopped"], &status["paused_by"]), (&json!(true), &Value::Null), "nobody has to give it more: {status}");
        pauses += 1;
        assert!(pauses < 20, "each run gets on");
    };
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    assert!(pauses > 0, "four jobs take longer than one run has");
    house.prove_sealed(4);
    let (asked, distinct) = server.teacher.counting.counts();
    assert_eq!(asked, distinct, "whoever was told to stop waited for what it had in flight");
}
