//! Samples: recorded sampling, early stop of saturated seeds, and more samples for the informative middle.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use model::{Completion, FinishReason, Usage};
use serde_json::Value;
use teacher::{Request, Teacher, TeacherError};

use crate::faults::Server;
use crate::house::{self, House};

/// Knows every answer; of three questions in a row it gives the first right, the second wrong, and the third by turns.
struct Fickle {
    answers: HashMap<String, (usize, String)>,
    asked: Mutex<HashMap<usize, u32>>,
}

impl Fickle {
    fn new() -> Self {
        let seeds = std::fs::read_to_string(house::examples().join("seeds.jsonl")).expect("the example's seeds");
        let seeds = seeds.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str::<Value>(line).expect("a seed"));
        let answer = |seed: &Value| seed["answer"].as_str().or_else(|| seed["answers"][0].as_str()).expect("an answer").to_owned();
        let answers = seeds.enumerate().map(|(n, seed)| (seed["question"].as_str().expect("a question").to_owned(), (n, answer(&seed))));
        Self { answers: answers.collect(), asked: Mutex::default() }
    }
}

#[async_trait]
impl Teacher for Fickle {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        let question = request.messages.iter().find_map(|message| self.answers.get(message.text.trim()));
        let (number, answer) = question.expect("a question of the example");
        let times = {
            let mut asked = self.asked.lock().expect("no panic held it");
            let times = asked.entry(*number).or_default();
            *times += 1;
            *times
        };
        let is_right = match number % 3 {
            0 => true,
            1 => false,
            _ => times % 2 == 1,
        };
        let text = format!("Exact Answer: {}", if is_right { answer.as_str() } else { "quite another thing" });
        let usage = Usage { prompt_tokens: 10, completion_tokens: 5, calls: 1, ..Usage::default() };
        Ok(Completion { text, reasoning: None, calls: Vec::new(), finish_reason: FinishReason::Stop, usage, model: None })
    }
}

#[test]
fn seeds_that_are_always_right_or_always_wrong_get_no_more_samples() {
    let server = Server::of(Arc::new(Fickle::new()), Duration::ZERO);
    let rules = ["answered", "answer_length", "tool_calls", "citations", "language"];
    let rules: String = rules.iter().map(|rule| format!("[filter.{rule}]\nenabled = false\n")).collect();
    let more = format!(
        "[teacher]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"fickle\"\nconcurrency = 4\n{rules}[judge]\nkind = \"lexical\"\n",
        server.address
    );
    let house = House::new(6, "samples_per_seed = 4\nsamples_first = 2", &more);
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    house.prove_sealed(24);
    assert_eq!(house.manifest()["counts"]["spared"], 8, "four of six seeds are settled after two samples of four: {}", ran.text());
    assert!(ran.out.contains("spared"), "{}", ran.text());
    let mut samples: HashMap<String, u32> = HashMap::new();
    for row in house.rows() {
        *samples.entry(row["seed"]["id"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    let mut counts: Vec<(String, u32)> = samples.into_iter().collect();
    counts.sort();
    assert_eq!(counts.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 2, 4, 2, 2, 4]);

    // Run again, nothing is decided anew; and what was spared stays so.
    let again = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(again.code, Some(0), "{}", again.text());
    let asked: u32 = server.teacher.asked.lock().expect("no panic held it").values().sum();
    assert_eq!(asked, 16);
}

#[test]
fn every_sample_has_its_own_recorded_sampling_seed() {
    let house = House::new(2, "samples_per_seed = 3", "[teacher]\nkind = \"heuristic\"\ntemperature = 0.7\ntop_p = 0.8\n");
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    let rows = house.rows();
    let mut seeds: Vec<u64> = rows.iter().map(|row| row["teacher"]["sampling"]["seed"].as_u64().expect("a seed")).collect();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 6);
    assert!(rows.iter().all(|row| row["teacher"]["sampling"]["temperature"] == 0.7 && row["teacher"]["sampling"]["top_p"] == 0.8));
}

#[test]
fn a_campaign_at_its_budget_pauses_itself_grades_what_it_has_and_goes_on_with_more() {
    let campaign = |calls: u32| format!("[teacher]\nkind = \"heuristic\"\nconcurrency = 2\n[budget]\ncalls = {calls}\n");
    let house = House::new(24, "", &campaign(40));
    let first = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(first.code, Some(130), "{}", first.text());
    assert!(first.err.contains("the budget is spent") && first.err.contains("raise [budget]"), "{}", first.text());
    let spent: u64 = first.err.split(" calls").next().and_then(|text| text.rsplit(' ').next()).and_then(|n| n.parse().ok()).expect("calls");
    // Each of the two slots may have had one completion in flight.
    assert!((40..=42).contains(&spent), "{}", first.err);
    let status = house.status();
    assert_eq!(
        (&status["state"], &status["paused_by"], &status["stopped"]),
        (&"paused".into(), &"budget".into(), &true.into()),
        "{status}"
    );
    assert_eq!(status["usage"]["calls"], spent, "{status}");
    let again = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(again.code, Some(130), "the same budget allows nothing more: {}", again.text());

    let text = std::fs::read_to_string(house.path("campaign.toml")).expect("a campaign").replace("calls = 40", "calls = 100000");
    std::fs::write(house.path("campaign.toml"), text).expect("written");
    assert_eq!(house.status()["state"], "paused", "the campaign has its new budget when a run begins with it");
    let last = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(last.code, Some(0), "{}", last.text());
    assert_eq!((&house.status()["state"], &house.status()["stopped"]), (&"running".into(), &false.into()), "what is done is not stopped");
    house.prove_sealed(24);
    let replayed: u64 = house.rows().iter().map(|row| row["provenance"]["replayed"].as_u64().expect("a number")).sum();
    assert!(replayed > 0, "a job that was stopped in the middle went on there");
}

#[test]
fn a_campaign_whose_last_completion_reaches_its_budget_is_sealed() {
    let campaign = |budget: &str| format!("[teacher]\nkind = \"heuristic\"\ntemperature = 0.0\nconcurrency = 1\n{budget}");
    let house = House::new(6, "", &campaign(""));
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    let calls = house.manifest()["sums"]["teacher"]["calls"].as_u64().expect("a number");
    let house = House::new(6, "", &campaign(&format!("[budget]\ncalls = {calls}\n")));
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    house.prove_sealed(6);
}

/// Jobs that are done.
fn graded(house: &House) -> u64 {
    let status = house.status();
    status["planned"].as_u64().expect("a number") - status["outstanding"].as_u64().expect("a number")
}

#[test]
fn what_was_spent_is_known_when_the_ledger_was_lost() {
    let house = House::new(24, "", "[teacher]\nkind = \"heuristic\"\nconcurrency = 2\n[budget]\ncalls = 60\n");
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(130));
    let before = graded(&house);
    assert!(before > 4, "{before}");
    std::fs::remove_dir_all(house.dataset().join(".ledger")).expect("it was there");
    let again = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(again.code, Some(130), "{}", again.text());
    // The two jobs that were under way begin again.
    assert!(graded(&house) <= before + 2, "{before} and then {}", graded(&house));
}

/// A judge who always says the same.
struct Says(&'static str);

/// Finds everything fit.
const FIT: Says = Says("{\"correct\": true, \"score\": 1.0, \"reasons\": \"fit\"}");

#[async_trait]
impl Teacher for Says {
    async fn complete(&self, _request: &Request) -> Result<Completion, TeacherError> {
        let usage = Usage { prompt_tokens: 50, completion_tokens: 10, calls: 1, ..Usage::default() };
        let text = self.0.to_owned();
        Ok(Completion { text, reasoning: None, calls: Vec::new(), finish_reason: FinishReason::Stop, usage, model: None })
    }
}

#[test]
fn a_judge_with_a_price_is_paid_from_the_same_budget() {
    // Slower than synthesis, so that candidates pile up before it.
    let judge = Server::of(Arc::new(FIT), Duration::from_millis(100));
    let campaign = format!(
        "[teacher]\nkind = \"heuristic\"\nconcurrency = 2\n[judge]\nkind = \"http\"\n\
         endpoints = [\"{}\"]\nmodel = \"kind\"\nprice = {{ prompt = 0.0, completion = 10.0 }}\n[budget]\nmoney = 0.0005\n",
        judge.address
    );
    let house = House::new(24, "", &campaign);
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(130), "{}", ran.text());
    assert!(ran.err.contains("the budget is spent"), "{}", ran.text());
    // A few judgements reach the budget; what else was synthesised waits.
    let before = graded(&house);
    assert!((1..8).contains(&before), "{before}");
    let again = house.sluice(&["run", "campaign.toml"]);
    assert_eq!((again.code, graded(&house)), (Some(130), before), "{}", again.text());
    let text = std::fs::read_to_string(house.path("campaign.toml")).expect("a campaign").replace("money = 0.0005", "money = 5.0");
    std::fs::write(house.path("campaign.toml"), text).expect("written");
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    house.prove_sealed(24);
}

#[test]
fn a_job_that_reaches_its_own_budget_answers_with_what_it_has() {
    let campaign = "[recipe]\nkind = \"decompose\"\n[recipe.job]\ncalls = 16\n[recipe.thread]\ncalls = 5\n[teacher]\nkind = \"heuristic\"\nconcurrency = 2\n";
    let house = House::new(6, "", campaign);
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    house.prove_sealed(6);
    let mut limited = 0;
    for row in house.rows() {
        let threads = row["threads"].as_array().expect("threads");
        let researchers = || threads.iter().filter(|thread| thread["role"] == "researcher");
        limited += researchers().filter(|thread| thread["limit"] == "calls" && !thread["answer"].is_null()).count();
        assert!(researchers().all(|thread| thread["turns"].as_array().is_some_and(|turns| turns.len() <= 6)), "five, and the answer");
        // Each forced answer is one more, and so is the report.
        let calls = row["usage"]["calls"].as_u64().expect("a number");
        assert!(calls <= 16 + researchers().count() as u64 + 1, "{calls}");
    }
    assert!(limited > 6, "{limited}");
}

#[test]
fn what_failed_in_grading_was_paid_for_and_is_known_when_the_ledger_was_lost() {
    let judge = Server::of(Arc::new(Says("I would rather not say.")), Duration::ZERO);
    let campaign = format!(
        "[teacher]\nkind = \"heuristic\"\nconcurrency = 2\n[judge]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"mute\"\n\
         [budget]\ncalls = 60\n",
        judge.address
    );
    let house = House::new(24, "", &campaign);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(130));
    let before = graded(&house);
    assert!(before > 2, "{before}");
    std::fs::remove_dir_all(house.dataset().join(".ledger")).expect("it was there");
    let again = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(again.code, Some(130), "{}", again.text());
    // What was under way begins again: two trajectories, and judgements of two.
    assert!(graded(&house) <= before + 4, "{before} and then {}", graded(&house));
}
