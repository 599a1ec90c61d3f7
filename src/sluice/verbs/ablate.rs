//! `sluice ablate CAMPAIGN.toml GRID.toml`: variants of a campaign over the same seeds, each a campaign of its own, and how they compare.
//!
//! All variants are read, checked and compared with what the archive has of them before the first one runs. From then on everything is
//! resumable, as each of them is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coordinator::Differences;
use dataset::seeds::Seeds;
use dataset::{SealOptions, frozen};
use futures::StreamExt;
use model::written::CampaignFile;
use runtime::{Archive, Shutdown};

use crate::args::AblateArgs;
use crate::bootstrap::Bootstrap;
use crate::chosen::{self, Meanwhile};
use crate::comparison::{Against, Comparison, Line, SeedTally, line_of};
use crate::exit::{End, VerbError};
use crate::grid::{Grid, Resolved};
use crate::local::{self, LocalEnd};
use crate::place::{Loaded, archive_place};
use crate::tables;
use crate::voices::{self, Files};

/// A variant that did not stop by itself so long after it was asked to is given up; it can be continued like any killed run.
const GIVEN_UP: Duration = Duration::from_secs(5);
/// Ranges of differences hold 95 % of what they might have been.
const QUANTILES: (f64, f64) = (0.025, 0.975);
/// Folder of chosen seeds in a directory archive; its name begins with a dot, which no archive key does.
const CHOSEN: &str = ".ablate";

pub(crate) async fn run(args: AblateArgs) -> Result<End, VerbError> {
    let (name, mut all) = read(&args).await?;
    check_connections(&all).await?;
    let place = archive_place(all.first().and_then(|first| first.settings.campaign.archive.as_deref()))?;
    let archive = runtime::archive::connect(&place).await?;
    let meanwhile = Meanwhile::new()?;
    if let Some(count) = args.seeds {
        let to = seeds_file(&place, &name, count, &meanwhile)?;
        choose(&mut all, count, to).await?;
    }
    check_archive(archive.as_ref(), &all).await?;
    let shutdown = Shutdown::on_signals(GIVEN_UP)?;
    if run_all(&all, args.at_once.into(), &shutdown).await? == End::Interrupted {
        let (campaign, grid) = (args.campaign.display(), args.grid.display());
        eprintln!("interrupted: nothing that was paid for is lost");
        eprintln!("continue with the same command: sluice ablate {campaign} {grid} …");
        return Ok(End::Interrupted);
    }
    let comparison = tokio::select! {
        comparison = compare(&archive, &name, &all) => comparison?,
        () = shutdown.requested() => return Ok(End::Interrupted),
    };
    if args.json {
        super::print_json(&comparison)?;
    } else {
        super::print(&tables::comparison(&comparison))?;
    }
    let any = |is: fn(&Line) -> bool| comparison.variants.iter().any(is);
    Ok(match () {
        () if any(|line| line.outstanding > 0) => End::Interrupted,
        () if any(|line| line.counts.failed > 0) => End::WithFailures,
        () => End::Done,
    })
}

/// The campaign's name, and what each variant means.
async fn read(args: &AblateArgs) -> Result<(String, Vec<Resolved>), VerbError> {
    let text = |path: &Path, what: &str| {
        let shown = path.display();
        std::fs::read_to_string(path).map_err(|error| VerbError::Usage(format!("read the {what} {shown}: {error}")))
    };
    let (written, grid) = (text(&args.campaign, "campaign file")?, text(&args.grid, "grid")?);
    let unfit = |error: &dyn std::fmt::Display| VerbError::Usage(format!("use the campaign file {}:\n{error}", args.campaign.display()));
    // Read as it is first, so that what is wrong with it is told by its lines.
    let name = CampaignFile::parse(&written).map_err(|error| unfit(&error))?.campaign.name;
    let base: toml::Table = written.parse().map_err(|error: toml::de::Error| unfit(&error))?;
    let unfit = |error: &dyn std::fmt::Display| VerbError::Usage(format!("use the grid {}:\n{error}", args.grid.display()));
    let grid = Grid::parse(&grid).map_err(|error| unfit(&error))?;
    let folder = super::run::folder_of(&args.campaign)?;
    let mut all = grid.resolve(&base, &folder).map_err(|error| unfit(&error))?;
    if let Some(out) = &args.out {
        let out = if out.contains("://") { out.clone() } else { std::path::absolute(out)?.to_string_lossy().into_owned() };
        for Resolved { settings, .. } in &mut all {
            local::bring_corpus(settings).await?;
            settings.campaign.archive = Some(out.clone());
        }
    }
    Ok((name, all))
}

/// Keys, templates, tokenizers: whatever of the teachers and judges is wrong, of all variants at once.
async fn check_connections(all: &[Resolved]) -> Result<(), VerbError> {
    let mut problems = Vec::new();
    for Resolved { variant, settings } in all {
        let teachers = voices::connect(settings, Files::Here, None).await.map(|_| ());
        let judge = voices::connect_judge(settings, None).map(|_| ());
        for checked in [teachers, judge] {
            match checked {
                Ok(()) => {}
                Err(VerbError::Usage(problem)) => problems.push(format!("variant {}: {problem}", variant.name)),
                Err(error) => return Err(error),
            }
        }
    }
    told(problems)
}

fn told(problems: Vec<String>) -> Result<(), VerbError> {
    if problems.is_empty() { Ok(()) } else { Err(VerbError::Usage(format!("run the variants:\n{}", problems.join("\n")))) }
}

/// Where the chosen seeds stand: beside the variants, so that running again finds them under the same name; for an archive that is no
/// directory, aside.
fn seeds_file(place: &str, name: &str, count: u64, meanwhile: &Meanwhile) -> Result<PathBuf, VerbError> {
    let folder = if place.contains("://") { meanwhile.path().to_owned() } else { Path::new(place).join(CHOSEN) };
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{name}-{count}.jsonl")))
}

/// Lets all variants research the same `count` seeds.
async fn choose(all: &mut [Resolved], count: u64, to: PathBuf) -> Result<(), VerbError> {
    let Some(campaign) = all.first().map(|first| first.settings.campaign.clone()) else { return Ok(()) };
    let chosen = {
        let to = to.clone();
        super::blocking(move || chosen::spread(&campaign, count, &to)).await??
    };
    eprintln!("{} of {} seeds, spread evenly", chosen.chosen, chosen.usable);
    for Resolved { settings, .. } in all {
        settings.campaign.seeds = to.to_string_lossy().into_owned();
        settings.campaign.limit = None;
        settings.campaign.fields = BTreeMap::new();
    }
    Ok(())
}

/// What the archive has under the names of variants must be these variants.
async fn check_archive(archive: &dyn Archive, all: &[Resolved]) -> Result<(), VerbError> {
    let mut seeds = None;
    let mut problems = Vec::new();
    for Resolved { variant, settings } in all {
        let name = &settings.campaign.name;
        let Some(planned) = frozen::campaign(archive, name).await? else { continue };
        if seeds.is_none() {
            let file = Seeds::open(&settings.campaign.seeds, &settings.campaign.fields)?;
            seeds = Some(frozen::cut(file, settings.campaign.limit, |_, _| async { Ok(()) }).await?.digest);
        }
        let place = format!("variant {}: the archive {} has a campaign {name} that", variant.name, archive.place());
        let differences = Differences::between(&planned.settings.identity(), &settings.identity());
        if !differences.0.is_empty() {
            problems.push(format!("{place} differs in\n{differences}\n  restore these, or choose another name or --out"));
        }
        if seeds.as_ref() != Some(&planned.seeds) {
            problems.push(format!("{place} has other seeds; ask for as many as then, or choose another name or --out"));
        }
    }
    told(problems)
}

/// Runs what is not finished, `at_once` variants side by side.
async fn run_all(all: &[Resolved], at_once: usize, shutdown: &Shutdown) -> Result<End, VerbError> {
    let runs = all.iter().enumerate().map(|(n, resolved)| run_one(n + 1, all.len(), resolved, shutdown));
    let mut runs = futures::stream::iter(runs).buffer_unordered(at_once);
    let mut end = End::Done;
    while let Some(ended) = runs.next().await {
        if ended? == End::Interrupted {
            end = End::Interrupted;
        }
    }
    Ok(end)
}

/// Runs one variant to its end or to that of its budget. Of one that is finished nothing is left to do; it is only compared with its plan.
async fn run_one(n: usize, of: usize, resolved: &Resolved, shutdown: &Shutdown) -> Result<End, VerbError> {
    if shutdown.is_requested() {
        return Ok(End::Interrupted);
    }
    let Resolved { variant, settings } = resolved;
    eprintln!("[{n}/{of}] {}: {}", settings.campaign.name, variant.changes());
    let options = local::Options { seal: true, best_of_seed: false };
    let ended = tokio::select! {
        ended = local::run(settings.clone(), options) => ended.map_err(|error| error.of(&format!("variant {}", variant.name)))?,
        () = shutdown.expired() => return Ok(End::Interrupted),
    };
    Ok(match ended {
        LocalEnd::Interrupted { .. } => End::Interrupted,
        LocalEnd::Spent { is_late, outstanding, .. } => {
            let what = if is_late { "the time of this run is over" } else { "its budget is spent" };
            eprintln!("[{n}/{of}] {}: {what}; {outstanding} jobs are outstanding", settings.campaign.name);
            End::Done
        }
        LocalEnd::Sealed { .. } | LocalEnd::Finished => End::Done,
    })
}

/// Reads what came of all variants.
async fn compare(archive: &Arc<dyn Archive>, name: &str, all: &[Resolved]) -> Result<Comparison, VerbError> {
    let bootstrap_seed = all.first().map_or(0, |first| first.settings.campaign.seed);
    let bootstrap = Bootstrap::new(bootstrap_seed, QUANTILES.0, QUANTILES.1);
    let mut comparison = Comparison {
        campaign: name.to_owned(),
        archive: archive.place(),
        seeds: 0,
        bootstrap_seed,
        variants: Vec::with_capacity(all.len()),
    };
    let mut first: Option<Arc<Vec<SeedTally>>> = None;
    for Resolved { variant, settings } in all {
        let Loaded { campaign, grade, .. } = Loaded::of(archive, &settings.campaign.name).await?;
        // What a budget left undone is not waited for.
        let options = SealOptions { partial: true, best_of_seed: false };
        let manifest = dataset::seal(archive, &campaign, grade.digest(), &options).await?;
        let (line, seeds) = line_of(archive.as_ref(), &campaign, &manifest).await?;
        let against_first = match &first {
            Some(first) => {
                let (first, other) = (Arc::clone(first), seeds);
                Some(super::blocking(move || Against::of(&first, &other, bootstrap)).await?)
            }
            None => {
                comparison.seeds = campaign.plan.seeds;
                first = Some(Arc::new(seeds));
                None
            }
        };
        let json = |value: &toml::Value| serde_json::to_value(value).map_err(anyhow::Error::from);
        let changed = variant.set.iter().map(|(key, value)| Ok((key.clone(), json(value)?)));
        comparison.variants.push(Line {
            variant: variant.name.clone(),
            settings: changed.collect::<Result<_, anyhow::Error>>()?,
            without: variant.without.clone(),
            against_first,
            ..line
        });
    }
    Ok(comparison)
}
