//! `sluice plan`: a pilot that costs what it says, an estimate that follows from it, and nothing of the campaign created.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Completion, FinishReason, Usage};
use serde_json::{Value, json};
use teacher::{Request, Teacher, TeacherError};

use crate::faults::Server;
use crate::house::{House, Ran};

const PRICED: &str = "[teacher]\nkind = \"heuristic\"\nconcurrency = 4\nprice = { prompt = 1.0, completion = 2.0 }\n[budget]\nmoney = 0.5\ncalls = 1000000\n";

fn planned(house: &House, more: &[&str]) -> (Ran, Value) {
    let args: Vec<&str> = ["plan", "campaign.toml", "--json"].iter().chain(more).copied().collect();
    let ran = house.sluice(&args);
    let forecast = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.text()));
    (ran, forecast)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_pilot_is_a_few_jobs_and_the_campaign_is_so_many_times_as_much() {
    let house = House::new(40, "samples_per_seed = 3", PRICED);
    let (ran, forecast) = planned(&house, &["--pilot", "6", "--workers", "2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    assert!(ran.err.contains("pilot of test: 6 of 40 seeds, spread evenly"), "{}", ran.err);
    assert!(!house.path("out").exists(), "nothing of the campaign is created");
    let (pilot, estimate) = (&forecast["pilot"], &forecast["estimate"]);
    assert_eq!((pilot["jobs"].as_u64(), pilot["done"].as_u64(), pilot["outstanding"].as_u64()), (Some(6), Some(6), Some(0)));
    assert_eq!((forecast["seeds"].as_u64(), estimate["campaign"]["jobs"].as_u64()), (Some(40), Some(120)));
    assert_eq!(estimate["campaign"]["at_once"].as_u64(), Some(8));
    let per_job = &estimate["per_job"]["teacher"];
    for key in ["calls", "prompt_tokens", "completion_tokens"] {
        let (mean, low, high) = (number(&per_job[key]["mean"]), number(&per_job[key]["low"]), number(&per_job[key]["high"]));
        assert!(low <= mean && mean <= high, "{key}: {low} {mean} {high}");
        assert!((number(&pilot["spent"][key]) - 6.0 * mean).abs() < 1e-6, "{key}: the ledger and the rows agree on what the pilot cost");
        assert!((number(&estimate["campaign"]["spent"][key]["mean"]) - 120.0 * mean).abs() < 1e-6, "{key}");
    }
    let money = number(&estimate["campaign"]["spent"]["money"]["mean"]);
    let expected = (120.0 * number(&per_job["prompt_tokens"]["mean"]) + 240.0 * number(&per_job["completion_tokens"]["mean"])) / 1e6;
    assert!((money - expected).abs() < 1e-3, "{money} for {expected}");
    let reach = estimate["budget"].as_array().expect("two limits");
    let of_money = reach.iter().find(|reach| reach["key"] == "budget.money").expect("a limit of money");
    assert!((number(&of_money["share"]["mean"]) - 0.5 / money).abs() < 1e-9, "{of_money}");

    let table = house.sluice(&["plan", "campaign.toml", "--pilot", "6"]);
    for expected in
        ["the pilot cost", "tokens in", "money an accepted row", "accepted rows", "budget.money 0.5", "budget.calls 1000000 suffices"]
    {
        assert!(table.out.contains(expected), "`{expected}` in {}", table.out);
    }
}

#[test]
fn without_prices_money_is_unknown_and_a_kept_pilot_is_a_data_set() {
    let house = House::new(12, "", "[teacher]\nkind = \"heuristic\"\n");
    let (ran, forecast) = planned(&house, &["--pilot", "3", "--keep", "pilots"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let notes = forecast["notes"].to_string();
    assert!(notes.contains("money is unknown: give teacher.price") && notes.contains("hardly more than guesses"), "{notes}");
    assert_eq!(forecast["estimate"]["campaign"]["spent"]["money"], Value::Null);
    let exported = house.sluice(&["export", "pilots/campaigns/test-pilot", "--format", "native", "--rows", "all"]);
    assert_eq!((exported.code, exported.out.lines().count()), (Some(0), 3), "{}", exported.err);
    // Again: what is kept is not paid for twice.
    let (again, same) = planned(&house, &["--pilot", "3", "--keep", "pilots"]);
    assert_eq!((again.code, &same["pilot"]["spent"]), (Some(0), &forecast["pilot"]["spent"]), "{}", again.text());
}

#[test]
fn roles_of_a_divided_question_are_told_apart() {
    let more = "[recipe]\nkind = \"decompose\"\n[teacher]\nkind = \"heuristic\"\ndialect = \"tags\"\n";
    let (ran, forecast) = planned(&House::new(8, "", more), &["--pilot", "2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let roles = forecast["estimate"]["per_job"]["roles"].as_object().expect("roles");
    for role in ["planner", "researcher", "summarizer"] {
        assert!(number(&roles[role]["calls"]["mean"]) > 0.0, "{role} in {roles:?}");
    }
}

#[test]
fn jobs_that_fail_are_named_with_their_kinds_and_the_exit_code_says_so() {
    let house = House::new(4, "", "[teacher]\nkind = \"scripted\"\nscript = \"script.jsonl\"\n");
    std::fs::write(house.path("script.jsonl"), "").expect("written");
    let (ran, forecast) = planned(&house, &["--pilot", "2"]);
    assert_eq!(ran.code, Some(4), "{}", ran.text());
    let failed = forecast["pilot"]["failed"].as_array().expect("failed jobs");
    assert_eq!(failed.len(), 2, "{forecast}");
    assert!(failed.iter().all(|job| job["kind"].as_str().is_some_and(|kind| !kind.is_empty()) && job["seed"].is_string()), "{failed:?}");
    assert!(forecast["notes"].to_string().contains("every job of the pilot failed"), "{}", forecast["notes"]);
    let table = house.sluice(&["plan", "campaign.toml", "--pilot", "2"]);
    assert!(table.out.contains("2 of 2 jobs done, 2 of them failed") && table.out.contains("  failed "), "{}", table.out);
}

/// Answers the first request at once, and the others never.
#[derive(Default)]
struct Once(std::sync::atomic::AtomicU32);

#[async_trait]
impl Teacher for Once {
    async fn complete(&self, _request: &Request) -> Result<Completion, TeacherError> {
        if self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            std::future::pending::<()>().await;
        }
        let usage = Usage { prompt_tokens: 10, completion_tokens: 5, calls: 1, ..Usage::default() };
        let text = "Exact Answer: nobody".to_owned();
        Ok(Completion { text, reasoning: None, calls: Vec::new(), finish_reason: FinishReason::Stop, usage, model: None })
    }
}

#[test]
fn a_pilot_that_is_stopped_estimates_from_what_is_done() {
    let server = Server::of(Arc::new(Once::default()), Duration::ZERO);
    let more = format!(
        "[teacher]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"once\"\nconcurrency = 1\n[judge]\nkind = \"off\"\n",
        server.address
    );
    let house = House::new(6, "", &more);
    let mut command = house.command(&["plan", "campaign.toml", "--pilot", "3", "--keep", "kept", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let first = BufReader::new(child.stderr.as_mut().expect("piped")).lines().next().expect("a line").expect("text");
    assert!(first.contains("pilot of test: 3 of 6 seeds"), "{first}");
    // The second request is asked when the first job is done; its verdict may still be on its way.
    let verdict = || {
        let grades = std::fs::read_dir(house.path("kept/campaigns/test-pilot/grades")).into_iter().flatten().flatten();
        let mut files = grades.flat_map(|grade| std::fs::read_dir(grade.path().join("verdicts/0"))).flatten().flatten();
        // A hidden one is still being written.
        files.any(|file| !file.file_name().as_encoded_bytes().starts_with(b"."))
    };
    let waited = (0..600).find(|_| {
        std::thread::sleep(Duration::from_millis(50));
        server.teacher.0.load(std::sync::atomic::Ordering::Relaxed) > 1 && verdict()
    });
    assert!(waited.is_some(), "the first job is done");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
    let ran = Ran::of(child.wait_with_output().expect("its end"));
    assert_eq!(ran.code, Some(130), "{}", ran.text());
    let forecast: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.text()));
    let pilot = &forecast["pilot"];
    assert_eq!((&pilot["end"], &pilot["done"], &pilot["outstanding"]), (&json!("interrupted"), &json!(1), &json!(2)), "{forecast}");
    assert_eq!(forecast["estimate"]["per_job"]["teacher"]["calls"]["mean"], 1.0);
    assert_eq!(forecast["estimate"]["campaign"]["spent"]["calls"]["mean"], 6.0);
    assert!(forecast["notes"].to_string().contains("interrupted with 2 jobs outstanding"), "{}", forecast["notes"]);
}
