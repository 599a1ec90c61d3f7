//! Arguments of `plan` and `ablate`: trials before a campaign, and of its settings.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Arguments of `plan`.
#[derive(Debug, ClapArgs)]
pub(crate) struct PlanArgs {
    /// The campaign file.
    pub(crate) campaign: PathBuf,
    /// How many jobs are tried, of seeds spread evenly over all, one sample each.
    #[arg(long, default_value_t = 10, value_name = "JOBS", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) pilot: u64,
    /// Workers that the campaign will have: with the concurrency of its teacher they decide the hours.
    #[arg(long, default_value_t = 1, value_name = "WORKERS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) workers: u32,
    /// Keep the pilot's archive, in this folder. Default: a temporary one, removed at the end.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Print the estimate as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `ablate`.
#[derive(Debug, ClapArgs)]
pub(crate) struct AblateArgs {
    /// The campaign file that all variants begin with.
    pub(crate) campaign: PathBuf,
    /// The grid: `[grid]` with dotted keys of the campaign file and lists of values, `[[variant]]` tables with a name and keys of their own.
    pub(crate) grid: PathBuf,
    /// Research only so many seeds, spread evenly over all. Default: all.
    #[arg(long, value_name = "SEEDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: Option<u64>,
    /// The archive that the variants are kept in. Default: that of the campaign file.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<String>,
    /// Variants that are run at once, each with the campaign file's own concurrency.
    #[arg(
        long = "variants-at-once",
        alias = "jobs-at-once",
        default_value_t = 1,
        value_name = "VARIANTS",
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    pub(crate) at_once: u16,
    /// Print the comparison as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
