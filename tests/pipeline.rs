//! The whole factory as its user meets it: one command, a sealed data set, and what is said when something is wrong.

use crate::house::House;

const HEURISTIC: &str = "[teacher]\nkind = \"heuristic\"\nconcurrency = 8\n";

#[test]
fn one_command_leaves_a_sealed_data_set_and_running_it_again_changes_nothing() {
    let house = House::new(20, "samples_per_seed = 2", HEURISTIC);
    let first = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(first.code, Some(0), "{}", first.text());
    for expected in ["accepted", "open-hit", "tool calls", "sluice verify"] {
        assert!(first.out.contains(expected), "`{expected}` in {}", first.out);
    }
    house.prove_sealed(40);
    let before = std::fs::read(house.dataset().join("dataset.json")).expect("a manifest");
    let second = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(second.code, Some(0), "{}", second.text());
    assert_eq!(before, std::fs::read(house.dataset().join("dataset.json")).expect("a manifest"));
    assert!(!house.dataset().join("datasets/2.json").exists());
}

#[test]
fn the_same_campaign_has_the_same_content_whatever_the_concurrency() {
    let contents = |concurrency: u32| {
        let more = format!("[teacher]\nkind = \"heuristic\"\ntemperature = 0.0\nconcurrency = {concurrency}\n");
        let house = House::new(12, "", &more);
        assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
        // The campaign's random uid is in job ids and sampling seeds, which a temperature of 0 makes void; all else must agree.
        let content = |row: serde_json::Value| (row["seed"]["id"].to_string(), (row["threads"].to_string(), row["citations"].to_string()));
        house.rows().into_iter().map(content).collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(contents(1), contents(16));
}

#[test]
fn samples_may_grow_and_old_shards_stay_as_they_are() {
    let house = House::new(10, "samples_per_seed = 1", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    let before = house.manifest();
    let text = std::fs::read_to_string(house.path("campaign.toml")).expect("the campaign");
    std::fs::write(house.path("campaign.toml"), text.replace("samples_per_seed = 1", "samples_per_seed = 3")).expect("written");
    let grown = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(grown.code, Some(0), "{}", grown.text());
    house.prove_sealed(30);
    let after = house.manifest();
    assert_eq!(after["number"], 2);
    assert_eq!(before["shards"], serde_json::json!(after["shards"].as_array().expect("shards")[..2]));
}

#[test]
fn another_teacher_under_the_same_name_is_refused_with_the_difference() {
    let house = House::new(4, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    let text = std::fs::read_to_string(house.path("campaign.toml")).expect("the campaign");
    std::fs::write(house.path("campaign.toml"), text.replace("concurrency = 8", "concurrency = 2\ntemperature = 0.5")).expect("written");
    let refused = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(refused.code, Some(2), "{}", refused.text());
    assert!(refused.err.contains("teacher.temperature: 1.0 when it was planned, 0.5 now"), "{}", refused.err);
    assert!(!refused.err.contains("concurrency"), "operational keys may change: {}", refused.err);
}

#[test]
fn a_wrong_configuration_is_told_with_key_value_and_rule_before_anything_is_opened() {
    let house = House::new(4, "samples_per_seed = 0", "[teacher]\nkind = \"heuristic\"\ntop_p = 1.5\n");
    let refused = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("campaign.samples_per_seed = `0`: from 1 to 1024"), "{}", refused.err);
    assert!(refused.err.contains("teacher.top_p = `1.5`"), "{}", refused.err);
    assert!(!house.path("out").exists() && !house.path("corpus").exists());
    let unknown = House::new(4, "", "[teacher]\nkind = \"heuristic\"\ntemprature = 1\n").sluice(&["run", "campaign.toml"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("did you mean `temperature`?"), "{}", unknown.text());
}

#[test]
fn one_bad_seed_costs_its_own_job_with_the_reason_on_record() {
    let house = House::new(3, "", HEURISTIC);
    let seeds = "{\"id\":\"good\",\"question\":\"Which bishop founded the University of Dunvarrow?\"}\nrubbish\n{\"id\":\"empty\",\"question\":\" \"}\n";
    std::fs::write(house.path("seeds.jsonl"), seeds).expect("written");
    let text = std::fs::read_to_string(house.path("campaign.toml")).expect("the campaign");
    let own =
        text.lines().map(|line| if line.starts_with("seeds =") { "seeds = \"seeds.jsonl\"" } else { line }).collect::<Vec<_>>().join("\n");
    std::fs::write(house.path("campaign.toml"), own).expect("written");
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(4), "finished with failures: {}", ran.text());
    assert!(ran.out.contains("invalid_seed 2"), "{}", ran.out);
    house.prove_sealed(3);
    let folder = house.dataset().join("ended/0");
    let reasons: Vec<String> = std::fs::read_dir(folder)
        .expect("ended jobs")
        .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("text"))
        .collect();
    assert!(reasons.iter().any(|reason| reason.contains("line 2")), "{reasons:?}");
}

#[test]
fn verify_finds_a_changed_byte_in_rows_index_and_corpus() {
    let house = House::new(8, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    let grade = std::fs::read_dir(house.dataset().join("grades")).expect("grades").next().expect("one").expect("an entry").path();
    let shards = grade.join("shards");
    let rows =
        |kind: &str| std::fs::read_dir(shards.join(kind)).ok().and_then(|mut files| files.next()).map(|file| file.expect("a file").path());
    let row_file = rows("accepted").or_else(|| rows("rejected")).expect("rows");
    let corpus_file = std::fs::read_dir(house.path("corpus")).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let largest = corpus_file.filter(|path| path.is_file()).max_by_key(|path| path.metadata().expect("a file").len()).expect("a file");
    for path in [row_file, shards.join("part-00000.json"), house.dataset().join("datasets/1.json"), largest] {
        let whole = std::fs::read(&path).expect("readable");
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        std::fs::write(&path, &changed).expect("written");
        let verified = house.sluice(&["verify", "out/campaigns/test"]);
        assert_eq!(verified.code, Some(4), "{}: {}", path.display(), verified.text());
        std::fs::write(&path, &whole).expect("written");
    }
    assert_eq!(house.sluice(&["verify", "out/campaigns/test"]).code, Some(0));
}

#[test]
fn verify_shows_the_first_difference_with_job_turn_and_diff() {
    let house = House::new(4, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    // A corpus that says something else under the same id cannot be made; rows that were altered and sealed again can.
    forge_one_observation(&house);
    let verified = house.sluice(&["verify", "out/campaigns/test"]);
    assert_eq!(verified.code, Some(4), "{}", verified.text());
    for expected in ["job ", "turn 0, search", "-", "+", "forged"] {
        assert!(verified.out.contains(expected), "`{expected}` in {}", verified.out);
    }
}

/// Alters one observation in a verdict object, removes index and manifests, and seals again: digests then agree, the replay does not.
fn forge_one_observation(house: &House) {
    let grade = std::fs::read_dir(house.dataset().join("grades")).expect("grades").next().expect("one").expect("an entry").path();
    let verdict = std::fs::read_dir(grade.join("verdicts/0")).expect("verdicts").next().expect("one").expect("an entry").path();
    let mut object: model::VerdictObject =
        model::wire::decode_object("a verdict", &std::fs::read(&verdict).expect("readable")).expect("a verdict");
    let observation = &mut object.trajectory.threads[0].turns[0].observations[0];
    observation.text = observation.text.replacen("Search Results", "Search Results (forged)", 1);
    std::fs::write(&verdict, model::wire::encode_object("a verdict", &object).expect("encoded")).expect("written");
    for entry in std::fs::read_dir(grade.join("shards")).expect("shards") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            std::fs::remove_file(path).expect("removed");
        }
    }
    let sealed = house.sluice(&["seal", "out/campaigns/test"]);
    assert_eq!(sealed.code, Some(0), "{}", sealed.text());
}

#[test]
fn an_unfinished_campaign_is_sealed_only_in_part_and_only_when_asked() {
    let house = House::new(8, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml", "--no-seal"]).code, Some(0));
    let grade = std::fs::read_dir(house.dataset().join("grades")).expect("grades").next().expect("one").expect("an entry").path();
    let verdict = std::fs::read_dir(grade.join("verdicts/0")).expect("verdicts").next().expect("one").expect("an entry").path();
    std::fs::remove_file(verdict).expect("removed");
    let refused = house.sluice(&["seal", "out/campaigns/test"]);
    assert!(refused.code == Some(2) && refused.err.contains("1 of 8 jobs are outstanding"), "{}", refused.text());
    let partial = house.sluice(&["seal", "out/campaigns/test", "--partial", "--json"]);
    assert_eq!(partial.code, Some(0), "{}", partial.text());
    let manifest = house.manifest();
    assert_eq!((manifest["outstanding"].as_u64(), manifest["outstanding_jobs"].as_array().map(Vec::len)), (Some(1), Some(1)));
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    house.prove_sealed(8);
}

#[test]
fn messages_are_exported_as_trainers_read_them() {
    let house = House::new(8, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    let exported = house.sluice(&["export", "out/campaigns/test", "--format", "messages", "--rows", "all"]);
    assert_eq!(exported.code, Some(0), "{}", exported.text());
    for line in exported.out.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("a row");
        assert_eq!(row["tools"].as_array().map(Vec::len), Some(3));
        let messages = row["messages"].as_array().expect("messages");
        assert_eq!((messages[0]["role"].as_str(), messages[1]["role"].as_str()), (Some("system"), Some("user")));
        assert!(!messages[0]["content"].as_str().expect("text").contains("<tool_call>"), "a trainer's template describes the tools itself");
        let mut open: Vec<&str> = Vec::new();
        for message in messages {
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                assert!(call["function"]["arguments"].is_string(), "arguments are text");
                open.push(call["id"].as_str().expect("an id"));
            }
            if message["role"] == "tool" {
                assert_eq!(open.first().copied(), message["tool_call_id"].as_str(), "each call is answered, in order");
                open.remove(0);
            }
        }
        assert!(open.is_empty());
    }
}

#[test]
fn what_was_typed_wrong_is_told_and_has_exit_code_2() {
    let house = House::new(1, "", HEURISTIC);
    for args in [&["run", "nowhere.toml"][..], &["verify", "out/campaigns/none"], &["status", "test"], &["frobnicate"]] {
        let ran = house.sluice(args);
        assert!(ran.code == Some(2) && !ran.err.is_empty(), "{args:?}: {}", ran.text());
    }
    let help = house.sluice(&["--help"]);
    assert!(help.code == Some(0) && help.out.contains("sim-teacher"), "{}", help.text());
    let dumped = house.sluice(&["run", "campaign.toml", "--dump-config"]);
    assert!(dumped.code == Some(0) && dumped.out.contains("rows_per_shard = 8"), "{}", dumped.text());
    assert!(house.sluice(&["completions", "bash"]).out.contains("sim-teacher"));
}
