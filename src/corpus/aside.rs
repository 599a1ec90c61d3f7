//! What a build set aside: unusable lines and dropped duplicates, each in a file of the snapshot, one JSON object a line.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::document::Ordinal;
use crate::error::CorpusError;
use crate::source::Batch;

/// Unusable lines, one JSON object each.
pub const REJECTED_FILE: &str = "rejected.jsonl";
/// Dropped duplicates, one JSON object each.
pub const DUPLICATES_FILE: &str = "duplicates.jsonl";
/// Characters kept of an unusable line.
const RAW_CHARS_MAX: usize = 2_000;

/// An unusable line, as it is written to `rejected.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The source, as it was named.
    pub file: String,
    /// Counted from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
    /// The line's beginning.
    pub raw: String,
}

/// A dropped duplicate, as it is written to `duplicates.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Duplicate {
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) url: String,
    /// `url` or `text`: what it has in common with the kept document.
    pub(crate) same: &'static str,
    pub(crate) kept: Ordinal,
}

impl Rejected {
    /// The line at `offset` of `batch`, which says `raw`.
    pub(crate) fn new(batch: &Batch, offset: usize, reason: String, raw: &[u8]) -> Self {
        let raw = String::from_utf8_lossy(raw).chars().take(RAW_CHARS_MAX).collect();
        Self { file: batch.path.display().to_string(), line: batch.line_first + offset as u64, reason, raw }
    }
}

/// A file of set-aside rows being written.
pub(crate) struct JsonLines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl JsonLines {
    pub(crate) fn create(path: &Path) -> Result<Self, CorpusError> {
        let file = File::create(path).map_err(CorpusError::io("create", path))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    pub(crate) fn push(&mut self, row: &impl Serialize) -> Result<(), CorpusError> {
        let written = serde_json::to_writer(&mut self.file, row).map_err(std::io::Error::from);
        written.and_then(|()| self.file.write_all(b"\n")).map_err(CorpusError::io("write", &self.path))
    }

    pub(crate) fn finish(mut self) -> Result<(), CorpusError> {
        self.file.flush().map_err(CorpusError::io("write", &self.path))
    }
}
