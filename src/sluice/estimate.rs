//! What a whole campaign will come to, from the few jobs of a pilot. Arithmetic alone: nothing here opens anything.
//!
//! Every number is a mean over the pilot's jobs, failed ones included, with the range in which the mean would lie had other seeds been drawn.

use std::collections::BTreeMap;

use model::Usage;
use model::settings::BudgetSettings;
use serde::Serialize;

use crate::bootstrap::{Bootstrap, mean};

#[cfg(test)]
mod tests;

/// A pilot of fewer jobs has ranges that are hardly more than guesses.
pub(crate) const FEW: usize = 10;

/// One job of a pilot that is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct PilotJob {
    /// What its completions cost, the judge's excepted.
    pub(crate) teacher: Usage,
    /// Of these, by role, as far as that is known.
    pub(crate) roles: BTreeMap<&'static str, Usage>,
    /// What its judgement cost.
    pub(crate) judge: Usage,
    /// How long it was worked on; unknown of a job that failed.
    pub(crate) seconds: Option<f64>,
    /// Whether its row was accepted.
    pub(crate) accepted: bool,
}

/// What is planned, and by what means.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Seeds that can be researched.
    pub(crate) seeds: u64,
    /// Samples of each.
    pub(crate) samples: u32,
    /// Jobs in flight on one worker.
    pub(crate) concurrency: u32,
    /// Workers.
    pub(crate) workers: u32,
    /// Limits per minute of the teachers.
    pub(crate) paces: Vec<Pace>,
    /// What may be spent.
    pub(crate) budget: BudgetSettings,
    /// Whether any teacher has a price.
    pub(crate) is_priced: bool,
    /// Bytes of one job.
    pub(crate) bytes: JobBytes,
}

/// What a teacher's servers allow in a minute.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace {
    /// The table that says so, e.g. `teacher.planner`.
    pub(crate) table: String,
    /// The role that is played by this teacher; `None`: all that no other one plays.
    pub(crate) role: Option<&'static str>,
    /// Most completions.
    pub(crate) requests_per_minute: Option<u64>,
    /// Most tokens.
    pub(crate) tokens_per_minute: Option<u64>,
}

/// Mean bytes of one job where it is kept.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct JobBytes {
    /// Its row, compressed.
    pub(crate) row: f64,
    /// Its trajectory and its verdict, which may be dropped after sealing.
    pub(crate) objects: f64,
    /// Its message in a broker's queue.
    pub(crate) message: f64,
}

/// A mean with the range of the bootstrap: absent where one job says nothing of it, `high` also where nothing bounds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Ranged {
    pub(crate) mean: f64,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

impl Ranged {
    fn of(mean: f64, range: Option<(f64, f64)>) -> Self {
        let bound = |end: f64| end.is_finite().then_some(end);
        Self { mean, low: range.and_then(|(low, _)| bound(low)), high: range.and_then(|(_, high)| bound(high)) }
    }

    /// So many times as much.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, low: self.low.map(|low| low * factor), high: self.high.map(|high| high * factor) }
    }
}

/// Completions, their tokens, and money where it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Amounts {
    pub(crate) calls: Ranged,
    pub(crate) prompt_tokens: Ranged,
    pub(crate) completion_tokens: Ranged,
    pub(crate) money: Option<Ranged>,
}

impl Amounts {
    fn times(self, factor: f64) -> Self {
        Self {
            calls: self.calls.times(factor),
            prompt_tokens: self.prompt_tokens.times(factor),
            completion_tokens: self.completion_tokens.times(factor),
            money: self.money.map(|money| money.times(factor)),
        }
    }
}

/// What one job comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct PerJob {
    /// All completions but the judge's.
    pub(crate) teacher: Amounts,
    /// The same by role, where there are several. `extractor` is what was no turn of a thread.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) roles: BTreeMap<&'static str, Amounts>,
    /// The judge's completions, where it made any.
    pub(crate) judge: Option<Amounts>,
    /// Seconds of work at the pilot's concurrency.
    pub(crate) seconds: Option<Ranged>,
    /// Share of the jobs whose row is accepted, 0 to 1.
    pub(crate) accepted: Ranged,
    /// Money for each accepted row; absent where it is unknown, or nothing was accepted.
    pub(crate) money_per_accepted: Option<Ranged>,
}

/// What all jobs come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Whole {
    pub(crate) jobs: u64,
    /// Jobs in flight, all workers together.
    pub(crate) at_once: u64,
    /// Teacher and judge.
    pub(crate) spent: Amounts,
    pub(crate) accepted: Ranged,
    pub(crate) hours: Option<Ranged>,
    /// The limit per minute that makes it take so long, where it is one and not the jobs in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_up_by: Option<String>,
    /// Bytes of the sealed rows.
    pub(crate) row_bytes: f64,
    /// Bytes of the archive with trajectories and verdicts.
    pub(crate) archive_bytes: f64,
    /// Bytes of a broker's queue with all jobs in it.
    pub(crate) queue_bytes: f64,
}

/// How far a limit of `[budget]` goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Reach {
    pub(crate) key: &'static str,
    /// As the campaign file has it.
    pub(crate) limit: f64,
    /// The share of the jobs after which it is reached; 1 and more: it suffices.
    pub(crate) share: Ranged,
}

/// A pilot's jobs, and what they say of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Estimate {
    /// Jobs that were looked at.
    pub(crate) jobs: usize,
    /// Seed of the bootstrap, and what its ranges hold.
    pub(crate) bootstrap_seed: u64,
    pub(crate) quantiles: (f64, f64),
    pub(crate) per_job: PerJob,
    pub(crate) campaign: Whole,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) budget: Vec<Reach>,
}

impl Estimate {
    /// What `jobs` say of all that is planned; `None` where there are none.
    pub(crate) fn of(jobs: &[PilotJob], planned: &Planned, bootstrap: Bootstrap) -> Option<Self> {
        if jobs.is_empty() {
            return None;
        }
        let sample = Sample { jobs, bootstrap };
        let per_job = sample.per_job(planned.is_priced);
        let all = planned.seeds * u64::from(planned.samples);
        let factor = all as f64;
        let spent = sample.amounts(planned.is_priced, |job| sum(job.teacher, job.judge)).times(factor);
        let at_once = (u64::from(planned.concurrency) * u64::from(planned.workers)).min(all).max(1);
        let mut hours = per_job.seconds.map(|seconds| seconds.times(factor / (at_once as f64 * 3600.0)));
        let mut held_up_by = None;
        for (limit, minutes) in planned.paces.iter().flat_map(|pace| sample.minutes(pace, planned)) {
            let needed = minutes.times(factor / 60.0);
            if hours.is_none_or(|hours| needed.mean > hours.mean) {
                (hours, held_up_by) = (Some(needed), Some(limit));
            }
        }
        let campaign = Whole {
            jobs: all,
            at_once,
            spent,
            accepted: per_job.accepted.times(factor),
            hours,
            held_up_by,
            row_bytes: planned.bytes.row * factor,
            archive_bytes: (planned.bytes.row + planned.bytes.objects) * factor,
            queue_bytes: planned.bytes.message * factor,
        };
        let budget = reaches(&planned.budget, &campaign);
        Some(Self { jobs: jobs.len(), bootstrap_seed: bootstrap.seed, quantiles: bootstrap.quantiles, per_job, campaign, budget })
    }
}

fn sum(one: Usage, other: Usage) -> Usage {
    let mut sum = one;
    sum += other;
    sum
}

struct Sample<'a> {
    jobs: &'a [PilotJob],
    bootstrap: Bootstrap,
}

impl Sample<'_> {
    fn per_job(&self, is_priced: bool) -> PerJob {
        let mut names: Vec<&'static str> = self.jobs.iter().flat_map(|job| job.roles.keys().copied()).collect();
        names.sort_unstable();
        names.dedup();
        let roles = names.iter().map(|name| (*name, self.amounts(is_priced, |job| role(job, name)))).collect();
        let has_judge = self.jobs.iter().any(|job| job.judge.calls > 0);
        let judge_costs = self.jobs.iter().any(|job| job.judge.cost_micros > 0);
        let seconds: Vec<f64> = self.jobs.iter().filter_map(|job| job.seconds).collect();
        PerJob {
            teacher: self.amounts(is_priced, |job| job.teacher),
            roles: if names.len() > 1 { roles } else { BTreeMap::new() },
            judge: has_judge.then(|| self.amounts(judge_costs, |job| job.judge)),
            seconds: mean(seconds.iter().copied()).map(|mean| Ranged::of(mean, self.bootstrap.range_of_mean(&seconds))),
            accepted: self.ranged(|job| f64::from(u8::from(job.accepted))),
            money_per_accepted: if is_priced { self.money_per_accepted() } else { None },
        }
    }

    fn amounts(&self, is_priced: bool, of: impl Fn(&PilotJob) -> Usage) -> Amounts {
        Amounts {
            calls: self.ranged(|job| of(job).calls as f64),
            prompt_tokens: self.ranged(|job| of(job).prompt_tokens as f64),
            completion_tokens: self.ranged(|job| of(job).completion_tokens as f64),
            money: is_priced.then(|| self.ranged(|job| of(job).cost_micros as f64 / 1e6)),
        }
    }

    fn ranged(&self, of: impl Fn(&PilotJob) -> f64) -> Ranged {
        let numbers: Vec<f64> = self.jobs.iter().map(of).collect();
        Ranged::of(mean(numbers.iter().copied()).unwrap_or_default(), self.bootstrap.range_of_mean(&numbers))
    }

    /// A ratio of sums: what was spent for nothing is paid by the accepted rows.
    fn money_per_accepted(&self) -> Option<Ranged> {
        let numbers: Vec<(f64, f64)> =
            self.jobs.iter().map(|job| (sum(job.teacher, job.judge).cost_micros as f64 / 1e6, f64::from(u8::from(job.accepted)))).collect();
        let ratio = |drawn: &mut dyn Iterator<Item = (f64, f64)>| {
            let (money, accepted) = drawn.fold((0.0, 0.0), |sums, number| (sums.0 + number.0, sums.1 + number.1));
            if accepted > 0.0 { money / accepted } else { f64::INFINITY }
        };
        let all = ratio(&mut numbers.iter().copied());
        let range = self.bootstrap.range(numbers.len(), |drawn| ratio(&mut drawn.iter().filter_map(|index| numbers.get(*index).copied())));
        all.is_finite().then(|| Ranged::of(all, range))
    }

    /// The minutes that one job takes of what `pace` allows, for each of its limits.
    fn minutes(&self, pace: &Pace, planned: &Planned) -> Vec<(String, Ranged)> {
        let others: Vec<&'static str> = planned.paces.iter().filter_map(|other| other.role).collect();
        let used = |job: &PilotJob| match pace.role {
            Some(name) => role(job, name),
            None => others.iter().filter(|name| **name != JUDGE).fold(job.teacher, |left, name| less(left, role(job, name))),
        };
        let amounts = self.amounts(false, used);
        let tokens = self.ranged(|job| (used(job).prompt_tokens + used(job).completion_tokens) as f64);
        let limits =
            [("requests_per_minute", pace.requests_per_minute, amounts.calls), ("tokens_per_minute", pace.tokens_per_minute, tokens)];
        let given = limits.into_iter().filter_map(|(key, limit, used)| Some((key, limit.filter(|limit| *limit > 0)?, used)));
        given.map(|(key, limit, used)| (format!("{}.{key}", pace.table), used.times(1.0 / limit as f64))).collect()
    }
}

/// The role of a model that judges, among those of teachers.
pub(crate) const JUDGE: &str = "judge";

fn role(job: &PilotJob, name: &str) -> Usage {
    if name == JUDGE { job.judge } else { job.roles.get(name).copied().unwrap_or_default() }
}

/// What is left of `all`.
pub(crate) fn less(all: Usage, part: Usage) -> Usage {
    Usage {
        prompt_tokens: all.prompt_tokens.saturating_sub(part.prompt_tokens),
        completion_tokens: all.completion_tokens.saturating_sub(part.completion_tokens),
        calls: all.calls.saturating_sub(part.calls),
        cost_micros: all.cost_micros.saturating_sub(part.cost_micros),
    }
}

/// How far each limit goes. The judge's completions are paid from the same budget.
fn reaches(budget: &BudgetSettings, campaign: &Whole) -> Vec<Reach> {
    let spent = &campaign.spent;
    let limits = [
        ("budget.calls", budget.calls.map(|limit| limit as f64), Some(spent.calls)),
        ("budget.prompt_tokens", budget.prompt_tokens.map(|limit| limit as f64), Some(spent.prompt_tokens)),
        ("budget.completion_tokens", budget.completion_tokens.map(|limit| limit as f64), Some(spent.completion_tokens)),
        ("budget.money", budget.money_micros.map(|limit| limit as f64 / 1e6), spent.money),
        ("budget.wall_hours", budget.wall_s.map(|limit| limit as f64 / 3600.0), campaign.hours),
    ];
    let given = limits.into_iter().filter_map(|(key, limit, needed)| Some((key, limit?, needed?)));
    given
        .filter(|(.., needed)| needed.mean > 0.0)
        .map(|(key, limit, needed)| {
            let share = |needed: f64| (needed > 0.0).then(|| limit / needed);
            let share = Ranged { mean: limit / needed.mean, low: needed.high.and_then(share), high: needed.low.and_then(share) };
            Reach { key, limit, share }
        })
        .collect()
}
