//! The archive port: objects by key, put whole or not at all.

use std::path::PathBuf;
use std::sync::Arc;

use runtime::archive::Listed;
use runtime::archive::directory::DirectoryArchive;
use runtime::{Archive, ArchiveError};
use tempfile::TempDir;

struct Made {
    archive: Arc<dyn Archive>,
    /// The same archive, opened a second time.
    again: Arc<dyn Archive>,
    folder: TempDir,
}

impl Made {
    /// A file that is none of the archive's.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

async fn directory() -> Made {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = async || Arc::new(DirectoryArchive::open(folder.path().join("a")).await.expect("usable"));
    Made { archive: open().await, again: open().await, folder }
}

/// A prefix of its own in the shared bucket.
async fn s3() -> Made {
    let open = crate::s3::in_fresh_prefix(&crate::services::s3());
    let (archive, again) = futures::future::join(open(), open()).await;
    Made { archive, again, folder: tempfile::tempdir().expect("a temporary folder") }
}

/// As `run_on!`, by the clock on the wall: where it stands still, timeouts of real connections would be over at once.
macro_rules! run_on_real {
    ($adapter:ident, $make:path, [$($promise:ident),* $(,)?]) => {
        mod $adapter {
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise(&$make().await).await;
                }
            )*
        }
    };
}

/// All promises, for one adapter.
macro_rules! promises {
    ($run:ident, $adapter:ident, $make:path) => {
        $run!(
            $adapter,
            $make,
            [
                what_is_put_is_got_whole_until_it_is_deleted,
                what_is_absent_is_no_error,
                a_listing_has_the_objects_of_one_folder_sorted_with_sizes,
                the_folders_of_a_folder_are_named_sorted,
                keys_that_lead_elsewhere_are_refused,
                an_empty_object_is_refused,
                of_many_puts_at_once_one_wins_whole,
                an_archive_keeps_its_id_and_its_objects,
                a_file_comes_back_as_it_was_put_whatever_its_size,
                a_file_that_is_not_there_is_named,
            ]
        );
    };
}

promises!(run_on, directory, super::directory);
promises!(run_on_real, s3, super::s3);

async fn what_is_put_is_got_whole_until_it_is_deleted(made: &Made) {
    let archive = &made.archive;
    let large: Vec<u8> = (0..5_000_000_u32).map(|number| u8::try_from(number % 251).unwrap_or_default()).collect();
    archive.put("campaigns/c/x.json", b"first and longer".to_vec()).await.expect("room");
    archive.put("campaigns/c/x.json", b"second".to_vec()).await.expect("room");
    archive.put("large", large.clone()).await.expect("room");
    assert_eq!(archive.get("campaigns/c/x.json").await.expect("readable").as_deref(), Some(&b"second"[..]));
    assert_eq!(archive.get("large").await.expect("readable"), Some(large));
    assert!(archive.exists("large").await.expect("readable"));
    archive.sync().await.expect("a working disk");
    archive.delete("large").await.expect("ours");
    assert!(!archive.exists("large").await.expect("readable"));
    assert_eq!(archive.get("large").await.expect("readable"), None);
}

async fn what_is_absent_is_no_error(made: &Made) {
    let archive = &made.archive;
    assert_eq!(archive.get("no/such").await.expect("readable"), None);
    assert!(!archive.exists("no/such").await.expect("readable"));
    assert_eq!(archive.list("no/such/").await.expect("readable"), []);
    archive.delete("no/such").await.expect("nothing to do");
    archive.put("folder/object", b"1".to_vec()).await.expect("room");
    assert!(!archive.exists("folder").await.expect("readable"), "a folder is no object");
}

async fn a_listing_has_the_objects_of_one_folder_sorted_with_sizes(made: &Made) {
    let archive = &made.archive;
    for (key, bytes) in [("v/3/b", 2), ("v/3/a", 1), ("v/3/c.mp.zst", 3), ("v/30/d", 4), ("v/3/deeper/e", 5), ("v/f", 6)] {
        archive.put(key, vec![0; bytes]).await.expect("room");
    }
    let listed = archive.list("v/3/").await.expect("readable");
    let expected = [("v/3/a", 1), ("v/3/b", 2), ("v/3/c.mp.zst", 3)].map(|(key, bytes)| Listed { key: key.into(), bytes });
    assert_eq!(listed, expected);
}

async fn keys_that_lead_elsewhere_are_refused(made: &Made) {
    let archive = &made.archive;
    for key in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a/.hidden", "a\0b", "a\\b", "a\nb", &"k".repeat(2000)] {
        let put = archive.put(key, b"1".to_vec()).await;
        let got = archive.get(key).await;
        let listed = archive.list(&format!("{key}/")).await;
        assert!(matches!(put, Err(ArchiveError::Refused { .. })), "{key:?}: {put:?}");
        assert!(matches!(got, Err(ArchiveError::Refused { .. })), "{key:?}: {got:?}");
        assert!(matches!(listed, Err(ArchiveError::Refused { .. })), "{key:?}: {listed:?}");
    }
    let without_slash = archive.list("folder").await;
    assert!(matches!(without_slash, Err(ArchiveError::Refused { .. })), "{without_slash:?}");
}

async fn an_empty_object_is_refused(made: &Made) {
    let put = made.archive.put("empty", Vec::new()).await;
    assert!(matches!(put, Err(ArchiveError::Refused { .. })), "{put:?}");
}

async fn of_many_puts_at_once_one_wins_whole(made: &Made) {
    let object = |writer: u8| vec![writer; 10_000 + 1_000 * usize::from(writer)];
    let puts = (0..32).map(|writer| {
        let archive = if writer % 2 == 0 { &made.archive } else { &made.again };
        archive.put("raced/object", object(writer))
    });
    let reads = (0..32).map(|_| async {
        tokio::task::yield_now().await;
        made.archive.get("raced/object").await.expect("readable")
    });
    let (put, mut read) = futures::future::join(futures::future::join_all(puts), futures::future::join_all(reads)).await;
    put.into_iter().for_each(|put| put.expect("room"));
    read.push(made.archive.get("raced/object").await.expect("readable"));
    assert!(read.last().is_some_and(Option::is_some));
    for whole in read.into_iter().flatten() {
        assert_eq!(whole, object(whole[0]));
    }
    assert_eq!(made.archive.list("raced/").await.expect("readable").len(), 1, "nothing else is left");
}

async fn an_archive_keeps_its_id_and_its_objects(made: &Made) {
    assert_eq!(made.archive.id(), made.again.id());
    assert!(made.archive.id().len() >= 32);
    made.archive.put("k", b"1".to_vec()).await.expect("room");
    assert_eq!(made.again.get("k").await.expect("readable").as_deref(), Some(&b"1"[..]));
}

async fn the_folders_of_a_folder_are_named_sorted(made: &Made) {
    let archive = &made.archive;
    for key in ["campaigns/b/campaign.json", "campaigns/a/campaign.json", "campaigns/a-b/x/y/z", "campaigns/file"] {
        archive.put(key, b"1".to_vec()).await.expect("room");
    }
    assert_eq!(archive.folders("campaigns/").await.expect("readable"), ["a", "a-b", "b"]);
    assert_eq!(archive.folders("campaigns/a-b/").await.expect("readable"), ["x"]);
    assert_eq!(archive.folders("no/such/").await.expect("readable"), [""; 0]);
    assert_eq!(archive.folders("").await.expect("readable"), ["campaigns"]);
}

async fn a_file_comes_back_as_it_was_put_whatever_its_size(made: &Made) {
    let (from, to) = (made.file("from"), made.file("to"));
    // Around the sizes at which adapters begin to cut.
    for bytes in [1, 1000, (8 << 20) - 1, 8 << 20, (16 << 20) + 1] {
        let whole: Vec<u8> = (0..bytes).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        std::fs::write(&from, &whole).expect("room");
        made.archive.put_file("files/f", &from).await.expect("room");
        assert!(made.again.get_file("files/f", &to).await.expect("readable"), "{bytes}");
        assert!(std::fs::read(&to).expect("written") == whole, "{bytes} bytes came back changed");
        assert!(made.again.get("files/f").await.expect("readable").is_some_and(|got| got == whole), "{bytes}");
        std::fs::remove_file(&to).expect("ours");
    }
    assert_eq!(made.archive.list("files/").await.expect("readable").len(), 1, "nothing else is left");
    assert!(!made.archive.get_file("files/none", &to).await.expect("readable"));
    std::fs::write(&from, "").expect("room");
    let empty = made.archive.put_file("files/f", &from).await;
    assert!(matches!(empty, Err(ArchiveError::Refused { .. })), "{empty:?}");
}

async fn a_file_that_is_not_there_is_named(made: &Made) {
    let missing = made.file("missing");
    let put = made.archive.put_file("f", &missing).await;
    assert!(matches!(&put, Err(ArchiveError::File { path, .. }) if path.ends_with("missing")), "{put:?}");
    made.archive.put("f", b"1".to_vec()).await.expect("room");
    let got = made.archive.get_file("f", &made.file("no/such/folder")).await;
    assert!(got.is_err_and(|error| error.to_string().contains("no/such/folder") || error.to_string().contains("get f")));
}
