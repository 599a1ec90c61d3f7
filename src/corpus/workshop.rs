//! The directory a snapshot is built in: a sibling of the target that becomes the target by one rename, when it is whole.
//!
//! What an interrupted build leaves has another name and no manifest, so it never opens as a corpus; a build that fails clears it away, and
//! of one that was killed the next build of the same target does. Two builds of one target are told apart by a lock that dies with its
//! process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::CorpusError;

const LOCK_FILE: &str = ".building";

/// A build in progress.
pub(crate) struct Workshop {
    directory: PathBuf,
    target: PathBuf,
    is_published: bool,
    _lock: File,
}

impl Workshop {
    /// Takes the place beside `target`, and clears it.
    pub(crate) fn open(target: &Path) -> Result<Self, CorpusError> {
        if target.symlink_metadata().is_ok() {
            return Err(CorpusError::Build(format!("{} exists; a snapshot is never changed, give another name", target.display())));
        }
        let name = target.file_name().ok_or_else(|| CorpusError::Build(format!("{} names no directory", target.display())))?;
        let mut partial = name.to_owned();
        partial.push(".partial");
        let directory = target.with_file_name(partial);
        fs::create_dir_all(&directory).map_err(CorpusError::io("create", &directory))?;
        let lock_path = directory.join(LOCK_FILE);
        let lock = File::create(&lock_path).map_err(CorpusError::io("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CorpusError::Build(format!("{} is being built by another process", target.display())));
            }
            Err(TryLockError::Error(error)) => return Err(CorpusError::io("lock", &lock_path)(error)),
        }
        let workshop = Self { directory, target: target.to_owned(), is_published: false, _lock: lock };
        workshop.clear()?;
        Ok(workshop)
    }

    /// Where to build.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn clear(&self) -> Result<(), CorpusError> {
        let failed = |error| CorpusError::io("clear", &self.directory)(error);
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name() == LOCK_FILE {
                continue;
            }
            let is_directory = entry.file_type().map_err(failed)?.is_dir();
            if is_directory { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }.map_err(failed)?;
        }
        Ok(())
    }

    /// Takes the lock's file out of the directory, so that only the snapshot is left. The lock itself holds on.
    pub(crate) fn tidy(&self) -> Result<(), CorpusError> {
        let path = self.directory.join(LOCK_FILE);
        fs::remove_file(&path).map_err(CorpusError::io("remove", &path))
    }

    /// Makes the snapshot durable, then gives it its name.
    pub(crate) fn publish(mut self) -> Result<(), CorpusError> {
        sync(&self.directory).map_err(CorpusError::io("sync", &self.directory))?;
        fs::rename(&self.directory, &self.target).map_err(CorpusError::io("rename to", &self.target))?;
        self.is_published = true;
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(CorpusError::io("sync", parent))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if self.is_published {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            // The build has failed already, with a reason of its own; the next one clears this too.
            tracing::warn!(%error, directory = %self.directory.display(), "failed to clear away an unfinished build");
        }
    }
}

/// A snapshot is two levels deep; this goes as deep as there are directories.
fn sync(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rerun_clears_what_an_interrupted_build_left() {
        let home = tempfile::tempdir().expect("temporary directory");
        let target = home.path().join("corpus");
        fs::create_dir_all(home.path().join("corpus.partial/index")).expect("create");
        fs::write(home.path().join("corpus.partial/index/left"), "over").expect("write");
        let second = Workshop::open(&target).expect("second build");
        assert!(!second.directory().join("index").exists());
        fs::write(second.directory().join("manifest.json"), "{}").expect("write");
        second.tidy().and_then(|()| second.publish()).expect("publish");
        let names: Vec<_> = fs::read_dir(&target).expect("target").map(|entry| entry.expect("entry").file_name()).collect();
        assert_eq!(names, ["manifest.json"]);
        assert_eq!(fs::read_dir(home.path()).expect("home").count(), 1);
    }

    #[test]
    fn a_build_that_fails_leaves_nothing() {
        let home = tempfile::tempdir().expect("temporary directory");
        let failed = Workshop::open(&home.path().join("corpus")).expect("build");
        fs::write(failed.directory().join("half"), "done").expect("write");
        drop(failed);
        assert_eq!(fs::read_dir(home.path()).expect("home").count(), 0);
    }

    #[test]
    fn one_build_of_a_target_at_a_time_and_none_over_a_snapshot() {
        let home = tempfile::tempdir().expect("temporary directory");
        let target = home.path().join("corpus");
        let running = Workshop::open(&target).expect("first build");
        let message = Workshop::open(&target).err().expect("second build refused").to_string();
        assert!(message.contains("being built by another"), "{message}");
        drop(running);
        fs::create_dir(&target).expect("create");
        let message = Workshop::open(&target).err().expect("existing target refused").to_string();
        assert!(message.contains("exists"), "{message}");
    }
}
