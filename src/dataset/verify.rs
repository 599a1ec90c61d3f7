//! Verifies a data set: manifest → index → row file → row digests, then replays every action against the corpus and compares byte for byte.
//!
//! Nothing is trusted that can be recomputed. Rows are replayed in small batches on all cores; memory is bounded by a batch, whatever the
//! size of the data set. All differences are counted; the first few are described with job, turn and a diff.

use std::collections::HashSet;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use corpus::{Browser, Corpus, ToolLimits};
use futures::stream::{self, StreamExt, TryStreamExt};
use model::layout::CampaignKeys;
use model::{Campaign, Digest, JobId, Manifest, ManifestShard, Observation, Row, RowFile, Selection, ShardIndex, Terminal};
use runtime::Archive;

use crate::DatasetError;
use crate::error::blocking;
use crate::rows::RowFileReader;

/// Rows replayed by one blocking task.
const BATCH_ROWS: usize = 32;
/// Differences that are described; all are counted.
const DESCRIBED_MAX: usize = 20;
/// Lines of a diff.
const DIFF_LINES_MAX: usize = 24;

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
    check_manifest(archive.as_ref(), &keys, campaign, manifest, &mut report).await?;
    let mut jobs = HashSet::new();
    for shard in &manifest.shards {
        report.shards += 1;
        let Some(index) = check_index(archive.as_ref(), &keys, manifest, shard, &mut report).await? else { continue };
        for (file, status) in [(&shard.accepted, Terminal::Accepted), (&shard.rejected, Terminal::Rejected)] {
            let Some(file) = file else { continue };
            let found = check_file(archive, &keys, manifest, &index, file, status, &corpus).await?;
            report.absorb(found);
            progress(report.rows);
        }
        for rank in &index.ranks {
            if !jobs.insert(rank.job.clone()) {
                report.differs(format!("job {}", rank.job), "it stands in two shards");
            }
        }
    }
    check_selection(manifest, &jobs, &mut report);
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

async fn check_manifest(
    archive: &dyn Archive,
    keys: &CampaignKeys,
    campaign: &Campaign,
    manifest: &Manifest,
    report: &mut VerifyReport,
) -> Result<(), DatasetError> {
    let counts = manifest.shards.iter().fold(model::Counts::default(), |mut sum, shard| {
        sum += shard.counts;
        sum
    });
    if counts != manifest.counts {
        report.differs("manifest", format!("its counts are {:?}, its shards add up to {counts:?}", manifest.counts));
    }
    let accounted = manifest.counts.total() + manifest.cancelled + manifest.outstanding;
    if accounted != manifest.planned {
        report.differs("manifest", format!("{accounted} jobs are accounted for, {} are planned", manifest.planned));
    }
    if manifest.uid != campaign.uid {
        report.differs("manifest", format!("it is of campaign uid {}, the frozen plan of {}", manifest.uid, campaign.uid));
    }
    let numbered = archive.get(&keys.dataset_number(manifest.number)).await?;
    let numbered = numbered.as_deref().map(serde_json::from_slice::<Manifest>);
    if !matches!(numbered, Some(Ok(ref numbered)) if numbered == manifest) {
        report.differs(keys.dataset_number(manifest.number), "the numbered manifest is missing or says something else");
    }
    for (name, digest) in &campaign.prompts {
        let text = archive.get(&keys.prompt(digest)).await?;
        if text.as_deref().map(Digest::of).as_ref() != Some(digest) {
            report.differs(keys.prompt(digest), format!("the prompt {name} is missing or changed"));
        }
    }
    Ok(())
}

async fn check_index(
    archive: &dyn Archive,
    keys: &CampaignKeys,
    manifest: &Manifest,
    shard: &ManifestShard,
    report: &mut VerifyReport,
) -> Result<Option<ShardIndex>, DatasetError> {
    let key = keys.index(&manifest.grade, shard.shard);
    let Some(bytes) = archive.get(&key).await? else {
        report.differs(key, "the index is missing");
        return Ok(None);
    };
    if Digest::of(&bytes) != shard.index {
        report.differs(&key, "it is not the index that was sealed; if jobs were retried since, seal again");
    }
    let index: ShardIndex = match serde_json::from_slice(&bytes) {
        Ok(index) => index,
        Err(error) => {
            report.differs(key, format!("it cannot be read: {error}"));
            return Ok(None);
        }
    };
    if (&index.accepted, &index.rejected, index.counts) != (&shard.accepted, &shard.rejected, shard.counts) {
        report.differs(key, "its files or counts are not those of the manifest");
    }
    Ok(Some(index))
}

async fn check_file(
    archive: &Arc<dyn Archive>,
    keys: &CampaignKeys,
    manifest: &Manifest,
    index: &ShardIndex,
    file: &RowFile,
    status: Terminal,
    corpus: &Corpus,
) -> Result<VerifyReport, DatasetError> {
    let key = format!("{}{}", keys.grade(&manifest.grade), file.path);
    let mut report = VerifyReport::default();
    let mut reader = match RowFileReader::open(archive.as_ref(), &key, file).await {
        Ok(reader) => reader,
        Err(error @ (DatasetError::Damaged { .. } | DatasetError::Missing { .. })) => {
            report.differs(key, error.to_string());
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    let expected: Arc<Vec<(u64, JobId, Option<Digest>)>> = Arc::new(
        index.ranks.iter().filter(|rank| rank.status == status).map(|rank| (rank.rank, rank.job.clone(), rank.row.clone())).collect(),
    );
    if expected.len() as u64 != file.rows {
        report.differs(&key, format!("the index lists {} rows, its file should have {}", expected.len(), file.rows));
    }
    let mut first = 0;
    let batches = std::iter::from_fn(|| {
        let batch = next_batch(&mut reader).transpose()?;
        let begin = first;
        first += batch.as_ref().map_or(0, Vec::len);
        Some(batch.map(|lines| (begin, lines)))
    });
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let found: Vec<VerifyReport> = stream::iter(batches)
        .map(|batch| {
            let (expected, corpus, key) = (Arc::clone(&expected), corpus.clone(), key.clone());
            async move {
                let (begin, lines) = batch?;
                blocking(move || Ok(check_rows(&lines, begin, &expected, &corpus, &key))).await
            }
        })
        .buffered(threads + 1)
        .try_collect()
        .await?;
    for part in found {
        report.absorb(part);
    }
    if report.rows != file.rows {
        report.differs(&key, format!("it has {} rows, the index says {}", report.rows, file.rows));
    }
    Ok(report)
}

fn next_batch(reader: &mut RowFileReader) -> Result<Option<Vec<String>>, DatasetError> {
    let mut lines = Vec::with_capacity(BATCH_ROWS);
    while lines.len() < BATCH_ROWS
        && let Some(line) = reader.next_line()?
    {
        lines.push(line);
    }
    Ok((!lines.is_empty()).then_some(lines))
}

fn check_rows(lines: &[String], begin: usize, expected: &[(u64, JobId, Option<Digest>)], corpus: &Corpus, key: &str) -> VerifyReport {
    let mut report = VerifyReport::default();
    for (offset, line) in lines.iter().enumerate() {
        report.rows += 1;
        let place = format!("{key}, row {}", begin + offset + 1);
        let row: Row = match serde_json::from_str(line) {
            Ok(row) => row,
            Err(error) => {
                report.differs(place, format!("it cannot be read: {error}"));
                continue;
            }
        };
        let digest = row.recompute_digest().ok();
        if digest.as_ref() != Some(&row.content_digest) {
            report.differs(&place, "its content is not what its digest says");
        }
        let says = (row.rank, row.job_id.clone(), Some(row.content_digest.clone()));
        if expected.get(begin + offset) != Some(&says) {
            report.differs(&place, format!("job {} is not the row that the index has in this place", row.job_id));
        }
        replay(&row, corpus, &mut report);
    }
    report
}

/// Carries out the row's actions again, thread by thread, and compares.
fn replay(row: &Row, corpus: &Corpus, report: &mut VerifyReport) {
    for (number, thread) in row.threads.iter().enumerate() {
        let mut browser = Browser::new(corpus.clone(), ToolLimits::default());
        for (turn_number, turn) in thread.turns.iter().enumerate() {
            let place = || format!("job {}, thread {number}, turn {turn_number}", row.job_id);
            if turn.actions.len() != turn.observations.len() {
                report.differs(place(), format!("{} actions and {} observations", turn.actions.len(), turn.observations.len()));
            }
            for (action, recorded) in turn.actions.iter().zip(&turn.observations) {
                let replayed = corpus::perform(&mut browser, action);
                report.observations += 1;
                report.observation_bytes += recorded.text.len() as u64;
                let recorded = Observation { extract: None, ..recorded.clone() };
                if replayed != recorded {
                    report.differs(format!("{}, {}", place(), action.tool), difference(&recorded, &replayed));
                }
            }
        }
        let is_answering = number + 1 == row.threads.len();
        if let Some(answer) = row.answer.as_deref().filter(|_| is_answering)
            && corpus::resolve_citations(&browser, answer) != row.citations
        {
            report.differs(format!("job {}", row.job_id), "its citations resolve otherwise");
        }
    }
}

fn difference(recorded: &Observation, replayed: &Observation) -> String {
    if recorded.text == replayed.text {
        return format!("the text is the same, but what is noted beside it differs: {recorded:?} became {replayed:?}");
    }
    let diff = similar::TextDiff::from_lines(&recorded.text, &replayed.text);
    let unified = diff.unified_diff().context_radius(1).header("recorded", "replayed").to_string();
    let mut lines: Vec<&str> = unified.lines().take(DIFF_LINES_MAX).collect();
    if unified.lines().count() > DIFF_LINES_MAX {
        lines.push("…");
    }
    format!("the observation differs\n{}", lines.join("\n"))
}

fn check_selection(manifest: &Manifest, jobs: &HashSet<JobId>, report: &mut VerifyReport) {
    if let Selection::BestOfSeed { jobs: selected } = &manifest.selection {
        for job in selected.iter().filter(|job| !jobs.contains(*job)) {
            report.differs(format!("job {job}"), "it is selected and stands in no shard");
        }
    }
}
