//! An archive in a directory: one file per object.
//!
//! An object is written beside its place under a hidden name and renamed, so a killed process leaves it whole or absent. No file is synced by
//! itself; [`Archive::sync`] syncs the file system, once a second, for all of them. After a power loss a file may be there but empty: such a
//! file is no object. Keys become paths only after they were checked.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::layout;
use serde::{Deserialize, Serialize};

use super::{Archive, ArchiveError, Listed, check_key, folder_key};
use crate::disk;

/// Beginning of the names of files that are being written.
const HIDDEN: &str = ".put-";
/// A hidden file older than this was left by a killed process.
const LEFTOVER_AGE: Duration = Duration::from_secs(600);
/// How many folders we remember to exist; beyond it we forget all and ask the file system again.
const KNOWN_FOLDERS_MAX: usize = 4096;

/// An archive in a directory.
#[derive(Debug, Clone)]
pub struct DirectoryArchive {
    root: Arc<Root>,
}

#[derive(Debug)]
struct Root {
    path: PathBuf,
    id: String,
    folder: File,
    known_folders: Mutex<HashSet<PathBuf>>,
    /// Makes our hidden names ours alone: process ids repeat, and machines may share a directory.
    nonce: String,
    puts: AtomicU64,
    is_dirty: AtomicBool,
}

/// What `archive.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    schema_version: u32,
    id: String,
}

impl DirectoryArchive {
    /// Opens the archive in `path`, creating the directory and its identity on first use.
    ///
    /// # Errors
    /// When the directory cannot be created, read or written.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, ArchiveError> {
        let path = path.into();
        let place = path.display().to_string();
        let opened = tokio::task::spawn_blocking(move || Root::open(path)).await;
        let root = opened.map_err(io::Error::other).flatten().map_err(|error| trouble(&place, "open", layout::ARCHIVE, &error))?;
        Ok(Self { root: Arc::new(root) })
    }

    /// Runs `work` off the async threads, for an object whose key was checked.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        key: &str,
        work: impl FnOnce(&Root, PathBuf) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let (root, path) = (Arc::clone(&self.root), self.root.path.join(key));
        let worked = tokio::task::spawn_blocking(move || work(&root, path)).await;
        worked.map_err(io::Error::other).flatten().map_err(|error| trouble(&self.place(), action, key, &error))
    }
}

#[async_trait]
impl Archive for DirectoryArchive {
    fn id(&self) -> &str {
        &self.root.id
    }

    fn place(&self) -> String {
        self.root.path.display().to_string()
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        check_key(key)?;
        if bytes.is_empty() {
            return Err(ArchiveError::Refused { key: key.to_owned(), reason: "an object is never empty" });
        }
        self.blocking("put", key, move |root, path| root.put(&path, &bytes)).await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        check_key(key)?;
        self.blocking("get", key, |_, path| {
            let bytes = absent_is_none(fs::read(path))?;
            Ok(bytes.filter(|bytes| !bytes.is_empty()))
        })
        .await
    }

    async fn exists(&self, key: &str) -> Result<bool, ArchiveError> {
        check_key(key)?;
        self.blocking("look for", key, |_, path| {
            let metadata = absent_is_none(fs::metadata(path))?;
            Ok(metadata.is_some_and(|metadata| metadata.is_file() && metadata.len() > 0))
        })
        .await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Listed>, ArchiveError> {
        let key = folder_key(folder)?;
        let prefix = folder.to_owned();
        self.blocking("list", key, move |_, path| list(&path, &prefix)).await
    }

    async fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let key = if folder.is_empty() { "" } else { folder_key(folder)? };
        self.blocking("list", key, |_, path| {
            let Some(found) = absent_is_none(fs::read_dir(path))? else { return Ok(Vec::new()) };
            let mut names = Vec::new();
            for file in found {
                let file = file?;
                let Ok(name) = file.file_name().into_string() else { continue };
                if !name.starts_with('.') && file.file_type()?.is_dir() {
                    names.push(name);
                }
            }
            names.sort();
            Ok(names)
        })
        .await
    }

    async fn put_file(&self, key: &str, from: &Path) -> Result<(), ArchiveError> {
        check_key(key)?;
        let source = from.to_owned();
        let size = tokio::fs::metadata(from).await.map_err(|error| file_trouble("read", from, &error))?.len();
        if size == 0 {
            return Err(ArchiveError::Refused { key: key.to_owned(), reason: "an object is never empty" });
        }
        self.blocking("put", key, move |root, path| root.place(&path, |file| io::copy(&mut File::open(&source)?, file).map(|_| ()))).await
    }

    async fn get_file(&self, key: &str, to: &Path) -> Result<bool, ArchiveError> {
        check_key(key)?;
        let target = to.to_owned();
        self.blocking("get", key, move |_, path| {
            let Some(mut object) = absent_is_none(File::open(path))? else { return Ok(false) };
            Ok(io::copy(&mut object, &mut File::create_new(&target)?)? > 0)
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), ArchiveError> {
        check_key(key)?;
        self.blocking("delete", key, |root, path| {
            root.is_dirty.store(true, Ordering::Relaxed);
            absent_is_none(fs::remove_file(path)).map(|_| ())
        })
        .await
    }

    async fn sync(&self) -> Result<(), ArchiveError> {
        // Cleared before, not after: what is put meanwhile is dirty again.
        if !self.root.is_dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let synced = self.blocking("sync", layout::ARCHIVE, |root, _| disk::sync_file_system(&root.folder)).await;
        if synced.is_err() {
            self.root.is_dirty.store(true, Ordering::Release);
        }
        synced
    }
}

impl Root {
    fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        let folder = File::open(&path)?;
        let nonce = random_id()?;
        let id = identity(&path, &nonce)?;
        Ok(Self { path, id, folder, known_folders: Mutex::default(), nonce, puts: AtomicU64::new(0), is_dirty: AtomicBool::new(true) })
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.place(path, |file| file.write_all(bytes))
    }

    /// Puts at `path`, whole or not at all, what `write` writes.
    fn place(&self, path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.path);
        self.ensure(folder)?;
        let hidden = folder.join(format!("{HIDDEN}{}-{}", self.nonce, self.puts.fetch_add(1, Ordering::Relaxed)));
        let mut file = match File::create(&hidden) {
            // Somebody removed the folder since we saw it.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(folder)?;
                File::create(&hidden)?
            }
            other => other?,
        };
        let written = write(&mut file).and_then(|()| fs::rename(&hidden, path));
        self.is_dirty.store(true, Ordering::Release);
        written.inspect_err(|_| remove_leftover(&hidden))
    }

    fn ensure(&self, folder: &Path) -> io::Result<()> {
        let mut known = self.known_folders.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(folder) {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        if known.len() >= KNOWN_FOLDERS_MAX {
            known.clear();
        }
        known.insert(folder.to_owned());
        Ok(())
    }
}

/// The archive's id, drawn now if nobody has. Linking refuses to replace, so of several who try at once exactly one gives the id, and all
/// read it back.
fn identity(root: &Path, nonce: &str) -> io::Result<String> {
    let path = root.join(layout::ARCHIVE);
    if !path.try_exists()? {
        let fresh = Identity { schema_version: 1, id: random_id()? };
        let hidden = root.join(format!("{HIDDEN}{nonce}"));
        fs::write(&hidden, serde_json::to_vec_pretty(&fresh)?)?;
        let linked = fs::hard_link(&hidden, &path);
        remove_leftover(&hidden);
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let identity: Identity = serde_json::from_slice(&fs::read(&path)?)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, format!("{} is damaged: {error}", path.display())))?;
    Ok(identity.id)
}

/// 128 random bits from the system, as 32 hexadecimal digits: for the ids of archives and campaigns, which nothing is derived from.
///
/// # Errors
/// When the system gives none.
pub fn random_id() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

fn file_trouble(action: &'static str, path: &Path, error: &io::Error) -> ArchiveError {
    ArchiveError::File { action, path: path.display().to_string(), reason: error.to_string() }
}

fn list(folder: &Path, prefix: &str) -> io::Result<Vec<Listed>> {
    let Some(found) = absent_is_none(fs::read_dir(folder))? else { return Ok(Vec::new()) };
    let mut listed = Vec::new();
    for file in found {
        let file = file?;
        // Our keys are text, so a name that is not was not put by us.
        let Ok(name) = file.file_name().into_string() else { continue };
        // Renamed or deleted since it was found.
        let Some(metadata) = absent_is_none(file.metadata())? else { continue };
        let age = metadata.modified().ok().and_then(|at| at.elapsed().ok());
        if name.starts_with(HIDDEN) && age.is_some_and(|age| age > LEFTOVER_AGE) {
            remove_leftover(&file.path());
        }
        let is_object = metadata.is_file() && metadata.len() > 0 && !name.starts_with('.');
        if is_object {
            listed.push(Listed { key: format!("{prefix}{name}"), bytes: metadata.len() });
        }
    }
    listed.sort();
    Ok(listed)
}

/// Tolerated when it fails: a leftover is never listed, and the next listing tries again.
fn remove_leftover(hidden: &Path) {
    if let Err(error) = fs::remove_file(hidden) {
        tracing::debug!(path = %hidden.display(), %error, "a leftover file stays");
    }
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn trouble(archive: &str, action: &'static str, key: &str, error: &io::Error) -> ArchiveError {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => "give this user the right to write there, or name another directory",
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
            "a file is where a folder belongs or the other way round; name another directory"
        }
        ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only; name another directory",
        ErrorKind::InvalidData => "restore archive.json from a copy, or name another directory",
        // The disk is full, or it fails: what a person can mend while we wait.
        _ => {
            let (key, archive, reason) = (key.to_owned(), archive.to_owned(), error.to_string());
            return ArchiveError::Unavailable { action, key, archive, reason };
        }
    };
    ArchiveError::Unusable { archive: archive.to_owned(), reason: format!("{action} {key}: {error}; {advice}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_killed_process_left_is_never_listed_and_goes_in_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let archive = DirectoryArchive::open(folder.path()).await.expect("a fresh archive");
        archive.put("f/whole", b"1".to_vec()).await.expect("room");
        let (young, old) = (folder.path().join("f/.put-1-1"), folder.path().join("f/.put-1-2"));
        for left in [&young, &old] {
            fs::write(left, "half").expect("room");
        }
        let long_ago = std::time::SystemTime::now() - 2 * LEFTOVER_AGE;
        File::options().append(true).open(&old).and_then(|file| file.set_modified(long_ago)).expect("our own file");
        fs::write(folder.path().join("f/emptied-by-power-loss"), "").expect("room");

        let listed = archive.list("f/").await.expect("readable");
        assert_eq!(listed, [Listed { key: "f/whole".into(), bytes: 1 }]);
        assert_eq!(archive.get("f/emptied-by-power-loss").await.expect("readable"), None);
        assert!(young.exists() && !old.exists(), "only what is old is surely nobody's");
    }

    #[tokio::test]
    async fn trouble_that_lasts_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        fs::write(&file, "x").expect("room");
        let error = DirectoryArchive::open(&file).await.expect_err("a file is no directory");
        assert!(matches!(&error, ArchiveError::Unusable { reason, .. } if reason.contains("name another directory")), "{error}");
        let full = trouble("a", "put", "k", &io::Error::from(ErrorKind::StorageFull));
        assert!(matches!(full, ArchiveError::Unavailable { .. }), "{full}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_is_synced_within_a_second_and_at_the_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let archive = DirectoryArchive::open(folder.path()).await.expect("a fresh archive");
        let is_dirty = || archive.root.is_dirty.load(Ordering::Acquire);
        let end = tokio_util::sync::CancellationToken::new();
        let syncing = tokio::spawn(super::super::keep_synced(Arc::new(archive.clone()), end.clone().cancelled_owned()));
        archive.put("a", b"1".to_vec()).await.expect("room");
        assert!(is_dirty());
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert!(!is_dirty());
        archive.put("b", b"1".to_vec()).await.expect("room");
        end.cancel();
        syncing.await.expect("no panic");
        assert!(!is_dirty());
    }

    #[tokio::test]
    async fn all_who_open_a_fresh_directory_at_once_agree_on_its_id() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let openings = (0..16).map(|_| DirectoryArchive::open(folder.path().join("fresh")));
        let ids: HashSet<String> =
            futures::future::join_all(openings).await.into_iter().map(|opened| opened.expect("usable").id().to_owned()).collect();
        assert_eq!(ids.len(), 1);
    }
}
