//! Broker and ledger lost with everything in them when half of the jobs are done; the archive is what is left.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;

use crate::account::{Account, Bound};
use crate::ground::{Ground, VERB};
use crate::outcome::Outcome;
use crate::throughput::patience;

const PART: &str = "resume";
/// Between two counts of what is done.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Measures the part.
pub(crate) fn measure(ground: &Ground, account: &mut Account, jobs: u64, concurrency: usize) -> Result<()> {
    let planned = ground.campaign("resume", jobs, None, None)?;
    ground.submit(&planned)?;
    let outcome = Outcome::of(&ground.archive(), &planned.name);
    let workers = || -> Result<_> {
        Ok([ground.worker("resume-s", "synthesis", &planned, concurrency)?, ground.worker("resume-f", "filter", &planned, concurrency)?])
    };
    let before = workers()?;
    ground.wait("half of the verdicts", patience(planned.jobs), || {
        // Counting reads a folder for every shard: seldom, so that it costs the workers nothing.
        std::thread::sleep(COUNT_EVERY);
        Ok(outcome.verdicts() >= planned.jobs / 2)
    })?;
    for worker in before {
        worker.stop(Duration::from_secs(30))?.well()?;
    }
    let done = outcome.verdicts();
    ground.wreck()?;

    let (said, said_at) = (Instant::now(), SystemTime::now());
    let resume = ground.start("resume", &["resume", &planned.name, "--json"])?;
    let after = workers()?;
    let mut published = None;
    ground.wait("the first new trajectory", Duration::from_secs(300), || {
        if resume.has_ended() {
            published.get_or_insert(said.elapsed());
        }
        Ok(outcome.newest_trajectory().is_some_and(|newest| newest > said_at))
    })?;
    let first_s = said.elapsed().as_secs_f64();
    let what = format!("broker and ledger lost at {done} of {} done: resume to the first new one", planned.jobs);
    account.add(PART, what, first_s, "s", Bound::AtMost(30.0));
    let resumed = resume.end(VERB)?.well()?;
    let published_s = published.unwrap_or(resumed.took).as_secs_f64();
    account.add(PART, "resume until everything outstanding is published", published_s, "s", Bound::None);
    let shards = outcome.shards()?;
    ground.wait("the last shard's index", patience(planned.jobs), || Ok(outcome.indexes() >= shards))?;
    for worker in after {
        worker.stop(Duration::from_secs(30))?.well()?;
    }
    ground.run("seal-resume", &["seal", &planned.name], VERB)?;
    let sealed = outcome.sealed(planned.jobs)?;
    account.add(PART, format!("jobs lost, of {}", planned.jobs), sealed.lost as f64, "", Bound::AtMost(0.0));
    account.add(PART, "jobs in two rows", sealed.duplicate as f64, "", Bound::AtMost(0.0));
    account.add(PART, "jobs failed", sealed.failed as f64, "", Bound::AtMost(0.0));
    Ok(())
}
