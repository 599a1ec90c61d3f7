//! Looks at the archive once a second while everything fails: how far the campaign is, and whether any job stands in two indexes at that
//! instant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::archive::{self, Index};
use super::plan;

/// Between two looks.
const ROUND: Duration = Duration::from_secs(1);
/// Different broken promises that are remembered.
const TOLD_MAX: usize = 20;

/// What one look showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) planned: u64,
    /// Jobs with a verdict or an end.
    pub(crate) terminal: u64,
    pub(crate) trajectories: u64,
    pub(crate) indexes: u64,
}

impl Sample {
    pub(crate) fn outstanding(self) -> u64 {
        self.planned.saturating_sub(self.terminal)
    }
}

/// All that was seen.
#[derive(Debug, Default)]
struct Seen {
    newest: Sample,
    looks: u64,
    broken: Vec<String>,
}

/// A thread that looks; ends with its owner.
pub(crate) struct Poller {
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
}

impl Poller {
    /// Looks at the campaign in `folder` from now on.
    pub(crate) fn start(folder: PathBuf) -> Self {
        let (seen, is_over) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let poller = Self { seen: Arc::clone(&seen), is_over: Arc::clone(&is_over) };
        std::thread::spawn(move || {
            let mut known = Known::default();
            while !is_over.load(Ordering::Relaxed) {
                let looked = look(&folder, &mut known);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let broken = match looked {
                    Ok((sample, broken)) => {
                        seen.newest = sample;
                        broken
                    }
                    Err(why) => vec![why],
                };
                for told in broken {
                    if seen.broken.len() < TOLD_MAX && !seen.broken.contains(&told) {
                        seen.broken.push(told);
                    }
                }
                seen.looks += 1;
                drop(seen);
                std::thread::sleep(ROUND);
            }
        });
        poller
    }

    pub(crate) fn newest(&self) -> Sample {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).newest
    }

    /// How often it looked, and what it saw broken.
    pub(crate) fn verdict(&self) -> (u64, Vec<String>) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.looks, seen.broken.clone())
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Indexes by path, as they were when they last changed.
type Known = BTreeMap<PathBuf, (SystemTime, Vec<(u64, String)>)>;

fn look(folder: &Path, known: &mut Known) -> Result<(Sample, Vec<String>), String> {
    let size = plan::size(folder)?;
    let mut sample = Sample { planned: size.seeds * size.samples, ..Sample::default() };
    let mut terminal = BTreeSet::new();
    for shard in archive::folders(&folder.join("trajectories"))? {
        sample.trajectories += archive::files(&folder.join("trajectories").join(shard))?.len() as u64;
    }
    for shard in archive::folders(&folder.join("ended"))? {
        terminal.extend(archive::jobs(&folder.join("ended").join(shard), ".json")?);
    }
    let mut broken = Vec::new();
    for grade in archive::folders(&folder.join("grades"))? {
        let grade = folder.join("grades").join(grade);
        for (kind, suffix) in [("verdicts", ".mp.zst"), ("ended", ".json")] {
            for shard in archive::folders(&grade.join(kind))? {
                terminal.extend(archive::jobs(&grade.join(kind).join(shard), suffix)?);
            }
        }
        let mut places: BTreeMap<&String, &Path> = BTreeMap::new();
        for name in archive::files(&grade.join("shards"))? {
            sample.indexes += 1;
            remember(&grade.join("shards").join(name), known)?;
        }
        for (path, (_, ranks)) in known.iter().filter(|(path, _)| path.starts_with(&grade)) {
            let mut seen = BTreeSet::new();
            for (rank, job) in ranks {
                if !seen.insert(rank) {
                    broken.push(format!("rank {rank} stands twice in {}", path.display()));
                }
                if let Some(other) = places.insert(job, path) {
                    broken.push(format!("job {job} stands in {} and {} at once", other.display(), path.display()));
                }
            }
        }
    }
    sample.terminal = terminal.len() as u64;
    Ok((sample, broken))
}

fn remember(path: &Path, known: &mut Known) -> Result<(), String> {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(|error| error.to_string())?;
    if known.get(path).is_some_and(|(at, _)| *at == modified) {
        return Ok(());
    }
    let index: Index = serde_json::from_slice(&archive::read(path)?).map_err(|error| format!("read {}: {error}", path.display()))?;
    let ranks = index.ranks.into_iter().map(|rank| (rank.rank, rank.job)).collect();
    known.insert(path.to_owned(), (modified, ranks));
    Ok(())
}
