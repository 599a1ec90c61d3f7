//! `sluice run CAMPAIGN.toml`: reads and checks the configuration before anything is opened, then runs the campaign in this process.

use std::path::Path;

use model::Settings;
use model::written::CampaignFile;

use crate::args::RunArgs;
use crate::exit::{End, VerbError};
use crate::local::{self, LocalEnd};
use crate::tables;

pub(crate) async fn run(args: RunArgs) -> Result<End, VerbError> {
    let settings = read_settings(&args.campaign)?;
    if args.dump_config {
        let text = toml::to_string_pretty(&settings).map_err(anyhow::Error::from)?;
        super::print(text.trim_end())?;
        return Ok(End::Done);
    }
    let began = std::time::Instant::now();
    let options = local::Options { seal: !args.no_seal, best_of_seed: args.best_of_seed };
    match local::run(settings, options).await? {
        LocalEnd::Sealed { manifest, archive } => {
            if args.json {
                super::print_json(&*manifest)?;
            } else {
                super::print(&tables::closing(&manifest, &archive, Some(began.elapsed())))?;
            }
            Ok(if manifest.counts.failed > 0 { End::WithFailures } else { End::Done })
        }
        LocalEnd::Finished => {
            eprintln!("all jobs are terminal; seal them with `sluice seal`");
            Ok(End::Done)
        }
        LocalEnd::Spent { spent, is_late, outstanding } => {
            let model::Usage { prompt_tokens, completion_tokens, calls, cost_micros } = spent;
            let money = if cost_micros == 0 { String::new() } else { format!(", {:.4} in money", cost_micros as f64 / 1e6) };
            let what = if is_late { "the time of this run is over" } else { "the budget is spent" };
            eprintln!("paused: {what} ({prompt_tokens} tokens in, {completion_tokens} out, {calls} calls{money})");
            eprintln!("{outstanding} jobs are outstanding, and nothing that was paid for is lost");
            // Each run has its time anew.
            let first = if is_late { "" } else { "raise [budget] and " };
            eprintln!("{first}continue with: sluice run {}", args.campaign.display());
            Ok(End::Interrupted)
        }
        LocalEnd::Interrupted { outstanding } => {
            eprintln!("interrupted: {outstanding} jobs are outstanding, and nothing that was paid for is lost");
            eprintln!("continue with: sluice run {}", args.campaign.display());
            Ok(End::Interrupted)
        }
    }
}

/// Reads a campaign file and says what it means; all problems at once.
pub(crate) fn read_settings(path: &Path) -> Result<Settings, VerbError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| VerbError::Usage(format!("read the campaign file {shown}: {error}")))?;
    let folder = folder_of(path)?;
    let parsed = CampaignFile::parse(&text).and_then(|file| file.resolve(&folder));
    parsed.map_err(|error| VerbError::Usage(format!("use the campaign file {shown}:\n{error}")))
}

/// The folder of a campaign file, which its paths are taken from: absolute, so that what is frozen in the archive means the same from wherever
/// it is read.
pub(crate) fn folder_of(path: &Path) -> Result<std::path::PathBuf, VerbError> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    folder.canonicalize().map_err(|error| VerbError::Usage(format!("find the folder of {}: {error}", path.display())))
}
