//! One page of a listing, read from as few folders as it needs.
//!
//! A walk in key order that enters only folders which can hold keys of the page; with the delimiter it enters none but the prefix's own, so
//! that a shard's listing costs the shard and not the bucket. The only delimiter is `/`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;

use super::store::tag_of;

/// What is asked.
pub(crate) struct Wanted<'a> {
    /// Keys begin with it.
    pub(crate) prefix: &'a str,
    /// Only what sorts behind it.
    pub(crate) after: &'a str,
    /// Whether folders below the prefix are named instead of entered.
    pub(crate) is_delimited: bool,
    /// Objects and folders of a page.
    pub(crate) max: usize,
}

/// An object of a page.
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) tag: String,
    pub(crate) modified: SystemTime,
}

/// A page, in key order.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Found>,
    pub(crate) folders: Vec<String>,
    /// Where the next page begins, if there is one: behind this.
    pub(crate) next: Option<String>,
    last: Option<String>,
}

/// Reads one page of the bucket at `root`.
pub(crate) fn page(root: &Path, wanted: &Wanted<'_>) -> io::Result<Page> {
    let mut page = Page::default();
    if wanted.max > 0 {
        let folder = wanted.prefix.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        walk(root, &folder, wanted, &mut page)?;
    }
    Ok(page)
}

/// Adds what is in `folder` (a key that ends in a slash, or is empty) until the page is full. As deep as a key has segments.
fn walk(root: &Path, folder: &str, wanted: &Wanted<'_>, page: &mut Page) -> io::Result<()> {
    for key in sorted(&root.join(folder), folder)? {
        if page.next.is_some() {
            return Ok(());
        }
        let is_folder = key.ends_with('/');
        // The page before may have ended inside this folder; a folder that is named is behind as a whole.
        let is_entered = is_folder && !wanted.is_delimited;
        let is_behind = key.as_str() > wanted.after || (is_entered && wanted.after.starts_with(&key));
        if !is_behind || !key.starts_with(wanted.prefix) {
            continue;
        }
        if is_entered {
            walk(root, &key, wanted, page)?;
        } else if is_folder {
            if holds_objects(&root.join(&key))? && page.has_room(wanted.max, &key) {
                page.folders.push(key);
            }
        } else if let Some(metadata) = present(fs::metadata(root.join(&key)))?
            && page.has_room(wanted.max, &key)
        {
            page.objects.push(Found { bytes: metadata.len(), tag: tag_of(&metadata)?, modified: metadata.modified()?, key });
        }
    }
    Ok(())
}

impl Page {
    /// Whether one more fits; else the page ends at the one before.
    fn has_room(&mut self, max: usize, key: &str) -> bool {
        if self.objects.len() + self.folders.len() == max {
            self.next = self.last.take();
            return false;
        }
        self.last = Some(key.to_owned());
        true
    }
}

/// The keys directly in a folder, those of folders with their slash, as S3 sorts them.
fn sorted(path: &Path, folder: &str) -> io::Result<Vec<String>> {
    let Some(children) = present(fs::read_dir(path))? else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    for child in children {
        let child = child?;
        let slash = if child.file_type()?.is_dir() { "/" } else { "" };
        keys.push(format!("{folder}{}{slash}", child.file_name().to_string_lossy()));
    }
    keys.sort_unstable();
    Ok(keys)
}

/// Whether there is an object somewhere below: what was deleted leaves its folders behind.
fn holds_objects(path: &Path) -> io::Result<bool> {
    let Some(children) = present(fs::read_dir(path))? else { return Ok(false) };
    for child in children {
        let child = child?;
        if !child.file_type()?.is_dir() || holds_objects(&child.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is there; `None` when it was removed meanwhile, or never was.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["a", "b-c", "b.d", "b/1", "b/2/x", "b/2/y", "b/3", "b0", "c/1", "d"];

    fn bucket() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for key in KEYS {
            let path = folder.path().join(key);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, key).expect("written");
        }
        fs::create_dir_all(folder.path().join("b/empty/too")).expect("made");
        folder
    }

    /// All keys and folders of all pages, with the number of pages.
    fn all(root: &Path, prefix: &str, is_delimited: bool, max: usize) -> (Vec<String>, usize) {
        let (mut keys, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = page(root, &Wanted { prefix, after: &after, is_delimited, max }).expect("a page");
            assert!(page.objects.len() + page.folders.len() <= max);
            let mut here: Vec<String> = page.objects.into_iter().map(|found| found.key).chain(page.folders).collect();
            here.sort();
            keys.append(&mut here);
            pages += 1;
            assert!(pages < 50, "paging comes to an end");
            let Some(next) = page.next else { return (keys, pages) };
            after = next;
        }
    }

    #[test]
    fn pages_of_any_size_give_every_key_once_and_in_order() {
        let bucket = bucket();
        let mut expected: Vec<&str> = KEYS.to_vec();
        expected.sort_unstable();
        for max in 1..=KEYS.len() + 1 {
            let (keys, pages) = all(bucket.path(), "", false, max);
            assert_eq!(keys, expected, "pages of {max}");
            assert_eq!(pages, KEYS.len().div_ceil(max), "no page is empty");
        }
    }

    #[test]
    fn a_delimiter_names_the_folders_that_hold_objects() {
        let bucket = bucket();
        for max in 1..=8 {
            assert_eq!(all(bucket.path(), "", true, max).0, ["a", "b-c", "b.d", "b/", "b0", "c/", "d"]);
            assert_eq!(all(bucket.path(), "b/", true, max).0, ["b/1", "b/2/", "b/3"]);
        }
    }

    #[test]
    fn a_prefix_may_end_within_a_name_or_name_nothing() {
        let bucket = bucket();
        assert_eq!(all(bucket.path(), "b", true, 9).0, ["b-c", "b.d", "b/", "b0"]);
        assert_eq!(all(bucket.path(), "b/2", false, 9).0, ["b/2/x", "b/2/y"]);
        assert_eq!(all(bucket.path(), "nothing/here/", true, 9).0, Vec::<String>::new());
        assert_eq!(all(bucket.path(), "a/", true, 9).0, Vec::<String>::new());
    }
}
