//! The archive port: objects by key, put whole or not at all.
//!
//! No conditional writes, no renames, no appends: every effect has exactly one key, so that doing it twice is harmless. Keys use `/` and are
//! those of `model::layout`.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub mod directory;
pub mod s3;

/// How often [`keep_synced`] makes what was put survive a power loss: design.md promises the last second at most.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// Trouble with the archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store cannot be reached at the moment, or is full; nothing is lost, try again.
    #[error("{action} {key} in the archive {archive}: {reason}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// Where.
        key: String,
        /// Which archive.
        archive: String,
        /// Why.
        reason: String,
    },
    /// No such archive, or no right to it; trying again does not help.
    #[error("use the archive {archive}: {reason}")]
    Unusable {
        /// Which archive.
        archive: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A file on our own side failed.
    #[error("{action} the file {path}: {reason}")]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// No archive would take this: a bug of ours, or a name from outside that was not checked.
    #[error("use the key `{key}`: {reason}")]
    Refused {
        /// The key.
        key: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The object's key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The port.
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// The archive's own random id, from its `archive.json`, which is written on first use.
    fn id(&self) -> &str;

    /// Where it is, for people.
    fn place(&self) -> String;

    /// Puts an object, whole or not at all, replacing what was there. Objects are never empty, so that an empty file left by a power loss is
    /// known for what it is.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), ArchiveError>;

    /// The object's bytes; `None` when there is none.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ArchiveError>;

    /// Whether there is an object.
    async fn exists(&self, key: &str) -> Result<bool, ArchiveError>;

    /// The objects directly in `folder` (which ends in `/`), sorted by key. Folders here are one shard wide: a listing is bounded by M.
    async fn list(&self, folder: &str) -> Result<Vec<Listed>, ArchiveError>;

    /// The names of the folders directly in `folder` (which ends in `/`, or is empty: the archive's root), sorted.
    async fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError>;

    /// As [`Archive::put`], from a file, which is never in memory whole and must not change meanwhile.
    async fn put_file(&self, key: &str, from: &Path) -> Result<(), ArchiveError>;

    /// Writes the object's bytes into the new file `to`; whether there is such an object. After an error `to` may hold a part of it.
    async fn get_file(&self, key: &str, to: &Path) -> Result<bool, ArchiveError>;

    /// Removes an object if it is there.
    async fn delete(&self, key: &str) -> Result<(), ArchiveError>;

    /// Makes everything put so far survive a power loss.
    async fn sync(&self) -> Result<(), ArchiveError>;
}

/// The archive at `place`: a directory, created if it is missing, or `s3://bucket/prefix`, whose bucket must be there.
///
/// # Errors
/// When there can be no archive there, saying what to do.
pub async fn connect(place: &str) -> Result<Arc<dyn Archive>, ArchiveError> {
    let unusable = |reason: &str| ArchiveError::Unusable { archive: place.to_owned(), reason: reason.to_owned() };
    match place.split_once("://") {
        None => Ok(Arc::new(directory::DirectoryArchive::open(place).await?)),
        Some(("s3", _)) => Ok(Arc::new(s3::S3Archive::open(place).await?)),
        Some(_) => Err(unusable("no such kind of archive; name a directory, or s3://bucket/prefix")),
    }
}

/// Syncs the archive every second until `until` is over, and once more after it. Whoever composes a process spawns this.
pub async fn keep_synced(archive: Arc<dyn Archive>, until: impl Future<Output = ()> + Send) {
    tokio::pin!(until);
    let mut over = false;
    while !over {
        over = tokio::select! {
            () = tokio::time::sleep(SYNC_PERIOD) => false,
            () = &mut until => true,
        };
        // Not fatal: nothing is lost unless the power fails as well, and the next round tries again.
        if let Err(error) = archive.sync().await {
            tracing::warn!(%error, "what was archived lately would not survive a power loss");
        }
    }
}

/// A key that every adapter can use: segments of ordinary characters, none of them hidden or upwards.
pub(crate) fn check_key(key: &str) -> Result<(), ArchiveError> {
    const KEY_BYTES_MAX: usize = 900; // S3 allows 1,024, of which a prefix takes its share
    let refused = |reason| Err(ArchiveError::Refused { key: key.chars().take(120).collect(), reason });
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return refused("it is empty or longer than 900 bytes");
    }
    if key.bytes().any(|b| b.is_ascii_control() || b == b'\\') {
        return refused("it has control characters or backslashes");
    }
    if key.split('/').any(|segment| segment.is_empty() || segment.starts_with('.') || segment.len() > 200) {
        return refused("a segment is empty, begins with a dot or is longer than 200 bytes");
    }
    Ok(())
}

/// The key of a folder, which ends in a slash, without it.
pub(crate) fn folder_key(folder: &str) -> Result<&str, ArchiveError> {
    let Some(key) = folder.strip_suffix('/') else {
        return Err(ArchiveError::Refused { key: folder.chars().take(120).collect(), reason: "a folder's key ends in a slash" });
    };
    check_key(key)?;
    Ok(key)
}
