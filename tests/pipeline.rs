//! The whole factory as its user meets it: one command, a sealed data set, and what is said when something is wrong.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::house::{House, Ran};

const HEURISTIC: &str = "[teacher]\nkind = \"heuristic\"\nconcurrency = 8\n";

/// The folder of the only grade.
fn grade(house: &House) -> PathBuf {
    only(&house.dataset().join("grades"))
}

/// The only entry of a folder.
fn only(folder: &Path) -> PathBuf {
    assert_eq!(std::fs::read_dir(folder).expect("a folder").count(), 1, "entries of {}", folder.display());
    first(folder)
}

/// Any entry of a folder.
fn first(folder: &Path) -> PathBuf {
    std::fs::read_dir(folder).expect("a folder").next().expect("one").expect("an entry").path()
}

/// Lets the campaign research `seeds` instead of the quickstart's.
fn own_seeds(house: &House, seeds: &str) {
    std::fs::write(house.path("seeds.jsonl"), seeds).expect("written");
    let text = std::fs::read_to_string(house.path("campaign.toml")).expect("the campaign");
    let own: Vec<&str> = text.lines().map(|line| if line.starts_with("seeds =") { "seeds = \"seeds.jsonl\"" } else { line }).collect();
    std::fs::write(house.path("campaign.toml"), own.join("\n")).expect("written");
}

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
    own_seeds(&house, seeds);
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
fn seeds_that_ask_the_same_are_jobs_of_their_own() {
    let house = House::new(2, "", HEURISTIC);
    let seed = |id: &str| format!("{{\"id\":\"{id}\",\"question\":\"Which bishop founded the University of Dunvarrow?\"}}\n");
    own_seeds(&house, &(seed("a") + &seed("b")));
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    house.prove_sealed(2);
    let mut ids: Vec<String> = house.rows().iter().map(|row| row["seed"]["id"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["\"a\"", "\"b\""]);
}

#[test]
fn verify_finds_a_changed_byte_in_seeds_rows_indexes_manifests_and_corpus() {
    let house = House::new(8, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    let shards = grade(&house).join("shards");
    let rows = |kind: &str| shards.join(kind).is_dir().then(|| only(&shards.join(kind)));
    let row_file = rows("accepted").or_else(|| rows("rejected")).expect("rows");
    let corpus_file = std::fs::read_dir(house.path("corpus")).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let largest = corpus_file.filter(|path| path.is_file()).max_by_key(|path| path.metadata().expect("a file").len()).expect("a file");
    let own = house.dataset();
    let index = shards.join("part-00000.json");
    for path in
        [row_file, index, only(&shards.join("indexes")), own.join("datasets/1.json"), own.join("seeds/part-00000.jsonl.zst"), largest]
    {
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
fn a_manifest_named_by_its_number_is_proven_against_indexes_and_rows_not_against_itself() {
    let house = House::new(8, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    let numbered = house.dataset().join("datasets/1.json");
    let by_number = || house.sluice(&["verify", "out/campaigns/test/datasets/1.json"]);
    assert_eq!(by_number().code, Some(0));
    let sealed = house.manifest();
    let write = |path: &Path, value: &serde_json::Value| {
        let bytes = serde_json::to_string_pretty(value).expect("JSON") + "\n";
        std::fs::write(path, &bytes).expect("written");
        model::Digest::of(bytes.as_bytes())
    };
    // Sums altered in all copies of the manifest: the indexes say otherwise.
    let mut altered = sealed.clone();
    altered["sums"]["turns"] = (altered["sums"]["turns"].as_u64().expect("a number") + 1).into();
    write(&numbered, &altered);
    write(&house.dataset().join("dataset.json"), &altered);
    let found = by_number();
    assert!(found.code == Some(4) && found.out.contains("sums are not those of its shards"), "{}", found.text());
    // Altered in the index too, under its new digest: the rows say otherwise.
    let shards = grade(&house).join("shards");
    let mut index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(shards.join("part-00000.json")).expect("readable")).expect("an index");
    index["sums"]["turns"] = altered["sums"]["turns"].clone();
    let digest = write(&shards.join("part-00000.json"), &index);
    write(&shards.join(format!("indexes/part-00000-{}.json", digest.short())), &index);
    altered["shards"][0]["index"] = digest.to_string().into();
    write(&numbered, &altered);
    write(&house.dataset().join("dataset.json"), &altered);
    let found = by_number();
    assert!(found.code == Some(4) && found.out.contains("sums are not those of its rows"), "{}", found.text());
}

#[test]
fn a_damaged_verdict_costs_its_own_job_and_is_graded_anew_once_it_is_deleted() {
    let house = House::new(8, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml", "--no-seal"]).code, Some(0));
    let grade = grade(&house);
    let verdict = first(&grade.join("verdicts/0"));
    let mut bytes = std::fs::read(&verdict).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&verdict, bytes).expect("written");
    std::fs::remove_file(grade.join("shards/part-00000.json")).expect("the shard is to be written again");
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert!(ran.code == Some(4) && ran.out.contains("verdict_damaged 1"), "finished with failures: {}", ran.text());
    house.prove_sealed(8);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(4));
    assert_eq!(house.manifest()["number"], 1, "the index agrees with the listing, so nothing new is sealed");
    std::fs::remove_file(&verdict).expect("removed");
    let again = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(again.code, Some(0), "{}", again.text());
    assert_eq!(house.manifest()["counts"]["failed"], 0);
    house.prove_sealed(8);
}

#[test]
fn a_job_that_failed_in_grading_is_no_failure_of_another_grade() {
    let house = House::new(8, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml", "--no-seal"]).code, Some(0));
    let grade = grade(&house);
    let verdict = first(&grade.join("verdicts/0"));
    std::fs::remove_file(&verdict).expect("removed");
    let trajectory = house.dataset().join("trajectories/0").join(verdict.file_name().expect("a name"));
    let whole = std::fs::read(&trajectory).expect("readable");
    std::fs::write(&trajectory, "no trajectory").expect("written");
    let failed = house.sluice(&["run", "campaign.toml"]);
    assert!(failed.code == Some(4) && failed.out.contains("trajectory_damaged 1"), "{}", failed.text());
    assert!(!house.dataset().join("ended").exists() && only(&grade.join("ended/0")).is_file());
    house.prove_sealed(8);
    std::fs::write(&trajectory, whole).expect("written");
    let text = std::fs::read_to_string(house.path("campaign.toml")).expect("the campaign");
    std::fs::write(house.path("campaign.toml"), text + "[judge]\nkind = \"off\"\n").expect("written");
    let regraded = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(regraded.code, Some(0), "{}", regraded.text());
    assert_eq!(house.manifest()["counts"]["failed"], 0);
    house.prove_sealed(8);
}

#[test]
fn a_key_that_is_no_longer_written_is_no_longer_set() {
    let house = House::new(4, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    let text = std::fs::read_to_string(house.path("campaign.toml")).expect("the campaign");
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("sources")).collect();
    std::fs::write(house.path("campaign.toml"), without.join("\n") + "\n").expect("written");
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    for verb in ["verify", "status", "seal"] {
        let ran = house.sluice(&[verb, "out/campaigns/test"]);
        assert_eq!(ran.code, Some(0), "{verb}: {}", ran.text());
    }
}

#[test]
fn a_seed_that_no_message_can_carry_ends_alone_and_the_campaign_is_sealed() {
    let house = House::new(3, "", HEURISTIC);
    let good = "{\"id\":\"good\",\"question\":\"Which bishop founded the University of Dunvarrow?\"}";
    let deep = format!("{{\"id\":\"deep\",\"question\":\"Q?\",\"meta\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let large = format!("{{\"id\":\"large\",\"question\":\"Q?\",\"answers\":[\"{}\"]}}", "a".repeat(700_000));
    own_seeds(&house, &format!("{good}\n{deep}\n{large}\n"));
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(4), "finished with failures: {}", ran.text());
    assert!(ran.out.contains("invalid_seed 2"), "{}", ran.out);
    house.prove_sealed(3);
}

#[test]
fn a_seed_too_large_for_a_message_is_read_from_the_frozen_ones() {
    let house = House::new(2, "samples_per_seed = 2", HEURISTIC);
    let answer = "a".repeat(70_000);
    let good = "{\"id\":\"good\",\"question\":\"Which bishop founded the University of Dunvarrow?\"}";
    let large =
        format!("{{\"id\":\"large\",\"question\":\"Which bishop founded the University of Dunvarrow?\",\"answers\":[\"{answer}\"]}}");
    own_seeds(&house, &format!("{good}\n{large}\n"));
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    house.prove_sealed(4);
    let rows = house.rows();
    let of_large: Vec<_> = rows.iter().filter(|row| row["seed"]["id"] == "large").collect();
    assert_eq!(of_large.len(), 2);
    assert!(of_large.iter().all(|row| row["seed"]["answers"][0] == answer.as_str()), "whole");
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
    let grade = grade(house);
    let verdict = first(&grade.join("verdicts/0"));
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
    let grade = grade(&house);
    let verdict = first(&grade.join("verdicts/0"));
    std::fs::remove_file(verdict).expect("removed");
    let refused = house.sluice(&["seal", "out/campaigns/test"]);
    assert!(refused.code == Some(2) && refused.err.contains("1 of 8 jobs are outstanding"), "{}", refused.text());
    let partial = house.sluice(&["seal", "out/campaigns/test", "--partial", "--json"]);
    assert_eq!(partial.code, Some(0), "{}", partial.text());
    let manifest = house.manifest();
    assert_eq!((manifest["outstanding"].as_u64(), manifest["outstanding_jobs"].as_array().map(Vec::len)), (Some(1), Some(1)));
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    house.prove_sealed(8);
    for number in [1, 2] {
        let verified = house.sluice(&["verify", &format!("out/campaigns/test/datasets/{number}.json")]);
        assert_eq!(verified.code, Some(0), "what was sealed before stays valid: {}", verified.text());
    }
}

/// As `| head -1` does: no failure of the export.
fn whoever_has_read_enough_closes_the_pipe(house: &House) {
    let mut command = house.command(&["export", "out/campaigns/test", "--format", "native", "--rows", "all"]);
    let mut export = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut line = String::new();
    BufReader::new(export.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let ran = Ran::of(export.wait_with_output().expect("its end"));
    assert!(ran.code == Some(0) && ran.err.is_empty(), "{}", ran.text());
    serde_json::from_str::<serde_json::Value>(&line).expect("a whole row");
}

#[test]
fn messages_are_exported_as_trainers_read_them() {
    let house = House::new(8, "", HEURISTIC);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    whoever_has_read_enough_closes_the_pipe(&house);
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
