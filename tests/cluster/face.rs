//! What running processes show over HTTP: whether they live and are ready, how much work there is, and every number that alerts and
//! dashboards ask for.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tests::services::OwnRedis;

use super::servers::Servers;
use super::town::{Town, eventually};
use super::worker::Worker;

/// A process answers within this, or not at all.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Shown from the first trouble of its kind on, because it says which request was in trouble. The test without a ledger sees it.
const TROUBLE: &str = "sluice_redis_errors_total";
/// Where a worker shows itself.
const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// The HTTP face of a process.
struct Face(SocketAddr);

impl Face {
    /// Waits until the process says, in a line behind `before`, where it listens.
    fn of(process: &mut Worker, before: &str) -> Self {
        let mut address: Option<SocketAddr> = None;
        eventually("an address", || {
            assert!(!process.is_over(), "it ended:\n{}", process.said());
            let said = process.said();
            // Whole lines only: the last one may still be written.
            let mut lines = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let named = lines.find_map(|line| line.split_once(before)).map(|(_, rest)| rest);
            address = named.map(|rest| rest.split(": ").next().unwrap_or(rest).trim_end().parse().expect("an address and its port"));
            address.is_some()
        });
        Self(address.expect("it was just said"))
    }

    fn of_worker(process: &mut Worker) -> Self {
        Self::of(process, "shows metrics and health address=")
    }

    fn of_coordinator(process: &mut Worker) -> Self {
        Self::of(process, "serves http://")
    }

    /// Status and body of the answer.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.0).expect("it listens");
        stream.set_read_timeout(Some(ANSWERS_WITHIN)).expect("a timeout that is not zero");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.0);
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers in time and in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// How much work of a stage autoscaling is told of.
    fn runnable(&self, stage: &str) -> Value {
        self.json(&format!("/api/runnable?stage={stage}"))["runnable"].clone()
    }

    fn becomes_ready(&self) {
        eventually("readiness", || self.get("/readyz") == (200, "ready\n".to_owned()));
    }

    /// Names of all metrics that it shows.
    fn metrics(&self) -> BTreeSet<String> {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200, "{text}");
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(|line| line.split(['{', ' ']).next().unwrap_or(line).to_owned()).collect()
    }
}

/// Names of our metrics in all manifests and dashboards.
fn asked_for() -> BTreeSet<String> {
    fn walk(folder: &Path, into: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
                into.extend(words.filter(|word| word.starts_with("sluice_")).map(str::to_owned));
            }
        }
    }
    let mut names = BTreeSet::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s"), &mut names);
    assert!(names.len() >= 10, "{names:?}");
    names
}

#[test]
fn processes_show_their_health_the_work_there_is_and_every_metric_that_is_asked_for() {
    let town = Town::without_plan(Servers::shared(), Duration::ZERO);
    town.write_seeds_with_a_spoilt_one(6);
    town.write_campaign(6, &town.teacher.address, "");
    town.submit();
    let mut coordinator = town.coordinator();
    let coordinating = Face::of_coordinator(&mut coordinator);
    coordinating.becomes_ready();
    assert_eq!(coordinating.get("/healthz"), (200, "alive\n".to_owned()));
    eventually("all jobs can run", || coordinating.runnable("synthesis") == 6);
    assert_eq!((coordinating.runnable("filter"), coordinating.runnable("quarantine")), (json!(0), json!(0)));
    assert_eq!(coordinating.get("/api/runnable?stage=nonsense").0, 400);
    let campaigns = coordinating.json("/api/campaigns");
    assert_eq!(campaigns.as_array().map(Vec::len), Some(1), "those of its own archive: {campaigns}");
    let campaign = coordinating.json(&format!("/api/campaigns/{}", town.name));
    assert_eq!(campaign["campaign"], town.name.as_str());
    assert_eq!((&campaign["state"], &campaign["planned"], &campaign["outstanding"]), (&json!("running"), &json!(6), &json!(6)));
    assert_eq!(coordinating.get("/api/campaigns/no-such-campaign").0, 404);

    let (mut synthesis, mut filter) = (town.worker_with("synthesis", &LISTEN, &[]), town.worker_with("filter", &LISTEN, &[]));
    let faces = [coordinating, Face::of_worker(&mut synthesis), Face::of_worker(&mut filter)];
    for face in &faces {
        face.becomes_ready();
        assert_eq!(face.get("/healthz").0, 200);
    }
    town.all_terminal(6, &mut [&mut synthesis, &mut filter, &mut coordinator]);
    eventually("nothing can run any more", || faces[0].runnable("synthesis") == 0 && faces[0].runnable("filter") == 0);
    eventually("the failed job is counted", || faces[0].metrics().contains("sluice_failed_jobs"));
    let shown: BTreeSet<String> = faces.iter().flat_map(Face::metrics).collect();
    let asked_for = asked_for();
    let lacking: Vec<&String> = asked_for.difference(&shown).filter(|name| *name != TROUBLE).collect();
    assert!(lacking.is_empty(), "after a campaign nobody shows {lacking:?}");
    assert_eq!(town.seal_and_prove(6).manifest["counts"]["failed"], 1);
}

#[test]
fn without_a_ledger_a_process_lives_on_and_is_not_ready_until_it_is_back() {
    let mut redis = OwnRedis::start();
    let town = Town::new(Servers::shared().with_redis(&redis), 3, Duration::ZERO, "");
    town.submit();
    let (mut coordinator, mut synthesis) = (town.coordinator(), town.worker_with("synthesis", &LISTEN, &[]));
    let faces = [Face::of_coordinator(&mut coordinator), Face::of_worker(&mut synthesis)];
    for face in &faces {
        face.becomes_ready();
    }
    redis.kill();
    for face in &faces {
        eventually("an end of readiness", || {
            let (status, body) = face.get("/readyz");
            assert!(status == 200 || body.starts_with("not ready: "), "{status} {body}");
            status == 503
        });
        assert_eq!(face.get("/healthz"), (200, "alive\n".to_owned()), "nobody should restart it for that");
        assert!(face.metrics().contains(TROUBLE), "the trouble is counted");
    }
    redis.restart();
    for face in &faces {
        face.becomes_ready();
        assert_eq!(face.get("/healthz").0, 200);
    }
    assert!(!coordinator.is_over() && !synthesis.is_over(), "{}\n{}", coordinator.said(), synthesis.said());
}
