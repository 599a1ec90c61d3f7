//! An archive in a bucket of any S3-compatible store: `s3://bucket/prefix`.
//!
//! Nothing is asked of the store beyond whole puts, reads that see them, and listings. Conditional writes are used for one thing, to spare
//! the openers of a fresh archive a race for its id, and even there what is read back counts: so there is no probe for them. Everything else
//! has one key and may be put twice.
//!
//! Bytes are checked both ways. What is put is signed together with its SHA-256, which every store verifies before it keeps anything; what is
//! read is compared with the digest that was put beside it as metadata (see `fingerprint.rs`). Neither needs the checksum headers that older
//! stores refuse. A killed upload of a large object stays unfinished in the bucket, invisible: give the bucket a lifecycle rule that aborts
//! multipart uploads after some days.

mod call;
mod client;
mod download;
mod fault;
mod fingerprint;
mod identity;
mod listing;
mod upload;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

pub use client::{KeyPair, Patience, S3Options};

use self::call::Store;
use self::upload::Source;
use super::{Archive, ArchiveError, Listed, check_key, folder_key};

/// An archive in a bucket. Clones share its connections.
#[derive(Debug, Clone)]
pub struct S3Archive {
    store: Arc<Store>,
    id: String,
}

impl S3Archive {
    /// Opens the archive at `place` (`s3://bucket` or `s3://bucket/prefix`), with endpoint, region and credentials from the environment as the
    /// AWS tools have them, and writes its identity on first use.
    ///
    /// # Errors
    /// When the bucket is not there, refuses us or cannot be reached within a few tries.
    pub async fn open(place: &str) -> Result<Self, ArchiveError> {
        Self::open_with(place, &S3Options::default()).await
    }

    /// As [`S3Archive::open`], with some of the environment replaced.
    ///
    /// # Errors
    /// As for [`S3Archive::open`].
    pub async fn open_with(place: &str, options: &S3Options) -> Result<Self, ArchiveError> {
        let store = Store::connect(place, options).await?;
        let id = identity::identity(&store).await?;
        Ok(Self { store: Arc::new(store), id })
    }
}

#[async_trait]
impl Archive for S3Archive {
    fn id(&self) -> &str {
        &self.id
    }

    fn place(&self) -> String {
        self.store.place.clone()
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        check_key(key)?;
        refuse_empty(key, bytes.is_empty())?;
        self.store.upload(key, Source::Memory(bytes)).await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        check_key(key)?;
        self.store.download(key).await
    }

    async fn exists(&self, key: &str) -> Result<bool, ArchiveError> {
        check_key(key)?;
        Ok(self.store.head(key).await?.is_some_and(|head| head.bytes > 0))
    }

    async fn list(&self, folder: &str) -> Result<Vec<Listed>, ArchiveError> {
        folder_key(folder)?;
        self.store.list(folder).await
    }

    async fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        if !folder.is_empty() {
            folder_key(folder)?;
        }
        self.store.folders(folder).await
    }

    async fn put_file(&self, key: &str, from: &Path) -> Result<(), ArchiveError> {
        check_key(key)?;
        let source = Source::open(from).await?;
        refuse_empty(key, source.bytes() == 0)?;
        self.store.upload(key, source).await
    }

    async fn get_file(&self, key: &str, to: &Path) -> Result<bool, ArchiveError> {
        check_key(key)?;
        self.store.download_file(key, to).await
    }

    async fn delete(&self, key: &str) -> Result<(), ArchiveError> {
        check_key(key)?;
        self.store.delete(key).await
    }

    async fn sync(&self) -> Result<(), ArchiveError> {
        // A put that was answered is the store's to keep.
        Ok(())
    }
}

fn refuse_empty(key: &str, is_empty: bool) -> Result<(), ArchiveError> {
    if is_empty {
        return Err(ArchiveError::Refused { key: key.to_owned(), reason: "an object is never empty" });
    }
    Ok(())
}
