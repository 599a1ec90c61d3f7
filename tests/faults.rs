//! Killed anywhere, the same command continues: no job is lost, none stands in two rows, no journaled completion is asked for again.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::{Completion, Digest};
use rustix::process::{Pid, Signal, kill_process};
use teacher::heuristic::HeuristicTeacher;
use teacher::sim::{Sim, SimSettings};
use teacher::{Request, Teacher, TeacherError};

use crate::house::{self, House};

const CONCURRENCY: usize = 6;

/// The heuristic teacher, counting what it is asked.
#[derive(Default)]
pub(crate) struct Counting {
    asked: Mutex<HashMap<Digest, u32>>,
}

impl Counting {
    /// Requests, and distinct ones among them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let asked = self.asked.lock().expect("no panic held it");
        (asked.values().map(|n| *n as usize).sum(), asked.len())
    }

    /// Counts a request.
    pub(crate) fn note(&self, request: &Request) {
        let conversation = teacher::Conversation::new(request.messages.iter().cloned());
        let digest = conversation.request_digest(&request.tools, request.calls, &request.sampling);
        *self.asked.lock().expect("no panic held it").entry(digest).or_default() += 1;
    }
}

#[async_trait]
impl Teacher for Counting {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        self.note(request);
        HeuristicTeacher.complete(request).await
    }
}

/// A teacher behind real HTTP, in a thread of its own; stops with the test. Mostly one that counts.
pub(crate) struct Server<T = Counting> {
    pub(crate) teacher: Arc<T>,
    /// `http://host:port/v1`
    pub(crate) address: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl<T: Teacher> Server<T> {
    /// Serves `teacher`, whose answers take `latency` more than it needs itself.
    pub(crate) fn of(teacher: Arc<T>, latency: Duration) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let played: Arc<dyn Teacher> = Arc::clone(&teacher) as Arc<dyn Teacher>;
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async move {
                let settings = SimSettings { latency_mean: latency, ..SimSettings::default() };
                let sim = Sim::bind(settings, played, corpus::count_tokens).await.expect("a free port");
                tell.send(sim.address().expect("an address")).expect("somebody listens");
                sim.serve(async move {
                    // The sender is dropped or used: both mean stop.
                    drop(stopped.await);
                })
                .await
                .expect("serves");
            });
        });
        let address = format!("http://{}/v1", told.recv().expect("an address"));
        Self { teacher, address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Server {
    pub(crate) fn start(latency: Duration) -> Self {
        Self::of(Arc::new(Counting::default()), latency)
    }

    fn campaign(&self, dialect: &str) -> String {
        format!(
            "[teacher]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"heuristic\"\nconcurrency = {CONCURRENCY}\ndialect = \"{dialect}\"\n",
            self.address
        )
    }

    /// Waits until `n` requests were asked; whether that happened before `gone` said otherwise.
    fn wait_for(&self, n: usize, mut gone: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.teacher.counts().0 < n {
            if gone() {
                return false;
            }
            assert!(Instant::now() < deadline, "the run makes progress");
            std::thread::yield_now();
        }
        true
    }
}

impl<T> Drop for Server<T> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has failed its test already.
            drop(thread.join());
        }
    }
}

#[test]
fn a_campaign_killed_six_times_asks_again_only_what_was_in_flight() {
    let server = Server::start(Duration::from_millis(2));
    let house = House::new(24, "samples_per_seed = 2", &server.campaign("openai"));
    let mut kills = 0;
    for n in [1, 30, 75, 120, 190, 260] {
        let mut run = house.start_run();
        let is_under_way = server.wait_for(n, || run.try_wait().expect("a child").is_some());
        assert!(is_under_way, "48 jobs take more than 260 requests");
        run.kill().expect("killed with SIGKILL");
        assert_eq!(run.wait().expect("a child").signal(), Some(9));
        kills += 1;
    }
    let last = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(last.code, Some(0), "{}", last.text());
    house.prove_sealed(48);
    let (asked, distinct) = server.teacher.counts();
    assert!(asked - distinct <= kills * CONCURRENCY, "{} of {asked} requests were asked again in {kills} kills", asked - distinct);
    let rows = house.rows();
    let turns: usize = rows.iter().map(|row| row["threads"][0]["turns"].as_array().expect("turns").len()).sum();
    assert_eq!(turns, distinct, "every completion that was paid for is in a row");
    let replayed: u64 = rows.iter().map(|row| row["provenance"]["replayed"].as_u64().expect("a number")).sum();
    assert!(replayed > 0, "some trajectories were continued in the middle");
}

#[test]
fn ctrl_c_drains_within_two_seconds_and_says_how_to_continue() {
    let server = Server::start(Duration::from_millis(300));
    let house = House::new(24, "", &server.campaign("hermes"));
    let mut command = house.command(&["run", "campaign.toml"]);
    let run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    server.wait_for(10, || false);
    let asked = Instant::now();
    kill_process(Pid::from_child(&run), Signal::INT).expect("interrupted");
    let output = run.wait_with_output().expect("a child");
    let took = asked.elapsed();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("continue with: sluice run campaign.toml"), "{said}");
    // Two seconds are promised; a loaded machine gets as much again before this counts as hanging.
    assert!(took < Duration::from_secs(4), "it took {took:?}");
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    house.prove_sealed(24);
    let (asked, distinct) = server.teacher.counts();
    assert_eq!(asked, distinct, "completions in flight were waited for, so nothing was asked again");
}

#[test]
fn a_second_process_is_told_who_runs_the_campaign() {
    let server = Server::start(Duration::from_millis(300));
    let house = House::new(8, "", &server.campaign("hermes"));
    let mut first = house.start_run();
    server.wait_for(1, || false);
    let second = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(second.code, Some(3), "{}", second.text());
    assert!(second.err.contains(&first.id().to_string()), "it names the process that holds it: {}", second.err);
    assert_eq!(house.status()["stopped"], false);
    first.kill().expect("killed");
    first.wait().expect("a child");
    let status = house.status();
    assert_eq!((&status["stopped"], &status["running"]), (&true.into(), &0.into()), "{status}");
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
}

/// Whether only a run that is interrupted while the teacher thinks passes this failpoint: its jobs are handed on. Every other one has to be
/// passed by a plain run with one job that fails; whoever adds one that is not is told so by the test below.
fn needs_interruption(gap: &str) -> bool {
    matches!(gap, "release.before" | "release.after" | "publish.after")
}

/// Whether only a campaign passes this failpoint that spares later samples.
pub(crate) fn needs_samples(gap: &str) -> bool {
    gap.starts_with("spared.")
}

/// All failpoints of the house, as its sources name them.
pub(crate) fn failpoints() -> BTreeSet<String> {
    fn walk(folder: &Path, into: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let hits = text.split("failpoint::hit(").skip(1);
                into.extend(hits.map(|after| after.split('"').nth(1).expect("a name in quotes").to_owned()));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut names = BTreeSet::new();
    for room in ["src", "workers"] {
        walk(&root.join(room), &mut names);
    }
    names
}

/// How a campaign ends in which a job failed.
const SOME_FAILED: Option<i32> = Some(4);

/// Every gap between two durable steps: the process aborts there, and the next run finishes the campaign.
#[test]
fn a_process_that_dies_between_any_two_durable_steps_loses_nothing() {
    let gaps = failpoints();
    assert!(gaps.len() >= 23, "the sources name their failpoints: {gaps:?}");
    let table = include_str!("../src/runtime/failpoint.rs");
    let house = House::new(12, "", "[teacher]\nkind = \"heuristic\"\nconcurrency = 4\n");
    with_a_bad_seed(&house);
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, SOME_FAILED);
    assert_eq!(house.manifest()["counts"]["failed"].as_u64(), Some(1), "the bad seed's job");
    for gap in gaps.iter().filter(|gap| !needs_interruption(gap) && !needs_samples(gap)) {
        std::fs::remove_dir_all(house.path("out")).expect("removed");
        let died = house.command(&["run", "campaign.toml"]).env("SLUICE_FAILPOINT", gap).output().expect("the program starts");
        assert_eq!(died.status.signal(), Some(6), "{gap} is passed by this run: {}", String::from_utf8_lossy(&died.stderr));
        finishes_after(&house, gap, SOME_FAILED);
    }
    for gap in gaps.iter().filter(|gap| needs_samples(gap)) {
        let house = House::new(4, "samples_per_seed = 3\nsamples_first = 2", "[teacher]\nkind = \"heuristic\"\ntemperature = 0.0\n");
        let died = house.command(&["run", "campaign.toml"]).env("SLUICE_FAILPOINT", gap).output().expect("the program starts");
        assert_eq!(died.status.signal(), Some(6), "{gap} is passed by this run: {}", String::from_utf8_lossy(&died.stderr));
        finishes_after(&house, gap, Some(0));
        assert!(house.manifest()["counts"]["spared"].as_u64() > Some(0), "without chance most samples of a seed are alike");
    }
    let server = Server::start(Duration::from_millis(300));
    let house = House::new(12, "", &server.campaign("openai"));
    for gap in gaps.iter().filter(|gap| needs_interruption(gap)) {
        let before = server.teacher.counts().0;
        let mut run =
            house.command(&["run", "campaign.toml"]).env("SLUICE_FAILPOINT", gap).stderr(Stdio::null()).spawn().expect("it starts");
        assert!(server.wait_for(before + 2, || run.try_wait().expect("a child").is_some()), "{gap}: the run is under way");
        kill_process(Pid::from_child(&run), Signal::INT).expect("interrupted");
        assert_eq!(run.wait().expect("a child").signal(), Some(6), "{gap} is passed");
        finishes_after(&house, gap, Some(0));
        std::fs::remove_dir_all(house.path("out")).expect("removed");
    }
    for gap in gaps.iter().filter(|gap| !["synthesis.", "filter.", "part.", "seal.", "spared."].iter().any(|room| gap.starts_with(room))) {
        assert!(table.contains(&format!("| `{gap}` |")), "{gap} is missing in the table of src/runtime/failpoint.rs");
    }
}

/// Replaces the question of the second seed by nothing.
fn with_a_bad_seed(house: &House) {
    let seeds = std::fs::read_to_string(house::examples().join("seeds.jsonl")).expect("the example's seeds");
    let mut lines: Vec<&str> = seeds.lines().collect();
    lines[1] = "{\"id\": \"bad\"}";
    std::fs::write(house.path("seeds.jsonl"), lines.join("\n")).expect("written");
    let campaign = std::fs::read_to_string(house.path("campaign.toml")).expect("a campaign");
    let theirs = format!("seeds = \"{}/seeds.jsonl\"", house::examples().display());
    assert!(campaign.contains(&theirs), "{campaign}");
    std::fs::write(house.path("campaign.toml"), campaign.replace(&theirs, "seeds = \"seeds.jsonl\"")).expect("written");
}

fn finishes_after(house: &House, gap: &str, code: Option<i32>) {
    let next = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(next.code, code, "{gap}: {}", next.text());
    house.prove_sealed(12);
}
