//! A worker process of the program under test, killed when the test lets go of it. What it says goes into a file, shown when a test fails.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::town::eventually;

/// A process, and where it writes.
pub(crate) struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    /// Starts `command`; what it says goes to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = File::create(log).expect("a file for what it says");
        let also = file.try_clone().expect("the same file");
        command.stdin(Stdio::null()).stdout(file).stderr(also);
        Self { child: command.spawn().expect("the program starts"), log: log.to_owned() }
    }

    /// Sends a signal. Nobody may have waited for its end before.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Kills it, as by `kill -9`, and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn drain(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually(&format!("the end of the process that said\n{}", self.said()), || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("it ended")
    }

    /// Waits until it aborted, as at a failpoint.
    pub(crate) fn aborted(&mut self, at: &str) {
        let status = self.ended();
        assert_eq!(status.signal(), Some(6), "{at} is passed; it said\n{}", self.said());
    }

    /// All it has said.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("its file")).into_owned()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        // One that is stopped is killed all the same.
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            eprintln!("process {} may still run", self.child.id());
        }
    }
}
