//! Multipart uploads: a folder for each, beside the buckets, with its parts as files named by their numbers.
//!
//! The object appears when the upload is completed, whole; until then nothing of it is listed. Whoever neither completes nor aborts leaves the
//! folder lying, as in S3.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use s3s::dto::{CompletedPart, Part, Timestamp};
use s3s::{S3Result, s3_error};

use super::store::{Attributes, Condition, Store, internal, tag_of};

/// Bytes of every part but the last, as in S3.
const PART_BYTES_MIN: u64 = 5 << 20;

/// The highest part number, as in S3.
const PARTS_MAX: i32 = 10_000;

/// The file of an upload that says what it is for.
const PURPOSE: &str = "purpose.json";

impl Store {
    /// Begins an upload and gives its id.
    pub(crate) fn begin_upload(&self, bucket: &str, key: &str, attributes: &Attributes) -> S3Result<String> {
        self.bucket(bucket)?;
        let id = self.fresh_name();
        let folder = self.aside("uploads").join(&id);
        fs::create_dir(&folder).map_err(internal)?;
        let purpose = serde_json::to_vec(&(bucket, key, attributes)).map_err(internal)?;
        fs::write(folder.join(PURPOSE), purpose).map_err(internal)?;
        Ok(id)
    }

    /// Keeps a part, replacing one of the same number, and gives its tag.
    pub(crate) fn put_part(&self, (bucket, key, id): (&str, &str, &str), number: i32, body: &[u8]) -> S3Result<String> {
        if !(1..=PARTS_MAX).contains(&number) {
            return Err(s3_error!(InvalidArgument, "part numbers are 1 to 10000"));
        }
        let (folder, _) = self.upload(bucket, key, id)?;
        let written = self.write(|file| file.write_all(body)).map_err(internal)?;
        let tag = tag_of(&fs::metadata(&written).map_err(internal)?).map_err(internal)?;
        fs::rename(written, folder.join(number.to_string())).map_err(internal)?;
        Ok(tag)
    }

    /// The parts that are there, by number.
    pub(crate) fn parts(&self, bucket: &str, key: &str, id: &str) -> S3Result<Vec<Part>> {
        let (folder, _) = self.upload(bucket, key, id)?;
        let mut parts = Vec::new();
        for child in fs::read_dir(folder).map_err(internal)? {
            let child = child.map_err(internal)?;
            let Some(number) = child.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let metadata = child.metadata().map_err(internal)?;
            parts.push(Part {
                part_number: Some(number),
                e_tag: Some(s3s::dto::ETag::Strong(tag_of(&metadata).map_err(internal)?)),
                size: i64::try_from(metadata.len()).ok(),
                last_modified: Some(Timestamp::from(metadata.modified().map_err(internal)?)),
                ..Part::default()
            });
        }
        parts.sort_by_key(|part| part.part_number);
        Ok(parts)
    }

    /// Puts the parts together as the object's newest version, and gives its tag.
    pub(crate) fn complete_upload(
        &self,
        (bucket, key, id): (&str, &str, &str),
        parts: &[CompletedPart],
        condition: &Condition,
    ) -> S3Result<String> {
        let (folder, attributes) = self.upload(bucket, key, id)?;
        let mut files = Vec::new();
        let mut before = 0;
        for (position, part) in parts.iter().enumerate() {
            let number = part.part_number.unwrap_or_default();
            if number <= before {
                return Err(s3_error!(InvalidPartOrder));
            }
            before = number;
            let path = folder.join(number.to_string());
            let metadata = fs::metadata(&path).map_err(|error| s3_error!(error, InvalidPart))?;
            let tag = tag_of(&metadata).map_err(internal)?;
            if part.e_tag.as_ref().is_none_or(|said| said.value() != tag) {
                return Err(s3_error!(InvalidPart, "part {number} has another tag"));
            }
            if metadata.len() < PART_BYTES_MIN && position + 1 < parts.len() {
                return Err(s3_error!(EntityTooSmall));
            }
            files.push(path);
        }
        if files.is_empty() {
            return Err(s3_error!(MalformedXML, "an upload has at least one part"));
        }
        let join = |whole: &mut File| files.iter().try_for_each(|part| io::copy(&mut File::open(part)?, whole).map(|_| ()));
        let written = self.write(join).map_err(internal)?;
        let tag = self.publish((bucket, key), &written, &attributes, condition)?;
        fs::remove_dir_all(folder).map_err(internal)?;
        Ok(tag)
    }

    /// Forgets an upload.
    pub(crate) fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<()> {
        let (folder, _) = self.upload(bucket, key, id)?;
        fs::remove_dir_all(folder).map_err(internal)
    }

    fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<(PathBuf, Attributes)> {
        self.bucket(bucket)?;
        if !id.bytes().all(|b| b.is_ascii_hexdigit()) || id.is_empty() {
            return Err(s3_error!(NoSuchUpload));
        }
        let folder = self.aside("uploads").join(id);
        let purpose = match fs::read(folder.join(PURPOSE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(s3_error!(error, NoSuchUpload)),
            read => read.map_err(internal)?,
        };
        let (of_bucket, of_key, attributes): (String, String, Attributes) = serde_json::from_slice(&purpose).map_err(internal)?;
        if (of_bucket.as_str(), of_key.as_str()) != (bucket, key) {
            return Err(s3_error!(NoSuchUpload));
        }
        Ok((folder, attributes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use s3s::S3ErrorCode;
    use s3s::dto::ETag;

    use super::*;

    #[test]
    fn parts_become_one_object_in_their_order_and_only_when_completed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        store.create_bucket("bucket").expect("a bucket");
        let id = store.begin_upload("bucket", "k", &Attributes::default()).expect("begun");
        let at = ("bucket", "k", id.as_str());
        let big = vec![7; PART_BYTES_MIN as usize];
        let done = |number, tag| CompletedPart { part_number: Some(number), e_tag: Some(ETag::Strong(tag)), ..CompletedPart::default() };
        let last = done(9, store.put_part(at, 9, b"end").expect("a part"));
        let first = done(2, store.put_part(at, 2, &big).expect("a part"));
        let complete = |parts: &[CompletedPart]| store.complete_upload(at, parts, &Condition::default());
        let refusal = |parts: &[CompletedPart]| complete(parts).map_err(|error| error.code().clone()).expect_err("refused");
        assert_eq!(refusal(&[first.clone(), first.clone()]), S3ErrorCode::InvalidPartOrder);
        assert_eq!(refusal(&[first.clone(), done(9, "another".to_owned())]), S3ErrorCode::InvalidPart);
        assert_eq!(refusal(&[first.clone(), done(10, "missing".to_owned())]), S3ErrorCode::InvalidPart);
        assert!(store.open_object("bucket", "k").is_err(), "nothing is there yet");
        complete(&[first, last]).expect("completed");
        let mut bytes = Vec::new();
        store.open_object("bucket", "k").expect("there").file.read_to_end(&mut bytes).expect("read");
        assert_eq!((bytes.len(), bytes.ends_with(b"\x07end")), (big.len() + 3, true));
        assert!(store.parts("bucket", "k", &id).is_err(), "the upload is over");
    }
}
