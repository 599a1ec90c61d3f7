//! The campaign, and handing it to the cluster: at first, and again with further samples while there is little left to do.
//!
//! A submission that an outage spoils is made again until one succeeds, as a person would.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use super::fleet::{CONCURRENCY, Fleet};

/// The campaign's name.
pub(crate) const NAME: &str = "chaos";
/// Small shards, so that many are sealed while things fail.
const ROWS_PER_SHARD: u32 = 16;
/// Seeds of a campaign that grows.
const SEEDS: usize = 60;
/// A campaign grows no further: millions of jobs would prove no more.
const SAMPLES_MAX: u64 = 5_000;

/// How the campaign's questions are researched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Recipe {
    Browse,
    Decompose,
}

impl Recipe {
    /// Completions that one job may have in flight.
    pub(crate) fn at_once(self) -> u64 {
        match self {
            Self::Browse => 1,
            // So many subtasks a plan has by default.
            Self::Decompose => 6,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Browse => "browse",
            Self::Decompose => "decompose",
        }
    }
}

/// A campaign, and how much of it was submitted.
pub(crate) struct Submission {
    folder: PathBuf,
    seeds: usize,
    samples: u64,
    recipe: Recipe,
    teacher: String,
    under_way: Option<Child>,
    is_wanted: bool,
    may_grow: bool,
    /// Submissions that an outage spoilt.
    pub(crate) spoilt: u64,
}

impl Submission {
    /// A campaign of exactly so many `jobs`, or one that grows, in `folder`, for the teacher at a URL.
    pub(crate) fn new(folder: &Path, jobs: Option<usize>, recipe: Recipe, teacher: &str) -> Self {
        let seeds = jobs.unwrap_or(SEEDS);
        write_seeds(folder, seeds);
        let folder = folder.to_owned();
        let may_grow = jobs.is_none();
        Self { folder, seeds, samples: 0, recipe, teacher: teacher.to_owned(), under_way: None, is_wanted: false, may_grow, spoilt: 0 }
    }

    /// Submits the first sample and waits.
    pub(crate) fn first(&mut self, fleet: &Fleet) -> Result<(), String> {
        self.grow(1);
        let ran = fleet.command().args(["submit", "campaign.toml"]).output().map_err(|error| error.to_string())?;
        self.is_wanted = false;
        if ran.status.success() { Ok(()) } else { Err(said(&ran)) }
    }

    /// Adds a sample when less than one layer's worth is left.
    pub(crate) fn keep_busy(&mut self, outstanding: u64) {
        let is_idle = self.under_way.is_none() && !self.is_wanted;
        if self.may_grow && is_idle && outstanding < self.seeds as u64 && self.samples < SAMPLES_MAX {
            self.grow(self.samples + 1);
        }
    }

    /// Sees to it that what is wanted is submitted; to be called often. Returns whether nothing is left to submit.
    pub(crate) fn tend(&mut self, fleet: &Fleet) -> Result<bool, String> {
        if let Some(child) = &mut self.under_way {
            let Some(status) = child.try_wait().map_err(|error| error.to_string())? else { return Ok(false) };
            self.under_way = None;
            match status.code() {
                Some(0) => self.is_wanted = false,
                // A dependency was out of reach.
                Some(3) => self.spoilt += 1,
                code => return Err(format!("sluice submit ended with {code:?}; see logs/submit.log")),
            }
        }
        if !self.is_wanted {
            return Ok(true);
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("logs/submit.log"));
        let log = log.map_err(|error| error.to_string())?;
        let mut command = fleet.command();
        command.args(["submit", "campaign.toml"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.under_way = Some(command.spawn().map_err(|error| error.to_string())?);
        Ok(false)
    }

    fn grow(&mut self, samples: u64) {
        let examples = super::examples();
        let text = format!(
            "[campaign]\nname = \"{NAME}\"\nseeds = \"seeds.jsonl\"\nsamples_per_seed = {samples}\nseed = 7\nrows_per_shard = {ROWS_PER_SHARD}\n\
             [corpus]\npath = \"corpus\"\nsources = [\"{}/documents.jsonl\"]\n[recipe]\nkind = \"{}\"\nas_of = \"2026-01-01\"\n\
             [teacher]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"heuristic\"\nconcurrency = {CONCURRENCY}\n",
            examples.display(),
            self.recipe.name(),
            self.teacher
        );
        std::fs::write(self.folder.join("campaign.toml"), text).expect("a folder of our own");
        (self.samples, self.is_wanted) = (samples, true);
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        if let Some(mut child) = self.under_way.take() {
            // It may have ended meanwhile.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// What a program that failed said.
pub(crate) fn said(ran: &Output) -> String {
    format!("{}: {}{}", ran.status, String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

/// The example's questions over and over, each time under other ids.
fn write_seeds(folder: &Path, count: usize) {
    let text = std::fs::read_to_string(super::examples().join("seeds.jsonl")).expect("the example's seeds");
    let seeds: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("a seed")).collect();
    let mut lines = String::new();
    for number in 0..count {
        let mut seed = seeds[number % seeds.len()].clone();
        seed["id"] = format!("{}-{number}", seed["id"].as_str().expect("an id")).into();
        lines.push_str(&seed.to_string());
        lines.push('\n');
    }
    std::fs::write(folder.join("seeds.jsonl"), lines).expect("a folder of our own");
}
