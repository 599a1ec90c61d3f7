//! What is computed from a pilot whose numbers are small enough to be checked by hand.

use super::*;

fn usage(calls: u64, prompt: u64, completion: u64, micros: u64) -> Usage {
    Usage { calls, prompt_tokens: prompt, completion_tokens: completion, cost_micros: micros }
}

fn job(calls: u64, micros: u64, accepted: bool) -> PilotJob {
    PilotJob { teacher: usage(calls, 100 * calls, 10 * calls, micros), seconds: Some(calls as f64), accepted, ..PilotJob::default() }
}

fn planned() -> Planned {
    Planned {
        seeds: 1000,
        samples: 4,
        concurrency: 8,
        workers: 5,
        paces: Vec::new(),
        budget: BudgetSettings::default(),
        is_priced: true,
        bytes: JobBytes { row: 1000.0, objects: 500.0, message: 300.0 },
    }
}

fn estimate(jobs: &[PilotJob], planned: &Planned) -> Estimate {
    Estimate::of(jobs, planned, Bootstrap::new(7, 0.1, 0.9)).expect("jobs")
}

#[test]
fn a_job_s_mean_times_all_jobs_is_the_campaign() {
    let jobs = [job(10, 1_000_000, true), job(20, 3_000_000, false)];
    let found = estimate(&jobs, &planned());
    assert_eq!((found.per_job.teacher.calls.mean, found.per_job.teacher.prompt_tokens.mean), (15.0, 1500.0));
    assert_eq!((found.per_job.accepted.mean, found.per_job.seconds.map(|seconds| seconds.mean)), (0.5, Some(15.0)));
    let campaign = &found.campaign;
    assert_eq!((campaign.jobs, campaign.at_once), (4000, 40));
    assert_eq!((campaign.spent.calls.mean, campaign.accepted.mean), (60_000.0, 2000.0));
    assert_eq!(campaign.spent.money.map(|money| money.mean), Some(8000.0));
    // 4000 jobs of 15 s, 40 at once.
    assert!(campaign.hours.is_some_and(|hours| (hours.mean - 1500.0 / 3600.0).abs() < 1e-12));
    assert_eq!((campaign.row_bytes, campaign.archive_bytes, campaign.queue_bytes), (4e6, 6e6, 1.2e6));
    // Each draw of two is one of both, twice the one, or twice the other.
    assert_eq!((found.per_job.teacher.calls.low, found.per_job.teacher.calls.high), (Some(10.0), Some(20.0)));
}

#[test]
fn what_was_spent_for_nothing_is_paid_by_the_accepted_rows() {
    let jobs = [job(1, 1_000_000, true), job(1, 3_000_000, false)];
    let each = estimate(&jobs, &planned()).per_job.money_per_accepted.expect("one is accepted");
    assert_eq!((each.mean, each.low, each.high), (4.0, Some(1.0), None), "in a quarter of the draws none is accepted: nothing bounds it");
    assert_eq!(estimate(&[job(1, 5, false)], &planned()).per_job.money_per_accepted, None);
    let free = Planned { is_priced: false, ..planned() };
    let found = estimate(&jobs, &free);
    assert_eq!((found.per_job.money_per_accepted, found.campaign.spent.money), (None, None), "unknown is not 0");
}

#[test]
fn one_job_has_no_range_and_none_no_estimate() {
    let found = estimate(&[job(10, 0, true)], &planned());
    assert_eq!(found.per_job.teacher.calls, Ranged { mean: 10.0, low: None, high: None });
    assert_eq!(found.campaign.hours.map(|hours| hours.high), Some(None));
    assert_eq!(Estimate::of(&[], &planned(), Bootstrap::new(7, 0.1, 0.9)), None);
}

#[test]
fn roles_are_told_apart_where_there_are_several_and_the_judge_beside_them() {
    let with = |roles: &[(&'static str, u64)], judge| PilotJob {
        teacher: usage(12, 120, 12, 0),
        roles: roles.iter().map(|(name, calls)| (*name, usage(*calls, 0, 0, 0))).collect(),
        judge: usage(judge, 70, 7, 0),
        ..PilotJob::default()
    };
    let found = estimate(&[with(&[("planner", 2), ("researcher", 8)], 1), with(&[("researcher", 10)], 0)], &planned());
    let calls: Vec<(&str, f64)> = found.per_job.roles.iter().map(|(name, amounts)| (*name, amounts.calls.mean)).collect();
    assert_eq!(calls, [("planner", 1.0), ("researcher", 9.0)]);
    assert_eq!(found.per_job.judge.map(|judge| (judge.calls.mean, judge.money)), Some((0.5, None)));
    assert_eq!(found.campaign.spent.calls.mean, 12.5 * 4000.0, "the judge is paid too");
    assert!(estimate(&[with(&[("researcher", 12)], 0)], &planned()).per_job.roles.is_empty());
}

#[test]
fn a_budget_is_reached_after_its_share_of_the_jobs() {
    let budget = BudgetSettings { calls: Some(30_000), money_micros: Some(16_000_000_000), wall_s: Some(750), ..BudgetSettings::default() };
    let jobs = [job(10, 1_000_000, true), job(20, 3_000_000, false)];
    let found = estimate(&jobs, &Planned { budget, ..planned() }).budget;
    let shares: Vec<(&str, f64, f64)> = found.iter().map(|reach| (reach.key, reach.limit, reach.share.mean)).collect();
    assert_eq!(shares[..2], [("budget.calls", 30_000.0, 0.5), ("budget.money", 16_000.0, 2.0)]);
    assert!(shares[2].0 == "budget.wall_hours" && (shares[2].2 - 0.5).abs() < 1e-12, "{shares:?}");
    // Dear jobs reach it sooner.
    assert_eq!((found[0].share.low, found[0].share.high), (Some(0.375), Some(0.75)));
}

#[test]
fn a_limit_per_minute_that_is_slower_than_the_jobs_in_flight_decides_the_hours() {
    let with = |researcher, planner| PilotJob {
        teacher: usage(researcher + planner, 1000, 0, 0),
        roles: [("researcher", usage(researcher, 900, 0, 0)), ("planner", usage(planner, 100, 0, 0))].into(),
        seconds: Some(36.0),
        ..PilotJob::default()
    };
    let paces = |requests, tokens| {
        vec![
            Pace { table: "teacher".into(), role: None, requests_per_minute: Some(requests), tokens_per_minute: None },
            Pace { table: "teacher.planner".into(), role: Some("planner"), requests_per_minute: None, tokens_per_minute: Some(tokens) },
        ]
    };
    let of = |requests, tokens| {
        let found = estimate(&[with(8, 2), with(8, 2)], &Planned { paces: paces(requests, tokens), ..planned() }).campaign;
        (found.hours.map(|hours| (hours.mean * 1000.0).round() / 1000.0), found.held_up_by)
    };
    // 4000 jobs of 36 s, 40 at once: an hour.
    assert_eq!(of(1_000_000, 1_000_000), (Some(1.0), None));
    // 32,000 completions of the researcher, 100 a minute.
    assert_eq!(of(100, 1_000_000), (Some(5.333), Some("teacher.requests_per_minute".into())));
    // 400,000 tokens of the planner, 1,000 a minute.
    assert_eq!(of(1_000_000, 1000), (Some(6.667), Some("teacher.planner.tokens_per_minute".into())));
}
