//! The table of a plan: what a pilot cost, what one of its jobs comes to, and what all of them will.

use std::time::Duration;

use comfy_table::Table;
use model::Usage;

use super::{lines, row, table};
use crate::estimate::{Amounts, Estimate, PerJob, Ranged, Reach, Whole};
use crate::progress::duration;
use crate::verbs::plan::{Forecast, PilotReport};

/// Characters of a failure's message that are shown.
const MESSAGE_SHOWN: usize = 160;
/// Failed jobs that are shown one by one.
const FAILED_SHOWN_MAX: usize = 20;

/// What a campaign will come to.
pub(crate) fn forecast(forecast: &Forecast) -> String {
    let mut text = pilot(&forecast.pilot);
    if let Some(estimate) = &forecast.estimate {
        let Estimate { per_job, campaign, budget, .. } = estimate;
        text.push_str(&format!("\n\n{}\n\n{}", job(per_job), whole(forecast, campaign)));
        for reach in budget {
            text.push_str(&format!("\n{}", reached(reach)));
        }
    }
    if !forecast.notes.is_empty() {
        text.push('\n');
    }
    for note in &forecast.notes {
        text.push_str(&format!("\n· {note}"));
    }
    text
}

fn pilot(pilot: &PilotReport) -> String {
    let PilotReport { jobs, done, failed, seconds, spent, kept, .. } = pilot;
    let mut table = table();
    let failures = if failed.is_empty() { String::new() } else { format!(", {} of them failed", failed.len()) };
    row(&mut table, "pilot", format!("{done} of {jobs} jobs done{failures}, in {}", long(*seconds)));
    row(&mut table, "the pilot cost", spent.as_ref().map_or_else(|| "unknown".to_owned(), cost));
    if let Some(kept) = kept {
        row(&mut table, "kept in", kept);
    }
    let mut text = lines(&table);
    for job in failed.iter().take(FAILED_SHOWN_MAX) {
        let message: String = job.message.chars().take(MESSAGE_SHOWN).collect();
        text.push_str(&format!("\n  failed {} ({}): {message}", job.seed, job.kind));
    }
    if failed.len() > FAILED_SHOWN_MAX {
        text.push_str(&format!("\n  … and {} more", failed.len() - FAILED_SHOWN_MAX));
    }
    text
}

fn cost(spent: &Usage) -> String {
    let Usage { prompt_tokens, completion_tokens, calls, cost_micros } = spent;
    format!("{prompt_tokens} tokens in, {completion_tokens} out, {calls} calls{}", super::money(*cost_micros))
}

fn job(per_job: &PerJob) -> String {
    let PerJob { teacher, roles, judge, seconds, accepted, money_per_accepted } = per_job;
    let mut table = table();
    table.add_row(["a job", "mean", "range"]);
    amounts(&mut table, "", teacher);
    for (name, of_role) in roles {
        amounts(&mut table, &format!("{name}: "), of_role);
    }
    if let Some(judge) = judge {
        amounts(&mut table, "judge: ", judge);
    }
    if let Some(seconds) = seconds {
        ranged(&mut table, "seconds", *seconds, |seconds| format!("{seconds:.1}"));
    }
    ranged(&mut table, "accepted", *accepted, percent);
    match money_per_accepted {
        Some(money_each) => ranged(&mut table, "money an accepted row", *money_each, money),
        None if teacher.money.is_some() => row(&mut table, "money an accepted row", "nothing accepted"),
        None => {}
    }
    lines(&table)
}

fn whole(forecast: &Forecast, campaign: &Whole) -> String {
    let Whole { jobs, at_once, spent, accepted, hours, held_up_by, row_bytes, archive_bytes, queue_bytes } = campaign;
    let mut table = table();
    table.add_row(["the campaign".to_owned(), format!("{jobs} jobs"), format!("{} seeds × {} samples", forecast.seeds, forecast.samples)]);
    amounts(&mut table, "", spent);
    ranged(&mut table, "accepted rows", *accepted, amount);
    if let Some(hours) = hours {
        ranged(&mut table, "time", *hours, |hours| long(hours * 3600.0));
        let why = held_up_by.as_ref().map_or_else(
            || format!("{at_once} jobs at once, of teacher.concurrency {} × workers {}", forecast.concurrency, forecast.workers),
            |limit| format!("held up by {limit}, not by {at_once} jobs at once"),
        );
        row(&mut table, "", why);
    } else {
        row(&mut table, "time", "unknown");
    }
    row(&mut table, "sealed rows", bytes(*row_bytes));
    row(&mut table, "archive", format!("{} with trajectories and verdicts", bytes(*archive_bytes)));
    row(&mut table, "queue", format!("{} with all jobs in it", bytes(*queue_bytes)));
    lines(&table)
}

/// How far a limit of the budget goes.
fn reached(reach: &Reach) -> String {
    let Reach { key, limit, share } = reach;
    let range = match (share.low, share.high) {
        (Some(low), Some(high)) => format!(" ({}–{})", percent(low.min(1.0)), percent(high.min(1.0))),
        _ => String::new(),
    };
    if share.mean < 1.0 {
        format!("{key} {limit} is reached after about {} of the jobs{range}", percent(share.mean))
    } else if share.low.is_some_and(|low| low < 1.0) {
        format!("{key} {limit} may be reached: about {} of it would be spent", percent(1.0 / share.mean))
    } else {
        format!("{key} {limit} suffices: about {} of it would be spent", percent(1.0 / share.mean))
    }
}

fn amounts(table: &mut Table, of: &str, amounts: &Amounts) {
    ranged(table, &format!("{of}calls"), amounts.calls, amount);
    ranged(table, &format!("{of}tokens in"), amounts.prompt_tokens, amount);
    ranged(table, &format!("{of}tokens out"), amounts.completion_tokens, amount);
    if let Some(of_them) = amounts.money {
        ranged(table, &format!("{of}money"), of_them, money);
    }
}

fn ranged(table: &mut Table, name: &str, ranged: Ranged, shown: impl Fn(f64) -> String) {
    let range = match (ranged.low, ranged.high) {
        (Some(low), Some(high)) => format!("{}–{}", shown(low), shown(high)),
        (Some(low), None) => format!("{} and more", shown(low)),
        (None, _) => "–".to_owned(),
    };
    table.add_row([name.to_owned(), shown(ranged.mean), range]);
}

/// As many digits as an estimate deserves.
pub(super) fn amount(amount: f64) -> String {
    match amount {
        _ if amount >= 1e9 => format!("{:.2} G", amount / 1e9),
        _ if amount >= 1e6 => format!("{:.2} M", amount / 1e6),
        _ if amount >= 1000.0 => format!("{amount:.0}"),
        _ if amount >= 10.0 => format!("{amount:.1}"),
        _ => format!("{amount:.2}"),
    }
}

/// Four decimals of small sums, which tell single rows of a cheap model apart.
pub(super) fn money(money: f64) -> String {
    if money.abs() >= 100.0 { format!("{money:.2}") } else { format!("{money:.4}") }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn bytes(bytes: f64) -> String {
    match bytes {
        _ if bytes >= 1e12 => format!("{:.1} TB", bytes / 1e12),
        _ if bytes >= 1e9 => format!("{:.1} GB", bytes / 1e9),
        _ if bytes >= 1e6 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} kB", bytes / 1e3),
    }
}

/// Seconds as people say them; what no clock could count is only called long.
fn long(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "longer than a clock counts".to_owned(), duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::Bootstrap;
    use crate::estimate::{JobBytes, PilotJob, Planned};
    use crate::pilot::{FailedJob, PilotEnd};

    fn sample() -> Forecast {
        let usage = |calls: u64| Usage { prompt_tokens: 1000 * calls, completion_tokens: 50 * calls, calls, cost_micros: 500_000 * calls };
        let roles = [("planner", usage(1)), ("researcher", usage(9))];
        let job = |accepted| PilotJob { teacher: usage(10), roles: roles.into(), seconds: Some(36.0), accepted, ..PilotJob::default() };
        let planned = Planned {
            seeds: 1000,
            samples: 2,
            concurrency: 10,
            workers: 2,
            paces: Vec::new(),
            budget: model::settings::BudgetSettings { money_micros: Some(6_100_000_000), ..Default::default() },
            is_priced: true,
            bytes: JobBytes { row: 10_000.0, objects: 5000.0, message: 400.0 },
        };
        let failed = FailedJob { seed: "q-7".into(), kind: "bad_request".into(), message: "refused".into() };
        Forecast {
            campaign: "c".into(),
            seeds: 1000,
            unusable_seeds: 0,
            samples: 2,
            workers: 2,
            concurrency: 10,
            pilot: PilotReport {
                jobs: 3,
                done: 2,
                outstanding: 1,
                end: PilotEnd::Interrupted,
                seconds: 40.0,
                spent: Some(usage(21)),
                failed: vec![failed],
                kept: None,
            },
            estimate: Estimate::of(&[job(true), job(false)], &planned, Bootstrap::new(7, 0.1, 0.9)),
            notes: vec!["one thing".into()],
        }
    }

    #[test]
    fn a_forecast_tells_the_pilot_the_job_the_campaign_and_the_budget() {
        let text = forecast(&sample());
        for expected in [
            "2 of 3 jobs done, 1 of them failed, in 40 s",
            "21000 tokens in, 1050 out, 21 calls, 10.5000 in money",
            "failed q-7 (bad_request): refused",
            "researcher: calls",
            "50 %",
            "10.0000",
            "2000 jobs",
            "1000 seeds × 2 samples",
            "20.00 M",
            "1 h 00 min 00 s",
            "20 jobs at once, of teacher.concurrency 10 × workers 2",
            "30.0 MB with trajectories",
            "budget.money 6100 is reached after about 61 % of the jobs (61 %–61 %)",
            "· one thing",
        ] {
            assert!(text.contains(expected), "`{expected}` in\n{text}");
        }
        assert!(!text.contains("judge"), "{text}");
    }

    #[test]
    fn a_budget_that_suffices_or_might_not_is_told_so() {
        let of = |mean, low| reached(&Reach { key: "budget.calls", limit: 10.0, share: Ranged { mean, low: Some(low), high: Some(9.0) } });
        assert_eq!(of(2.0, 1.5), "budget.calls 10 suffices: about 50 % of it would be spent");
        assert_eq!(of(1.25, 0.9), "budget.calls 10 may be reached: about 80 % of it would be spent");
        assert_eq!(of(0.5, 0.4), "budget.calls 10 is reached after about 50 % of the jobs (40 %–100 %)");
    }

    #[test]
    fn without_a_job_there_is_the_pilot_alone() {
        let text = forecast(&Forecast { estimate: None, ..sample() });
        assert!(text.contains("pilot") && !text.contains("the campaign"), "{text}");
        assert_eq!(long(f64::MAX), "longer than a clock counts");
    }
}
