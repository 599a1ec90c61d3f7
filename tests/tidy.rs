//! Holds the habits of the house: the arrows between rooms, the length and opening of files, words and libraries in their places.
//!
//! Reads text only. Each rule names its reason where it fails, so that whoever trips over it knows what to do instead.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of the longest file; at 350 look for the second noun, at this split.
const FILE_LINES_MAX: usize = 500;

/// room → rooms it may name. What is absent is forbidden.
const ARROWS: &[(&str, &str, &[&str])] = &[
    ("model", "src/model", &[]),
    ("corpus", "src/corpus", &["model"]),
    ("runtime", "src/runtime", &["model"]),
    ("teacher", "src/teacher", &["model", "runtime"]),
    ("dataset", "src/dataset", &["model", "corpus", "runtime"]),
    ("synthesis", "workers/synthesis", &["model", "corpus", "runtime", "teacher"]),
    ("filter", "workers/filter", &["model", "corpus", "runtime", "teacher", "dataset"]),
    ("coordinator", "src/coordinator", &["model", "corpus", "runtime", "dataset"]),
    ("sluice", "src/sluice", &["model", "corpus", "runtime", "teacher", "dataset", "coordinator", "synthesis", "filter"]),
];

/// A library, and the only place that may name it.
const PLACES: &[(&str, &str)] = &[
    ("backoff::", "src/runtime/retry.rs"),
    ("fjall::", "src/runtime/ledger/embedded/"),
    ("lapin::", "src/runtime/queue/rabbitmq/"),
    ("::redis::", "src/runtime/ledger/redis/"),
    ("aws_sdk_s3::", "src/runtime/archive/s3/"),
    ("aws_config::", "src/runtime/archive/s3/"),
    ("aws_smithy_http_client::", "src/runtime/archive/s3/"),
    ("metrics_exporter_prometheus::", "src/runtime/telemetry.rs"),
    ("tantivy::", "src/corpus/"),
    ("clap_complete::", "src/sluice/"),
    ("clap::", "src/sluice/"),
    ("anyhow::", "src/sluice/"),
    ("rmp_serde::", "src/model/wire.rs"),
    ("minijinja::", "src/teacher/http/template"),
    ("tokenizers::", "src/teacher/tokens.rs"),
    ("blake3::", "src/"),
];

/// A library, and the several places that may name it.
const SHARED_PLACES: &[(&str, &[&str])] = &[
    ("bpe_openai::", &["src/corpus/", "src/teacher/tokens.rs"]),
    ("reqwest::", &["src/teacher/", "src/runtime/queue/rabbitmq/"]),
    ("axum::", &["src/teacher/", "src/runtime/telemetry.rs", "src/coordinator/server.rs", "src/sluice/verbs/worker.rs"]),
];

/// Names that say nothing; the design has a word for what is meant.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "types", "errors", "manager", "service"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stand in the workspace").to_owned()
}

/// All Rust files of the house, with their text.
fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != "fuzz") {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let root = root();
    let mut paths = Vec::new();
    for room in ["src", "workers", "tests"] {
        walk(&root.join(room), &mut paths);
    }
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
        (name, fs::read_to_string(&path).expect("UTF-8"))
    };
    let files: Vec<_> = paths.into_iter().map(read).collect();
    assert!(files.len() > 60, "the walk found the house: {} files", files.len());
    files
}

#[test]
fn rooms_name_only_the_rooms_they_may() {
    let rooms: BTreeSet<&str> = ARROWS.iter().map(|(room, ..)| *room).collect();
    for (room, folder, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let is_allowed = !rooms.contains(name) || allowed.contains(&name);
            assert!(is_allowed, "{room} names {name}, and design.md section 3 has no such arrow");
        }
    }
}

#[test]
fn versions_are_declared_in_the_workspace_alone() {
    for (room, folder, _) in ARROWS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        let (_, after) = manifest.split_once("[dependencies]").expect("dependencies");
        let after = after.split("[lints]").next().unwrap_or_default();
        for line in after.lines().filter(|line| line.contains('=') && !line.starts_with('#')) {
            assert!(line.contains("workspace = true"), "{room}: `{line}` belongs into the workspace's Cargo.toml");
        }
        assert!(manifest.contains("[lints]\nworkspace = true"), "{room} does not use the workspace's lints");
    }
}

#[test]
fn what_a_crate_depends_on_it_names() {
    let files = files();
    let folders = ARROWS.iter().map(|(_, folder, _)| *folder).chain(["tests"]);
    for folder in folders {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        let (_, after) = manifest.split_once("[dependencies]").expect("dependencies");
        let after = after.split("[lints]").next().unwrap_or_default();
        for line in after.lines().filter(|line| line.contains("workspace = true")) {
            let name = line.split(['.', ' ']).next().unwrap_or_default().replace('-', "_");
            let mut texts = files.iter().filter(|(file, _)| file.starts_with(&format!("{folder}/"))).map(|(_, text)| text);
            assert!(texts.any(|text| text.contains(&name)), "{folder} depends on {name} and never names it");
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    for (name, text) in files() {
        assert!(text.starts_with("//!"), "{name} does not open with what it is");
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{name} has {lines} lines; split it at its second noun (at most {FILE_LINES_MAX})");
    }
}

#[test]
fn files_and_types_have_names_that_mean_something() {
    for (name, text) in files() {
        let stem = Path::new(&name).file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(!EMPTY_NAMES.contains(&stem.as_str()), "{name}: name it by its noun");
        for line in text.lines() {
            let Some(declared) = line.split_once("struct ").or_else(|| line.split_once("trait ")).map(|(_, rest)| rest) else { continue };
            let declared: String = declared.chars().take_while(|c| c.is_alphanumeric()).collect();
            let is_empty = ["Manager", "Service", "Helper", "Util"].iter().any(|empty| declared.ends_with(empty));
            assert!(!is_empty, "{name}: `{declared}` has a name that says nothing");
        }
    }
}

#[test]
fn exceptions_carry_their_reason_and_nothing_is_unfinished() {
    // Spelt apart, so that this file does not find itself.
    let banned = [
        concat!("#[", "allow("),
        concat!("#[", "ignore"),
        concat!("todo", "!("),
        concat!("unimple", "mented!("),
        concat!("dbg", "!("),
        concat!("FIX", "ME"),
    ];
    for (name, text) in files() {
        for word in banned {
            assert!(!text.contains(word), "{name} has `{word}`");
        }
        for (number, line) in text.lines().enumerate() {
            let is_bare = line.contains(concat!("#[", "expect(")) && line.contains(")]") && !line.contains("reason");
            assert!(!is_bare, "{name}:{}: an exception without its reason", number + 1);
        }
    }
}

#[test]
fn libraries_stay_in_their_places() {
    for (name, text) in files() {
        if name.starts_with("tests/") || name.contains("/examples/") {
            continue;
        }
        let single = PLACES.iter().map(|(library, place)| (*library, std::slice::from_ref(place)));
        for (library, places) in single.chain(SHARED_PLACES.iter().copied()) {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let own_path = [format!("_{library}"), format!("ledger::{library}"), format!("super::{library}")];
            let is_named = code.clone().any(|line| line.contains(library) && !own_path.iter().any(|own| line.contains(own)));
            let is_in_place = places.iter().any(|place| name.starts_with(place));
            assert!(!is_named || is_in_place, "{name} names {library} whose place is {}", places.join(" or "));
        }
    }
}

#[test]
fn traits_are_the_five_ports_and_no_more() {
    let ports: BTreeSet<&str> = ["Queue", "Ledger", "Archive", "Teacher", "Handler"].into();
    for (name, text) in files() {
        for line in text.lines() {
            let Some((_, rest)) = line.split_once(concat!("pub ", "trait ")) else { continue };
            let declared: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            assert!(
                ports.contains(declared.as_str()),
                "{name}: the trait {declared} is a sixth; design.md section 3 asks for an argument first"
            );
        }
    }
}
