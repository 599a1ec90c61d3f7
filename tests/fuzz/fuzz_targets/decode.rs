//! Hostile bytes into every reader of the house: wire, JSON on disk, campaign files. Each must answer with a value or an error.
//!
//! What was read is written and read again: the second time must give the same bytes, or an object that was copied would change its digest.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use model::wire::{compress, decode_message, decode_object, encode_message, encode_object};
use model::written::CampaignFile;
use model::{
    Campaign, CandidateMessage, Control, Ended, JobMessage, JournalEntry, Manifest, Row, Seed, ShardIndex, Trajectory, VerdictObject,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|bytes: &[u8]| {
    message::<JobMessage>(bytes);
    message::<CandidateMessage>(bytes);
    message::<JournalEntry>(bytes);
    object::<Trajectory>(bytes);
    object::<VerdictObject>(bytes);
    object::<Vec<JournalEntry>>(bytes);
    json::<Row>(bytes);
    json::<Manifest>(bytes);
    json::<ShardIndex>(bytes);
    json::<Campaign>(bytes);
    json::<Control>(bytes);
    json::<Ended>(bytes);
    json::<Seed>(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        campaign_file(text);
    }
});

fn message<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(value) = decode_message::<T>("a message", bytes) {
        let written = encode_message("a message", &value).expect("what was read can be written");
        let again: T = decode_message("a message", &written).expect("what was written can be read");
        assert_eq!(encode_message("a message", &again).expect("written once already"), written);
    }
}

/// As they come, and as the content of a sound frame: a fuzzer would not guess the frame's checksum.
fn object<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let framed = compress("an object", bytes).expect("any bytes can be compressed");
    for bytes in [bytes, &framed] {
        if let Ok(value) = decode_object::<T>("an object", bytes) {
            let written = encode_object("an object", &value).expect("what was read can be written");
            let again: T = decode_object("an object", &written).expect("what was written can be read");
            assert_eq!(encode_object("an object", &again).expect("written once already"), written);
        }
    }
}

fn json<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec(&value).expect("what was read can be written");
        let again: T = serde_json::from_slice(&written).expect("what was written can be read");
        assert_eq!(serde_json::to_vec(&again).expect("written once already"), written);
    }
}

/// What resolves can be frozen: identity and grade are computed from it, and it is read back from the archive as it was.
fn campaign_file(text: &str) {
    let Ok(settings) = CampaignFile::parse(text).and_then(|file| file.resolve(Path::new("/base"))) else { return };
    let written = serde_json::to_value(&settings).expect("settings are plain data");
    let again: model::Settings = serde_json::from_value(written).expect("what was frozen can be read");
    assert_eq!(again.identity(), settings.identity());
    assert_eq!(again.grade_identity(), settings.grade_identity());
}
