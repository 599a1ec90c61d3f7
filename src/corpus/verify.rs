//! Checks a snapshot byte for byte, and that its documents are the ones its id names.
//!
//! Every file is digested again, missing and unknown files are named; when all bytes are the built ones, documents are read back from the
//! store, counted, and the corpus id is computed again. Reads everything once; memory is 16 bytes a document.

use std::collections::BTreeMap;
use std::path::Path;

use model::Digest;

use crate::canonical::canonical_url;
use crate::error::CorpusError;
use crate::line::Mark;
use crate::manifest::{Manifest, SnapshotFile, digest_files};
use crate::snapshot::Corpus;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Of the snapshot checked.
    pub manifest: Manifest,
    /// What is wrong; empty when all is well.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A file of the manifest is not there.
    #[error("file {name} is missing")]
    Missing {
        /// Within the snapshot.
        name: String,
    },
    /// A file is there that the manifest does not know.
    #[error("file {name} does not belong to the snapshot")]
    Unknown {
        /// Within the snapshot.
        name: String,
    },
    /// A file's bytes are not the built ones.
    #[error("file {name} has changed: it was {expected_bytes} bytes with digest {expected}, it is {found_bytes} bytes with digest {found}")]
    Changed {
        /// Within the snapshot.
        name: String,
        /// Size when built.
        expected_bytes: u64,
        /// Digest when built.
        expected: Digest,
        /// Size now.
        found_bytes: u64,
        /// Digest now.
        found: Digest,
    },
    /// The files are as built, but hold other documents than the manifest says: a bug of the builder.
    #[error("the documents are not those of the manifest: {reason}")]
    OtherDocuments {
        /// What differs.
        reason: String,
    },
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Checks the snapshot in `directory`. An error means that it could not be checked: its manifest is damaged or of another version.
pub fn verify(directory: &Path) -> Result<VerifyReport, CorpusError> {
    let manifest = Manifest::read(directory)?;
    let mut problems = compare(&manifest.files, digest_files(directory)?);
    if problems.is_empty() {
        let corpus = Corpus::open(directory)?;
        problems.extend(recount(&corpus)?.map(|reason| Problem::OtherDocuments { reason }));
    }
    Ok(VerifyReport { manifest, problems })
}

fn compare(built: &[SnapshotFile], found: Vec<SnapshotFile>) -> Vec<Problem> {
    let mut found: BTreeMap<String, SnapshotFile> = found.into_iter().map(|file| (file.name.clone(), file)).collect();
    let mut problems = Vec::new();
    for file in built {
        match found.remove(&file.name) {
            None => problems.push(Problem::Missing { name: file.name.clone() }),
            Some(now) if now != *file => problems.push(Problem::Changed {
                name: now.name,
                expected_bytes: file.bytes,
                expected: file.digest.clone(),
                found_bytes: now.bytes,
                found: now.digest,
            }),
            Some(_) => {}
        }
    }
    problems.extend(found.into_keys().map(|name| Problem::Unknown { name }));
    problems
}

/// Reads all documents back; what differs from the manifest, if anything.
fn recount(corpus: &Corpus) -> Result<Option<String>, CorpusError> {
    if corpus.len() > corpus.entries() {
        return Ok(Some(format!("{} entries of {} documents", corpus.entries(), corpus.len())));
    }
    let mut marks: Vec<Option<Mark>> = vec![None; corpus.len() as usize];
    let (mut text_bytes, mut wrong) = (0, None);
    corpus.for_each_stored(|ordinal, stored| {
        text_bytes += stored.text.len() as u64;
        match marks.get_mut(ordinal.0 as usize) {
            Some(place @ None) => *place = Some(stored.marks().content),
            _ => wrong = Some(format!("ordinal {} is there twice or too large", ordinal.0)),
        }
        if canonical_url(&stored.url).as_ref() != Ok(&stored.url) {
            wrong = Some(format!("url {} is not canonical", stored.url));
        }
    })?;
    let counted = marks.iter().flatten().count() as u64;
    let mut documents = blake3::Hasher::new();
    for mark in marks.iter().flatten() {
        documents.update(mark);
    }
    let manifest = corpus.manifest();
    let id = Manifest::corpus_id_of(&Digest::from_hash(documents.finalize()), &manifest.settings);
    if counted != manifest.counts.kept {
        wrong = Some(format!("{counted} documents instead of {}", manifest.counts.kept));
    } else if text_bytes != manifest.text.bytes {
        wrong = Some(format!("{text_bytes} bytes of text instead of {}", manifest.text.bytes));
    } else if id != manifest.corpus_id {
        wrong = Some(format!("corpus id {id} instead of {}", manifest.corpus_id));
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::indexer::Layout;
    use crate::testing::{Source, line};

    fn small() -> crate::testing::Built {
        let lines: Vec<_> =
            (0..8).map(|n| line(&format!("https://e.org/{n}"), "T", &format!("text of {}", n % 6))).chain(["bad".into()]).collect();
        Source::new(&lines).build(Layout::ONE_SEGMENT, 1)
    }

    #[test]
    fn a_snapshot_as_built_is_sound() {
        let report = verify(small().directory()).expect("checked");
        assert!(report.is_sound(), "{:?}", report.problems);
        assert_eq!((report.manifest.counts.kept, report.manifest.counts.same_text), (6, 2));
    }

    #[test]
    fn a_flipped_bit_is_found_in_every_byte_of_every_file() {
        let built = small();
        let directory = built.directory();
        let mut names: Vec<_> = Manifest::read(directory).expect("manifest").files.into_iter().map(|file| file.name).collect();
        assert!(names.len() > 6, "{names:?}");
        names.push(crate::manifest::MANIFEST_FILE.to_owned());
        for name in names {
            let path = directory.join(&name);
            let whole = fs::read(&path).expect("file");
            // Every byte of small files; of larger ones a spread.
            for at in (0..whole.len()).step_by(whole.len() / 40 + 1) {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << (at % 8);
                fs::write(&path, flipped).expect("write");
                let is_found = verify(directory).map_or(true, |report| !report.is_sound());
                assert!(is_found, "bit {} of byte {at} of {name}", at % 8);
            }
            fs::write(&path, whole).expect("write");
        }
        assert!(verify(directory).expect("checked").is_sound());
    }

    #[test]
    fn missing_and_unknown_files_are_named() {
        let built = small();
        let files = Manifest::read(built.directory()).expect("manifest").files;
        fs::remove_file(built.directory().join(&files[0].name)).expect("remove");
        fs::write(built.directory().join("index/stray"), "").expect("write");
        let report = verify(built.directory()).expect("checked");
        let missing = Problem::Missing { name: files[0].name.clone() };
        assert_eq!(report.problems, [missing, Problem::Unknown { name: "index/stray".into() }]);
    }

    #[test]
    fn documents_other_than_the_manifests_are_found() {
        let built = small();
        let path = built.directory().join(crate::manifest::MANIFEST_FILE);
        let mut manifest = Manifest::read(built.directory()).expect("manifest");
        manifest.corpus_id = Digest::of(b"other");
        fs::write(path, manifest.signed().and_then(|signed| signed.render()).expect("rendered")).expect("write");
        let report = verify(built.directory()).expect("checked");
        assert!(matches!(report.problems.as_slice(), [Problem::OtherDocuments { .. }]), "{:?}", report.problems);
    }
}
