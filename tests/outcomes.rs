//! Every way a conversation can go, with a scripted teacher: what the model is told, what is recorded, and that no budget loses a trajectory.

use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::Server;
use crate::house::House;

/// A house in which one seed is researched against `script`, one completion a turn.
fn prepare(recipe: &str, script: &[Value]) -> House {
    let more = format!("[recipe]\n{recipe}\n[teacher]\nkind = \"scripted\"\nscript = \"script.jsonl\"\n");
    let house = House::new(1, "", &more);
    let line = |(turn, completion): (usize, &Value)| json!({"turn": turn, "completion": completion}).to_string();
    let lines: Vec<String> = script.iter().enumerate().map(line).collect();
    std::fs::write(house.path("script.jsonl"), lines.join("\n")).expect("written");
    house
}

/// Runs one seed against `script`; returns its row.
fn row_of(recipe: &str, script: &[Value]) -> Value {
    let house = prepare(recipe, script);
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    house.prove_sealed(1);
    house.rows().remove(0)
}

fn says(text: &str) -> Value {
    json!({"text": text, "finish_reason": "stop", "usage": {"prompt_tokens": 10, "completion_tokens": 5, "calls": 1}})
}

fn search(query: &str) -> String {
    format!("<tool_call>\n{{\"name\": \"search\", \"arguments\": {{\"query\": \"{query}\"}}}}\n</tool_call>")
}

fn turns(row: &Value) -> &Vec<Value> {
    row["threads"][0]["turns"].as_array().expect("turns")
}

fn notices(turn: &Value) -> Vec<&str> {
    turn["notices"].as_array().expect("notices").iter().map(|notice| notice["kind"].as_str().expect("a kind")).collect()
}

#[test]
fn all_calls_of_a_turn_are_carried_out_and_one_that_cannot_be_read_is_told() {
    let both = format!("{}\n{}\n<tool_call>\n{{\"name\": \"open\", \"arguments\": [}}\n</tool_call>", search("bridge"), search("composer"));
    let row = row_of("", &[says(&both), says("Nobody knows 【1†L4】\n\nExact Answer: nobody")]);
    let first = &turns(&row)[0];
    assert_eq!(first["actions"].as_array().map(Vec::len), Some(2));
    assert_eq!(first["observations"].as_array().map(Vec::len), Some(2));
    assert_eq!(notices(first), ["parse_error"]);
    assert_eq!((row["outcome"].as_str(), row["citations"].as_array().map(Vec::len)), (Some("answered"), Some(1)));
}

#[test]
fn the_last_turn_is_a_forced_answer_and_marked_as_one() {
    let script = [says(&search("bridge")), says(&search("flood")), says("It was 1876.\n\nExact Answer: 1876")];
    let row = row_of("max_turns = 3", &script);
    assert_eq!((row["outcome"].as_str(), row["limit"].as_str()), (Some("forced_answer"), Some("turns")));
    assert!(notices(&turns(&row)[1]).contains(&"final_answer_demanded"));
    assert!(row["answer"].as_str().is_some_and(|answer| answer.contains("1876")));
}

#[test]
fn who_calls_a_tool_when_an_answer_is_demanded_ends_at_the_limit_with_all_turns_kept() {
    let script = [says(&search("bridge")), says(&search("flood")), says(&search("weir"))];
    let row = row_of("max_turns = 3", &script);
    assert_eq!((row["outcome"].as_str(), turns(&row).len()), (Some("turn_limit"), 3));
    assert_eq!(turns(&row)[2]["observations"].as_array().map(Vec::len), Some(0), "the demanded turn carries out nothing");
    assert!(row["answer"].is_null(), "what a page says is nobody's answer: {row}");
    assert_eq!(row["verdict"]["accepted"], false);
}

#[test]
fn whoever_repeats_one_call_is_told_and_in_the_end_stopped() {
    let mut script = vec![says(&search("bridge")); 8];
    script.push(says(""));
    let row = row_of("", &script);
    assert_eq!((row["outcome"].as_str(), row["limit"].as_str()), (Some("loop"), Some("repetition")));
    assert!(notices(&turns(&row)[0]).is_empty());
    assert!(notices(&turns(&row)[1]).contains(&"repetition"));
}

#[test]
fn a_cut_thought_is_no_answer_and_an_empty_turn_is_told() {
    let cut = json!({"text": "I think that the answer might be", "finish_reason": "length"});
    let row = row_of("", &[cut, says(" "), says("Exact Answer: nobody")]);
    assert_eq!(notices(&turns(&row)[0]), ["truncated"]);
    assert_eq!(turns(&row)[0]["finish_reason"], "length");
    assert_eq!(notices(&turns(&row)[1]), ["empty_turn"]);
    assert_eq!(row["outcome"], "answered");
}

#[test]
fn an_answer_that_a_server_took_for_reasoning_is_an_answer_and_half_of_one_is_none() {
    let thought = "I must end with the line Exact Answer: then.\nExplanation: nobody is named.\nExact Answer: nobody\nConfidence: 90%";
    let silent = |reasoning: &str| json!({"text": "", "reasoning": reasoning, "finish_reason": "stop"});
    let row = row_of("", &[silent("I should say Exact Answer: soon."), silent(thought)]);
    assert_eq!(notices(&turns(&row)[0]), ["empty_turn"]);
    assert_eq!(row["outcome"], "answered");
    assert!(
        row["answer"].as_str().is_some_and(|answer| answer.starts_with("Explanation: nobody is named.\nExact Answer: nobody")),
        "{row}"
    );
    let last = &turns(&row)[1];
    assert_eq!((&last["raw"], &last["reasoning"]), (&json!(""), &json!("I must end with the line Exact Answer: then.")));

    let cut = |text: &str| json!({"text": text, "finish_reason": "length"});
    let row = row_of("max_turns = 2", &[says(&search("bridge")), cut("It was built.\n\nExact Answer: in the ye")]);
    assert_eq!((row["outcome"].as_str(), row["limit"].as_str()), (Some("turn_limit"), Some("turns")));
    let row = row_of("max_turns = 2", &[says(&search("bridge")), cut("It was built.\n\nExact Answer: in 1876\nConf")]);
    assert_eq!(row["outcome"], "forced_answer");
}

#[test]
fn calls_beyond_the_budget_are_refused_one_by_one() {
    let three = [search("bridge"), search("flood"), search("weir")].join("\n");
    let row = row_of("max_tool_calls = 2", &[says(&three), says("Exact Answer: nobody")]);
    let observations = turns(&row)[0]["observations"].as_array().expect("observations");
    let refused: Vec<bool> = observations.iter().map(|observation| observation["error"].is_string()).collect();
    assert_eq!(refused, [false, false, true]);
    assert_eq!((row["outcome"].as_str(), row["limit"].as_str()), (Some("forced_answer"), Some("tool_calls")));
}

#[test]
fn withheld_text_is_a_refusal() {
    let row = row_of("", &[json!({"text": "I cannot help with that.", "finish_reason": "content_filter"})]);
    assert_eq!((row["outcome"].as_str(), row["answer"].is_null()), (Some("refused"), true));
}

#[test]
fn words_of_an_answer_end_nothing_beside_a_call_or_the_plan_to_make_one() {
    let with_call = format!("The answer: not known.\nExact Answer: unknown so far.\n{}", search("bridge"));
    let planned = "No answer: the page is silent. I'll search for the history of the lock.";
    let row = row_of("", &[says(&with_call), says(planned), says("Exact Answer: nobody")]);
    assert_eq!(turns(&row)[0]["observations"].as_array().map(Vec::len), Some(1));
    assert_eq!((notices(&turns(&row)[0]), notices(&turns(&row)[1])), (vec![], vec!["narrated_call"]));
    assert_eq!((row["outcome"].as_str(), turns(&row).len()), (Some("answered"), 3));
}

#[test]
fn whoever_neither_calls_nor_answers_is_told_each_time_and_then_asked_for_the_answer() {
    let idle = says("I'll search for the history of the lock.");
    let row = row_of("", &[idle.clone(), idle.clone(), idle, says("Exact Answer: nobody")]);
    let kinds: Vec<Vec<&str>> = turns(&row).iter().map(notices).collect();
    assert_eq!(kinds, [vec!["narrated_call"], vec!["narrated_call"], vec!["narrated_call", "final_answer_demanded"], vec![]]);
    assert_eq!((row["outcome"].as_str(), row["limit"].as_str()), (Some("forced_answer"), Some("fruitless_turns")));
}

#[test]
fn a_plan_to_go_on_is_no_forced_answer() {
    let script = [says(&search("bridge")), says(&search("flood")), says("I'll search for the history of the lock.")];
    let row = row_of("max_turns = 3", &script);
    assert_eq!((row["outcome"].as_str(), row["limit"].as_str()), (Some("turn_limit"), Some("turns")));
    assert!(row["answer"].is_null() && turns(&row).len() == 3, "{row}");
}

#[test]
fn a_job_that_fails_leaves_on_record_what_was_paid_for() {
    // The script has no second line, which is an error that lasts.
    let house = prepare("", &[says(&search("bridge"))]);
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(4), "finished with failures: {}", ran.text());
    house.prove_sealed(1);
    let mut ended = std::fs::read_dir(house.dataset().join("ended/0")).expect("ended jobs");
    let path = ended.next().expect("one").expect("a file").path();
    let ended: Value = serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    assert!(ended["message"].as_str().is_some_and(|message| message.contains("turn 1")), "{ended}");
    let completion = &ended["journal"][0]["fact"]["value"];
    assert_eq!((completion["text"].as_str(), &completion["usage"]["completion_tokens"]), (Some(search("bridge").as_str()), &json!(5)));
}

#[test]
fn the_most_talkative_log_shows_neither_question_nor_page_nor_what_was_written() {
    let house = prepare("", &[says(&search("packhorse bridge")), says("It fell in the flood.\n\nExact Answer: nobody")]);
    let ran = house.command(&["run", "campaign.toml"]).env("SLUICE_LOG", "trace").output().expect("the program starts");
    let log = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && log.lines().count() > 10, "{log}");
    let row = house.rows().remove(0);
    let page = turns(&row)[0]["observations"][0]["text"].as_str().expect("a text");
    let shown = page.lines().map(str::trim).filter(|line| line.chars().count() > 40);
    let question = row["seed"]["question"].as_str().expect("a question");
    for secret in shown.chain([question, "packhorse", "fell in the flood"]) {
        assert!(!log.contains(secret), "the log shows `{secret}`");
    }
}

#[test]
fn how_long_it_took_is_in_the_row() {
    let server = Server::start(Duration::from_millis(20));
    let more = format!("[teacher]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"heuristic\"\n", server.address);
    let house = House::new(1, "", &more);
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let row = house.rows().remove(0);
    assert!(row["provenance"]["busy_ms"].as_u64().is_some_and(|busy_ms| busy_ms > 0), "{}", row["provenance"]);
}
