//! How soon workers let go: a drain, a pause, a cancel, each while endless jobs ask a teacher that takes a second.
//!
//! What was told is in force when nobody asks any more; so the last request that arrives is what counts, from the start of the verb.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::account::{Account, Bound};
use crate::ground::{Ground, Planned, VERB};
use crate::program::Program;
use crate::teacher::{Manner, Server};

const PART: &str = "drain";
const WORKERS: usize = 2;
const JOBS: u64 = 32;
/// Silence after which nobody asks any more: no turn takes so long.
const QUIET: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures the part.
pub(crate) fn measure(ground: &Ground, account: &mut Account) -> Result<()> {
    let server = Server::start(&ground.runtime, Manner { latency: Duration::from_secs(1), is_endless: true })?;
    let planned = ground.campaign("drain", JOBS, Some(&server.endpoint), None)?;
    ground.submit(&planned)?;
    let workers = start(ground, &planned, "drain")?;
    ground.wait("every job", PATIENCE, || Ok(server.noting.firsts().len() as u64 >= planned.jobs))?;
    let (mut took_s, asked) = (0.0_f64, Instant::now());
    for worker in &workers {
        worker.signal(rustix::process::Signal::TERM)?;
    }
    for worker in workers {
        worker.end(PATIENCE)?.well()?;
        took_s = asked.elapsed().as_secs_f64();
    }
    account.add(
        PART,
        format!("SIGTERM to the end of {WORKERS} workers with {} endless jobs", planned.jobs),
        took_s,
        "s",
        Bound::AtMost(10.0),
    );

    let workers = start(ground, &planned, "paused")?;
    is_busy(ground, &server, &planned)?;
    let took_s = told(ground, &server, "pause", &planned)?;
    account.add(PART, "pause to the last completion asked", took_s, "s", Bound::AtMost(10.0));
    let resumed = Instant::now();
    ground.run("resume-drain", &["resume", &planned.name], VERB)?;
    ground.wait("every job after the pause", PATIENCE, || Ok(server.noting.firsts_after(resumed).len() as u64 >= planned.jobs))?;
    let last = server.noting.firsts_after(resumed).into_values().max().unwrap_or(resumed);
    account.add(PART, "resume after the pause to every job running again", (last - resumed).as_secs_f64(), "s", Bound::None);
    is_busy(ground, &server, &planned)?;
    let took_s = told(ground, &server, "cancel", &planned)?;
    account.add(PART, "cancel to the last completion asked", took_s, "s", Bound::AtMost(10.0));
    for worker in workers {
        worker.stop(PATIENCE)?.well()?;
    }
    Ok(())
}

fn start(ground: &Ground, planned: &Planned, name: &str) -> Result<Vec<Program>> {
    (0..WORKERS).map(|number| ground.worker(&format!("{name}-{number}"), "synthesis", planned, 64)).collect()
}

/// Waits until every job has asked once more.
fn is_busy(ground: &Ground, server: &Server, planned: &Planned) -> Result<()> {
    let since = Instant::now();
    ground.wait("every job at work", PATIENCE, || Ok(server.noting.firsts_after(since).len() as u64 >= planned.jobs))
}

/// Says `verb`, and waits until nobody asks; seconds from the verb's start to the last request.
fn told(ground: &Ground, server: &Server, verb: &str, planned: &Planned) -> Result<f64> {
    let said = Instant::now();
    ground.run(&format!("{verb}-drain"), &[verb, &planned.name], VERB)?;
    let last = || server.noting.last().map_or(Duration::ZERO, |at| at.saturating_duration_since(said));
    ground.wait("silence", PATIENCE, || Ok(said.elapsed().saturating_sub(last()) > QUIET))?;
    Ok(last().as_secs_f64())
}
