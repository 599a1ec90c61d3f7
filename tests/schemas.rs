//! The public formats: generated JSON Schemas that match the types, and examples that decode for ever.
//!
//! `SLUICE_BLESS=1` writes the schemas anew and adds examples that are missing; it never touches an example that is there, because data like
//! it is out in the world.

use std::fs;
use std::path::{Path, PathBuf};

use model::{
    Campaign, CandidateMessage, Control, Ended, JobMessage, JournalEntry, Manifest, Row, Seed, ShardIndex, Trajectory, VerdictObject,
};
use schemars::{JsonSchema, schema_for};

use crate::sample;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("schemas")
}

fn is_blessing() -> bool {
    std::env::var_os("SLUICE_BLESS").is_some()
}

fn check<T: JsonSchema>(name: &str) {
    let generated = serde_json::to_string_pretty(&schema_for!(T)).expect("a schema") + "\n";
    let path = folder().join(format!("{name}.json"));
    if is_blessing() {
        fs::write(&path, &generated).expect("written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == generated, "schemas/{name}.json differs from the type; run the tests once with SLUICE_BLESS=1 and look at the change");
}

#[test]
fn schemas_match_the_types() {
    check::<Seed>("seed");
    check::<Trajectory>("trajectory");
    check::<VerdictObject>("verdict");
    check::<Row>("row");
    check::<Ended>("ended");
    check::<JournalEntry>("journal-entry");
    check::<Campaign>("campaign");
    check::<Control>("control");
    check::<ShardIndex>("shard-index");
    check::<Manifest>("manifest");
    check::<model::written::CampaignFile>("campaign-file");
}

/// The example's bytes; written first when it is missing and we are blessing.
fn example(name: &str, fresh: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = folder().join("examples").join(name);
    if is_blessing() && !path.exists() {
        fs::create_dir_all(folder().join("examples")).expect("a folder");
        fs::write(&path, fresh()).expect("written");
    }
    fs::read(&path).unwrap_or_else(|error| panic!("schemas/examples/{name}: {error}"))
}

fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("JSON")
}

#[test]
fn what_was_written_once_decodes_for_ever() {
    let of_json =
        |name: &str, value: serde_json::Value| serde_json::from_slice::<serde_json::Value>(&example(name, || json(&value))).expect("JSON");
    macro_rules! json_example {
        ($name:literal, $type:ty, $fresh:expr) => {{
            let kept = of_json($name, serde_json::to_value($fresh).expect("JSON"));
            let decoded: $type = serde_json::from_value(kept).unwrap_or_else(|error| panic!("{}: {error}", $name));
            assert_eq!(decoded, $fresh, "{} means what it meant", $name);
        }};
    }
    json_example!("row-1.json", Row, sample::row());
    json_example!("ended-1.json", Ended, sample::ended());
    json_example!("campaign-1.json", Campaign, sample::campaign());
    json_example!("control-1.json", Control, sample::control());
    json_example!("shard-index-1.json", ShardIndex, sample::index());
    json_example!("manifest-1.json", Manifest, sample::manifest());

    let bytes = example("trajectory-1.mp.zst", || model::wire::encode_object("a trajectory", &sample::trajectory()).expect("encoded"));
    assert_eq!(model::wire::decode_object::<Trajectory>("a trajectory", &bytes).expect("decoded"), sample::trajectory());
    let bytes = example("verdict-1.mp.zst", || model::wire::encode_object("a verdict", &sample::verdict_object()).expect("encoded"));
    assert_eq!(model::wire::decode_object::<VerdictObject>("a verdict", &bytes).expect("decoded"), sample::verdict_object());
    let bytes = example("job-message-1.mp", || model::wire::encode_message("a job", &sample::job_message()).expect("encoded"));
    assert_eq!(model::wire::decode_message::<JobMessage>("a job", &bytes).expect("decoded"), sample::job_message());
    let bytes =
        example("candidate-message-1.mp", || model::wire::encode_message("a candidate", &sample::candidate_message()).expect("encoded"));
    assert_eq!(model::wire::decode_message::<CandidateMessage>("a candidate", &bytes).expect("decoded"), sample::candidate_message());
    let bytes = example("journal-1.mp.zst", || model::wire::encode_object("a journal", &sample::journal()).expect("encoded"));
    assert_eq!(model::wire::decode_object::<Vec<JournalEntry>>("a journal", &bytes).expect("decoded"), sample::journal());
}

#[test]
fn a_row_s_digest_covers_its_content_and_not_its_provenance() {
    let row = sample::row();
    let mut elsewhere = row.clone();
    elsewhere.provenance.worker = "another".into();
    assert_eq!(elsewhere.recompute_digest().expect("digest"), row.content_digest);
    elsewhere.threads[0].turns[0].observations[0].text.push(' ');
    assert_ne!(elsewhere.recompute_digest().expect("digest"), row.content_digest);
}

#[test]
fn readers_tolerate_fields_of_versions_to_come() {
    let mut value = serde_json::to_value(sample::row()).expect("JSON");
    value["later"] = serde_json::json!({"a": 1});
    value["threads"][0]["turns"][0]["later"] = serde_json::json!([1, 2]);
    assert_eq!(serde_json::from_value::<Row>(value).expect("a row"), sample::row());
}
