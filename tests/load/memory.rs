//! Three synthesis workers over one corpus: what each has for itself, and what they share.

use std::time::Duration;

use anyhow::Result;

use crate::account::{Account, Bound};
use crate::gauge::Watch;
use crate::ground::{Ground, VERB};
use crate::program::Program;
use crate::teacher::{Manner, Server};

const PART: &str = "memory";
const WORKERS: usize = 3;
const CONCURRENCY: usize = 64;
/// Short enough that every worker computes much, long enough that all slots are in use.
const LATENCY: Duration = Duration::from_millis(500);
/// How long memory is watched.
const WINDOW: Duration = Duration::from_secs(60);
/// More than are done in the window.
const JOBS: u64 = 8000;

/// Measures the part.
pub(crate) fn measure(ground: &Ground, account: &mut Account) -> Result<()> {
    let server = Server::start(&ground.runtime, Manner { latency: LATENCY, is_endless: false })?;
    let planned = ground.campaign("memory", JOBS, Some(&server.endpoint), None)?;
    ground.submit(&planned)?;
    let start = |number| ground.worker(&format!("memory-{number}"), "synthesis", &planned, CONCURRENCY);
    let workers: Vec<Program> = (0..WORKERS).map(start).collect::<Result<_>>()?;
    let watch = Watch::start(workers.iter().enumerate().map(|(number, worker)| (format!("worker {number}"), worker.pid())).collect());
    ground.wait("the first completions of all slots", Duration::from_secs(60), || {
        Ok(server.noting.firsts().len() >= WORKERS * CONCURRENCY)
    })?;
    std::thread::sleep(WINDOW);
    for (name, series) in watch.finish()? {
        account.add(
            PART,
            format!("{name}, private memory at {CONCURRENCY} jobs, largest"),
            series.max(|memory| memory.private),
            "MB",
            Bound::AtMost(150.0),
        );
        account.add(
            PART,
            format!("{name}, private memory, last third above the first"),
            series.growth(|memory| memory.private),
            "MB",
            Bound::None,
        );
        account.add(PART, format!("{name}, resident pages of files"), series.max(|memory| memory.file), "MB", Bound::None);
        account.add(PART, format!("{name}, its share of pages of files"), series.max(|memory| memory.file_share), "MB", Bound::None);
    }
    ground.run("cancel-memory", &["cancel", &planned.name], VERB)?;
    for worker in workers {
        worker.stop(Duration::from_secs(30))?.well()?;
    }
    Ok(())
}
