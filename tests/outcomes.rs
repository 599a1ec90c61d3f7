//! Every way a conversation can go, with a scripted teacher: what the model is told, what is recorded, and that no budget loses a trajectory.

use serde_json::{Value, json};

use crate::house::House;

/// Runs one seed against `script`, one completion a turn; returns its row.
fn row_of(recipe: &str, script: &[Value]) -> Value {
    let more = format!("[recipe]\n{recipe}\n[teacher]\nkind = \"scripted\"\nscript = \"script.jsonl\"\n");
    let house = House::new(1, "", &more);
    let line = |(turn, completion): (usize, &Value)| json!({"turn": turn, "completion": completion}).to_string();
    let lines: Vec<String> = script.iter().enumerate().map(line).collect();
    std::fs::write(house.path("script.jsonl"), lines.join("\n")).expect("written");
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
    assert_eq!(notices(&turns(&row)[1]), ["empty_turn"]);
    assert_eq!(row["outcome"], "answered");
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
