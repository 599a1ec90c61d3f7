//! An archive's objects as files: names, digests, decoding. Only what a stranger knows who has read the public layout.

use std::collections::BTreeSet;
use std::fs::FileType;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// What is read of a shard's index.
#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    pub(crate) uid: String,
    pub(crate) grade: String,
    pub(crate) shard: u64,
    pub(crate) ranks: Vec<RankStatus>,
    pub(crate) accepted: Option<RowFile>,
    pub(crate) rejected: Option<RowFile>,
    pub(crate) counts: Counts,
}

/// One rank as its index has it.
#[derive(Debug, Deserialize)]
pub(crate) struct RankStatus {
    pub(crate) rank: u64,
    pub(crate) job: String,
    pub(crate) status: String,
    pub(crate) row: Option<String>,
}

/// A file of rows as its index has it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct RowFile {
    pub(crate) path: String,
    pub(crate) digest: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Jobs by how they ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
}

impl Counts {
    pub(crate) fn total(self) -> u64 {
        self.accepted + self.rejected + self.failed
    }

    /// Counts one more rank.
    pub(crate) fn add(&mut self, status: &str) {
        match status {
            "accepted" => self.accepted += 1,
            "rejected" => self.rejected += 1,
            _ => self.failed += 1,
        }
    }
}

/// Names of the files in `folder`; none when there is no such folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<String>, String> {
    names(folder, FileType::is_file)
}

/// Names of the folders in `folder`; none when there is no such folder.
pub(crate) fn folders(folder: &Path) -> Result<Vec<String>, String> {
    names(folder, FileType::is_dir)
}

fn names(folder: &Path, is_wanted: fn(&FileType) -> bool) -> Result<Vec<String>, String> {
    let broken = |error: std::io::Error| format!("list {}: {error}", folder.display());
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(broken(error)),
    };
    let mut names = Vec::new();
    for found in listed {
        let found = found.map_err(broken)?;
        if is_wanted(&found.file_type().map_err(broken)?) {
            names.push(found.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// The jobs whose objects, named `<job><suffix>`, are in `folder`.
pub(crate) fn jobs(folder: &Path, suffix: &str) -> Result<BTreeSet<String>, String> {
    Ok(files(folder)?.iter().filter_map(|name| name.strip_suffix(suffix)).map(str::to_owned).collect())
}

/// Bytes of a file, or what is wrong with it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("read {}: {error}", path.display()))
}

/// An object of MessagePack with named fields in a zstd frame.
pub(crate) fn unpack(path: &Path) -> Result<Value, String> {
    let bytes = read(path)?;
    let content = zstd::decode_all(bytes.as_slice()).map_err(|error| format!("decompress {}: {error}", path.display()))?;
    rmp_serde::from_slice(&content).map_err(|error| format!("decode {}: {error}", path.display()))
}

/// BLAKE3 in 64 hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The first 16 digits, as names have them.
pub(crate) fn short(digest: &str) -> String {
    digest.chars().take(16).collect()
}
