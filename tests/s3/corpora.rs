//! Corpora pushed into an archive and pulled out of it: once per machine, whole or not at all, and what is damaged is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use corpus::BuildOptions;
use dataset::{DatasetError, corpora};
use futures::future::join_all;
use runtime::Archive;
use tempfile::TempDir;

use super::own;
use crate::services::OwnS3;

/// A built corpus of the quickstart's documents.
fn snapshot() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("snapshot");
    let sources = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart/documents.jsonl")];
    corpus::build(&BuildOptions { sources, target: target.clone(), strict: true, threads: 1 }, &mut |_| ()).expect("it builds");
    (folder, target)
}

#[tokio::test]
async fn a_pushed_corpus_is_pulled_once_by_all_who_want_it_at_once() {
    let (_kept, snapshot) = snapshot();
    let server = OwnS3::start();
    let archive = own(&server).await;
    let last = AtomicUsize::new(0);
    let progress = |done: u64, total: u64| last.store(usize::try_from(total - done).expect("small"), Ordering::SeqCst);
    let pushed = corpora::push(&archive, &snapshot, progress).await.expect("room");
    assert_eq!(last.load(Ordering::SeqCst), 0, "progress arrives at the end");
    assert!(pushed.files_uploaded > 5 && pushed.bytes > 10_000, "{pushed:?}");
    let again = corpora::push(&archive, &snapshot, |_, _| ()).await.expect("room");
    assert_eq!(again, corpora::Pushed { files_uploaded: 0, ..pushed.clone() }, "a complete one is left alone");

    let machine = tempfile::tempdir().expect("a folder");
    let downloads = AtomicUsize::new(0);
    let pulls = (0..4).map(|_| {
        let began = |done: u64, _| {
            downloads.fetch_add(usize::from(done == 0), Ordering::SeqCst);
        };
        corpora::pull(&archive, &pushed.corpus_id, machine.path(), began)
    });
    let expected = machine.path().join(pushed.corpus_id.as_str());
    for pulled in join_all(pulls).await {
        assert_eq!(pulled.expect("it is there"), expected);
    }
    assert_eq!(downloads.load(Ordering::SeqCst), 1);
    let report = corpus::verify(&expected).expect("checked");
    assert!(report.is_sound() && report.manifest == corpus::verify(&snapshot).expect("checked").manifest);

    // Without the archive, too.
    drop(server);
    corpora::pull(&archive, &pushed.corpus_id, machine.path(), |_, _| ()).await.expect("this machine has it");
}

#[tokio::test]
async fn a_push_that_was_cut_goes_on_and_a_pull_before_its_end_finds_nothing() {
    let (_kept, snapshot) = snapshot();
    let server = OwnS3::start();
    let archive = own(&server).await;
    let pushed = corpora::push(&archive, &snapshot, |_, _| ()).await.expect("room");
    let folder = format!("corpora/{}/{}/", pushed.corpus_id, pushed.build_digest);
    archive.delete(&format!("{folder}manifest.json")).await.expect("ours");
    archive.delete(&format!("{folder}aside-is-none")).await.expect("nothing to do");
    let machine = tempfile::tempdir().expect("a folder");
    let pull = || corpora::pull(&archive, &pushed.corpus_id, machine.path(), |_, _| ());
    let nothing = pull().await;
    assert!(matches!(&nothing, Err(DatasetError::Missing { hint, .. }) if hint.contains("corpus push")), "{nothing:?}");

    let resumed = corpora::push(&archive, &snapshot, |_, _| ()).await.expect("room");
    assert_eq!(resumed.files_uploaded, 1, "the manifest alone was missing");
    pull().await.expect("complete");
}

#[tokio::test]
async fn a_damaged_corpus_in_the_archive_is_named_and_mended_as_the_error_says() {
    let (_kept, snapshot) = snapshot();
    let folder = tempfile::tempdir().expect("a folder");
    let archive = runtime::archive::connect(&folder.path().join("archive").display().to_string()).await.expect("a directory");
    let pushed = corpora::push(archive.as_ref(), &snapshot, |_, _| ()).await.expect("room");
    let build = format!("corpora/{}/{}", pushed.corpus_id, pushed.build_digest);
    let machine = folder.path().join("machine");
    let pull = || corpora::pull(archive.as_ref(), &pushed.corpus_id, &machine, |_, _| ());
    let largest = {
        let files = corpus::verify(&snapshot).expect("checked").manifest.files;
        files.into_iter().max_by_key(|file| file.bytes).expect("it has files").name
    };
    let key = format!("{build}/{largest}");
    let whole = archive.get(&key).await.expect("readable").expect("it is there");

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    archive.put(&key, flipped).await.expect("room");
    let damaged = pull().await.expect_err("a flipped bit is found").to_string();
    assert!(damaged.contains(&key) && damaged.contains("push"), "{damaged}");
    assert!(fs::read_dir(&machine).expect("made").all(|left| left.is_ok_and(|left| left.file_name().to_string_lossy().ends_with(".lock"))));

    archive.delete(&key).await.expect("ours");
    let missing = pull().await.expect_err("a missing file is found").to_string();
    assert!(missing.contains(&key) && missing.contains("push"), "{missing}");
    let mended = corpora::push(archive.as_ref(), &snapshot, |_, _| ()).await.expect("room");
    assert_eq!(mended.files_uploaded, 1);
    pull().await.expect("mended");

    archive.put(&format!("{build}/manifest.json"), b"{}".to_vec()).await.expect("room");
    fs::remove_dir_all(machine.join(pushed.corpus_id.as_str())).expect("ours");
    let unreadable = pull().await.expect_err("no manifest").to_string();
    assert!(unreadable.contains("manifest.json") && unreadable.contains("push"), "{unreadable}");
}

#[tokio::test]
async fn a_damaged_snapshot_is_not_pushed() {
    let (_kept, snapshot) = snapshot();
    let folder = tempfile::tempdir().expect("a folder");
    let archive = runtime::archive::connect(&folder.path().join("archive").display().to_string()).await.expect("a directory");
    let manifest = corpus::verify(&snapshot).expect("checked").manifest;
    let victim = snapshot.join(&manifest.files.iter().max_by_key(|file| file.bytes).expect("it has files").name);
    let mut bytes = fs::read(&victim).expect("ours");
    bytes[10] ^= 1;
    fs::write(&victim, bytes).expect("ours");
    let refused = corpora::push(archive.as_ref(), &snapshot, |_, _| ()).await;
    assert!(matches!(&refused, Err(DatasetError::Damaged { reason, .. }) if reason.contains("has changed")), "{refused:?}");
    assert_eq!(archive.folders("").await.expect("readable"), [""; 0]);
}

#[tokio::test]
async fn a_pull_goes_on_after_one_that_was_killed_and_one_that_lost_files() {
    let (_kept, snapshot) = snapshot();
    let server = OwnS3::start();
    let archive = own(&server).await;
    let pushed = corpora::push(&archive, &snapshot, |_, _| ()).await.expect("room");
    let machine = tempfile::tempdir().expect("a folder");
    let target = machine.path().join(pushed.corpus_id.as_str());
    let pull = || corpora::pull(&archive, &pushed.corpus_id, machine.path(), |_, _| ());

    // What a killed process leaves: part of a snapshot, and a lock that fell with it.
    let left = machine.path().join(format!(".{}.partial-1", pushed.corpus_id));
    fs::create_dir_all(left.join("index")).expect("room");
    fs::copy(snapshot.join("manifest.json"), left.join("manifest.json")).expect("room");
    fs::write(machine.path().join(format!("{}.lock", pushed.corpus_id)), "").expect("room");
    // One that is cut off in the middle, in this process.
    let cut = tokio::time::timeout(Duration::from_millis(20), pull()).await;
    assert!(cut.is_err() || target.exists());
    assert_eq!(pull().await.expect("begun anew"), target);
    assert!(!left.exists());

    let manifest = corpus::verify(&target).expect("checked").manifest;
    fs::write(target.join(&manifest.files.last().expect("it has files").name), "").expect("ours");
    pull().await.expect("pulled again");
    assert!(corpus::verify(&target).expect("checked").is_sound());

    let nowhere = corpora::pull(&archive, &pushed.corpus_id, &snapshot.join("manifest.json"), |_, _| ()).await;
    assert!(matches!(&nowhere, Err(DatasetError::File { path, .. }) if path.ends_with("manifest.json")), "{nowhere:?}");
}
