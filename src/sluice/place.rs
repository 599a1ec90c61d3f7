//! Names of campaigns and data sets as people type them: a campaign's name with an archive, or a path or URL into one.

use std::sync::Arc;

use filter::Grade;
use model::{Campaign, Control, Manifest};
use runtime::Archive;

use crate::exit::VerbError;

/// A campaign as the archive has it, ready to be worked on.
pub(crate) struct Loaded {
    /// With all revisions applied to its settings.
    pub(crate) campaign: Arc<Campaign>,
    pub(crate) control: Control,
    pub(crate) grade: Arc<Grade>,
}

impl Loaded {
    /// The campaign `name` of `archive`.
    pub(crate) async fn of(archive: &Arc<dyn Archive>, name: &str) -> Result<Self, VerbError> {
        let campaign = dataset::frozen::campaign(archive.as_ref(), name).await?;
        let campaign = campaign
            .ok_or_else(|| VerbError::Usage(format!("find campaign {name}: the archive {} has none of that name", archive.place())))?;
        let control = dataset::frozen::control(archive.as_ref(), name).await?;
        let settings = campaign
            .effective_settings(&control)
            .map_err(|error| VerbError::unreachable(format!("read the settings of campaign {name}: {error}")))?;
        let rubric = crate::kept::rubric(&settings, archive.as_ref()).await?;
        let grade = Arc::new(Grade::new(&settings, rubric));
        Ok(Self { campaign: Arc::new(Campaign { settings, ..campaign }), control, grade })
    }
}

/// A campaign in an archive.
pub(crate) struct Place {
    pub(crate) archive: Arc<dyn Archive>,
    /// With all revisions applied to its settings.
    pub(crate) campaign: Arc<Campaign>,
    pub(crate) control: Control,
    pub(crate) grade: Arc<Grade>,
    /// Key of the manifest that was named, below the archive's root.
    manifest_key: String,
}

/// Variable that names the archive when nothing else does.
pub(crate) const ARCHIVE_VARIABLE: &str = "SLUICE_ARCHIVE";

/// The archive's place: as given, else from the environment.
pub(crate) fn archive_place(given: Option<&str>) -> Result<String, VerbError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    std::env::var(ARCHIVE_VARIABLE)
        .map_err(|_| VerbError::Usage(format!("find the archive: neither the campaign file, --archive nor {ARCHIVE_VARIABLE} names one")))
}

impl Place {
    /// Opens `named`: a campaign's folder in an archive, a manifest in it, or a campaign's name when `archive` or the environment names the archive.
    pub(crate) async fn open(named: &str, archive: Option<&str>) -> Result<Self, VerbError> {
        let (archive, name, manifest) = split(named, archive)?;
        let archive = open_existing(&archive).await?;
        let Loaded { campaign, control, grade } = Loaded::of(&archive, &name).await?;
        let folder = model::layout::CampaignKeys::new(&name);
        let manifest_key = manifest.map_or_else(|| folder.dataset(), |manifest| format!("{}/{manifest}", folder.root()));
        Ok(Self { archive, campaign, control, grade, manifest_key })
    }

    /// The manifest that was named, or the newest.
    pub(crate) async fn manifest(&self) -> Result<Manifest, VerbError> {
        Ok(dataset::rows::manifest_at(self.archive.as_ref(), &self.manifest_key).await?)
    }
}

/// An archive that must exist: a mistyped place is an error here, not a new archive.
pub(crate) async fn open_existing(place: &str) -> Result<Arc<dyn Archive>, VerbError> {
    if !place.contains("://") && !std::path::Path::new(place).join(model::layout::ARCHIVE).is_file() {
        return Err(VerbError::Usage(format!("open the archive {place}: there is none (no {} in it)", model::layout::ARCHIVE)));
    }
    Ok(runtime::archive::connect(place).await?)
}

/// (archive, campaign, manifest below the campaign's folder).
fn split(named: &str, archive: Option<&str>) -> Result<(String, String, Option<String>), VerbError> {
    let named = named.trim_end_matches('/');
    let inside = named.rsplit_once("/campaigns/").or_else(|| named.strip_prefix("campaigns/").map(|rest| (".", rest)));
    match inside {
        Some((root, rest)) => {
            let (name, manifest) = match rest.split_once('/') {
                Some((name, manifest)) => (name, Some(manifest.to_owned())),
                None => (rest, None),
            };
            Ok((root.to_owned(), name.to_owned(), manifest))
        }
        None if named.contains('/') => Err(VerbError::Usage(format!(
            "find a data set at {named}: expected <archive>/campaigns/<name>, a manifest in it, or a campaign's name"
        ))),
        None => Ok((archive_place(archive)?, named.to_owned(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_is_named_by_folder_manifest_or_name() {
        let of = |named: &str, archive| split(named, archive).expect("understood");
        assert_eq!(of("out/campaigns/a/", None), ("out".into(), "a".into(), None));
        assert_eq!(of("s3://b/p/campaigns/a/datasets/2.json", None), ("s3://b/p".into(), "a".into(), Some("datasets/2.json".into())));
        assert_eq!(of("campaigns/a", None), (".".into(), "a".into(), None));
        assert_eq!(of("a", Some("out")), ("out".into(), "a".into(), None));
        assert!(split("some/where", None).is_err());
    }
}
