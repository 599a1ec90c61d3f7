//! Corpora in the archive: a snapshot is pushed once, and pulled once by each machine.
//!
//! A build lies under its own digest, so its objects never change and a push that was cut goes on where it stopped; the manifest comes last
//! and says that the rest is there. A pulled snapshot appears in the machine's folder at once and only after every byte was checked. Nothing
//! is ever deleted from an archive here.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use corpus::{CorpusError, MANIFEST_FILE, Manifest, Problem, SnapshotFile};
use futures::{StreamExt, TryStreamExt, stream};
use model::{Digest, layout};
use runtime::{Archive, ArchiveError};

use crate::error::{DatasetError, blocking};

/// Files on their way at once; the archive moves the parts of a large one side by side as well.
const FILES_AT_ONCE: usize = 4;
/// How often a worker looks whether another of its machine is done with a pull.
const LOCK_PERIOD: Duration = Duration::from_millis(200);

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The corpus.
    pub corpus_id: Digest,
    /// The build of it that is in the archive.
    pub build_digest: Digest,
    /// Bytes of the snapshot but its manifest.
    pub bytes: u64,
    /// Files that were uploaded, the manifest included; none when the build was there already.
    pub files_uploaded: u64,
}

/// Puts the snapshot in `snapshot` into the archive, as far as it is not there; `progress` is told bytes done and bytes in all.
///
/// A snapshot that is not as it was built is refused before a byte of it is put.
///
/// # Errors
/// When the snapshot is damaged or cannot be read, and when the archive fails; the next push goes on from there.
pub async fn push(archive: &dyn Archive, snapshot: &Path, progress: impl Fn(u64, u64)) -> Result<Pushed, DatasetError> {
    let directory = snapshot.to_owned();
    let manifest = blocking(move || Manifest::read(&directory).map_err(|error| unusable(&directory, error))).await?;
    let (corpus_id, build_digest) = (manifest.corpus_id.clone(), manifest.build_digest.clone());
    let folder = layout::corpus_build(&corpus_id, &build_digest);
    let manifest_key = format!("{folder}{MANIFEST_FILE}");
    let total = total(&manifest);

    // An object under a build's digest was put whole, by somebody who had checked it, so that its size tells enough.
    let there = sizes(archive, &folder, &manifest.files).await?;
    let missing: Vec<&SnapshotFile> =
        manifest.files.iter().filter(|file| file.bytes > 0 && there.get(file.name.as_str()) != Some(&file.bytes)).collect();
    let has_manifest = there.contains_key(MANIFEST_FILE);
    let done = AtomicU64::new(total - missing.iter().map(|file| file.bytes).sum::<u64>());
    progress(done.load(Ordering::Relaxed), total);
    let mut files_uploaded = missing.len() as u64;
    if missing.is_empty() && has_manifest {
        return Ok(Pushed { corpus_id, build_digest, bytes: total, files_uploaded });
    }

    let directory = snapshot.to_owned();
    let problems = blocking(move || Ok(corpus::verify(&directory).map_err(|error| unusable(&directory, error))?.problems)).await?;
    if let Some(problem) = problems.first() {
        return Err(DatasetError::damaged(&snapshot.display().to_string(), format!("{problem}; copy or build the snapshot again")));
    }
    // Made before they are streamed: a closure that borrows in a stream is not `Send` for every lifetime.
    let uploads: Vec<_> = missing
        .into_iter()
        .map(|file| async {
            archive.put_file(&format!("{folder}{}", file.name), &snapshot.join(&file.name)).await?;
            progress(done.fetch_add(file.bytes, Ordering::Relaxed) + file.bytes, total);
            Ok::<(), DatasetError>(())
        })
        .collect();
    stream::iter(uploads).buffer_unordered(FILES_AT_ONCE).try_collect::<()>().await?;
    if !has_manifest {
        archive.put_file(&manifest_key, &snapshot.join(MANIFEST_FILE)).await?;
        files_uploaded += 1;
    }
    archive.sync().await?;
    Ok(Pushed { corpus_id, build_digest, bytes: total, files_uploaded })
}

/// The folder of the corpus `corpus_id` below `home`, pulled from the archive unless this machine has it.
///
/// Of several that want it at once on one machine one downloads and the others wait for it; when that one dies, the next begins anew. Of
/// several builds in the archive, which all answer alike, the one with the smallest digest is taken whose manifest this program reads.
///
/// # Errors
/// When no complete build is in the archive or what is there is damaged, when the archive fails, and when `home` cannot be written.
pub async fn pull(archive: &dyn Archive, corpus_id: &Digest, home: &Path, progress: impl Fn(u64, u64)) -> Result<PathBuf, DatasetError> {
    let target = home.join(corpus_id.as_str());
    if is_complete(&target, corpus_id).await? {
        return Ok(target);
    }
    let folder = home.to_owned();
    blocking(move || fs::create_dir_all(&folder).map_err(file_error("create", &folder))).await?;
    let _lock = lock(home.join(format!("{corpus_id}.lock"))).await?;
    // While we waited somebody may have done it all.
    if is_complete(&target, corpus_id).await? {
        return Ok(target);
    }
    clear(home, corpus_id, &target).await?;
    let partial = home.join(format!("{}{}", partial_prefix(corpus_id), std::process::id()));
    let made = partial.clone();
    blocking(move || fs::create_dir(&made).map_err(file_error("create", &made))).await?;

    let pulled = download(archive, corpus_id, &partial, progress).await;
    let (from, to) = (partial.clone(), target.clone());
    let placed = match pulled {
        Ok(()) => blocking(move || fs::rename(&from, &to).map_err(file_error("rename into place", &from))).await,
        Err(error) => Err(error),
    };
    if let Err(error) = placed {
        // Room is what others need now; what stays after all the next pull removes.
        let removed = blocking(move || fs::remove_dir_all(&partial).map_err(file_error("remove", &partial))).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "a half pulled corpus stays");
        }
        return Err(error);
    }
    let home = home.to_owned();
    blocking(move || File::open(&home).and_then(|folder| folder.sync_all()).map_err(file_error("sync", &home))).await?;
    Ok(target)
}

/// Fetches a complete build into the folder `partial` and checks all of it.
async fn download(archive: &dyn Archive, corpus_id: &Digest, partial: &Path, progress: impl Fn(u64, u64)) -> Result<(), DatasetError> {
    let (manifest, folder) = find(archive, corpus_id, partial).await?;
    let total = total(&manifest);
    let done = AtomicU64::new(0);
    progress(0, total);
    let downloads: Vec<_> = manifest
        .files
        .iter()
        .map(|file| async {
            fetch(archive, &folder, file, partial).await?;
            progress(done.fetch_add(file.bytes, Ordering::Relaxed) + file.bytes, total);
            Ok::<(), DatasetError>(())
        })
        .collect();
    stream::iter(downloads).buffer_unordered(FILES_AT_ONCE).try_collect::<()>().await?;

    let checked = partial.to_owned();
    let report = blocking(move || {
        let report = corpus::verify(&checked).map_err(|error| unusable(&checked, error))?;
        // What is in place counts as complete from then on, after a power loss too.
        for name in report.manifest.files.iter().map(|file| file.name.as_str()).chain([MANIFEST_FILE]) {
            let path = checked.join(name);
            File::open(&path).and_then(|file| file.sync_all()).map_err(file_error("sync", &path))?;
        }
        Ok(report)
    })
    .await?;
    let Some(problem) = report.problems.first() else { return Ok(()) };
    let name = match problem {
        Problem::Missing { name } | Problem::Unknown { name } | Problem::Changed { name, .. } => name.as_str(),
        Problem::OtherDocuments { .. } => MANIFEST_FILE,
    };
    let reason = format!("{problem}; delete this object, and push corpus {corpus_id} again");
    Err(DatasetError::damaged(&format!("{folder}{name}"), reason))
}

/// The manifest of a complete build, which it leaves in `partial`, and the folder of that build in the archive.
async fn find(archive: &dyn Archive, corpus_id: &Digest, partial: &Path) -> Result<(Manifest, String), DatasetError> {
    let builds = archive.folders(&layout::corpus(corpus_id)).await?;
    let path = partial.join(MANIFEST_FILE);
    let mut unreadable = None;
    // Sorted by the archive; nobody pushes more builds of one corpus than there are versions of us.
    for build in builds.iter().filter_map(|name| name.parse::<Digest>().ok()) {
        let folder = layout::corpus_build(corpus_id, &build);
        let key = format!("{folder}{MANIFEST_FILE}");
        if !archive.get_file(&key, &path).await? {
            continue;
        }
        let directory = partial.to_owned();
        let read = blocking(move || Ok(Manifest::read(&directory))).await?;
        match read {
            Ok(manifest) if manifest.corpus_id == *corpus_id && manifest.build_digest == build => return Ok((manifest, folder)),
            Ok(_) => unreadable = Some((key, "it is the manifest of another build".to_owned())),
            Err(error) => unreadable = Some((key, error.to_string())),
        }
        let refused = path.clone();
        blocking(move || fs::remove_file(&refused).map_err(file_error("remove", &refused))).await?;
    }
    match unreadable {
        Some((key, reason)) => Err(DatasetError::damaged(&key, format!("{reason}; delete this object, and push corpus {corpus_id} again"))),
        None => Err(DatasetError::Missing {
            key: format!("{}<build>/{MANIFEST_FILE}", layout::corpus(corpus_id)),
            hint: "push the corpus to this archive: sluice corpus push DIR",
        }),
    }
}

/// Fetches one file of a build.
async fn fetch(archive: &dyn Archive, folder: &str, file: &SnapshotFile, partial: &Path) -> Result<(), DatasetError> {
    let key = format!("{folder}{}", file.name);
    let name = Path::new(&file.name);
    // The manifest came from outside, and its names become paths.
    if name.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(DatasetError::damaged(&format!("{folder}{MANIFEST_FILE}"), format!("it names the file {:?}", file.name)));
    }
    let path = partial.join(name);
    let is_empty = file.bytes == 0;
    let prepared = path.clone();
    blocking(move || {
        let parent = prepared.parent().unwrap_or(&prepared);
        fs::create_dir_all(parent).map_err(file_error("create", parent))?;
        // An archive has no empty objects.
        if is_empty {
            File::create_new(&prepared).map_err(file_error("create", &prepared))?;
        }
        Ok(())
    })
    .await?;
    if is_empty || archive.get_file(&key, &path).await? {
        return Ok(());
    }
    Err(DatasetError::Missing { key, hint: "push the corpus to this archive again: sluice corpus push DIR" })
}

/// Sizes of the objects of a build that are in the archive, by their names in the snapshot.
async fn sizes(archive: &dyn Archive, folder: &str, files: &[SnapshotFile]) -> Result<HashMap<String, u64>, ArchiveError> {
    let mut folders: Vec<&str> = files.iter().filter_map(|file| Some(file.name.rsplit_once('/')?.0)).collect();
    folders.sort_unstable();
    folders.dedup();
    let mut sizes = HashMap::new();
    for below in [folder.to_owned()].into_iter().chain(folders.into_iter().map(|name| format!("{folder}{name}/"))) {
        let listed = archive.list(&below).await?;
        sizes.extend(listed.into_iter().filter_map(|object| Some((object.key.strip_prefix(folder)?.to_owned(), object.bytes))));
    }
    Ok(sizes)
}

/// Whether the folder is a whole snapshot of this corpus. It was checked before it came into place; sizes tell whether it was touched since.
async fn is_complete(target: &Path, corpus_id: &Digest) -> Result<bool, DatasetError> {
    let (target, corpus_id) = (target.to_owned(), corpus_id.clone());
    blocking(move || {
        let manifest = match Manifest::read(&target) {
            Ok(manifest) => manifest,
            // Somebody else's, who runs another version of us: not ours to replace.
            Err(error @ CorpusError::Version { .. }) => return Err(unusable(&target, error)),
            Err(_) => return Ok(false),
        };
        let is_whole = |file: &SnapshotFile| fs::metadata(target.join(&file.name)).is_ok_and(|found| found.len() == file.bytes);
        Ok(manifest.corpus_id == corpus_id && manifest.files.iter().all(is_whole))
    })
    .await
}

/// Waits until this process is the machine's only one that pulls the corpus. The lock falls when the file is closed, by death too.
async fn lock(path: PathBuf) -> Result<File, DatasetError> {
    let opened = path.clone();
    let open = move || File::options().create(true).append(true).open(&opened).map_err(file_error("open", &opened));
    let file = blocking(open).await?;
    let mut has_said = false;
    // As long as another downloads, which is as long as it lives or its archive answers.
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(file_error("lock", &path)(error)),
        }
        if !std::mem::replace(&mut has_said, true) {
            tracing::info!(path = %path.display(), "another process of this machine is pulling the corpus; waiting for it");
        }
        tokio::time::sleep(LOCK_PERIOD).await;
    }
}

/// Removes what pulls left that were killed, and a snapshot that lost files. Under the lock nobody is at work on them; whoever has the
/// snapshot open keeps its files.
async fn clear(home: &Path, corpus_id: &Digest, target: &Path) -> Result<(), DatasetError> {
    let (home, target, prefix) = (home.to_owned(), target.to_owned(), partial_prefix(corpus_id));
    blocking(move || {
        for found in fs::read_dir(&home).map_err(file_error("read", &home))? {
            let found = found.map_err(file_error("read", &home))?;
            if found.file_name().to_string_lossy().starts_with(&prefix) {
                fs::remove_dir_all(found.path()).map_err(file_error("remove", &found.path()))?;
            }
        }
        if target.exists() {
            tracing::warn!(path = %target.display(), "the corpus in this folder is not whole; pulling it again");
            fs::remove_dir_all(&target).map_err(file_error("remove", &target))?;
        }
        Ok(())
    })
    .await
}

fn partial_prefix(corpus_id: &Digest) -> String {
    format!(".{corpus_id}.partial-")
}

fn total(manifest: &Manifest) -> u64 {
    manifest.files.iter().map(|file| file.bytes).sum()
}

fn unusable(directory: &Path, error: CorpusError) -> DatasetError {
    DatasetError::damaged(&directory.display().to_string(), error)
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DatasetError + use<> {
    let path = path.display().to_string();
    move |source| DatasetError::File { action, path, source }
}
