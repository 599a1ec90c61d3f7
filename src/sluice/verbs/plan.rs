//! `sluice plan CAMPAIGN.toml`: a pilot of a few jobs, and from it what the whole campaign will come to. Of the campaign nothing is created.

use std::path::{Path, PathBuf};
use std::time::Instant;

use model::settings::{HttpSettings, JudgeKind, TeacherKind, TeacherSettings};
use model::{Price, Settings, Usage};
use serde::Serialize;

use crate::args::PlanArgs;
use crate::bootstrap::Bootstrap;
use crate::chosen::{self, Chosen, Meanwhile};
use crate::estimate::{Estimate, FEW, JUDGE, Pace, Planned};
use crate::exit::{End, VerbError};
use crate::pilot::{self, FailedJob, PilotEnd, Seen};
use crate::{local, tables};

/// Ranges hold the middle eight tenths of what the mean might have been.
const QUANTILES: (f64, f64) = (0.1, 0.9);

/// A pilot and what follows from it.
#[derive(Debug, Serialize)]
pub(crate) struct Forecast {
    pub(crate) campaign: String,
    pub(crate) seeds: u64,
    pub(crate) unusable_seeds: u64,
    pub(crate) samples: u32,
    pub(crate) workers: u32,
    pub(crate) concurrency: u32,
    pub(crate) pilot: PilotReport,
    /// Absent where no job of the pilot was done.
    pub(crate) estimate: Option<Estimate>,
    /// What a reader has to know to take the numbers for what they are.
    pub(crate) notes: Vec<String>,
}

/// What the pilot was, and what it cost.
#[derive(Debug, Serialize)]
pub(crate) struct PilotReport {
    pub(crate) jobs: u64,
    pub(crate) done: usize,
    pub(crate) outstanding: u64,
    pub(crate) end: PilotEnd,
    pub(crate) seconds: f64,
    pub(crate) spent: Option<Usage>,
    pub(crate) failed: Vec<FailedJob>,
    /// Where its archive is, where it was to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<String>,
}

pub(crate) async fn run(args: PlanArgs) -> Result<End, VerbError> {
    let mut settings = super::run::read_settings(&args.campaign)?;
    local::bring_corpus(&mut settings).await?;
    let meanwhile = Meanwhile::new()?;
    let folder = match &args.keep {
        Some(kept) => std::path::absolute(kept)?,
        None => meanwhile.path().to_owned(),
    };
    let seeds = meanwhile.path().join("seeds.jsonl");
    let chosen = {
        let (campaign, to, count) = (settings.campaign.clone(), seeds.clone(), args.pilot);
        super::blocking(move || chosen::spread(&campaign, count, &to)).await??
    };
    let trial = pilot::settings_of(&settings, &folder, &seeds);
    say(&settings, chosen, &args, &folder);
    let began = Instant::now();
    let name = trial.campaign.name.clone();
    let end = pilot::run(trial).await?;
    let seconds = began.elapsed().as_secs_f64();
    let seen = match folder.join(model::layout::ARCHIVE).is_file() {
        true => pilot::read(&folder.to_string_lossy(), &name).await?,
        // Stopped before its archive was made.
        false => Seen::default(),
    };
    let forecast = forecast(&settings, chosen, &args, seen, end, seconds);
    if args.json {
        super::print_json(&forecast)?;
    } else {
        super::print(&tables::forecast(&forecast))?;
    }
    Ok(match (end, forecast.pilot.failed.is_empty()) {
        (PilotEnd::Interrupted, _) => End::Interrupted,
        (_, false) => End::WithFailures,
        (PilotEnd::Finished | PilotEnd::Spent | PilotEnd::Late, true) => End::Done,
    })
}

/// Says what is about to be done, before anything is asked of anybody.
fn say(settings: &Settings, chosen: Chosen, args: &PlanArgs, folder: &Path) {
    let Chosen { usable, chosen, .. } = chosen;
    let at_once = chosen.min(settings.teacher.concurrency.into());
    let campaign = &settings.campaign.name;
    eprintln!("pilot of {campaign}: {chosen} of {usable} seeds, spread evenly, one sample each, {at_once} at once");
    for (table, teacher) in teachers(settings) {
        eprintln!("  {table}: {}", asked(&teacher.model, &teacher.kind));
    }
    if let JudgeKind::Http { http, model, .. } = &settings.judge.kind {
        eprintln!("  judge: {model} at {}", http.endpoints.join(", "));
    }
    let kept = if args.keep.is_some() { "kept" } else { "removed at the end" };
    eprintln!(
        "  archive: {} ({kept}); of {campaign} itself nothing is created but its corpus, where that is not built yet",
        folder.display()
    );
}

fn asked(model: &str, kind: &TeacherKind) -> String {
    match kind {
        TeacherKind::Http(http) => format!("{model} at {}", http.endpoints.join(", ")),
        TeacherKind::Heuristic => "the heuristic teacher, which is no model: a rehearsal".to_owned(),
        TeacherKind::Scripted { script } => format!("the script {script}"),
    }
}

/// Each teacher with its table in the campaign file.
fn teachers(settings: &Settings) -> Vec<(String, &TeacherSettings)> {
    let roles = settings.teacher.roles.named().map(|(name, role)| (format!("teacher.{name}"), role));
    std::iter::once(("teacher".to_owned(), &settings.teacher)).chain(roles).collect()
}

/// What each model costs, with its table.
fn prices(settings: &Settings) -> Vec<(String, Option<Price>)> {
    let mut prices: Vec<(String, Option<Price>)> = teachers(settings).into_iter().map(|(table, teacher)| (table, teacher.price)).collect();
    if let JudgeKind::Http { price, .. } = &settings.judge.kind {
        prices.push((JUDGE.to_owned(), *price));
    }
    prices
}

fn forecast(settings: &Settings, chosen: Chosen, args: &PlanArgs, seen: Seen, end: PilotEnd, seconds: f64) -> Forecast {
    let Seen { jobs, failed, outstanding, spent, bytes } = seen;
    let planned = Planned {
        seeds: chosen.usable,
        samples: settings.campaign.samples_per_seed,
        concurrency: settings.teacher.concurrency,
        workers: args.workers,
        paces: paces(settings),
        budget: settings.budget,
        is_priced: prices(settings).iter().any(|(_, price)| price.is_some()),
        bytes,
    };
    let bootstrap = Bootstrap::new(settings.campaign.seed, QUANTILES.0, QUANTILES.1);
    // Of failures alone nothing can be learnt.
    let all_failed = failed.len() == jobs.len();
    let estimate = if all_failed { None } else { Estimate::of(&jobs, &planned, bootstrap) };
    let pilot = PilotReport {
        jobs: chosen.chosen,
        done: jobs.len(),
        outstanding,
        end,
        seconds,
        spent,
        failed,
        kept: args.keep.as_ref().map(|kept: &PathBuf| kept.display().to_string()),
    };
    let notes = notes(settings, chosen, &pilot, estimate.as_ref());
    Forecast {
        campaign: settings.campaign.name.clone(),
        seeds: chosen.usable,
        unusable_seeds: chosen.unusable,
        samples: planned.samples,
        workers: planned.workers,
        concurrency: planned.concurrency,
        pilot,
        estimate,
        notes,
    }
}

/// The limits per minute of all teachers, and of a model judge. A role without a teacher of its own takes from the researcher's.
fn paces(settings: &Settings) -> Vec<Pace> {
    let limits = |teacher: &TeacherSettings| match &teacher.kind {
        TeacherKind::Http(HttpSettings { requests_per_minute, tokens_per_minute, .. }) => (*requests_per_minute, *tokens_per_minute),
        TeacherKind::Heuristic | TeacherKind::Scripted { .. } => (None, None),
    };
    let of = |table: String, role, teacher| {
        let (requests_per_minute, tokens_per_minute) = limits(teacher);
        Pace { table, role, requests_per_minute, tokens_per_minute }
    };
    let roles = settings.teacher.roles.named().map(|(name, role)| of(format!("teacher.{name}"), Some(name), role));
    let judge = match &settings.judge.kind {
        JudgeKind::Http { http, .. } => Some(Pace {
            table: JUDGE.to_owned(),
            role: Some(JUDGE),
            requests_per_minute: http.requests_per_minute,
            tokens_per_minute: http.tokens_per_minute,
        }),
        JudgeKind::Lexical | JudgeKind::Off => None,
    };
    std::iter::once(of("teacher".to_owned(), None, &settings.teacher)).chain(roles).chain(judge).collect()
}

fn notes(settings: &Settings, chosen: Chosen, pilot: &PilotReport, estimate: Option<&Estimate>) -> Vec<String> {
    let mut notes = Vec::new();
    match pilot.end {
        PilotEnd::Finished => {}
        PilotEnd::Interrupted => notes
            .push(format!("the pilot was interrupted with {} jobs outstanding; those that are done are the quick ones", pilot.outstanding)),
        PilotEnd::Spent => notes.push(format!("the pilot alone spent the budget, with {} of its jobs outstanding", pilot.outstanding)),
        PilotEnd::Late => notes.push(format!(
            "the pilot alone took longer than budget.wall_hours, with {} of its jobs outstanding; those that are done are the quick ones",
            pilot.outstanding
        )),
    }
    let Some(estimate) = estimate else {
        notes.push(match pilot.done {
            0 => "no job of the pilot is done: there is nothing to estimate from".to_owned(),
            _ => "every job of the pilot failed: mend that first, there is nothing to estimate from".to_owned(),
        });
        return notes;
    };
    let (lower, upper) = (QUANTILES.0 * 100.0, QUANTILES.1 * 100.0);
    notes.push(match pilot.done {
        1 => "of one job there is no range: try more with --pilot".to_owned(),
        done => {
            let few = if done < FEW { ", and of so few jobs hardly more than guesses: try more with --pilot" } else { "" };
            let draws = Bootstrap::draws(done);
            format!(
                "ranges are {lower:.0}–{upper:.0} % of the mean over {done} jobs (bootstrap, {draws} draws, seed {}){few}",
                estimate.bootstrap_seed
            )
        }
    });
    let prices = prices(settings);
    let unpriced: Vec<&str> = prices.iter().filter(|(_, price)| price.is_none()).map(|(table, _)| table.as_str()).collect();
    if unpriced.len() == prices.len() {
        notes.push("money is unknown: give teacher.price = { prompt = …, completion = … }, in money per million tokens".to_owned());
    } else if !unpriced.is_empty() {
        notes.push(format!("money is too low: there is no price in {}", unpriced.join(", ")));
    }
    let at_once = chosen.chosen.min(settings.teacher.concurrency.into());
    if estimate.campaign.at_once > at_once {
        let all = estimate.campaign.at_once;
        notes.push(format!(
            "seconds are those of {at_once} jobs at once: whether servers answer {all} at once as fast the pilot does not say"
        ));
    }
    if let Some(first) = settings.campaign.samples_first {
        notes.push(format!("all samples are counted: with samples_first = {first} seeds that are all right or all wrong get fewer"));
    }
    if chosen.unusable > 0 {
        notes.push(format!(
            "{} lines of the seeds cannot be researched: their jobs fail at no cost and are not counted here",
            chosen.unusable
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::PilotJob;

    fn settings(more: &str) -> Settings {
        let text = format!(
            "[campaign]\nname = \"a\"\nseeds = \"s.csv\"\nsamples_per_seed = 4\nsamples_first = 2\nseed = 7\n[corpus]\npath = \"c\"\n\
             [recipe]\nkind = \"decompose\"\n[teacher]\nkind = \"http\"\nendpoints = [\"http://a/v1\"]\nmodel = \"m\"\nconcurrency = 32\n{more}"
        );
        let file = model::written::CampaignFile::parse(&text).expect("well-formed");
        file.resolve(Path::new("/base")).expect("valid")
    }

    fn forecast_of(settings: &Settings, jobs: usize, end: PilotEnd) -> Forecast {
        let args = PlanArgs { campaign: "a.toml".into(), pilot: 10, workers: 2, keep: None, json: false };
        let job = PilotJob { teacher: Usage { calls: 3, cost_micros: 5, ..Usage::default() }, seconds: Some(2.0), ..PilotJob::default() };
        let seen = Seen { jobs: vec![job; jobs], outstanding: 10 - jobs as u64, ..Seen::default() };
        forecast(settings, Chosen { usable: 100, unusable: 3, chosen: 10 }, &args, seen, end, 1.0)
    }

    #[test]
    fn a_reader_is_told_how_far_the_numbers_can_be_trusted() {
        let found = forecast_of(&settings(""), 4, PilotEnd::Interrupted);
        let notes = found.notes.join("\n");
        for expected in [
            "interrupted with 6 jobs",
            "hardly more than guesses",
            "seed 7",
            "teacher.price = {",
            "64 at once",
            "samples_first = 2",
            "3 lines",
        ] {
            assert!(notes.contains(expected), "`{expected}` in {notes}");
        }
        assert_eq!(found.estimate.expect("four jobs").campaign.spent.money, None);
        let found = forecast_of(&settings(""), 0, PilotEnd::Interrupted);
        assert!(found.estimate.is_none() && found.notes.join("\n").contains("nothing to estimate from"));
    }

    #[test]
    fn a_price_that_is_missing_for_one_role_is_named() {
        let more = "price = { prompt = 1.0, completion = 2.0 }\n[teacher.planner]\nmodel = \"n\"\nrequests_per_minute = 9\n";
        let settings = settings(more);
        let found = forecast_of(&settings, 10, PilotEnd::Finished);
        let notes = found.notes.join("\n");
        assert!(notes.contains("money is too low: there is no price in teacher.planner") && !notes.contains("guesses"), "{notes}");
        assert!(found.estimate.expect("ten jobs").campaign.spent.money.is_some());
        let paces: Vec<(String, Option<u64>)> = paces(&settings).into_iter().map(|pace| (pace.table, pace.requests_per_minute)).collect();
        assert_eq!(paces, [("teacher".into(), None), ("teacher.planner".into(), Some(9))]);
    }
}
