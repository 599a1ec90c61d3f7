//! The manifest: what a snapshot consists of, written last.
//!
//! Two digests. The *corpus id* is of documents and index settings: equal for every build of the same documents, on any machine, with any
//! number of threads. The *build digest* is of this manifest, which names every file with its digest: it tells whether the bytes are the
//! built ones. Neither time nor paths are in it.

use std::fs;
use std::path::Path;

use model::Digest;
use serde::{Deserialize, Serialize};

use crate::error::CorpusError;
use crate::schema::{INDEX_VERSION, IndexSettings};
use crate::source::SourceFile;

/// The manifest's name in a snapshot.
pub const MANIFEST_FILE: &str = "manifest.json";

/// Version of the snapshot's layout and manifest.
pub const FORMAT_VERSION: u32 = 1;

/// A manifest is small: beyond this it is not one.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// What a snapshot consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the program that wrote it.
    pub format: u32,
    /// Digest of documents and index settings.
    pub corpus_id: Digest,
    /// Digest of this manifest, written with [`unsigned`](Self::unsigned) in this place.
    pub build_digest: Digest,
    /// The program that built it.
    pub builder: String,
    /// What decides the answers beside the documents.
    pub settings: IndexSettings,
    /// What the lines of the sources came to.
    pub counts: Counts,
    /// About the texts of the kept documents.
    pub text: TextStatistics,
    /// About the index.
    pub index: IndexStatistics,
    /// The sources, in the order they were given.
    pub sources: Vec<SourceFile>,
    /// Every file of the snapshot but this one, by name.
    pub files: Vec<SnapshotFile>,
}

/// What the lines of the sources came to: `lines = blank + kept + rejected + same_url + same_text`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Lines read.
    pub lines: u64,
    /// Lines of whitespace only.
    pub blank: u64,
    /// Documents kept.
    pub kept: u64,
    /// Unusable lines, all in `rejected.jsonl`.
    pub rejected: u64,
    /// Lines dropped for one with the same canonical URL, all in `duplicates.jsonl`.
    pub same_url: u64,
    /// Lines dropped for a document with the same text, all in `duplicates.jsonl`; their URLs lead to it.
    pub same_text: u64,
}

/// About the texts of the kept documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextStatistics {
    /// Of all texts together.
    pub bytes: u64,
    /// Of the longest.
    pub bytes_max: u64,
    /// Documents with a title.
    pub titled: u64,
    /// Links out of all documents.
    pub links: u64,
}

/// About the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexStatistics {
    /// Segments.
    pub segments: u64,
    /// Distinct terms, added over segments.
    pub terms: u64,
    /// Terms with repetitions: the length of all documents.
    pub tokens: u64,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotFile {
    /// Its path within the snapshot, with `/`.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub digest: Digest,
}

impl Manifest {
    /// What stands for the build digest while it is computed.
    pub fn unsigned() -> Digest {
        Digest::of(b"unsigned")
    }

    /// The corpus id of kept documents under `settings`.
    pub(crate) fn corpus_id_of(documents: &Digest, settings: &IndexSettings) -> Digest {
        let version = settings.version.to_le_bytes();
        let parts = [b"sluice corpus".as_slice(), documents.as_str().as_bytes(), &version, settings.tokenizer.as_bytes()];
        Digest::of_parts(parts.into_iter().chain([settings.ranking.as_bytes()]))
    }

    /// With its build digest.
    pub(crate) fn signed(mut self) -> Result<Self, CorpusError> {
        self.build_digest = Self::unsigned();
        self.build_digest = Digest::of(self.render()?.as_bytes());
        Ok(self)
    }

    /// As it is written.
    pub(crate) fn render(&self) -> Result<String, CorpusError> {
        let json = serde_json::to_string_pretty(self).map_err(|error| CorpusError::io("write", Path::new(MANIFEST_FILE))(error.into()))?;
        Ok(json + "\n")
    }

    /// Reads the manifest of the snapshot in `directory`, and checks it against its own digest.
    pub fn read(directory: &Path) -> Result<Self, CorpusError> {
        let path = directory.join(MANIFEST_FILE);
        let damaged = |reason: String| CorpusError::Damaged { path: path.clone(), reason };
        let size = fs::metadata(&path).map_err(CorpusError::io("read", &path))?.len();
        if size > MANIFEST_BYTES_MAX {
            return Err(damaged(format!("{size} bytes are too many for a manifest")));
        }
        let bytes = fs::read(&path).map_err(CorpusError::io("read", &path))?;
        let versions: Versions = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        for (what, found, expected) in [("format", versions.format, FORMAT_VERSION), ("index", versions.settings.version, INDEX_VERSION)] {
            if found != expected {
                return Err(CorpusError::Version { path: directory.to_owned(), what, found, expected });
            }
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if manifest.clone().signed()?.render()?.as_bytes() != bytes {
            return Err(damaged("it does not agree with its own digest; copy or build the snapshot again".to_owned()));
        }
        Ok(manifest)
    }
}

/// The part of a manifest that every version has.
#[derive(Deserialize)]
struct Versions {
    format: u32,
    settings: SettingsVersion,
}

#[derive(Deserialize)]
struct SettingsVersion {
    version: u32,
}

/// The files of a snapshot but its manifest, by name, read and digested.
pub(crate) fn digest_files(directory: &Path) -> Result<Vec<SnapshotFile>, CorpusError> {
    let mut files = Vec::new();
    for name in file_names(directory)? {
        let path = directory.join(&name);
        let mut hasher = blake3::Hasher::new();
        let file = fs::File::open(&path).map_err(CorpusError::io("read", &path))?;
        hasher.update_reader(&file).map_err(CorpusError::io("read", &path))?;
        files.push(SnapshotFile { name, bytes: hasher.count(), digest: Digest::from_hash(hasher.finalize()) });
    }
    Ok(files)
}

/// The names of all files under `directory` but the manifest, sorted, with `/`.
fn file_names(directory: &Path) -> Result<Vec<String>, CorpusError> {
    let mut names = Vec::new();
    let mut prefixes = vec![String::new()];
    while let Some(prefix) = prefixes.pop() {
        let folder = directory.join(&prefix);
        for entry in fs::read_dir(&folder).map_err(CorpusError::io("read", &folder))? {
            let entry = entry.map_err(CorpusError::io("read", &folder))?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().map_err(CorpusError::io("read", &folder))?.is_dir() {
                prefixes.push(name + "/");
            } else if name != MANIFEST_FILE {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}
