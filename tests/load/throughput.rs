//! A campaign from submit to seal through broker, ledger and archive with one worker of each kind, beside the same in one process.
//!
//! Throughput is from the workers' start to the last shard's index. What a trajectory costs is everything that computed for it: submit,
//! workers, seal and the three servers; the benchmark itself, which only looks, is left out.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::account::{Account, Bound};
use crate::gauge::{Watch, cpu_s_of_tree};
use crate::ground::{Ground, Planned, SERVERS, VERB};
use crate::outcome::Outcome;

const PART: &str = "throughput";
/// Jobs of the campaign that is verified.
const VERIFIED_JOBS: u64 = 1000;

/// Longest time that a campaign may take: a tenth of the rate that is asked for, and some to start.
pub(crate) fn patience(jobs: u64) -> Duration {
    Duration::from_secs(120 + jobs / 9)
}

/// Seconds computed, by who did.
struct Costs(Vec<(String, f64)>);

impl Costs {
    fn per_job_ms(&self, jobs: u64) -> f64 {
        self.0.iter().map(|(_, seconds)| seconds).sum::<f64>() * 1000.0 / jobs as f64
    }
}

/// Measures the part.
pub(crate) fn measure(ground: &Ground, account: &mut Account, jobs: u64, single_jobs: u64, concurrency: usize) -> Result<()> {
    let planned = ground.campaign("throughput", jobs, None, None)?;
    let cluster = cluster(ground, account, &planned, concurrency)?;
    for (name, seconds) in &cluster.0 {
        let what = format!("CPU of {name}, per trajectory ({seconds:.1} s)");
        account.add(PART, what, seconds * 1000.0 / planned.jobs as f64, "ms", Bound::None);
    }
    let (of_cluster, of_single) = (cluster.per_job_ms(planned.jobs), single(ground, account, single_jobs)?);
    account.add(PART, "CPU of the cluster, per trajectory", of_cluster, "ms", Bound::None);
    account.add(PART, "CPU in one process, per trajectory", of_single, "ms", Bound::None);
    account.add(PART, "CPU of the cluster above one process, per trajectory", of_cluster - of_single, "ms", Bound::AtMost(10.0));
    verify(ground, account, concurrency)
}

fn cluster(ground: &Ground, account: &mut Account, planned: &Planned, concurrency: usize) -> Result<Costs> {
    let servers: Vec<(&str, u32)> = SERVERS.iter().map(|name| Ok((*name, ground.server(name)?))).collect::<Result<_>>()?;
    let before: Vec<f64> = servers.iter().map(|(_, pid)| cpu_s_of_tree(*pid)).collect();
    let (requests, commands) = (ground.s3_requests()?, ground.redis_commands()?);
    let submitted = ground.submit(planned)?;
    let took_s = submitted.json()?["took_ms"].as_f64().unwrap_or_default() / 1000.0;
    account.add(PART, format!("submit of {} jobs, planned and confirmed", planned.jobs), took_s, "s", Bound::AtMost(20.0));
    account.add(PART, "submit, largest resident memory", submitted.peak_mb, "MB", Bound::None);

    let began = Instant::now();
    let synthesis = ground.worker("synthesis", "synthesis", planned, concurrency)?;
    let filter = ground.worker("filter", "filter", planned, concurrency)?;
    let mut pids: Vec<(String, u32)> = servers.iter().map(|(name, pid)| ((*name).to_owned(), *pid)).collect();
    pids.extend([("synthesis".to_owned(), synthesis.pid()), ("filter".to_owned(), filter.pid())]);
    let watch = Watch::start(pids);
    let outcome = Outcome::of(&ground.archive(), &planned.name);
    let shards = outcome.shards()?;
    ground.wait("the last shard's index", patience(planned.jobs), || {
        anyhow::ensure!(!synthesis.has_ended() && !filter.has_ended(), "work on the campaign: a worker ended");
        Ok(outcome.indexes() >= shards)
    })?;
    let took_s = began.elapsed().as_secs_f64();
    let memory = watch.finish()?;
    let mut costs = vec![("submit".to_owned(), submitted.cpu_s)];
    for worker in [synthesis, filter] {
        let name = if costs.len() == 1 { "synthesis" } else { "filter" };
        costs.push((name.to_owned(), worker.stop(Duration::from_secs(30))?.well()?.cpu_s));
    }
    let sealed = ground.run("seal", &["seal", &planned.name], VERB)?;
    costs.push(("seal".to_owned(), sealed.cpu_s));
    for ((name, pid), before) in servers.iter().zip(before) {
        costs.push(((*name).to_owned(), cpu_s_of_tree(*pid) - before));
    }

    let per_job = |count: u64| count as f64 / planned.jobs as f64;
    account.add(PART, "S3 requests, per trajectory", per_job(ground.s3_requests()? - requests), "", Bound::None);
    account.add(PART, "Redis commands, per trajectory", per_job(ground.redis_commands()? - commands), "", Bound::None);
    let rate = planned.jobs as f64 / took_s;
    account.add(PART, format!("trajectories a second, {concurrency} at once in each of 2 workers"), rate, "/s", Bound::AtLeast(90.0));
    for (name, series) in &memory {
        let (private, share) = (series.max(|memory| memory.private), series.max(|memory| memory.share));
        let what = format!("memory of {name}, resident, largest (private {private:.0}, proportional {share:.0})");
        account.add(PART, what, series.max(|memory| memory.resident), "MB", Bound::None);
        let growth = series.growth(|memory| memory.private);
        account.add(PART, format!("memory of {name}, private, last third above the first"), growth, "MB", Bound::None);
    }
    let rows = outcome.sealed(planned.jobs)?;
    account.add(
        PART,
        format!("jobs lost, of {} ({} rows, {} failed)", planned.jobs, rows.rows, rows.failed),
        rows.lost as f64,
        "",
        Bound::AtMost(0.0),
    );
    account.add(PART, "jobs in two rows", rows.duplicate as f64, "", Bound::AtMost(0.0));
    account.add(PART, "jobs failed", rows.failed as f64, "", Bound::AtMost(0.0));
    Ok(Costs(costs))
}

/// The same in one process; milliseconds computed for a trajectory.
fn single(ground: &Ground, account: &mut Account, jobs: u64) -> Result<f64> {
    let planned = ground.campaign("single", jobs, None, Some(&ground.path("single-archive")))?;
    let file = planned.file.to_string_lossy().into_owned();
    let ran = ground.run("run", &["run", &file, "--json"], patience(planned.jobs))?;
    let rate = planned.jobs as f64 / ran.took.as_secs_f64();
    account.add(PART, format!("trajectories a second of {} jobs in one process", planned.jobs), rate, "/s", Bound::None);
    Ok(ran.cpu_s * 1000.0 / planned.jobs as f64)
}

/// A campaign of its own through the cluster, sealed and verified.
fn verify(ground: &Ground, account: &mut Account, concurrency: usize) -> Result<()> {
    let planned = ground.campaign("verified", VERIFIED_JOBS, None, None)?;
    ground.submit(&planned)?;
    let synthesis = ground.worker("synthesis-verified", "synthesis", &planned, concurrency)?;
    let filter = ground.worker("filter-verified", "filter", &planned, concurrency)?;
    let outcome = Outcome::of(&ground.archive(), &planned.name);
    let shards = outcome.shards()?;
    ground.wait("the last shard's index", patience(planned.jobs), || Ok(outcome.indexes() >= shards))?;
    synthesis.stop(Duration::from_secs(30))?;
    filter.stop(Duration::from_secs(30))?;
    ground.run("seal-verified", &["seal", &planned.name], VERB)?;
    let verified = ground.run("verify", &["verify", &planned.name, "--json"], VERB)?;
    let report = verified.json()?;
    let differences = report["differences"].as_f64().unwrap_or(f64::NAN);
    let rows = &report["rows"];
    let what = format!("differences found by verify in {rows} rows, replayed in {:.1} s", verified.took.as_secs_f64());
    account.add(PART, what, differences, "", Bound::AtMost(0.0));
    Ok(())
}
