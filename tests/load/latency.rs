//! Many jobs against a slow teacher: how much of concurrency ÷ latency the workers make of it.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::account::{Account, Bound};
use crate::ground::{Ground, VERB};
use crate::program::Program;
use crate::teacher::{Manner, Server};

const PART: &str = "latency";
const WORKERS: usize = 4;
const CONCURRENCY: usize = 64;
const LATENCY: Duration = Duration::from_secs(1);
/// What is left out at the beginning: every job's first completions come together at first.
const RAMP: Duration = Duration::from_secs(15);
/// How long is counted.
const WINDOW: Duration = Duration::from_secs(60);
/// More than are done in ramp and window, whose jobs ask three times at least.
const JOBS: u64 = 8000;

/// Measures the part.
pub(crate) fn measure(ground: &Ground, account: &mut Account) -> Result<()> {
    let server = Server::start(&ground.runtime, Manner { latency: LATENCY, is_endless: false })?;
    let planned = ground.campaign("latency", JOBS, Some(&server.endpoint), None)?;
    ground.submit(&planned)?;
    let start = |number| ground.worker(&format!("latency-{number}"), "synthesis", &planned, CONCURRENCY);
    let workers: Vec<Program> = (0..WORKERS).map(start).collect::<Result<_>>()?;
    ground.wait("the first completions of all slots", Duration::from_secs(60), || {
        Ok(server.noting.firsts().len() >= WORKERS * CONCURRENCY)
    })?;
    std::thread::sleep(RAMP);
    let (began, before) = (Instant::now(), server.noting.answered());
    std::thread::sleep(WINDOW);
    let answered = server.noting.answered() - before;
    let rate = answered as f64 / began.elapsed().as_secs_f64();
    let most = (WORKERS * CONCURRENCY) as f64 / LATENCY.as_secs_f64();
    let jobs = server.noting.firsts().len();
    account.add(
        PART,
        format!("completions a second, {} at once over {WORKERS} workers ({jobs} jobs begun)", WORKERS * CONCURRENCY),
        rate,
        "/s",
        Bound::None,
    );
    account.add(PART, format!("of concurrency ÷ latency = {most}/s, ramp excluded"), rate / most * 100.0, "%", Bound::AtLeast(97.0));
    ground.run("cancel-latency", &["cancel", &planned.name], VERB)?;
    for worker in workers {
        worker.stop(Duration::from_secs(30))?.well()?;
    }
    Ok(())
}
