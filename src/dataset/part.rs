//! A shard's rows and its index: the only writer of rows.
//!
//! Row files are content-addressed and the index, written last, decides: rows count only through it. Two workers that seal one shard write
//! equal files, or files of which exactly one pair is named by the index that stands. Running it again, or dying in it anywhere, is harmless.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use model::layout::{CampaignKeys, job_of_key};
use model::shard::Sums;
use model::{Campaign, Counts, Digest, Ended, JobId, RankStatus, Row, RowFile, ShardIndex, Terminal, VerdictObject};
use runtime::{Archive, failpoint};

use crate::error::blocking;
use crate::frozen::{FrozenSeeds, json_bytes};
use crate::{DatasetError, spared, tally};

/// zstd level of row files: read often, written once.
const LEVEL: i32 = 6;

/// The kind of failure of a job whose verdict object cannot be read.
const VERDICT_DAMAGED: &str = "verdict_damaged";

/// The terminal jobs of a shard, as a listing of the archive shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Jobs with a verdict.
    pub verdicts: BTreeSet<JobId>,
    /// Jobs that failed for good, in synthesis or under this grade, and have no verdict: a verdict always wins.
    pub ended: BTreeSet<JobId>,
    /// Jobs that are spared, and have no verdict and did not fail.
    pub spared: BTreeSet<JobId>,
}

impl Listing {
    /// Lists shard `shard`.
    ///
    /// # Errors
    /// When the archive fails.
    pub async fn of(archive: &dyn Archive, keys: &CampaignKeys, grade: &Digest, shard: u64) -> Result<Self, DatasetError> {
        let jobs =
            |listed: Vec<runtime::archive::Listed>| listed.iter().filter_map(|object| job_of_key(&object.key)).collect::<BTreeSet<_>>();
        let verdicts = jobs(archive.list(&keys.verdicts(grade, shard)).await?);
        let mut ended = jobs(archive.list(&keys.ended_folder(shard)).await?);
        ended.extend(jobs(archive.list(&keys.grade_ended_folder(grade, shard)).await?));
        ended.retain(|job| !verdicts.contains(job));
        let mut spared = spared::read(archive, keys, shard).await?.map(|spared| BTreeSet::from_iter(spared.jobs)).unwrap_or_default();
        spared.retain(|job| !verdicts.contains(job) && !ended.contains(job));
        Ok(Self { verdicts, ended, spared })
    }

    /// Number of terminal jobs.
    pub fn terminal(&self) -> u64 {
        (self.verdicts.len() + self.ended.len() + self.spared.len()) as u64
    }

    /// Whether `index` says the same. A verdict that could not be read is listed like any other, and stands on record as failed.
    pub fn agrees_with(&self, index: &ShardIndex) -> bool {
        let of = |wanted: fn(Terminal) -> bool| {
            index.ranks.iter().filter(|rank| wanted(rank.status)).map(|rank| rank.job.clone()).collect::<BTreeSet<_>>()
        };
        let graded = of(|status| matches!(status, Terminal::Accepted | Terminal::Rejected));
        let mut damaged = of(|status| status == Terminal::Failed);
        let has_all_ended = self.ended.iter().all(|job| damaged.remove(job));
        let on_record = index.sums.failed_by.get(VERDICT_DAMAGED).copied().unwrap_or_default();
        of(|status| status == Terminal::Spared) == self.spared
            && has_all_ended
            && damaged.len() as u64 == on_record
            && graded.union(&damaged).eq(&self.verdicts)
    }
}

/// The shard's index as it stands; `None` when there is none or it cannot be read (then it is to be written again).
///
/// # Errors
/// When the archive fails.
pub async fn read_index(
    archive: &dyn Archive,
    keys: &CampaignKeys,
    grade: &Digest,
    shard: u64,
) -> Result<Option<(ShardIndex, Digest)>, DatasetError> {
    let key = keys.index(grade, shard);
    let Some(bytes) = archive.get(&key).await? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(index) => Ok(Some((index, Digest::of(&bytes)))),
        Err(error) => {
            tracing::warn!(key, %error, "a shard's index cannot be read and will be written again");
            Ok(None)
        }
    }
}

/// The index that stands, when nothing is to be written anew: it says what `listing` says, its copy is whole, and what it calls damaged
/// still is.
///
/// # Errors
/// When the archive fails.
pub async fn standing(
    archive: &dyn Archive,
    keys: &CampaignKeys,
    grade: &Digest,
    shard: u64,
    listing: &Listing,
) -> Result<Option<(ShardIndex, Digest)>, DatasetError> {
    let Some((index, digest)) = read_index(archive, keys, grade, shard).await? else { return Ok(None) };
    if !listing.agrees_with(&index) {
        return Ok(None);
    }
    let kept = archive.get(&keys.kept_index(grade, shard, &digest)).await?;
    if kept.as_deref().map(Digest::of).as_ref() != Some(&digest) {
        return Ok(None);
    }
    for rank in index.ranks.iter().filter(|rank| rank.status == Terminal::Failed && listing.verdicts.contains(&rank.job)) {
        let object = archive.get(&keys.verdict(grade, shard, &rank.job)).await?;
        if object.is_some_and(|object| row_of(&object, grade, rank.rank, &rank.job).is_ok()) {
            return Ok(None);
        }
    }
    Ok(Some((index, digest)))
}

/// Writes the shard's rows and index from the verdicts and ended jobs that `listing` names; returns the index and its digest.
///
/// # Errors
/// When the archive fails. A verdict object that cannot be read costs its own job only.
pub async fn write(
    archive: &Arc<dyn Archive>,
    campaign: &Campaign,
    grade: &Digest,
    shard: u64,
    listing: &Listing,
) -> Result<(ShardIndex, Digest), DatasetError> {
    let keys = CampaignKeys::new(&campaign.name);
    let mut draft = Draft::new();
    for (rank, job) in FrozenSeeds::new(archive.as_ref(), &campaign.name).jobs(campaign, shard).await? {
        if listing.verdicts.contains(&job) {
            let key = keys.verdict(grade, shard, &job);
            let hint = "it was listed a moment ago; seal again";
            let bytes = archive.get(&key).await?.ok_or(DatasetError::Missing { key: key.clone(), hint })?;
            let grade = grade.clone();
            draft = blocking(move || match row_of(&bytes, &grade, rank, &job) {
                Ok(row) => draft.add_row(&key, row),
                Err(reason) => {
                    tracing::error!(key, job.id = %job, reason, "a verdict cannot be read and its job counts as failed; delete the object and run the campaign again to grade it anew");
                    Ok(draft.add_failed(rank, job, VERDICT_DAMAGED.to_owned()))
                }
            })
            .await?;
        } else if listing.ended.contains(&job) {
            let kind = failed_kind(archive.as_ref(), &keys, grade, shard, &job).await?;
            draft = draft.add_failed(rank, job, kind);
        } else if listing.spared.contains(&job) {
            draft = draft.add_spared(rank, job);
        }
    }
    let Finished { accepted, rejected, ranks, counts, sums } = blocking(move || draft.finish()).await?;
    failpoint::hit("part.before_rows");
    let accepted = put_rows(archive.as_ref(), &keys, grade, shard, true, accepted).await?;
    failpoint::hit("part.between_rows");
    let rejected = put_rows(archive.as_ref(), &keys, grade, shard, false, rejected).await?;
    failpoint::hit("part.before_index");
    let index = ShardIndex {
        schema_version: model::trajectory::SCHEMA_VERSION,
        uid: campaign.uid.clone(),
        grade: grade.clone(),
        shard,
        ranks,
        accepted,
        rejected,
        counts,
        sums,
    };
    let key = keys.index(grade, shard);
    let bytes = json_bytes(&key, &index)?;
    let digest = Digest::of(&bytes);
    // The copy first: an index that stands without one was not written by us.
    archive.put(&keys.kept_index(grade, shard, &digest), bytes.clone()).await?;
    archive.put(&key, bytes).await?;
    failpoint::hit("part.after_index");
    Ok((index, digest))
}

/// Why `job` failed. What grading says comes after what synthesis said.
async fn failed_kind(archive: &dyn Archive, keys: &CampaignKeys, grade: &Digest, shard: u64, job: &JobId) -> Result<String, DatasetError> {
    let mut bytes = archive.get(&keys.grade_ended(grade, shard, job)).await?;
    if bytes.is_none() {
        bytes = archive.get(&keys.ended(shard, job)).await?;
    }
    let ended = bytes.and_then(|bytes| serde_json::from_slice::<Ended>(&bytes).ok());
    Ok(ended.map_or_else(|| "unreadable".to_owned(), |ended| ended.kind))
}

/// The row in a verdict object, or why there is none for this job under this grade.
fn row_of(object: &[u8], grade: &Digest, rank: u64, job: &JobId) -> Result<Row, String> {
    let object: VerdictObject = model::wire::decode_object("a verdict", object).map_err(|error| error.to_string())?;
    let row = Row::of(object).map_err(|error| error.to_string())?;
    if (&row.job_id, row.rank, &row.verdict.grade) != (job, rank, grade) {
        return Err(format!("it holds job {} of rank {} under grade {}", row.job_id, row.rank, row.verdict.grade.short()));
    }
    Ok(row)
}

async fn put_rows(
    archive: &dyn Archive,
    keys: &CampaignKeys,
    grade: &Digest,
    shard: u64,
    accepted: bool,
    file: Option<(Vec<u8>, u64)>,
) -> Result<Option<RowFile>, DatasetError> {
    let Some((content, rows)) = file else { return Ok(None) };
    let (digest, bytes) = (Digest::of(&content), content.len() as u64);
    let path = CampaignKeys::row_file(accepted, shard, &digest);
    archive.put(&format!("{}{path}", keys.grade(grade)), content).await?;
    Ok(Some(RowFile { path, digest, rows, bytes }))
}

/// A shard being written: rows go straight into the compressor, so that memory holds compressed rows only.
struct Draft {
    accepted: RowWriter,
    rejected: RowWriter,
    ranks: Vec<RankStatus>,
    counts: Counts,
    sums: Sums,
}

/// A shard ready to be put.
struct Finished {
    accepted: Option<(Vec<u8>, u64)>,
    rejected: Option<(Vec<u8>, u64)>,
    ranks: Vec<RankStatus>,
    counts: Counts,
    sums: Sums,
}

impl Draft {
    fn new() -> Self {
        Self {
            accepted: RowWriter::default(),
            rejected: RowWriter::default(),
            ranks: Vec::new(),
            counts: Counts::default(),
            sums: Sums::default(),
        }
    }

    fn add_row(mut self, key: &str, row: Row) -> Result<Self, DatasetError> {
        let status = if row.verdict.accepted { Terminal::Accepted } else { Terminal::Rejected };
        tally::add_row(&mut self.sums, &row);
        let line = serde_json::to_vec(&row).map_err(|error| DatasetError::damaged(key, error))?;
        let writer = if row.verdict.accepted { &mut self.accepted } else { &mut self.rejected };
        writer.line(&line).map_err(|source| DatasetError::File { action: "compress", path: key.to_owned(), source })?;
        self.counts.add(status);
        // What a rule rejected before a judge saw it is not right, where it could have been.
        let unseen = (row.verdict.judge.is_none() && !row.verdict.accepted && !row.seed.answers.is_empty()).then_some(false);
        let correct = row.verdict.judge.as_ref().map_or(unseen, |judge| judge.correct);
        self.ranks.push(RankStatus { rank: row.rank, job: row.job_id, status, row: Some(row.content_digest), correct });
        Ok(self)
    }

    fn add_failed(mut self, rank: u64, job: JobId, kind: String) -> Self {
        *self.sums.failed_by.entry(kind).or_default() += 1;
        self.counts.add(Terminal::Failed);
        self.ranks.push(RankStatus { rank, job, status: Terminal::Failed, row: None, correct: None });
        self
    }

    fn add_spared(mut self, rank: u64, job: JobId) -> Self {
        self.counts.add(Terminal::Spared);
        self.ranks.push(RankStatus { rank, job, status: Terminal::Spared, row: None, correct: None });
        self
    }

    fn finish(self) -> Result<Finished, DatasetError> {
        let broken = |source| DatasetError::File { action: "compress", path: "a row file".into(), source };
        Ok(Finished {
            accepted: self.accepted.finish().map_err(broken)?,
            rejected: self.rejected.finish().map_err(broken)?,
            ranks: self.ranks,
            counts: self.counts,
            sums: self.sums,
        })
    }
}

/// Rows into one zstd frame with a checksum; the same rows give the same bytes.
#[derive(Default)]
struct RowWriter {
    encoder: Option<zstd::stream::write::Encoder<'static, Vec<u8>>>,
    rows: u64,
}

impl RowWriter {
    fn line(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.encoder.is_none() {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
            encoder.include_checksum(true)?;
            self.encoder = Some(encoder);
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.write_all(line)?;
            encoder.write_all(b"\n")?;
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(self) -> std::io::Result<Option<(Vec<u8>, u64)>> {
        self.encoder.map(|encoder| Ok((encoder.finish()?, self.rows))).transpose()
    }
}
