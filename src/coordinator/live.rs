//! A campaign's status as people and programs read it: what the archive counts, and what ledger, broker and workers say at the moment.
//!
//! The shape is public (design.md, section 6). What could not be asked is absent rather than zero.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// The workers that live, of all campaigns, where there is a registry.
    pub workers: Option<Vec<WorkerStatus>>,
    /// The campaign's limits.
    pub budget: BudgetSettings,
    /// How long ago it was submitted or last resumed.
    pub age: Duration,
    /// Whether no process works on the campaign, where it is this machine's own and that can be told.
    pub is_left: Option<bool>,
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
    /// Completions that were cut off or came too late to count.
    pub wasted: u64,
    /// Tokens, read and written, of those that came too late. What those would have cost that were cut off nobody knows.
    pub wasted_tokens: u64,
    /// Money, in millionths of the price table's currency.
    pub cost_micros: u64,
}

/// A campaign's status.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Its name.
    pub campaign: String,
    /// Whether it runs.
    pub state: ControlState,
    /// What paused it, where that was no person: `budget`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_by: Option<&'static str>,
    /// Whether there is something to do and no process does it, though nobody paused or cancelled it: of campaigns of this machine's own.
    pub stopped: Option<bool>,
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
    /// Later samples of seeds whose first ones were all right, or all wrong.
    pub spared: u64,
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
    /// Workers that serve it, with what they do for it alone.
    pub workers: Option<Vec<WorkerStatus>>,
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
        let Sample { progress, standing, depths, workers, budget, age, is_left, sampled_unix_ms } = sample;
        let workers: Option<Vec<WorkerStatus>> =
            workers.map(|workers| workers.into_iter().filter_map(|worker| part_in(&progress.campaign, worker)).collect());
        let graders = workers.iter().flatten().filter(|worker| worker.role.starts_with("filter"));
        let per_minute = graders.filter_map(|worker| worker.counters.get(DONE_PER_MINUTE)).sum::<u64>();
        let rates = workers.is_some().then_some(Rates { per_minute });
        let eta_seconds = (progress.outstanding * 60).checked_div(per_minute);
        let usage = standing.map(|standing| spent(&standing.usage, &standing.wasted));
        let is_spent = budget.wall_s.is_some_and(|limit| age.as_secs() >= limit)
            || standing.is_some_and(|standing| budget.is_reached(&standing.usage));
        let pauses_itself = is_spent && progress.state == ControlState::Running && progress.outstanding > 0;
        Self {
            campaign: progress.campaign,
            state: if pauses_itself { ControlState::Paused } else { progress.state },
            paused_by: pauses_itself.then_some("budget"),
            stopped: is_left.map(|is_left| is_left && progress.state == ControlState::Running && progress.outstanding > 0),
            planned: progress.planned,
            outstanding: progress.outstanding,
            running: standing.map(|standing| standing.running),
            yielded: standing.map(|standing| standing.yielded),
            synthesized: progress.synthesized,
            graded: progress.graded,
            accepted: progress.accepted,
            rejected: progress.rejected,
            failed: progress.failed,
            spared: progress.spared,
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
            source: if standing.is_some() { "ledger" } else { "archive" },
            sampled_at: sampled_unix_ms,
        }
    }

    /// Messages that a worker of `stage` could work on or works on: what autoscaling goes by. None while the campaign is paused or over, and
    /// no jobs once its budget is spent.
    pub fn runnable(&self, stage: &str) -> u64 {
        let Some(queues) = self.queues.as_ref().filter(|_| self.state == ControlState::Running || self.paused_by.is_some()) else {
            return 0;
        };
        let of = |kind: &str| queues.get(kind).copied().unwrap_or_default();
        // A broker without a management API does not say what is unacknowledged; workers say what they run.
        let with_busy = |kind: &str, busy: u64| of(kind).ready + of(kind).unacked.max(busy);
        match stage {
            // What was synthesised is graded all the same: it is paid for.
            "synthesis" | "quarantine" if self.paused_by.is_some() => 0,
            // What is delayed is nearly always the jobs': it comes back before a worker that is scaled down would be missed.
            "synthesis" => with_busy("jobs", self.busy(|role| role == "synthesis")) + of("delayed").ready,
            "filter" => with_busy("candidates", self.busy(|role| role == "filter")),
            "quarantine" => with_busy("quarantine", self.busy(|role| role.ends_with("-quarantine"))),
            _ => 0,
        }
    }

    /// What workers of these roles run of it.
    fn busy(&self, is_wanted: impl Fn(&str) -> bool) -> u64 {
        let workers = self.workers.iter().flatten().filter(|worker| is_wanted(&worker.role));
        workers.flat_map(|worker| &worker.campaigns).map(|serving| serving.running).sum()
    }
}

/// A worker's counter of jobs done in the last minute.
pub const DONE_PER_MINUTE: &str = "done_per_minute";

/// How a worker that serves several campaigns tells its counter `name` of one of them.
pub fn counter_name(campaign: &str, name: &str) -> String {
    format!("{campaign}/{name}")
}

/// What `worker` does for `campaign` alone, its counters by their own names; `None` when it does not serve it.
fn part_in(campaign: &str, mut worker: WorkerStatus) -> Option<WorkerStatus> {
    worker.campaigns.retain(|serving| serving.campaign == campaign);
    worker.endpoints.retain(|endpoint| endpoint.campaign == campaign);
    let prefix = counter_name(campaign, "");
    let told = std::mem::take(&mut worker.counters).into_iter();
    worker.counters = told.filter_map(|(name, count)| Some((name.strip_prefix(prefix.as_str())?.to_owned(), count))).collect();
    (!worker.campaigns.is_empty()).then_some(worker)
}

fn spent(usage: &Usage, wasted: &Usage) -> UsageStatus {
    let wasted_tokens = wasted.prompt_tokens + wasted.completion_tokens;
    let Usage { prompt_tokens, completion_tokens, calls, cost_micros } = *usage;
    UsageStatus { prompt_tokens, completion_tokens, calls, wasted: wasted.calls, wasted_tokens, cost_micros }
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

#[cfg(test)]
mod tests {
    use runtime::ledger::{EndpointHealth, Serving};

    use super::*;

    fn sample(jobs: Depth, workers: Vec<WorkerStatus>) -> Sample {
        let progress = Progress {
            campaign: "a".into(),
            state: ControlState::Running,
            planned: 10,
            outstanding: 10,
            synthesized: 0,
            accepted: 0,
            rejected: 0,
            graded: 0,
            failed: 0,
            spared: 0,
            cancelled: 0,
            failed_by: BTreeMap::new(),
            failures: Vec::new(),
            sealed: None,
        };
        let candidates = Depth { ready: 2, ..Depth::default() };
        Sample {
            progress,
            standing: Some(LedgerStanding { usage: Usage { calls: 5, ..Usage::default() }, ..LedgerStanding::default() }),
            depths: Some(vec![(QueueName::Jobs("a".into()), jobs), (QueueName::Candidates("a".into()), candidates)]),
            workers: Some(workers),
            budget: BudgetSettings::default(),
            age: Duration::ZERO,
            is_left: None,
            sampled_unix_ms: 0,
        }
    }

    fn worker(role: &str, running: [u64; 2]) -> WorkerStatus {
        let serving = |campaign: &str, running| {
            let holds = vec![format!("s/of {campaign}")];
            Serving { campaign: campaign.into(), running, slots: 8, holds }
        };
        WorkerStatus {
            role: role.into(),
            campaigns: vec![serving("a", running[0]), serving("b", running[1])],
            counters: [("a/parked".to_owned(), 1), ("b/parked".to_owned(), 2)].into(),
            endpoints: ["a", "b"].map(|name| EndpointHealth { campaign: name.into(), ..EndpointHealth::default() }).into(),
            ..WorkerStatus::default()
        }
    }

    #[test]
    fn a_spent_budget_leaves_no_jobs_to_run_and_grading_goes_on() {
        let sample = sample(Depth { ready: 4, unacked: 3, delayed: 1 }, Vec::new());
        let stages = |budget| {
            let status = Status::of(Sample { budget, ..sample.clone() });
            ["synthesis", "filter", "quarantine"].map(|stage| status.runnable(stage))
        };
        assert_eq!(stages(BudgetSettings { calls: Some(6), ..BudgetSettings::default() }), [8, 2, 0]);
        assert_eq!(stages(BudgetSettings { calls: Some(5), ..BudgetSettings::default() }), [0, 2, 0]);
    }

    #[test]
    fn what_workers_run_can_run_though_the_broker_does_not_say_what_is_unacknowledged() {
        let status = Status::of(sample(Depth { ready: 4, unacked: 0, delayed: 0 }, vec![worker("synthesis", [3, 50])]));
        assert_eq!(["synthesis", "filter"].map(|stage| status.runnable(stage)), [7, 2]);
    }

    #[test]
    fn a_worker_of_several_campaigns_is_shown_with_its_part_in_this_one() {
        let status = Status::of(sample(Depth::default(), vec![worker("filter", [3, 50])]));
        let workers = status.workers.expect("asked");
        assert_eq!((workers[0].campaigns.len(), workers[0].campaigns[0].holds[0].as_str()), (1, "s/of a"));
        assert_eq!(workers[0].counters, BTreeMap::from([("parked".to_owned(), 1)]));
        assert_eq!(workers[0].endpoints.iter().map(|endpoint| endpoint.campaign.as_str()).collect::<Vec<_>>(), ["a"]);
    }
}
