//! Reads rows: a row file is checked against its digest, then read line by line.

use std::io::BufRead;

use model::layout::CampaignKeys;
use model::{Manifest, Row, RowFile};
use runtime::Archive;
use serde::de::DeserializeOwned;

use crate::DatasetError;

/// Longest line of a row file.
const ROW_BYTES_MAX: u64 = model::wire::OBJECT_BYTES_MAX;

/// The rows of one file, in order.
pub struct RowFileReader {
    key: String,
    lines: std::io::BufReader<zstd::stream::read::Decoder<'static, std::io::BufReader<std::io::Cursor<Vec<u8>>>>>,
    line: u64,
}

impl RowFileReader {
    /// Opens the file at `key`.
    ///
    /// # Errors
    /// When it is missing, or its bytes are not those that `file` names.
    pub async fn open(archive: &dyn Archive, key: &str, file: &RowFile) -> Result<Self, DatasetError> {
        let hint = "the data set is incomplete; seal the campaign again";
        let bytes = archive.get(key).await?.ok_or(DatasetError::Missing { key: key.to_owned(), hint })?;
        let digest = model::Digest::of(&bytes);
        if digest != file.digest {
            return Err(DatasetError::damaged(key, format!("its digest is {digest}, the index says {}", file.digest)));
        }
        let decoder = zstd::stream::read::Decoder::new(std::io::Cursor::new(bytes)).map_err(|error| DatasetError::damaged(key, error))?;
        Ok(Self { key: key.to_owned(), lines: std::io::BufReader::new(decoder), line: 0 })
    }

    /// The next line as text; `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn next_line(&mut self) -> Result<Option<String>, DatasetError> {
        let mut line = Vec::new();
        let mut bounded = std::io::Read::take(&mut self.lines, ROW_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut line).map_err(|error| DatasetError::damaged(&self.key, error))?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        String::from_utf8(line).map(Some).map_err(|error| DatasetError::damaged(&self.key, format!("line {}: {error}", self.line)))
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// When the file or the row is damaged.
    pub fn next_row(&mut self) -> Result<Option<Row>, DatasetError> {
        self.next_as()
    }

    /// The next row, read as far as `T` asks; `None` at the end.
    pub(crate) fn next_as<T: DeserializeOwned>(&mut self) -> Result<Option<T>, DatasetError> {
        let Some(line) = self.next_line()? else { return Ok(None) };
        let row = serde_json::from_str(&line).map_err(|error| DatasetError::damaged(&self.key, format!("line {}: {error}", self.line)))?;
        Ok(Some(row))
    }
}

/// The newest sealed manifest of the campaign `name`.
///
/// # Errors
/// When there is none, or it is damaged.
pub async fn manifest(archive: &dyn Archive, name: &str) -> Result<Manifest, DatasetError> {
    let key = CampaignKeys::new(name).dataset();
    manifest_at(archive, &key).await
}

/// The manifest at `key`.
///
/// # Errors
/// As [`manifest`].
pub async fn manifest_at(archive: &dyn Archive, key: &str) -> Result<Manifest, DatasetError> {
    let hint = "the campaign is not sealed yet; run it to the end, or `sluice seal` it";
    let bytes = archive.get(key).await?.ok_or(DatasetError::Missing { key: key.to_owned(), hint })?;
    serde_json::from_slice(&bytes).map_err(|error| DatasetError::damaged(key, error))
}
