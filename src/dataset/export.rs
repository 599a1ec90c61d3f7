//! Exports a sealed data set for others to read: `native` rows as they are, `messages` in the form of the OpenAI chat API, or `trace`, the
//! single stream of O-Researcher's tags.
//!
//! One canonical row, many views: an export decides nothing that the row does not say. Lines are written as they are read; memory holds one.

use std::collections::HashSet;
use std::io::Write;

use model::layout::CampaignKeys;
use model::{Campaign, JobId, Manifest, Row, Selection};
use runtime::Archive;
use serde_json::{Map, Value, json};

use crate::DatasetError;
use crate::rows::RowFileReader;
use crate::trace::PageText;

mod messages;
mod prompts;
mod stream;
#[cfg(test)]
mod tests;

use messages::Messages;
use prompts::Prompts;
use stream::Stream;

pub use stream::{Mask, TraceForm};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The rows themselves.
    Native,
    /// `messages` and `tools` of the OpenAI chat API, for `decompose` one conversation a thread in `threads`; with which text of pages.
    Messages(PageText),
    /// One stream of protocol tags; for `decompose` alone.
    Trace(TraceForm),
}

/// Which rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Accepted rows, as the data set selects them.
    Accepted,
    /// Rejected rows.
    Rejected,
    /// Both.
    All,
}

/// Writes the rows of `manifest` to `out`, one JSON object a line; returns how many.
///
/// # Errors
/// When the campaign's recipe cannot be written in this format, a row file is missing or damaged, or `out` cannot be written.
pub async fn export(
    archive: &dyn Archive,
    campaign: &Campaign,
    manifest: &Manifest,
    format: Format,
    which: Which,
    out: &mut (dyn Write + Send),
) -> Result<u64, DatasetError> {
    let keys = CampaignKeys::new(&campaign.name);
    let mut view = View::new(Prompts { archive, keys: &keys, campaign }, format).await?;
    let selected: Option<HashSet<&JobId>> = match &manifest.selection {
        Selection::All => None,
        Selection::BestOfSeed { jobs } => Some(jobs.iter().collect()),
    };
    let mut written = 0;
    for shard in &manifest.shards {
        let accepted = shard.accepted.iter().filter(|_| which != Which::Rejected);
        let rejected = shard.rejected.iter().filter(|_| which != Which::Accepted);
        for file in accepted.chain(rejected) {
            let key = format!("{}{}", keys.grade(&manifest.grade), file.path);
            let mut reader = RowFileReader::open(archive, &key, file).await?;
            while let Some(row) = reader.next_row()? {
                let is_selected = !row.verdict.accepted || selected.as_ref().is_none_or(|selected| selected.contains(&row.job_id));
                if !is_selected {
                    continue;
                }
                let line = view.line(&row).await?;
                out.write_all(&line).map_err(|source| DatasetError::File { action: "write", path: "the export".into(), source })?;
                written += 1;
            }
        }
    }
    Ok(written)
}

/// A way to look at rows.
enum View<'a> {
    Native,
    Messages(Box<Messages<'a>>),
    Trace(Stream),
}

impl<'a> View<'a> {
    async fn new(prompts: Prompts<'a>, format: Format) -> Result<Self, DatasetError> {
        Ok(match format {
            Format::Native => Self::Native,
            Format::Messages(pages) => Self::Messages(Box::new(Messages::new(prompts, pages).await?)),
            Format::Trace(form) => Self::Trace(Stream::new(prompts, form).await?),
        })
    }

    /// The row as it is written, with what ends the line.
    async fn line(&mut self, row: &Row) -> Result<Vec<u8>, DatasetError> {
        let written = match self {
            Self::Native => serde_json::to_vec(row),
            Self::Messages(messages) => serde_json::to_vec(&messages.of(row).await?),
            Self::Trace(stream) => serde_json::to_vec(&stream.of(row)),
        };
        let mut line = written.map_err(|error| DatasetError::damaged(&format!("job {}", row.job_id), error))?;
        line.push(b'\n');
        Ok(line)
    }
}

/// What every view but the native one begins with.
fn head(row: &Row) -> Map<String, Value> {
    let head = json!({
        "job_id": row.job_id,
        "seed_id": row.seed.id,
        "sample": row.sample,
        "question": row.seed.question,
        "answers": row.seed.answers,
        "accepted": row.verdict.accepted,
        "outcome": row.outcome,
        "scores": row.verdict.scores,
    });
    match head {
        Value::Object(head) => head,
        _ => Map::new(),
    }
}
