//! Objects as files: `<folder>/<bucket>/<key>`, and beside the buckets a hidden folder for what is being written.
//!
//! The one idea: a version of an object is one file, renamed into place, and its tag is that file's modification time, which never repeats.
//! Attributes lie in a file named by the tag and are written before the rename, so that no kill and no race pairs bytes with the attributes
//! of others; those of versions that are gone stay lying, since somebody may be reading them. A key cannot be both an object and the folder of others, which S3 would allow.

use std::collections::HashMap;
use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3s::dto::ETagCondition;
use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};

/// The hidden folder; no bucket has such a name.
const ASIDE: &str = ".loopback";

/// Bytes of a key, as in S3.
const KEY_BYTES_MAX: usize = 1024;

/// The folder of all buckets.
pub(crate) struct Store {
    root: PathBuf,
    /// The newest modification time given out, in nanoseconds of the epoch. Held while a version is put in place, which makes conditions atomic.
    newest_ns: Mutex<u64>,
    files: AtomicU64,
}

/// What was said of an object when it was put.
#[derive(Default, Clone, Serialize, Deserialize)]
pub(crate) struct Attributes {
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: Option<HashMap<String, String>>,
    /// Checksums that were verified, by their header's name.
    pub(crate) checksums: HashMap<String, String>,
}

/// Under which condition an object may be put.
#[derive(Default)]
pub(crate) struct Condition {
    pub(crate) matches: Option<ETagCondition>,
    pub(crate) none_matches: Option<ETagCondition>,
}

/// An object that is open for reading; it stays this version whatever is put meanwhile.
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    pub(crate) tag: String,
    pub(crate) modified: SystemTime,
    pub(crate) attributes: Attributes,
}

impl Store {
    /// Opens the folder, creating it when missing, and removes what a killed server left half written.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let store = Self { root: root.canonicalize()?, newest_ns: Mutex::new(0), files: AtomicU64::new(0) };
        let written = store.aside("written");
        if written.exists() {
            fs::remove_dir_all(&written)?;
        }
        for name in ["written", "attributes", "uploads"] {
            fs::create_dir_all(store.aside(name))?;
        }
        Ok(store)
    }

    /// Makes a bucket, unless it is there.
    pub(crate) fn create_bucket(&self, bucket: &str) -> io::Result<()> {
        fs::create_dir_all(self.root.join(bucket))
    }

    /// The bucket's folder.
    pub(crate) fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let path = self.root.join(bucket);
        if bucket.starts_with('.') || !path.is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        Ok(path)
    }

    /// Writes a file that is not an object yet, and gives it the next modification time.
    pub(crate) fn write(&self, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<PathBuf> {
        let path = self.aside("written").join(self.files.fetch_add(1, Ordering::Relaxed).to_string());
        let mut file = File::create_new(&path)?;
        fill(&mut file)?;
        file.set_times(FileTimes::new().set_modified(self.next_moment()))?;
        Ok(path)
    }

    /// Makes a written file the object's newest version, all at once, and gives its tag.
    pub(crate) fn publish(
        &self,
        (bucket, key): (&str, &str),
        written: &Path,
        attributes: &Attributes,
        condition: &Condition,
    ) -> S3Result<String> {
        let published = self.try_publish((bucket, key), written, attributes, condition);
        if published.is_err() {
            // It may be gone already; what stays goes at the next start.
            drop(fs::remove_file(written));
        }
        published
    }

    fn try_publish(&self, (bucket, key): (&str, &str), written: &Path, attributes: &Attributes, condition: &Condition) -> S3Result<String> {
        let path = self.path(bucket, key)?;
        let tag = tag_of(&fs::metadata(written).map_err(internal)?).map_err(internal)?;
        if attributes.content_type.is_some() || attributes.metadata.is_some() || !attributes.checksums.is_empty() {
            let mut file = File::create(self.aside("attributes").join(&tag)).map_err(internal)?;
            file.write_all(&serde_json::to_vec(attributes).map_err(internal)?).map_err(internal)?;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| s3_error!(error, InvalidArgument, "a part of the key is an object"))?;
        }
        let _alone = self.newest_ns.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let old = match fs::metadata(&path) {
            Ok(found) if found.is_dir() => return Err(s3_error!(InvalidArgument, "the key is the folder of other objects")),
            Ok(found) => Some(tag_of(&found).map_err(internal)?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(internal(error)),
        };
        condition.check(old.as_deref())?;
        fs::rename(written, &path).map_err(internal)?;
        Ok(tag)
    }

    /// Opens an object.
    pub(crate) fn open_object(&self, bucket: &str, key: &str) -> S3Result<Opened> {
        let path = self.path(bucket, key)?;
        let file = File::open(path).map_err(missing)?;
        let metadata = file.metadata().map_err(internal)?;
        if metadata.is_dir() {
            return Err(s3_error!(NoSuchKey));
        }
        let tag = tag_of(&metadata).map_err(internal)?;
        let attributes = match fs::read(self.aside("attributes").join(&tag)) {
            Ok(text) => serde_json::from_slice(&text).map_err(internal)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Attributes::default(),
            Err(error) => return Err(internal(error)),
        };
        let modified = metadata.modified().map_err(internal)?;
        Ok(Opened { file, bytes: metadata.len(), tag, modified, attributes })
    }

    /// Removes an object if it is there.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> S3Result<()> {
        let path = self.path(bucket, key)?;
        let _alone = self.newest_ns.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Ok(found) = fs::metadata(&path) else { return Ok(()) };
        if found.is_dir() {
            return Ok(());
        }
        fs::remove_file(&path).map_err(internal)
    }

    /// A folder beside the buckets.
    pub(crate) fn aside(&self, name: &str) -> PathBuf {
        self.root.join(ASIDE).join(name)
    }

    /// A name that no other file of this folder has or had.
    pub(crate) fn fresh_name(&self) -> String {
        let since = self.next_moment().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:032x}", since.as_nanos())
    }

    fn path(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let folder = self.bucket(bucket)?;
        if key.len() > KEY_BYTES_MAX {
            return Err(s3_error!(KeyTooLongError));
        }
        if key.split('/').any(|segment| matches!(segment, "" | "." | "..") || segment.len() > 255) {
            return Err(s3_error!(InvalidArgument, "this server's keys are paths: no segment is empty, dots or above 255 bytes"));
        }
        Ok(folder.join(key))
    }

    fn next_moment(&self) -> SystemTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut newest = self.newest_ns.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *newest = (*newest + 1).max(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX - 1));
        UNIX_EPOCH + Duration::from_nanos(*newest)
    }
}

impl Condition {
    fn check(&self, old: Option<&str>) -> S3Result<()> {
        let is = |wanted: &ETagCondition| match wanted {
            ETagCondition::Any => old.is_some(),
            ETagCondition::ETag(tag) => old == Some(tag.value()),
        };
        if self.none_matches.as_ref().is_some_and(is) {
            return Err(s3_error!(PreconditionFailed, "there is such an object"));
        }
        match &self.matches {
            Some(_) if old.is_none() => Err(s3_error!(NoSuchKey)),
            Some(wanted) if !is(wanted) => Err(s3_error!(PreconditionFailed, "the object has another tag")),
            _ => Ok(()),
        }
    }
}

/// The tag of the version that a file is.
pub(crate) fn tag_of(metadata: &fs::Metadata) -> io::Result<String> {
    let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{:016x}{:016x}", since.as_nanos(), metadata.len()))
}

/// A failure of the machine, as the protocol says it.
pub(crate) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    s3_error!(error, InternalError)
}

fn missing(error: io::Error) -> S3Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => s3_error!(error, NoSuchKey),
        _ => internal(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use s3s::S3ErrorCode;

    use super::*;

    fn put(store: &Store, key: &str, text: &str, condition: &Condition) -> S3Result<String> {
        let written = store.write(|file| file.write_all(text.as_bytes())).expect("written");
        let checksums = HashMap::from([("of".to_owned(), text.to_owned())]);
        store.publish(("bucket", key), &written, &Attributes { checksums, ..Attributes::default() }, condition)
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        store.create_bucket("bucket").expect("a bucket");
        (folder, store)
    }

    #[test]
    fn bytes_and_attributes_are_of_the_same_version_while_it_is_replaced() {
        let (_folder, store) = store();
        put(&store, "a/b", "0", &Condition::default()).expect("put");
        std::thread::scope(|scope| {
            scope.spawn(|| (0..300).for_each(|n| drop(put(&store, "a/b", &n.to_string(), &Condition::default()).expect("put"))));
            for _ in 0..300 {
                let mut opened = store.open_object("bucket", "a/b").expect("there is one");
                let mut text = String::new();
                opened.file.read_to_string(&mut text).expect("text");
                assert_eq!(opened.attributes.checksums.get("of"), Some(&text));
            }
        });
    }

    #[test]
    fn of_many_that_may_only_create_one_wins() {
        let (_folder, store) = store();
        let only = || Condition { none_matches: Some(ETagCondition::Any), ..Condition::default() };
        for round in 0..50 {
            let (key, start) = (format!("k{round}"), std::sync::Barrier::new(8));
            let race = || {
                start.wait();
                put(&store, &key, "x", &only()).is_ok()
            };
            let won = std::thread::scope(|scope| {
                let racers: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
                racers.into_iter().filter_map(|racer| racer.join().expect("no panic").then_some(())).count()
            });
            assert_eq!(won, 1, "round {round}");
        }
    }

    #[test]
    fn two_versions_never_share_a_tag_though_the_clock_goes_back() {
        let (_folder, store) = store();
        let tomorrow = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + Duration::from_secs(86_400);
        let tomorrow_ns = u64::try_from(tomorrow.as_nanos()).expect("64 bits");
        *store.newest_ns.lock().expect("unused") = tomorrow_ns;
        let first = put(&store, "k", "1", &Condition::default()).expect("put");
        let second = put(&store, "k", "2", &Condition::default()).expect("put");
        assert!(second > first && first > format!("{tomorrow_ns:016x}"));
    }

    #[test]
    fn a_missing_bucket_is_named_and_not_made() {
        let (folder, store) = store();
        let written = store.write(|_| Ok(())).expect("written");
        let refused = store.publish(("nowhere", "a/b"), &written, &Attributes::default(), &Condition::default());
        assert!(matches!(refused.map_err(|error| error.code().clone()), Err(S3ErrorCode::NoSuchBucket)));
        assert!(!folder.path().join("nowhere").exists());
    }
}
