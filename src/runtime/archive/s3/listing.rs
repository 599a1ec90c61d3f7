//! Listings, a page of a thousand at a time; looking for one object; removing one.
//!
//! The delimiter keeps a listing to one folder: it costs the shard and not the bucket.

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;

use super::call::{Request, Store};
use super::fault::Fault;
use super::fingerprint::FINGERPRINT;
use crate::archive::{ArchiveError, Listed, check_key};

/// Names a page has at most; no store gives more.
const PAGE_MAX: i32 = 1000;

/// An object as a HEAD tells of it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) bytes: u64,
    pub(super) fingerprint: Option<String>,
}

impl Store {
    /// The objects directly in `folder` (which ends in a slash), sorted.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<Listed>, ArchiveError> {
        let mut listed = Vec::new();
        self.pages(folder, |page| {
            for object in page.contents() {
                let bytes = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
                let key = object.key().and_then(|key| key.strip_prefix(&self.prefix));
                // What we would not put is not ours: empty objects, and the markers that some tools make for folders.
                if let Some(key) = key.filter(|key| bytes > 0 && check_key(key).is_ok()) {
                    listed.push(Listed { key: key.to_owned(), bytes });
                }
            }
        })
        .await?;
        listed.sort();
        Ok(listed)
    }

    /// The names of the folders directly in `folder` (empty: the archive's root), sorted.
    pub(super) async fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let mut names = Vec::new();
        let above = self.full(folder);
        self.pages(folder, |page| {
            let found = page.common_prefixes().iter().filter_map(|common| common.prefix());
            let below = found.filter_map(|prefix| prefix.strip_prefix(&above)?.strip_suffix('/'));
            names.extend(below.filter(|name| check_key(name).is_ok()).map(str::to_owned));
        })
        .await?;
        names.sort();
        Ok(names)
    }

    /// Reads all pages of a folder. As many as there are: folders here are one shard wide, or as wide as there are shards.
    async fn pages(&self, folder: &str, mut each: impl FnMut(&ListObjectsV2Output)) -> Result<(), ArchiveError> {
        let request = Request { op: "list", action: "list", key: folder };
        let mut token: Option<String> = None;
        loop {
            let page = self.must(request, || {
                let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(self.full(folder)).delimiter("/").max_keys(PAGE_MAX);
                let list = list.set_continuation_token(token.clone());
                async { list.send().await.map_err(Fault::of) }
            });
            let page = page.await?;
            each(&page);
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
            let next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() || next == token {
                let fault = Fault::lasting("answer", "the listing does not say how it goes on", "this store cannot be an archive");
                return Err(self.error(request, fault));
            }
            token = next;
        }
    }

    /// An object's size and fingerprint, without its bytes.
    pub(super) async fn head(&self, key: &str) -> Result<Option<Head>, ArchiveError> {
        self.call(Request { op: "head", action: "look for", key }, || async {
            let head = self.client.head_object().bucket(&self.bucket).key(self.full(key)).send().await.map_err(Fault::of)?;
            let bytes = head.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or_default();
            let fingerprint = head.metadata().and_then(|metadata| metadata.get(FINGERPRINT)).cloned();
            Ok(Head { bytes, fingerprint })
        })
        .await
    }

    /// Removes an object if it is there.
    pub(super) async fn delete(&self, key: &str) -> Result<(), ArchiveError> {
        let deleted = self.call(Request { op: "delete", action: "delete", key }, || async {
            self.client.delete_object().bucket(&self.bucket).key(self.full(key)).send().await.map(|_| ()).map_err(Fault::of)
        });
        // One that is missing is as good as deleted; most stores do not even say so.
        deleted.await.map(|_| ())
    }
}
