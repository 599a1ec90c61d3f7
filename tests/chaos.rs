//! A cluster under a seeded schedule of faults, and the promises proved from its archive afterwards: what scripts/chaos starts.
//!
//! Servers, proxies and workers are real processes of its own on loopback; only the teacher is played, counts what it is asked and is spared.
//! The seed decides what fails when, not how the processes run, so a broken promise may need several runs to show again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};

#[path = "chaos/allowance.rs"]
mod allowance;
#[path = "chaos/archive.rs"]
mod archive;
#[path = "chaos/checker.rs"]
mod checker;
#[path = "chaos/closing.rs"]
mod closing;
#[path = "chaos/fleet.rs"]
mod fleet;
#[path = "chaos/lots.rs"]
mod lots;
#[path = "chaos/plan.rs"]
mod plan;
#[path = "chaos/poller.rs"]
mod poller;
#[path = "chaos/proxy.rs"]
mod proxy;
#[path = "chaos/schedule.rs"]
mod schedule;
#[path = "chaos/stage.rs"]
mod stage;
#[path = "chaos/submission.rs"]
mod submission;
#[path = "chaos/teacher.rs"]
mod teacher_at_work;

use closing::Closing;
use fleet::Fleet;
use poller::{Poller, Sample};
use schedule::{Act, schedule};
use stage::Stage;
use submission::{NAME, Recipe, Submission, said};
use teacher_at_work::{Asked, Counting};

/// Mean latency of a completion.
const LATENCY: Duration = Duration::from_millis(100);
/// The campaign grows no more when less of the schedule is left, so that it ends soon after it.
const LAST_GROWTH: Duration = Duration::from_secs(15);
/// Work that does not move for so long after everything is healed stands still.
const STANDSTILL: Duration = Duration::from_secs(60);
/// What the end may take after everything is healed.
const END_SLACK: Duration = Duration::from_secs(300);
/// Times that `sluice resume` is tried.
const RESUMES_MAX: u64 = 3;
/// Between two looks at everything.
const TICK: Duration = Duration::from_millis(100);

/// A cluster under a seeded schedule of faults, and the promises proved afterwards.
#[derive(Parser)]
#[command(name = "chaos")]
struct Arguments {
    /// Decides what fails when; drawn and printed when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// How long things fail. The end comes after it.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Jobs of the campaign. Default: it grows while there is time.
    #[arg(long)]
    jobs: Option<usize>,
    /// How questions are researched.
    #[arg(long, value_enum, default_value_t = Recipe::Browse)]
    recipe: Recipe,
    /// The program under test. Default: sluice-under-test beside this one.
    #[arg(long)]
    sluice: Option<PathBuf>,
    /// Print the closing table as JSON.
    #[arg(long)]
    json: bool,
    /// Only print the schedule.
    #[arg(long)]
    dry: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| u64::from(std::process::id()));
    let time = Duration::from_secs_f64((arguments.minutes * 60.0).clamp(10.0, 86_400.0));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sluice = arguments.sluice.clone().unwrap_or_else(|| tests::services::program("sluice-under-test"));
    let sluice = std::path::absolute(sluice).expect("a path");
    let fleet = |environment| Fleet::new(sluice, folder.path().to_owned(), environment, arguments.recipe.at_once());
    if arguments.dry {
        let workers = fleet(Vec::new()).busy();
        schedule(seed, time, workers).iter().for_each(|act| println!("{:6.1} s  {act}", act.at.as_secs_f64()));
        return ExitCode::SUCCESS;
    }
    std::fs::create_dir(folder.path().join("logs")).expect("a folder of our own");
    eprintln!("chaos --seed {seed} --minutes {}; logs in {}/logs", arguments.minutes, folder.path().display());
    let (teacher, url) = teacher_at_work::start(LATENCY).expect("a free port");
    let stage = Stage::start(fleet).expect("free ports");
    let submission = Submission::new(folder.path(), arguments.jobs, arguments.recipe, &url);
    let mut run =
        Run { began: Instant::now(), seed, time, late: Duration::ZERO, stage, submission, teacher, resumes: 0, broken: Vec::new() };
    let closing = run.through();
    closing.print(arguments.json);
    if closing.is_whole() {
        return ExitCode::SUCCESS;
    }
    let kept = folder.keep();
    keep_archive(&run.stage.archive(), &kept.join("archive"));
    eprintln!("logs and archive are kept in {}", kept.display());
    ExitCode::FAILURE
}

/// The repository's example corpus and seeds.
fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart")
}

/// Copies the archive to where somebody can look at it.
fn keep_archive(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status();
    if !copied.as_ref().is_ok_and(std::process::ExitStatus::success) {
        eprintln!("the archive was not kept: {copied:?}");
    }
}

/// One run.
struct Run {
    began: Instant,
    seed: u64,
    time: Duration,
    /// What faults took to be done and healed, above all a broker to come back. All that follows is put off by it, so that no fault is
    /// healed as soon as it is done.
    late: Duration,
    stage: Stage,
    submission: Submission,
    teacher: Arc<Counting>,
    resumes: u64,
    /// Promises broken, as far as they show outside the archive.
    broken: Vec<String>,
}

impl Run {
    /// All of it: submit, fail, heal, wait, seal, check.
    fn through(&mut self) -> Closing {
        let campaign = self.stage.archive().join("campaigns").join(NAME);
        if let Err(why) = self.submission.first(&self.stage.fleet) {
            self.broken.push(format!("the campaign could not be submitted to healthy servers: {why}"));
            return Closing::of(self, Value::Null, checker::Report::default(), Asked::default());
        }
        let poller = Poller::start(campaign.clone());
        self.stage.fleet.start_all();
        self.began = Instant::now();
        self.fail(&poller);
        self.say("everything is healed");
        self.wait_for_the_end(&poller);
        if self.stage.is_interrupted() {
            self.broken.push("nothing is proved: somebody interrupted it".to_owned());
            return Closing::of(self, Value::Null, checker::Report::default(), Asked::default());
        }
        let workers = self.status();
        self.stage.fleet.stop_all();
        let asked = self.teacher.counts();
        let (looks, seen) = poller.verdict();
        if looks == 0 {
            self.broken.push("nobody looked at the indexes while things failed".to_owned());
        }
        self.broken.extend(seen.into_iter().map(|told| format!("at some instant: {told}")));
        self.broken.extend(std::mem::take(&mut self.stage.fleet.died));
        self.sluice_says_so(&["seal", NAME, "--json"]);
        let report = checker::check(&campaign);
        let verified = self.sluice_says_so(&["verify", NAME, "--json"]);
        if verified["rows"].as_u64() != Some(report.rows) {
            self.broken.push(format!("sluice verify counts other rows than the {} there are: {verified}", report.rows));
        }
        let (repeated, allowed) = (asked.requests - asked.distinct, self.stage.allowance.total());
        if repeated > allowed {
            self.broken.push(format!("{repeated} requests were repeated, and the faults explain {allowed} at most"));
        }
        Closing::of(self, workers, report, asked)
    }

    /// Follows the schedule.
    fn fail(&mut self, poller: &Poller) {
        let acts = schedule(self.seed, self.time, self.stage.fleet.busy());
        let mut moments: Vec<(Duration, bool, &Act)> = acts.iter().map(|act| (act.at, true, act)).collect();
        moments.extend(acts.iter().filter(|act| !act.lasts.is_zero()).map(|act| (act.ends(), false, act)));
        moments.sort_by_key(|(at, is_begin, _)| (*at, *is_begin));
        for (at, is_begin, act) in moments {
            self.look_after(at + self.late, poller);
            if self.stage.is_interrupted() {
                return;
            }
            let began = Instant::now();
            if is_begin {
                self.say(&act.to_string());
                self.stage.begin(act);
            } else {
                self.stage.heal(act);
                self.say(&format!("healed: {act}"));
            }
            self.late += began.elapsed();
        }
        self.look_after(self.time + self.late, poller);
    }

    /// Lets time pass until `at`, looking after everything.
    fn look_after(&mut self, at: Duration, poller: &Poller) {
        while self.began.elapsed() < at && !self.stage.is_interrupted() {
            if self.began.elapsed() + LAST_GROWTH < self.time + self.late {
                self.submission.keep_busy(poller.newest().outstanding());
            }
            self.tend();
            std::thread::sleep(TICK);
        }
    }

    /// Whether nothing is left to submit.
    fn tend(&mut self) -> bool {
        for told in self.stage.tend() {
            self.say(&told);
        }
        let is_submitted = self.submission.tend(&self.stage.fleet);
        is_submitted.unwrap_or_else(|why| {
            self.say(&why);
            self.broken.push(why);
            true
        })
    }

    /// Waits until nothing is outstanding. Work that stands still is resumed, which no fault of ours should call for.
    fn wait_for_the_end(&mut self, poller: &Poller) {
        let deadline = self.began.elapsed() + END_SLACK;
        let mut moved = (Instant::now(), Sample::default(), 0);
        while !self.stage.is_interrupted() {
            let is_submitted = self.tend();
            let (sample, requests) = (poller.newest(), self.teacher.counts().requests);
            if is_submitted && sample.planned > 0 && sample.outstanding() == 0 {
                return self.say(&format!("{} jobs are terminal", sample.terminal));
            }
            if (moved.1, moved.2) != (sample, requests) {
                moved = (Instant::now(), sample, requests);
            }
            if self.began.elapsed() > deadline {
                let status = self.status();
                return self.broken.push(format!("{} jobs are still outstanding: {sample:?}; status: {status}", sample.outstanding()));
            }
            if is_submitted && moved.0.elapsed() > STANDSTILL && self.resumes < RESUMES_MAX {
                self.resume(sample);
                moved.0 = Instant::now();
            }
            std::thread::sleep(TICK);
        }
    }

    fn resume(&mut self, sample: Sample) {
        self.resumes += 1;
        let status = self.status();
        self.say(&format!("stands still: {sample:?}; status: {status}"));
        self.broken.push(format!("{} jobs stood still for {STANDSTILL:?} though no broker lost data: {sample:?}", sample.outstanding()));
        let resumed = self.sluice_says_so(&["resume", NAME, "--json"]);
        self.say(&format!("resumed: {resumed}"));
    }

    /// What `sluice status` says; null when it cannot.
    fn status(&self) -> Value {
        let ran = self.stage.fleet.command().args(["status", NAME, "--json"]).output();
        ran.ok().and_then(|ran| serde_json::from_slice(&ran.stdout).ok()).unwrap_or_default()
    }

    /// Runs the program on healthy servers and gives what it printed; a failure is a broken promise.
    fn sluice_says_so(&mut self, arguments: &[&str]) -> Value {
        let ran = match self.stage.fleet.command().args(arguments).output() {
            Ok(ran) => ran,
            Err(error) => {
                self.broken.push(format!("sluice {}: {error}", arguments.join(" ")));
                return Value::Null;
            }
        };
        if !ran.status.success() {
            self.broken.push(format!("sluice {}: {}", arguments.join(" "), said(&ran)));
        }
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| json!(null))
    }

    fn say(&self, told: &str) {
        eprintln!("[{:7.1} s] {told}", self.began.elapsed().as_secs_f64());
    }
}
