//! Why a corpus could not be built, opened or read.
//!
//! Messages complete "failed to …", and name the path, what is wrong with it and, where there is something to do, what. They are whole: no
//! cause has to be printed after them.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with a corpus.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file could not be read or written.
    #[error("{verb} {path}: {cause}", path = path.display())]
    Io {
        /// What was tried: read, write, …
        verb: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// The snapshot was written by another version of the format or the index.
    #[error("open corpus {path}: its {what} version is {found}, this program reads {expected}; build the corpus again", path = path.display())]
    Version {
        /// The snapshot.
        path: PathBuf,
        /// Which of the versions.
        what: &'static str,
        /// What the snapshot says.
        found: u32,
        /// What this program reads.
        expected: u32,
    },
    /// The snapshot is not one, or is damaged.
    #[error("open corpus {path}: {reason}", path = path.display())]
    Damaged {
        /// The snapshot, or the file in it.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A source line is unusable and the build was told to be strict.
    #[error("read {path}:{line}: {reason}", path = path.display())]
    BadLine {
        /// The source.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The build cannot go on, for a reason in its sources or options.
    #[error("build corpus: {0}")]
    Build(String),
    /// The index refused.
    #[error("{verb} the index: {cause}")]
    Index {
        /// What was tried: read, write, …
        verb: &'static str,
        /// The index's own reason.
        cause: tantivy::TantivyError,
    },
    /// No document has this ordinal.
    #[error("read document {0}: the corpus has no document of that number")]
    NoDocument(u32),
}

impl CorpusError {
    pub(crate) fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { verb, path: path.to_owned(), cause }
    }

    pub(crate) fn index(verb: &'static str) -> impl FnOnce(tantivy::TantivyError) -> Self {
        move |cause| Self::Index { verb, cause }
    }
}
