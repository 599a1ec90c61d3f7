//! The operations that an archive needs, from the protocol's types to the store and back.
//!
//! What is not here is answered with `NotImplemented`: copies, versions, access lists. File work runs on the blocking threads. An upload is in
//! memory whole, so that nothing unverified is ever in place; a download above a megabyte is not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Stream, TryStreamExt};
use hyper::body::Bytes;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, TrailingHeaders, s3_error};

use super::checksums;
use super::listing::{self, Wanted};
use super::store::{Attributes, Condition, Opened, Store, internal};

/// Bytes of one upload, or of one part.
const UPLOAD_BYTES_MAX: usize = 256 << 20;

/// Bytes of a download that are read at once; a longer one is read in pieces of so many.
const PIECE_BYTES: u64 = 1 << 20;

/// Objects and folders of a page, as in S3.
const PAGE_MAX: i32 = 1000;

/// S3 over a [`Store`].
pub(crate) struct Api {
    store: Arc<Store>,
}

impl Api {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Store) -> S3Result<T> + Send + 'static) -> S3Result<T> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(internal)?
    }
}

#[async_trait]
impl S3 for Api {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        self.blocking(move |store| store.create_bucket(&req.input.bucket).map_err(internal)).await?;
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.store.bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let (input, trailers) = (req.input, req.trailing_headers);
        if input.content_md5.is_some() {
            return Err(s3_error!(NotImplemented, "this server verifies x-amz-checksum-* and not Content-MD5"));
        }
        let claimed = Checksum {
            checksum_crc32: input.checksum_crc32,
            checksum_crc32c: input.checksum_crc32c,
            checksum_crc64nvme: input.checksum_crc64nvme,
            checksum_sha1: input.checksum_sha1,
            checksum_sha256: input.checksum_sha256,
            checksum_type: None,
        };
        let (body, verified) = receive(input.body, claimed, trailers.as_ref()).await?;
        let checksums = checksums::to_map(verified.clone());
        let attributes = Attributes { content_type: input.content_type, metadata: input.metadata, checksums };
        let condition = Condition { matches: input.if_match, none_matches: input.if_none_match };
        let publish = move |store: &Store| {
            store.bucket(&input.bucket)?;
            let written = store.write(|file| io::Write::write_all(file, &body)).map_err(internal)?;
            store.publish((&input.bucket, &input.key), &written, &attributes, &condition)
        };
        let tag = self.blocking(publish).await?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(tag)),
            checksum_crc32: verified.checksum_crc32,
            checksum_crc32c: verified.checksum_crc32c,
            checksum_crc64nvme: verified.checksum_crc64nvme,
            checksum_sha1: verified.checksum_sha1,
            checksum_sha256: verified.checksum_sha256,
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range, if_match, checksum_mode, .. } = req.input;
        let read = move |store: &Store| {
            let mut opened = store.open_object(&bucket, &key)?;
            if let Some(ETagCondition::ETag(wanted)) = if_match
                && wanted.value() != opened.tag
            {
                return Err(s3_error!(PreconditionFailed, "the object has another tag"));
            }
            let bounds =
                range.map_or(Ok(0..opened.bytes), |range| range.check(opened.bytes).map_err(|error| s3_error!(error, InvalidRange)))?;
            opened.file.seek(SeekFrom::Start(bounds.start)).map_err(internal)?;
            let bytes = bounds.end - bounds.start;
            let first = piece(&mut opened.file, bytes.min(PIECE_BYTES)).map_err(internal)?;
            let content_range = range.map(|_| format!("bytes {}-{}/{}", bounds.start, bounds.end.saturating_sub(1), opened.bytes));
            Ok((opened, first, bytes, content_range))
        };
        let (opened, first, bytes, content_range) = self.blocking(read).await?;
        let is_whole = content_range.is_none();
        let sums = sums_of(&opened, is_whole && checksum_mode.is_some());
        let Opened { file, tag, modified, attributes, .. } = opened;
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(bytes).ok(),
            content_range,
            body: Some(StreamingBlob::wrap(pieces(file, first, bytes))),
            e_tag: Some(ETag::Strong(tag)),
            last_modified: Some(Timestamp::from(modified)),
            content_type: attributes.content_type,
            metadata: attributes.metadata,
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let HeadObjectInput { bucket, key, checksum_mode, .. } = req.input;
        let opened = self.blocking(move |store| store.open_object(&bucket, &key)).await?;
        let sums = sums_of(&opened, checksum_mode.is_some());
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(opened.bytes).ok(),
            e_tag: Some(ETag::Strong(opened.tag)),
            last_modified: Some(Timestamp::from(opened.modified)),
            content_type: opened.attributes.content_type,
            metadata: opened.attributes.metadata,
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..HeadObjectOutput::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.blocking(move |store| store.delete(&req.input.bucket, &req.input.key)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        let is_quiet = delete.quiet.unwrap_or(false);
        let work = move |store: &Store| {
            delete.objects.iter().try_for_each(|object| store.delete(&bucket, &object.key))?;
            Ok(delete.objects.into_iter().map(|object| DeletedObject { key: Some(object.key), ..DeletedObject::default() }).collect())
        };
        let deleted = self.blocking(work).await?;
        let deleted = (!is_quiet).then_some(deleted);
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..DeleteObjectsOutput::default() }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        if input.delimiter.as_ref().is_some_and(|delimiter| delimiter != "/") {
            return Err(s3_error!(NotImplemented, "the only delimiter here is /"));
        }
        let max = input.max_keys.unwrap_or(PAGE_MAX).clamp(0, PAGE_MAX);
        let read = move |store: &Store| {
            let root = store.bucket(&input.bucket)?;
            let wanted = Wanted {
                prefix: input.prefix.as_deref().unwrap_or_default(),
                after: input.continuation_token.as_deref().max(input.start_after.as_deref()).unwrap_or_default(),
                is_delimited: input.delimiter.is_some(),
                max: usize::try_from(max).unwrap_or_default(),
            };
            Ok((listing::page(&root, &wanted).map_err(internal)?, input))
        };
        let (page, input) = self.blocking(read).await?;
        let count = page.objects.len() + page.folders.len();
        let contents = page.objects.into_iter().map(|found| Object {
            key: Some(found.key),
            size: i64::try_from(found.bytes).ok(),
            e_tag: Some(ETag::Strong(found.tag)),
            last_modified: Some(Timestamp::from(found.modified)),
            ..Object::default()
        });
        let folders = page.folders.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) });
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(count).ok(),
            max_keys: Some(max),
            is_truncated: Some(page.next.is_some()),
            contents: Some(contents.collect()),
            common_prefixes: Some(folders.collect()),
            continuation_token: input.continuation_token,
            next_continuation_token: page.next,
            delimiter: input.delimiter,
            name: Some(input.bucket),
            prefix: input.prefix,
            start_after: input.start_after,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let CreateMultipartUploadInput { bucket, key, content_type, metadata, .. } = req.input;
        let begin = move |store: &Store| {
            let attributes = Attributes { content_type, metadata, ..Attributes::default() };
            Ok((store.begin_upload(&bucket, &key, &attributes)?, bucket, key))
        };
        let (id, bucket, key) = self.blocking(begin).await?;
        let (bucket, key, upload_id) = (Some(bucket), Some(key), Some(id));
        Ok(S3Response::new(CreateMultipartUploadOutput { bucket, key, upload_id, ..CreateMultipartUploadOutput::default() }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let (input, trailers) = (req.input, req.trailing_headers);
        let claimed = Checksum {
            checksum_crc32: input.checksum_crc32,
            checksum_crc32c: input.checksum_crc32c,
            checksum_crc64nvme: input.checksum_crc64nvme,
            checksum_sha1: input.checksum_sha1,
            checksum_sha256: input.checksum_sha256,
            checksum_type: None,
        };
        let (body, verified) = receive(input.body, claimed, trailers.as_ref()).await?;
        let keep = move |store: &Store| store.put_part((&input.bucket, &input.key, &input.upload_id), input.part_number, &body);
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(self.blocking(keep).await?)),
            checksum_crc32: verified.checksum_crc32,
            checksum_crc32c: verified.checksum_crc32c,
            checksum_crc64nvme: verified.checksum_crc64nvme,
            checksum_sha1: verified.checksum_sha1,
            checksum_sha256: verified.checksum_sha256,
            ..UploadPartOutput::default()
        }))
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let ListPartsInput { bucket, key, upload_id, .. } = req.input;
        let read = move |store: &Store| Ok((store.parts(&bucket, &key, &upload_id)?, bucket, key, upload_id));
        let (parts, bucket, key, id) = self.blocking(read).await?;
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            parts: Some(parts),
            is_truncated: Some(false),
            ..ListPartsOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let CompleteMultipartUploadInput { bucket, key, upload_id, multipart_upload, if_match, if_none_match, .. } = req.input;
        let complete = move |store: &Store| {
            let parts = multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
            let condition = Condition { matches: if_match, none_matches: if_none_match };
            Ok((store.complete_upload((&bucket, &key, &upload_id), &parts, &condition)?, bucket, key))
        };
        let (tag, bucket, key) = self.blocking(complete).await?;
        let (bucket, key, e_tag) = (Some(bucket), Some(key), Some(ETag::Strong(tag)));
        Ok(S3Response::new(CompleteMultipartUploadOutput { bucket, key, e_tag, ..CompleteMultipartUploadOutput::default() }))
    }

    async fn abort_multipart_upload(&self, req: S3Request<AbortMultipartUploadInput>) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = req.input;
        self.blocking(move |store| store.abort_upload(&bucket, &key, &upload_id)).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// Reads an upload to its end and verifies it. One that is cut short is an error, and nothing was written.
async fn receive(body: Option<StreamingBlob>, claimed: Checksum, trailers: Option<&TrailingHeaders>) -> S3Result<(Vec<u8>, Checksum)> {
    let mut body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let mut bytes = Vec::new();
    while let Some(piece) = body.try_next().await.map_err(|error| s3_error!(IncompleteBody, "the body ended early: {error}"))? {
        if bytes.len() + piece.len() > UPLOAD_BYTES_MAX {
            return Err(s3_error!(EntityTooLarge, "this server takes 256 MiB at once; use a multipart upload"));
        }
        bytes.extend_from_slice(&piece);
    }
    let verified = checksums::verify(claimed, trailers, &bytes)?;
    Ok((bytes, verified))
}

/// The checksums to answer with: only when asked for, and only those of the whole object.
fn sums_of(opened: &Opened, is_asked: bool) -> Checksum {
    if is_asked { checksums::from_map(&opened.attributes.checksums) } else { Checksum::default() }
}

fn piece(file: &mut File, bytes: u64) -> io::Result<Bytes> {
    let mut piece = Vec::new();
    file.take(bytes).read_to_end(&mut piece)?;
    Ok(piece.into())
}

/// `first`, and then the rest of `bytes` in pieces.
fn pieces(file: File, first: Bytes, bytes: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let left = bytes.saturating_sub(first.len() as u64);
    let rest = futures::stream::try_unfold((file, left), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = move || piece(&mut file, left.min(PIECE_BYTES)).map(|piece| (piece, file));
        let (piece, file) = tokio::task::spawn_blocking(read).await??;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = left.saturating_sub(piece.len() as u64);
        Ok(Some((piece, (file, left))))
    });
    futures::StreamExt::chain(futures::stream::iter([Ok(first)]), rest)
}
