//! Checks one row file: its digest, its rows against the index, and every action of every row carried out again.
//!
//! Extracts are a model's text and are not made again; the pages they were made from are.
//! Rows are replayed in small batches on all cores. Their sums are added up in the same batches, so that the index's can be compared.

use std::num::NonZero;
use std::sync::Arc;

use corpus::{Browser, Corpus, ToolLimits};
use futures::stream::{self, StreamExt, TryStreamExt};
use model::layout::CampaignKeys;
use model::settings::RecipeSettings;
use model::shard::Sums;
use model::{Digest, JobId, Manifest, Observation, Row, RowFile, ShardIndex, Terminal};
use runtime::Archive;

use super::{VerifyReport, claims};
use crate::error::blocking;
use crate::rows::RowFileReader;
use crate::{DatasetError, tally};

/// Rows replayed by one blocking task.
const BATCH_ROWS: usize = 32;
/// Lines of a diff.
const DIFF_LINES_MAX: usize = 24;

/// What rows are replayed on.
#[derive(Clone)]
pub(super) struct Ground {
    corpus: Corpus,
    limits: ToolLimits,
    recipe: &'static str,
    /// Whether citations are numbers of a list of references; else they name cursors.
    has_numbered_citations: bool,
}

impl Ground {
    /// The tools of `recipe` over `corpus`.
    pub(super) fn new(corpus: Corpus, recipe: &RecipeSettings) -> Self {
        let has_numbered_citations = matches!(recipe, RecipeSettings::Decompose(_));
        Self { corpus, limits: ToolLimits::of(recipe), recipe: recipe.name(), has_numbered_citations }
    }

    #[cfg(test)]
    pub(super) fn with_limits(self, limits: ToolLimits) -> Self {
        Self { limits, ..self }
    }
}

/// What every row of a file has to agree with.
struct Expected {
    key: String,
    campaign: String,
    corpus_id: Digest,
    grade: Digest,
    is_accepted: bool,
    /// Rank, job and content digest of each row, in the order of the file.
    rows: Vec<(u64, JobId, Option<Digest>)>,
}

/// Checks and replays the rows of `file`; returns what was found, and the rows' sums.
pub(super) async fn check_file(
    archive: &Arc<dyn Archive>,
    keys: &CampaignKeys,
    manifest: &Manifest,
    index: &ShardIndex,
    file: &RowFile,
    status: Terminal,
    ground: &Ground,
) -> Result<(VerifyReport, Sums), DatasetError> {
    let key = format!("{}{}", keys.grade(&manifest.grade), file.path);
    let (mut report, mut sums) = (VerifyReport::default(), Sums::default());
    let mut reader = match RowFileReader::open(archive.as_ref(), &key, file).await {
        Ok(reader) => reader,
        Err(error @ (DatasetError::Damaged { .. } | DatasetError::Missing { .. })) => {
            report.differs(key, error.to_string());
            return Ok((report, sums));
        }
        Err(error) => return Err(error),
    };
    let rows: Vec<_> =
        index.ranks.iter().filter(|rank| rank.status == status).map(|rank| (rank.rank, rank.job.clone(), rank.row.clone())).collect();
    if rows.len() as u64 != file.rows {
        report.differs(&key, format!("the index lists {} rows, its file should have {}", rows.len(), file.rows));
    }
    let expected = Arc::new(Expected {
        key: key.clone(),
        campaign: manifest.campaign.clone(),
        corpus_id: manifest.corpus_id.clone(),
        grade: manifest.grade.clone(),
        is_accepted: status == Terminal::Accepted,
        rows,
    });
    let mut first = 0;
    let batches = std::iter::from_fn(|| {
        let batch = next_batch(&mut reader).transpose()?;
        let begin = first;
        first += batch.as_ref().map_or(0, Vec::len);
        Some(batch.map(|lines| (begin, lines)))
    });
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let found: Vec<(VerifyReport, Sums)> = stream::iter(batches)
        .map(|batch| {
            let (expected, ground) = (Arc::clone(&expected), ground.clone());
            async move {
                let (begin, lines) = batch?;
                blocking(move || Ok(check_rows(&lines, begin, &expected, &ground))).await
            }
        })
        .buffered(threads + 1)
        .try_collect()
        .await?;
    for (part, of_rows) in found {
        report.absorb(part);
        sums += &of_rows;
    }
    if report.rows != file.rows {
        report.differs(&key, format!("it has {} rows, the index says {}", report.rows, file.rows));
    }
    Ok((report, sums))
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

fn check_rows(lines: &[String], begin: usize, expected: &Expected, ground: &Ground) -> (VerifyReport, Sums) {
    let (mut report, mut sums) = (VerifyReport::default(), Sums::default());
    for (offset, line) in lines.iter().enumerate() {
        report.rows += 1;
        let place = format!("{}, row {}", expected.key, begin + offset + 1);
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
        if expected.rows.get(begin + offset) != Some(&says) {
            report.differs(&place, format!("job {} is not the row that the index has in this place", row.job_id));
        }
        let belongs = (&row.campaign, &row.corpus_id, &row.verdict.grade, row.verdict.accepted);
        if belongs != (&expected.campaign, &expected.corpus_id, &expected.grade, expected.is_accepted) {
            report.differs(&place, "its campaign, corpus, grade or verdict are not those of its file");
        }
        if row.recipe != ground.recipe {
            report.differs(&place, format!("its recipe is {}, the campaign's is {}", row.recipe, ground.recipe));
        }
        tally::add_row(&mut sums, &row);
        replay(&row, ground, &mut report);
        claims::check_gold(&row, &ground.corpus, &mut report);
    }
    (report, sums)
}

/// Carries out the row's actions again, thread by thread, and compares. Each thread has a browser of its own, except one that goes on in the
/// conversation before it.
pub(super) fn replay(row: &Row, ground: &Ground, report: &mut VerifyReport) {
    let fresh = || Browser::new(ground.corpus.clone(), ground.limits);
    let mut browser = fresh();
    for (number, thread) in row.threads.iter().enumerate() {
        if !thread.continues {
            browser = fresh();
        }
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
    }
    if ground.has_numbered_citations {
        claims::check_numbered_citations(row, &ground.corpus, report);
        return;
    }
    // The last thread answers, and its cursors are what the answer cites.
    let resolved = row.answer.as_deref().map(|answer| corpus::resolve_citations(&browser, answer)).unwrap_or_default();
    if resolved != row.citations || row.threads.iter().any(|thread| !thread.citations.is_empty()) {
        report.differs(format!("job {}", row.job_id), "its citations resolve otherwise");
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
