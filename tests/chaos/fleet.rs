//! The worker processes and the coordinator: started, killed, stopped, continued, and started again when they end by themselves, as a
//! cluster would.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Jobs in flight of one worker of synthesis, and of filter.
pub(crate) const CONCURRENCY: u64 = 6;
/// Time for completions in flight when a worker is asked to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// What an end takes beyond that.
const DRAIN_SLACK: Duration = Duration::from_secs(10);
/// Between a process's end by itself and its next life.
const REST: Duration = Duration::from_secs(1);
/// Exit code of a process that cannot work because a dependency is out of reach.
const UNREACHABLE: i32 = 3;

/// The workers that faults meet: stage and name. Those of the quarantine have nothing to do where all goes well.
const BUSY: [(&str, &str); 5] = [
    ("synthesis", "synthesis-1"),
    ("synthesis", "synthesis-2"),
    ("synthesis", "synthesis-3"),
    ("filter", "filter-1"),
    ("filter", "filter-2"),
];

/// One process and its lives.
struct Member {
    name: String,
    arguments: Vec<String>,
    child: Option<Child>,
    /// When it was asked to stop.
    asked: Option<Instant>,
    /// When to start it again; `None` while it runs, or while it is kept down.
    due: Option<Instant>,
}

/// All processes of the cluster.
pub(crate) struct Fleet {
    program: PathBuf,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    /// Completions that one job may have in flight.
    at_once: u64,
    members: Vec<Member>,
    /// Processes that gave up because a dependency was out of reach, as they may.
    pub(crate) gave_up: u64,
    /// Processes that ended as none may.
    pub(crate) died: Vec<String>,
}

impl Fleet {
    /// A fleet of `program`, with logs and corpora below `folder`, that nobody has started yet. A job may have `at_once` completions in flight.
    pub(crate) fn new(program: PathBuf, folder: PathBuf, environment: Vec<(String, String)>, at_once: u64) -> Self {
        let mut members = Vec::new();
        for (stage, name) in BUSY {
            members.push(Member::worker(&folder, name, stage, &[]));
        }
        for stage in ["synthesis", "filter"] {
            members.push(Member::worker(&folder, &format!("{stage}-quarantine"), stage, &["--quarantine"]));
        }
        let serve = ["serve", "--listen", "127.0.0.1:0"].map(str::to_owned);
        members.push(Member { name: "coordinator".to_owned(), arguments: serve.to_vec(), child: None, asked: None, due: None });
        Self { program, folder, environment, at_once, members, gave_up: 0, died: Vec::new() }
    }

    /// How many workers there are for faults to meet; they are numbered from 0.
    pub(crate) fn busy(&self) -> usize {
        BUSY.len()
    }

    /// The coordinator's number.
    pub(crate) fn coordinator(&self) -> usize {
        self.members.len() - 1
    }

    pub(crate) fn name(&self, number: usize) -> &str {
        &self.members[number].name
    }

    /// Completions that a worker may have in flight.
    pub(crate) fn in_flight_max(&self, number: usize) -> u64 {
        match self.name(number) {
            "synthesis-quarantine" => self.at_once,
            name if name.starts_with("synthesis") => CONCURRENCY * self.at_once,
            _ => 0,
        }
    }

    /// Completions that all workers may have in flight.
    pub(crate) fn all_in_flight_max(&self) -> u64 {
        (0..self.members.len()).map(|number| self.in_flight_max(number)).sum()
    }

    pub(crate) fn start_all(&mut self) {
        for number in 0..self.members.len() {
            self.start(number);
        }
    }

    /// Starts a process that does not run.
    pub(crate) fn start(&mut self, number: usize) {
        let mut command = self.command();
        let member = &mut self.members[number];
        let log = self.folder.join("logs").join(format!("{}.log", member.name));
        let log = OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        let child = command.args(&member.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        (member.child, member.asked, member.due) = (Some(child.expect("the program starts")), None, None);
    }

    /// The program with the cluster's environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env_remove("RUST_LOG").envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Kills a process at once and keeps it down; whether it was alive.
    pub(crate) fn kill9(&mut self, number: usize) -> bool {
        let member = &mut self.members[number];
        member.due = None;
        let Some(mut child) = member.child.take() else { return false };
        let was_alive = matches!(child.try_wait(), Ok(None));
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        was_alive
    }

    /// Sends a signal to a process, if it lives.
    pub(crate) fn signal(&mut self, number: usize, signal: Signal) {
        let member = &mut self.members[number];
        if signal == Signal::TERM {
            member.asked = Some(Instant::now());
        }
        if let Some(child) = &member.child {
            kill_process(Pid::from_child(child), signal).expect("a child that was not waited for keeps its id");
        }
    }

    /// Keeps a process down, and waits for its end where it was asked to stop: whether that came before completions in flight were cut off.
    /// One that does not end is killed.
    pub(crate) fn ended_in_time(&mut self, number: usize) -> bool {
        let member = &mut self.members[number];
        member.due = None;
        let (Some(mut child), Some(asked)) = (member.child.take(), member.asked) else { return true };
        while asked.elapsed() < DRAIN + DRAIN_SLACK {
            match child.try_wait().expect("a child") {
                Some(status) => {
                    self.note(number, status);
                    return asked.elapsed() < DRAIN;
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let name = self.name(number).to_owned();
        self.died.push(format!("{name} did not end within {:?} of SIGTERM", DRAIN + DRAIN_SLACK));
        false
    }

    /// Starts again what ended by itself; to be called often. Returns what ended.
    pub(crate) fn tend(&mut self, kept_down: &[usize]) -> Vec<String> {
        let mut told = Vec::new();
        for number in 0..self.members.len() {
            if kept_down.contains(&number) {
                continue;
            }
            let member = &mut self.members[number];
            match (&mut member.child, member.due) {
                (Some(child), _) => {
                    if let Some(status) = child.try_wait().expect("a child") {
                        (member.child, member.due) = (None, Some(Instant::now() + REST));
                        told.push(self.note(number, status));
                    }
                }
                (None, Some(due)) if due <= Instant::now() => self.start(number),
                (None, _) => {}
            }
        }
        told
    }

    /// Asks all to stop and waits.
    pub(crate) fn stop_all(&mut self) {
        for number in 0..self.members.len() {
            self.signal(number, Signal::CONT);
            self.signal(number, Signal::TERM);
        }
        for number in 0..self.members.len() {
            self.ended_in_time(number);
        }
    }

    fn note(&mut self, number: usize, status: ExitStatus) -> String {
        let name = self.name(number).to_owned();
        let told = match (status.code(), status.signal()) {
            (Some(0), _) => return format!("{name} ended"),
            (Some(UNREACHABLE), _) => {
                self.gave_up += 1;
                return format!("{name} gave up: a dependency is out of reach");
            }
            (Some(code), _) => format!("{name} ended by itself with exit code {code}"),
            (None, signal) => format!("{name} ended by itself by signal {signal:?}"),
        };
        self.died.push(told.clone());
        told
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for number in 0..self.members.len() {
            self.kill9(number);
        }
    }
}

impl Member {
    fn worker(folder: &Path, name: &str, stage: &str, more: &[&str]) -> Self {
        let corpora = folder.join("corpora").to_string_lossy().into_owned();
        let (concurrency, drain) = (CONCURRENCY.to_string(), DRAIN.as_secs().to_string());
        let options = ["--concurrency", &concurrency, "--drain-s", &drain, "--corpora", &corpora, "--id", name];
        let arguments = ["worker", stage].iter().chain(more).chain(&options).map(|word| (*word).to_owned()).collect();
        Self { name: name.to_owned(), arguments, child: None, asked: None, due: None }
    }
}
