//! `sluice status NAME`

use filter::Grade;

use crate::args::CampaignArgs;
use crate::exit::{End, VerbError};
use crate::place::Place;
use crate::tables;

pub(crate) async fn run(args: CampaignArgs) -> Result<End, VerbError> {
    let place = Place::open(&args.name, args.archive.as_deref()).await?;
    let grade = Grade::new(&place.settings, rubric(&place.settings)?);
    let progress = coordinator::progress(place.archive.as_ref(), &place.campaign, grade.digest()).await?;
    if args.json {
        super::print_json(&progress)?;
    } else {
        super::print(&tables::progress(&progress))?;
    }
    Ok(End::Done)
}

/// The judge's own rubric, where the settings name one.
pub(crate) fn rubric(settings: &model::Settings) -> Result<Option<String>, VerbError> {
    let model::settings::JudgeKind::Http { rubric: Some(path), .. } = &settings.judge.kind else { return Ok(None) };
    let text =
        std::fs::read_to_string(path).map_err(|error| VerbError::Usage(format!("read the rubric {path} (judge.rubric): {error}")))?;
    Ok(Some(text))
}
