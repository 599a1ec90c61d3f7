//! What the operating system says of a process: the time it computed, and the memory it holds.
//!
//! Times come from `/proc/PID/stat`, which a dead child keeps until it is waited for; memory from `smaps_rollup`. Both are read, never
//! guessed: a process that is gone gives nothing.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Clock ticks a second, as Linux reports them to programs on every platform this runs on.
const TICKS_PER_S: f64 = 100.0;
/// Between two looks at memory.
const EVERY: Duration = Duration::from_secs(1);
const MIB: f64 = 1024.0;

/// One line of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    parent: u32,
    pub(crate) is_dead: bool,
    /// Seconds computed, those of its dead children included.
    pub(crate) cpu_s: f64,
}

/// What `/proc` says of `pid`; `None` when it is gone.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; what follows its last bracket does not.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, is_dead: *fields.first()? == "Z", cpu_s: ticks / TICKS_PER_S })
}

/// Seconds computed by `root` and by everything that descends from it.
pub(crate) fn cpu_s_of_tree(root: u32) -> f64 {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|found| found.file_name().to_str()?.parse().ok());
    let stats: HashMap<u32, Stat> = pids.filter_map(|pid| Some((pid, stat(pid)?))).collect();
    let descends = |mut pid: u32| {
        // Ends at the first process, whose parent is none.
        while pid != root {
            match stats.get(&pid) {
                Some(stat) => pid = stat.parent,
                None => return false,
            }
        }
        true
    };
    stats.iter().filter(|(pid, _)| descends(**pid)).map(|(_, stat)| stat.cpu_s).sum()
}

/// The largest resident memory `pid` ever had, in MB; `None` when it is gone.
pub(crate) fn peak_mb(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().split(' ').next()?.parse::<f64>().ok()? / MIB)
}

/// Memory of one process at one moment, in MB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Resident, whoever else has the pages.
    pub(crate) resident: f64,
    /// Its share of what is resident: a page that three have counts a third.
    pub(crate) share: f64,
    /// Its alone, and of no file.
    pub(crate) private: f64,
    /// Resident pages of files.
    pub(crate) file: f64,
    /// Its share of them.
    pub(crate) file_share: f64,
}

impl Memory {
    /// The memory of `pid`; `None` when it is gone.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|rest| rest.trim().split(' ').next()?.parse::<f64>().ok()).unwrap_or_default() / MIB
        };
        let (resident, anonymous) = (value("Rss"), value("Anonymous"));
        // Nothing here forks and goes on, so anonymous pages are nobody else's.
        Some(Self { resident, share: value("Pss"), private: anonymous, file: resident - anonymous, file_share: value("Pss_File") })
    }
}

/// Looks at the memory of some processes every second, until it is told to stop.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<String, Vec<Memory>>>,
}

impl Watch {
    /// Begins with those of `pids`, by the names they are to have.
    pub(crate) fn start(pids: Vec<(String, u32)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen: BTreeMap<String, Vec<Memory>> = BTreeMap::new();
            while !stopped.load(Ordering::Relaxed) {
                for (name, pid) in &pids {
                    seen.entry(name.clone()).or_default().extend(Memory::of(*pid));
                }
                std::thread::park_timeout(EVERY);
            }
            seen
        });
        Self { stop, thread }
    }

    /// What was seen, by name.
    pub(crate) fn finish(self) -> anyhow::Result<BTreeMap<String, Series>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let seen = self.thread.join().map_err(|_| anyhow::anyhow!("watch memory: the watching thread panicked"))?;
        Ok(seen.into_iter().map(|(name, samples)| (name, Series(samples))).collect())
    }
}

/// The memory of one process over time.
#[derive(Debug)]
pub(crate) struct Series(Vec<Memory>);

impl Series {
    /// The largest of what `of` picks.
    pub(crate) fn max(&self, of: fn(&Memory) -> f64) -> f64 {
        self.0.iter().map(of).fold(0.0, f64::max)
    }

    /// How much more the last third had than the first, in MB; a start-up of five seconds is left out.
    pub(crate) fn growth(&self, of: fn(&Memory) -> f64) -> f64 {
        let steady = self.0.get(5..).unwrap_or_default();
        let third = steady.len() / 3;
        if third == 0 {
            return 0.0;
        }
        let mean = |samples: &[Memory]| samples.iter().map(of).sum::<f64>() / third as f64;
        mean(&steady[steady.len() - third..]) - mean(&steady[..third])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_is_dead_and_not_waited_for_still_tells_what_it_computed() {
        let mut command = std::process::Command::new("sh");
        let mut child = command.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done"]).spawn().expect("sh starts");
        while !stat(child.id()).expect("a child that nobody waited for").is_dead {
            std::thread::yield_now();
        }
        let dead = stat(child.id()).expect("a child that nobody waited for");
        assert!(dead.cpu_s > 0.0 && cpu_s_of_tree(std::process::id()) >= dead.cpu_s);
        child.wait().expect("a child");
        assert!(stat(child.id()).is_none());
    }

    #[test]
    fn growth_compares_thirds_and_leaves_the_start_out() {
        let of = |private: f64| Memory { private, ..Memory::default() };
        let series = Series([vec![of(900.0); 5], vec![of(10.0); 4], vec![of(20.0); 4], vec![of(13.0); 4]].concat());
        assert!((series.growth(|memory| memory.private) - 3.0).abs() < 1e-9);
        assert!((series.max(|memory| memory.private) - 900.0).abs() < 1e-9);
        assert!(Series(Vec::new()).growth(|memory| memory.private).abs() < 1e-9);
    }

    #[test]
    fn memory_of_this_very_process_has_pages_of_its_own_and_of_files() {
        let own = Memory::of(std::process::id()).expect("it is here");
        assert!(own.private > 0.0 && own.file > 0.0 && own.share <= own.resident, "{own:?}");
        assert!(peak_mb(std::process::id()).expect("it is here") >= own.resident - 1.0);
    }
}
