//! Verifies a data set: manifest → index → row file → row digests, then replays every action against the corpus and compares byte for byte.
//!
//! Nothing is trusted that can be recomputed: counts and sums from the rows, jobs from the frozen seeds, the manifest from the indexes. Memory
//! is bounded by a batch of rows and the ids of the jobs. All differences are counted; the first few are described with job, turn and a diff.

use std::path::Path;
use std::sync::Arc;

use corpus::Corpus;
use model::layout::CampaignKeys;
use model::{Campaign, Manifest, Terminal};
use runtime::Archive;

use crate::DatasetError;
use crate::error::blocking;

mod claims;
mod replay;
mod sealed;
#[cfg(test)]
mod tests;

/// Differences that are described; all are counted.
const DESCRIBED_MAX: usize = 20;

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    /// Shards checked.
    pub shards: u64,
    /// Rows checked.
    pub rows: u64,
    /// Observations replayed.
    pub observations: u64,
    /// Bytes of observations compared.
    pub observation_bytes: u64,
    /// Differences found; the data set is proven when there is none.
    pub differences: u64,
    /// The first of them.
    pub described: Vec<Difference>,
}

/// One thing that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Which object, or which job and turn.
    pub place: String,
    /// What differs, with a diff where texts do.
    pub what: String,
}

impl VerifyReport {
    fn differs(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.differences += 1;
        if self.described.len() < DESCRIBED_MAX {
            self.described.push(Difference { place: place.into(), what: what.into() });
        }
    }

    fn absorb(&mut self, other: Self) {
        self.shards += other.shards;
        self.rows += other.rows;
        self.observations += other.observations;
        self.observation_bytes += other.observation_bytes;
        self.differences += other.differences;
        let room = DESCRIBED_MAX.saturating_sub(self.described.len());
        self.described.extend(other.described.into_iter().take(room));
    }
}

/// Verifies `manifest` of `campaign` against the corpus snapshot in `corpus_directory`. `progress` is told the rows checked so far.
///
/// # Errors
/// When something cannot be read at all; what can be read and is wrong is a difference.
pub async fn verify(
    archive: &Arc<dyn Archive>,
    campaign: &Campaign,
    manifest: &Manifest,
    corpus_directory: &Path,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<VerifyReport, DatasetError> {
    let mut report = VerifyReport::default();
    let keys = CampaignKeys::new(&campaign.name);
    let Some(corpus) = check_corpus(corpus_directory, manifest, &mut report).await? else { return Ok(report) };
    sealed::check_manifest(archive.as_ref(), &keys, campaign, manifest, &mut report).await?;
    let ground = replay::Ground::new(corpus, &campaign.settings.recipe);
    let mut fold = sealed::Fold::new(archive.as_ref(), &keys, campaign, manifest, &mut report).await?;
    for shard in &manifest.shards {
        report.shards += 1;
        let Some(index) = fold.check_index(shard, &mut report).await? else { continue };
        let mut of_rows = model::shard::Sums { failed_by: index.sums.failed_by.clone(), ..Default::default() };
        let before = report.differences;
        for (file, status) in [(&index.accepted, Terminal::Accepted), (&index.rejected, Terminal::Rejected)] {
            let Some(file) = file else { continue };
            let (found, sums) = replay::check_file(archive, &keys, manifest, &index, file, status, &ground).await?;
            report.absorb(found);
            of_rows += &sums;
            progress(report.rows);
        }
        // An index from before recall was counted says nothing of it.
        if index.sums.gold_documents == 0 {
            of_rows = of_rows.without_recall();
        }
        // Where rows differ, their sums do too, and the rows say more.
        if report.differences == before && of_rows != index.sums {
            report.differs(format!("the index of shard {}", shard.shard), "its sums are not those of its rows");
        }
    }
    fold.finish(&mut report).await?;
    Ok(report)
}

/// Digests every file of the snapshot and opens it.
async fn check_corpus(directory: &Path, manifest: &Manifest, report: &mut VerifyReport) -> Result<Option<Corpus>, DatasetError> {
    let directory = directory.to_owned();
    let place = directory.display().to_string();
    let opened = blocking(move || {
        // Opening first: a snapshot of another index version is named as such before its bytes are compared.
        let corpus = Corpus::open(&directory).map_err(|error| DatasetError::damaged(&directory.display().to_string(), error))?;
        let verified = corpus::verify(&directory).map_err(|error| DatasetError::damaged(&directory.display().to_string(), error))?;
        Ok((corpus, verified))
    })
    .await;
    let (corpus, verified) = match opened {
        Ok(opened) => opened,
        Err(error @ DatasetError::Damaged { .. }) => {
            report.differs(place, error.to_string());
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    for problem in &verified.problems {
        report.differs(&place, problem.to_string());
    }
    if *corpus.id() != manifest.corpus_id {
        report.differs(place, format!("this is corpus {}, the data set was made from {}", corpus.id(), manifest.corpus_id));
        return Ok(None);
    }
    Ok(verified.problems.is_empty().then_some(corpus))
}
