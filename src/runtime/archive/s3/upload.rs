//! Writing: an object in one request, or a large one in parts of which a few are under way at once.
//!
//! Whole or not at all either way: parts become an object only when the store is told to join them. An upload that fails is taken back; that
//! of a killed process stays unfinished, which nobody sees and a lifecycle rule of the bucket removes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures::{StreamExt, TryStreamExt, stream};
use model::Digest;

use super::call::{Request, Store};
use super::download::blocking;
use super::fault::Fault;
use super::fingerprint::{self, BLOCK_BYTES, FINGERPRINT};
use crate::archive::ArchiveError;

/// Up to here an object goes up in one request; above it in parts of this size.
pub(super) const PART_BYTES: u64 = 16 << 20;
/// Parts are larger when there would be more than these; S3 joins at most 10,000.
const PARTS_MAX: u64 = 9_000;
/// Parts on their way at once, each of them in memory.
const PARTS_AT_ONCE: usize = 4;
/// Bodies above this are given the time that their bytes take.
const BULK_BYTES: usize = 1 << 20;

/// Where an object's bytes are.
#[derive(Debug)]
pub(super) enum Source {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file that does not change meanwhile.
    File {
        /// For messages.
        path: Arc<Path>,
        /// Open for reading.
        file: Arc<File>,
        /// Its size.
        bytes: u64,
    },
}

/// One part: its number from 1, where it begins, how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    number: i32,
    from: u64,
    length: u64,
}

impl Source {
    /// The file at `path`.
    pub(super) async fn open(path: &Path) -> Result<Self, ArchiveError> {
        let path: Arc<Path> = path.into();
        let opened = path.clone();
        let opening = blocking(move || {
            let file = File::open(&opened)?;
            let bytes = file.metadata()?.len();
            Ok((Arc::new(file), bytes))
        });
        let (file, bytes) = opening.await.map_err(|error| trouble(&path, &error))?;
        Ok(Self::File { path, file, bytes })
    }

    /// How many there are.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { bytes, .. } => *bytes,
        }
    }

    /// All of them.
    async fn whole(self) -> Result<Vec<u8>, ArchiveError> {
        match self {
            Self::Memory(bytes) => Ok(bytes),
            Self::File { .. } => self.read(0, self.bytes()).await,
        }
    }

    /// Those of a part.
    async fn read(&self, from: u64, length: u64) -> Result<Vec<u8>, ArchiveError> {
        match self {
            Self::Memory(bytes) => Ok(bytes.get(index(from)..index(from + length)).unwrap_or_default().to_vec()),
            Self::File { path, file, .. } => {
                let file = Arc::clone(file);
                let reading = blocking(move || {
                    let mut part = vec![0; index(length)];
                    file.read_exact_at(&mut part, from)?;
                    Ok(part)
                });
                reading.await.map_err(|error| trouble(path, &error))
            }
        }
    }

    async fn fingerprint(&self) -> Result<Digest, ArchiveError> {
        let mut blocks = Vec::new();
        let block = BLOCK_BYTES as u64;
        for number in 0..self.bytes().div_ceil(block) {
            let from = number * block;
            let bytes = self.read(from, block.min(self.bytes() - from)).await?;
            blocks.push(Digest::of(&bytes));
        }
        Ok(fingerprint::of_blocks(&blocks))
    }
}

impl Store {
    /// Puts an object, whole or not at all.
    pub(super) async fn upload(&self, key: &str, source: Source) -> Result<(), ArchiveError> {
        if source.bytes() > PART_BYTES {
            return self.upload_parts(key, &source).await;
        }
        let bytes = source.whole().await?;
        let fingerprint = fingerprint::of(&bytes);
        let client = if bytes.len() > BULK_BYTES { &self.bulk_client } else { &self.client };
        let body = SdkBody::from(bytes);
        self.must(Request { op: "put", action: "put", key }, || async {
            let put = client.put_object().bucket(&self.bucket).key(self.full(key)).metadata(FINGERPRINT, fingerprint.as_str());
            put.body(again(&body)?).send().await.map(|_| ()).map_err(Fault::of)
        })
        .await
    }

    async fn upload_parts(&self, key: &str, source: &Source) -> Result<(), ArchiveError> {
        let fingerprint = source.fingerprint().await?;
        let request = |op| Request { op, action: "put", key };
        let created = self.must(request("multipart_create"), || async {
            let create = self.client.create_multipart_upload().bucket(&self.bucket).key(self.full(key));
            create.metadata(FINGERPRINT, fingerprint.as_str()).send().await.map_err(Fault::of)
        });
        let Some(upload) = created.await?.upload_id else {
            let fault = Fault::lasting("answer", "the store began an upload without naming it", "this store cannot be an archive");
            return Err(self.error(request("multipart_create"), fault));
        };

        let parts = stream::iter(parts(source.bytes())).map(|part| self.upload_part(key, &upload, source, part));
        let uploaded: Result<Vec<CompletedPart>, ArchiveError> = parts.buffered(PARTS_AT_ONCE).try_collect().await;
        let joined = match uploaded {
            Ok(parts) => self.join(key, &upload, parts, &fingerprint).await,
            Err(error) => Err(error),
        };
        if joined.is_err() {
            self.take_back(key, &upload).await;
        }
        joined
    }

    async fn upload_part(&self, key: &str, upload: &str, source: &Source, part: Part) -> Result<CompletedPart, ArchiveError> {
        let body = SdkBody::from(source.read(part.from, part.length).await?);
        let sent = self.must(Request { op: "part", action: "put", key }, || async {
            let send = self.bulk_client.upload_part().bucket(&self.bucket).key(self.full(key)).upload_id(upload).part_number(part.number);
            send.body(again(&body)?).send().await.map_err(Fault::of)
        });
        let tag = sent.await?.e_tag;
        Ok(CompletedPart::builder().part_number(part.number).set_e_tag(tag).build())
    }

    /// Makes an object of the parts.
    async fn join(&self, key: &str, upload: &str, parts: Vec<CompletedPart>, fingerprint: &Digest) -> Result<(), ArchiveError> {
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = Request { op: "multipart_complete", action: "put", key };
        let joined = self.call(request, || async {
            // Joining takes a store as long as the parts are many.
            let join = self.bulk_client.complete_multipart_upload().bucket(&self.bucket).key(self.full(key)).upload_id(upload);
            join.multipart_upload(all.clone()).send().await.map(|_| ()).map_err(Fault::of)
        });
        if joined.await?.is_some() {
            return Ok(());
        }
        // There is no such upload: an earlier try joined it, and its answer was lost.
        let head = self.head(key).await?;
        if head.is_some_and(|head| head.fingerprint.as_deref() == Some(fingerprint.as_str())) {
            return Ok(());
        }
        Err(self.error(request, Fault::passing("404", "the store has forgotten the upload")))
    }

    /// Forgets an upload that failed. When that fails too, it stays unfinished, which costs room and nothing else.
    async fn take_back(&self, key: &str, upload: &str) {
        let aborted = self.call(Request { op: "multipart_abort", action: "abort", key }, || async {
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(self.full(key)).upload_id(upload);
            abort.send().await.map(|_| ()).map_err(Fault::of)
        });
        if let Err(error) = aborted.await {
            tracing::warn!(%error, upload, "an unfinished upload stays in the bucket");
        }
    }
}

/// The parts of so many bytes, all of one size but the last.
fn parts(bytes: u64) -> impl Iterator<Item = Part> {
    let size = PART_BYTES.max(bytes.div_ceil(PARTS_MAX));
    (1..).zip((0..bytes.div_ceil(size)).map(move |part| part * size)).map(move |(number, from)| Part {
        number,
        from,
        length: size.min(bytes - from),
    })
}

/// The same body once more.
fn again(body: &SdkBody) -> Result<ByteStream, Fault> {
    let Some(body) = body.try_clone() else {
        return Err(Fault::lasting("unsent", "the body cannot be sent twice", "report this bug: bodies are made of bytes here"));
    };
    Ok(ByteStream::new(body))
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn trouble(path: &Path, error: &std::io::Error) -> ArchiveError {
    ArchiveError::File { action: "read", path: path.display().to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_byte_once_and_are_never_too_many() {
        for bytes in [PART_BYTES + 1, 40 << 20, 10 * PART_BYTES, 900 << 30] {
            let (mut next, mut count) = (0, 0);
            for part in parts(bytes) {
                assert_eq!((part.from, part.number), (next, count + 1));
                assert!(part.length >= PART_BYTES || part.from + part.length == bytes);
                next += part.length;
                count += 1;
            }
            assert_eq!(next, bytes);
            assert!(count <= 10_000);
        }
    }
}
