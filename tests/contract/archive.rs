//! The archive port: objects by key, put whole or not at all.

use std::sync::Arc;

use runtime::archive::Listed;
use runtime::archive::directory::DirectoryArchive;
use runtime::{Archive, ArchiveError};
use tempfile::TempDir;

struct Made {
    archive: Arc<dyn Archive>,
    /// The same archive, opened a second time.
    again: Arc<dyn Archive>,
    _folder: TempDir,
}

async fn directory() -> Made {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = async || Arc::new(DirectoryArchive::open(folder.path().join("a")).await.expect("usable"));
    Made { archive: open().await, again: open().await, _folder: folder }
}

run_on!(
    directory,
    super::directory,
    [
        what_is_put_is_got_whole_until_it_is_deleted,
        what_is_absent_is_no_error,
        a_listing_has_the_objects_of_one_folder_sorted_with_sizes,
        keys_that_lead_elsewhere_are_refused,
        an_empty_object_is_refused,
        of_many_puts_at_once_one_wins_whole,
        an_archive_keeps_its_id_and_its_objects,
    ]
);

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
