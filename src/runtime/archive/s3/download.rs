//! Reading: an object whole, or into a file by ranges, a few at a time.
//!
//! A body that ends early, stands still or has another digest than was put beside it is as if nothing had come: the request is sent again. Of
//! a file only the range that was cut is asked for again, and all ranges are of the one version that the first of them was.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use futures::{StreamExt, TryStreamExt, stream};
use model::Digest;
use tokio::time::timeout;

use super::call::{Request, Store};
use super::fault::{Fault, Kind, chain};
use super::fingerprint::{self, BLOCK_BYTES, FINGERPRINT};
use crate::archive::ArchiveError;

/// Ranges on their way at once: as much memory as one more part of an upload.
const RANGES_AT_ONCE: usize = 4;
/// What we believe of an announced length before the bytes are there.
const CAPACITY_MAX: u64 = 64 << 20;

/// The first range of an object, and what it says of the whole.
struct First {
    block: Vec<u8>,
    bytes_total: u64,
    tag: Option<String>,
    fingerprint: Option<String>,
}

impl Store {
    /// An object's bytes; `None` when there is none.
    pub(super) async fn download(&self, key: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let request = Request { op: "get", action: "get", key };
        let got = self.call(request, || async {
            let answer = self.client.get_object().bucket(&self.bucket).key(self.full(key)).send().await.map_err(Fault::of)?;
            let length = answer.content_length();
            let fingerprint = fingerprint_of(&answer);
            let bytes = self.collect(answer.body, length).await?;
            check(fingerprint.as_deref(), &fingerprint::of(&bytes))?;
            Ok(bytes)
        });
        Ok(got.await?.filter(|bytes| !bytes.is_empty()))
    }

    /// Writes an object into the new file `to`; whether there is one.
    pub(super) async fn download_file(&self, key: &str, to: &Path) -> Result<bool, ArchiveError> {
        let Some(first) = self.first(key).await?.filter(|first| first.bytes_total > 0) else { return Ok(false) };
        let trouble =
            |error: std::io::Error| ArchiveError::File { action: "write", path: to.display().to_string(), reason: error.to_string() };
        let target = to.to_owned();
        let mut file = blocking(move || File::create_new(target)).await.map_err(trouble)?;

        let count = first.bytes_total.div_ceil(BLOCK_BYTES as u64);
        let mut blocks = Vec::new();
        let tag = first.tag.as_deref();
        let rest = stream::iter(1..count).map(|number| self.range(key, number, first.bytes_total, tag));
        let mut ranges = stream::once(async { Ok(first.block) }).chain(rest.buffered(RANGES_AT_ONCE)).boxed();
        while let Some(block) = ranges.try_next().await? {
            let written = blocking(move || {
                file.write_all(&block)?;
                Ok((file, Digest::of(&block)))
            });
            let (same_file, digest) = written.await.map_err(trouble)?;
            file = same_file;
            blocks.push(digest);
        }
        let request = Request { op: "range", action: "get", key };
        check(first.fingerprint.as_deref(), &fingerprint::of_blocks(&blocks)).map_err(|fault| self.error(request, fault))?;
        Ok(true)
    }

    async fn first(&self, key: &str) -> Result<Option<First>, ArchiveError> {
        self.call(Request { op: "range", action: "get", key }, || async {
            let get = self.client.get_object().bucket(&self.bucket).key(self.full(key)).range(bytes_of(0, BLOCK_BYTES as u64));
            let answer = get.send().await.map_err(Fault::of)?;
            // A store may answer with the whole when the whole is no more than was asked for.
            let total = answer.content_range().and_then(|range| range.rsplit('/').next()?.parse().ok());
            let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
            let Some(bytes_total) = total.or(length.filter(|length| *length <= BLOCK_BYTES as u64)) else {
                return Err(Fault::lasting("answer", "the store does not give ranges of objects", "this store cannot be an archive"));
            };
            let (tag, fingerprint) = (answer.e_tag().map(str::to_owned), fingerprint_of(&answer));
            let block = self.collect(answer.body, answer.content_length).await?;
            expect(&block, bytes_total.min(BLOCK_BYTES as u64))?;
            Ok(First { block, bytes_total, tag, fingerprint })
        })
        .await
    }

    /// Block `number` of an object that is still the version `tag`.
    async fn range(&self, key: &str, number: u64, bytes_total: u64, tag: Option<&str>) -> Result<Vec<u8>, ArchiveError> {
        let from = number * BLOCK_BYTES as u64;
        let length = (bytes_total - from).min(BLOCK_BYTES as u64);
        let got = self.must(Request { op: "range", action: "get", key }, || async {
            let get = self.client.get_object().bucket(&self.bucket).key(self.full(key)).range(bytes_of(from, length));
            let answer = get.set_if_match(tag.map(str::to_owned)).send().await.map_err(|error| match Fault::of(error) {
                Fault { kind: Kind::Changed | Kind::Missing, code, .. } => {
                    Fault { kind: Kind::Changed, code, reason: "it was replaced or deleted while it was read".to_owned() }
                }
                other => other,
            })?;
            let block = self.collect(answer.body, answer.content_length).await?;
            expect(&block, length)?;
            Ok(block)
        });
        got.await
    }

    /// Reads a body to its announced end, within the store's time.
    async fn collect(&self, mut body: ByteStream, length: Option<i64>) -> Result<Vec<u8>, Fault> {
        let announced = length.and_then(|length| u64::try_from(length).ok());
        let expected = announced.unwrap_or_default();
        let mut bytes = Vec::with_capacity(usize::try_from(expected.min(CAPACITY_MAX)).unwrap_or_default());
        let reading = async {
            loop {
                let piece = timeout(self.patience.read, body.next()).await;
                match piece.map_err(|_| Fault::passing("timeout", "the body stands still"))? {
                    None => return Ok(()),
                    Some(Ok(piece)) => bytes.extend_from_slice(&piece),
                    Some(Err(error)) => return Err(Fault::passing("cut", format!("the body ends early: {}", chain(&error)))),
                }
            }
        };
        let read = timeout(self.patience.for_bytes(expected), reading).await;
        read.unwrap_or_else(|_| Err(Fault::passing("timeout", "the body comes too slowly")))?;
        if let Some(announced) = announced {
            expect(&bytes, announced)?;
        }
        Ok(bytes)
    }
}

fn fingerprint_of(answer: &GetObjectOutput) -> Option<String> {
    answer.metadata().and_then(|metadata| metadata.get(FINGERPRINT)).cloned()
}

/// Whether the bytes that came are those that were put, as far as anybody said.
fn check(put: Option<&str>, came: &Digest) -> Result<(), Fault> {
    match put {
        Some(put) if put != came.as_str() => {
            Err(Fault::passing("digest", format!("what came has the digest {came}, what was put has {put}")))
        }
        _ => Ok(()),
    }
}

fn expect(bytes: &[u8], length: u64) -> Result<(), Fault> {
    if bytes.len() as u64 == length {
        return Ok(());
    }
    Err(Fault::passing("cut", format!("{} bytes came of {length}", bytes.len())))
}

/// A range as HTTP writes it.
fn bytes_of(from: u64, length: u64) -> String {
    format!("bytes={from}-{}", from + length - 1)
}

/// Runs file work off the async threads.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
