//! A program that was started: its end, what it said, and what it cost.
//!
//! A child that is dead but not waited for still tells its times, so it is looked at before it is waited for.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::gauge;

/// Between two looks at a program that ends.
const LOOK: Duration = Duration::from_millis(10);

/// A running program. Dropping it kills it.
pub(crate) struct Program {
    name: String,
    child: Child,
    began: Instant,
    out: PathBuf,
    err: PathBuf,
}

/// A program that has ended.
pub(crate) struct Ended {
    status: ExitStatus,
    name: String,
    /// From its start to its end.
    pub(crate) took: Duration,
    /// Seconds it computed, children included.
    pub(crate) cpu_s: f64,
    /// The largest resident memory it had, in MB.
    pub(crate) peak_mb: f64,
    /// What it printed.
    pub(crate) out: String,
    /// The end of what it complained of.
    err: String,
}

impl Program {
    /// Starts `command`; what it prints goes to files in `logs` that have its name.
    pub(crate) fn start(name: &str, command: &mut Command, logs: &Path) -> Result<Self> {
        let (out, err) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.err")));
        let file = |path: &Path| File::create(path).with_context(|| format!("create {}", path.display()));
        let command = command.stdin(std::process::Stdio::null()).stdout(file(&out)?).stderr(file(&err)?);
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { name: name.to_owned(), child, began: Instant::now(), out, err })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).with_context(|| format!("send {signal:?} to {}", self.name))
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        gauge::stat(self.pid()).is_none_or(|stat| stat.is_dead)
    }

    /// Waits for its end, at most for `patience`.
    pub(crate) fn end(mut self, patience: Duration) -> Result<Ended> {
        let (waited, mut peak_mb) = (Instant::now(), 0.0_f64);
        while !self.has_ended() {
            if waited.elapsed() > patience {
                bail!("wait for {}: it runs for more than {patience:?}", self.name);
            }
            peak_mb = gauge::peak_mb(self.pid()).unwrap_or(peak_mb);
            std::thread::sleep(LOOK);
        }
        let took = self.began.elapsed();
        let cpu_s = gauge::stat(self.pid()).map_or(0.0, |stat| stat.cpu_s);
        let status = self.child.wait()?;
        let err = fs::read_to_string(&self.err)?;
        let lines: Vec<&str> = err.lines().collect();
        let err = lines[lines.len().saturating_sub(12)..].join("\n");
        Ok(Ended { status, name: self.name.clone(), took, cpu_s, peak_mb, out: fs::read_to_string(&self.out)?, err })
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(self, patience: Duration) -> Result<Ended> {
        self.signal(Signal::TERM)?;
        self.end(patience)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and is waited for all the same.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Ended {
    /// The same, if it ended well.
    pub(crate) fn well(self) -> Result<Self> {
        if !self.status.success() {
            bail!("run {}: {}\n{}\n{}", self.name, self.status, self.out, self.err);
        }
        Ok(self)
    }

    /// What it printed, as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.out).with_context(|| format!("read what {} printed: {}", self.name, self.out))
    }
}
