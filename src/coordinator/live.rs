//! A campaign's status as people and programs read it: what the archive counts, and what ledger, broker and workers say at the moment.
//!
//! The shape is public (design.md, section 6). What could not be asked is absent rather than zero.

use std::collections::BTreeMap;

use model::settings::BudgetSettings;
use model::{ControlState, Usage};
use runtime::ledger::WorkerStatus;
use runtime::{Depth, LedgerStanding, QueueName};
use serde::Serialize;

use crate::status::{Failure, Progress};

/// What a status is made of.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Counted from the archive.
    pub progress: Progress,
    /// What the ledger says, where there is one.
    pub standing: Option<LedgerStanding>,
    /// What the broker says, where there is one.
    pub depths: Option<Vec<(QueueName, Depth)>>,
    /// The workers that live, of all campaigns.
    pub workers: Vec<WorkerStatus>,
    /// The campaign's limits.
    pub budget: BudgetSettings,
    /// When this was asked: milliseconds since 1970.
    pub sampled_unix_ms: u64,
}

/// How full one kind of queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QueueStatus {
    /// Waiting to be delivered.
    pub ready: u64,
    /// Delivered and not settled.
    pub unacked: u64,
}

/// Progress in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Jobs that got their verdict, per minute, over the last minute.
    pub per_minute: u64,
}

/// What was spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UsageStatus {
    /// Tokens read by models.
    pub prompt_tokens: u64,
    /// Tokens written by models.
    pub completion_tokens: u64,
    /// Completions.
    pub calls: u64,
    /// Completions of workers now alive that were cut off or came too late to count.
    pub wasted: u64,
}

/// A campaign's status.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Its name.
    pub campaign: String,
    /// Whether it runs.
    pub state: ControlState,
    /// Planned jobs.
    pub planned: u64,
    /// Jobs that are not terminal.
    pub outstanding: u64,
    /// Work held by workers.
    pub running: Option<u64>,
    /// Work that handed itself on and waits.
    pub yielded: Option<u64>,
    /// Trajectories without a verdict yet.
    pub synthesized: u64,
    /// Graded, in shards whose rows are not written yet.
    pub graded: u64,
    /// Accepted, of the shards whose rows are written.
    pub accepted: u64,
    /// Rejected, of the shards whose rows are written.
    pub rejected: u64,
    /// Failed for good.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Failures by kind.
    pub failed_by: BTreeMap<String, u64>,
    /// Some failures.
    pub failures: Vec<Failure>,
    /// Messages by kind of queue: jobs, candidates, delayed, quarantine, parked, dead.
    pub queues: Option<BTreeMap<&'static str, QueueStatus>>,
    /// Progress in time.
    pub rates: Option<Rates>,
    /// Until all is terminal, at this rate.
    pub eta_seconds: Option<u64>,
    /// What was spent, as the ledger knows.
    pub usage: Option<UsageStatus>,
    /// The limits of spending.
    pub budget: BudgetSettings,
    /// Workers that serve it.
    pub workers: Vec<WorkerStatus>,
    /// Number of the newest seal.
    pub sealed: Option<u32>,
    /// Where the moving numbers come from: `ledger`, or `archive` when nobody else could be asked.
    pub source: &'static str,
    /// When: milliseconds since 1970.
    pub sampled_at: u64,
}

impl Status {
    /// What a sample says.
    pub fn of(sample: Sample) -> Self {
        let Sample { progress, standing, depths, workers, budget, sampled_unix_ms } = sample;
        let workers: Vec<WorkerStatus> =
            workers.into_iter().filter(|worker| worker.campaigns.iter().any(|serving| serving.campaign == progress.campaign)).collect();
        let counted = |name: &str| workers.iter().filter_map(|worker| worker.counters.get(name)).sum::<u64>();
        let graders = workers.iter().filter(|worker| worker.role.starts_with("filter"));
        let per_minute = graders.filter_map(|worker| worker.counters.get(&rate_name(&progress.campaign))).sum::<u64>();
        let is_live = standing.is_some();
        let rates = is_live.then_some(Rates { per_minute });
        let eta_seconds = (progress.outstanding * 60).checked_div(per_minute);
        let usage = standing.map(|standing| spent(&standing.usage, counted("abandoned") + counted("lost")));
        Self {
            campaign: progress.campaign,
            state: progress.state,
            planned: progress.planned,
            outstanding: progress.outstanding,
            running: standing.map(|standing| standing.running),
            yielded: standing.map(|standing| standing.yielded),
            synthesized: progress.synthesized,
            graded: progress.graded,
            accepted: progress.accepted,
            rejected: progress.rejected,
            failed: progress.failed,
            cancelled: progress.cancelled,
            failed_by: progress.failed_by,
            failures: progress.failures,
            queues: depths.map(|depths| by_kind(&depths)),
            rates,
            eta_seconds,
            usage,
            budget,
            workers,
            sealed: progress.sealed,
            source: if is_live { "ledger" } else { "archive" },
            sampled_at: sampled_unix_ms,
        }
    }

    /// Messages that a worker of `stage` could work on or works on: what autoscaling goes by. None while the campaign is paused or over.
    pub fn runnable(&self, stage: &str) -> u64 {
        let (ControlState::Running, Some(queues)) = (self.state, &self.queues) else { return 0 };
        let of = |kind: &str| queues.get(kind).map_or(0, |queue| queue.ready + queue.unacked);
        match stage {
            // What is delayed is nearly always the jobs': it comes back before a worker that is scaled down would be missed.
            "synthesis" => of("jobs") + of("delayed"),
            "filter" => of("candidates"),
            "quarantine" => of("quarantine"),
            _ => 0,
        }
    }
}

/// Name of a worker's counter of jobs done in the last minute.
pub fn rate_name(campaign: &str) -> String {
    format!("{campaign}/done_per_minute")
}

fn spent(usage: &Usage, wasted: u64) -> UsageStatus {
    UsageStatus { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens, calls: usage.calls, wasted }
}

fn by_kind(depths: &[(QueueName, Depth)]) -> BTreeMap<&'static str, QueueStatus> {
    let mut queues =
        BTreeMap::from(["jobs", "candidates", "delayed", "quarantine", "parked", "dead"].map(|kind| (kind, QueueStatus::default())));
    for (queue, depth) in depths {
        let kind = match queue {
            QueueName::Jobs(_) => "jobs",
            QueueName::Candidates(_) => "candidates",
            QueueName::Quarantine(_) | QueueName::QuarantineCandidates(_) => "quarantine",
            QueueName::Parked(_) => "parked",
            QueueName::Dead(_) => "dead",
        };
        let status = queues.entry(kind).or_default();
        status.ready += depth.ready;
        status.unacked += depth.unacked;
    }
    // Every queue says the delayed ones of its whole campaign.
    let delayed = depths.iter().map(|(_, depth)| depth.delayed).max().unwrap_or_default();
    queues.insert("delayed", QueueStatus { ready: delayed, unacked: 0 });
    queues
}
