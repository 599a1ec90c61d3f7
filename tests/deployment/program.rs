//! The manifests against the program: every argument is accepted, every variable and path has a reader, everything that drains has the time.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::render::{OVERLAYS, Rendered, flag_of, root};

/// Seconds that a worker needs besides its drain to hand jobs on and to close.
const CLOSING_S: u64 = 20;

/// Variables of ours that tests and developers set, never a deployment.
const NOT_DEPLOYED: [&str; 4] = ["SLUICE_FAILPOINT", "SLUICE_WRITE_GOLDEN", "SLUICE_S3_BIN", "SLUICE_SERVICES"];

/// Variables that belong to the S3 client; anything else must be ours.
const AWS: [&str; 4] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"];

/// What users read first.
const DOCUMENTS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "k8s/README.md"];

/// Folders of the repository whose files the documents name from its root.
const FOLDERS: [&str; 7] = ["src/", "workers/", "tests/", "scripts/", "examples/", "k8s/", "schemas/"];

/// What every process of ours answers, and what is asked of it there.
const ENDPOINTS: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

/// All Rust of the rooms, without lines that are comments.
pub(super) fn sources() -> String {
    fn walk(folder: &Path, into: &mut String) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                into.extend(text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]));
            }
        }
    }
    let mut text = String::new();
    for room in ["src", "workers"] {
        walk(&root().join(room), &mut text);
    }
    text
}

/// Words of a text that begin with `prefix`, a word being letters, digits and underscores.
pub(super) fn words<'a>(text: &'a str, prefix: &'a str) -> BTreeSet<&'a str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(prefix) && word.len() > prefix.len()).collect()
}

/// Asserts that the program knows these arguments: its parser reads them all before it sees `--help`.
pub(super) fn prove_accepted(args: &[String], what: &str) {
    let ran = Command::new(env!("CARGO_BIN_EXE_sluice-under-test")).args(args).arg("--help").output().expect("the program starts");
    let help = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{what}: the program refuses {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    for flag in args.iter().filter(|arg| arg.starts_with("--")) {
        let flag = flag.split('=').next().unwrap_or_default();
        assert!(help.contains(flag), "{what}: `--help` of {args:?} does not show {flag}");
    }
}

/// Asserts that whoever stops the worker waits for its drain.
pub(super) fn prove_grace(args: &[String], grace_s: u64, what: &str) {
    let Some(drain) = flag_of(args, "--drain-s") else {
        assert!(!args.iter().any(|arg| arg == "worker"), "{what}: a worker without --drain-s");
        return;
    };
    let drain_s: u64 = drain.parse().expect("seconds");
    assert!(
        grace_s >= drain_s + CLOSING_S,
        "{what}: killed after {grace_s} s, and draining may take {drain_s} s and {CLOSING_S} s to close"
    );
}

/// Asserts that the program listens where it is asked, on all addresses of its pod or container.
pub(super) fn prove_listens(args: &[String], port: i32, what: &str) {
    assert_eq!(flag_of(args, "--listen"), Some(format!("0.0.0.0:{port}")), "{what}");
}

#[test]
fn the_program_accepts_every_argument_it_is_started_with() {
    for pods in Rendered::of("k8s/base").ours() {
        prove_accepted(&pods.args(), &pods.owner);
    }
}

#[test]
fn a_pod_listens_on_its_port_and_has_the_time_to_drain() {
    for rendered in OVERLAYS.map(Rendered::of) {
        for pods in rendered.ours() {
            let ports = pods.container().ports.as_deref().unwrap_or_default();
            let [port] = ports else { panic!("{} has {} ports", pods.owner, ports.len()) };
            prove_listens(&pods.args(), port.container_port, &pods.owner);
            let grace_s = pods.spec.termination_grace_period_seconds.and_then(|grace| u64::try_from(grace).ok());
            prove_grace(&pods.args(), grace_s.expect("a grace period"), &pods.owner);
        }
    }
}

#[test]
fn quarantine_is_served_one_at_a_time() {
    for rendered in OVERLAYS.map(Rendered::of) {
        for object in rendered.all("Deployment") {
            let args = &object["spec"]["template"]["spec"]["containers"][0]["args"];
            let args: Vec<String> = serde_json::from_value(args.clone()).expect("arguments");
            if !args.iter().any(|arg| arg == "--quarantine") {
                continue;
            }
            assert_eq!(flag_of(&args, "--concurrency").as_deref(), Some("1"), "{args:?}");
            assert_eq!(object["spec"]["strategy"]["type"], "Recreate", "{args:?}");
            assert!(matches!(object["spec"]["replicas"].as_u64(), None | Some(1)), "{args:?}");
        }
    }
}

#[test]
fn every_variable_has_a_reader_and_every_connection_its_variable() {
    let sources = sources();
    let read = words(&sources, "SLUICE_");
    let mut set: BTreeSet<String> = BTreeSet::new();
    for pods in Rendered::of("k8s/base").ours() {
        let names: BTreeSet<String> = pods.container().env.iter().flatten().map(|env| env.name.clone()).collect();
        prove_read(names.iter().map(String::as_str), &read, &pods.owner);
        set.extend(names);
    }
    for name in read.iter().filter(|name| !NOT_DEPLOYED.contains(name)) {
        assert!(set.contains(*name), "the sources read {name}, and no pod is given it");
    }
}

/// Asserts that each of these names is read by our sources or by the S3 client.
pub(super) fn prove_read<'a>(names: impl Iterator<Item = &'a str>, read: &BTreeSet<&str>, what: &str) {
    for name in names {
        assert!(read.contains(name) || AWS.contains(&name), "{what} is given {name}, which nobody reads");
    }
}

#[test]
fn every_path_that_is_asked_is_served() {
    let sources = sources();
    for path in ENDPOINTS {
        assert!(sources.contains(&format!("\"{path}\"")), "no source serves {path}");
    }
    let rendered = Rendered::of("k8s/overlays/production");
    for pods in rendered.ours() {
        let container = pods.container();
        for probe in [&container.startup_probe, &container.readiness_probe, &container.liveness_probe] {
            let path = probe.as_ref().and_then(|probe| probe.http_get.as_ref()).and_then(|get| get.path.as_deref());
            assert!(path.is_some_and(|path| ENDPOINTS.contains(&path)), "{}: a probe asks {path:?}", pods.owner);
        }
        let alive = container.liveness_probe.as_ref().and_then(|probe| probe.http_get.as_ref()).and_then(|get| get.path.as_deref());
        assert_eq!(alive, Some("/healthz"), "{}: what a dependency's outage fails must not restart a pod", pods.owner);
    }
}

/// The arguments of every command line of ours in `text`, each up to its comment or whatever follows it.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for begin in ["$sluice ", "`sluice ", "-- sluice "] {
        for rest in text.lines().flat_map(|line| line.split(begin).skip(1)) {
            let line = rest.split(['#', '&', ';', '`', '|', ')']).next().unwrap_or_default();
            let words = line.split('"').enumerate().flat_map(|(number, part)| match number % 2 {
                1 => vec![part.to_owned()],
                _ => part.split_whitespace().map(str::to_owned).collect(),
            });
            commands.push(words.collect());
        }
    }
    commands
}

#[test]
fn every_command_that_the_documents_show_is_accepted() {
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).expect("UTF-8");
        let commands = commands(&text);
        assert!(!commands.is_empty(), "{document} shows no command");
        for args in commands {
            prove_accepted(&args, document);
        }
    }
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    for document in DOCUMENTS {
        let path = root().join(document);
        let text = fs::read_to_string(&path).expect("UTF-8");
        let folder = path.parent().expect("a folder");
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for to in linked.filter(|to| !to.is_empty() && !to.contains("://")) {
            assert!(folder.join(to).exists(), "{document} links to {to}");
        }
        let quoted = text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_whitespace().next());
        for name in quoted.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder))) {
            assert!(root().join(name).exists(), "{document} names {name}");
        }
    }
}
