//! Builds a snapshot from sources, in two readings: the first decides which documents are kept, the second indexes those.
//!
//! What decides (`census`) sees digests and lengths only, so memory does not grow with the texts; and what is built does not depend on the
//! order of files or lines. Nothing is dropped without a word: unusable lines are in `rejected.jsonl`, duplicates in `duplicates.jsonl`,
//! their numbers in the manifest.

use std::fs;
use std::path::{Path, PathBuf};

use crate::aside::{DUPLICATES_FILE, Duplicate, JsonLines, Rejected};
use crate::census::{Decided, Fate};
use crate::error::CorpusError;
use crate::indexer::{INDEX_FOLDER, Indexer, Layout};
use crate::lanes::for_each_batch;
use crate::line::Line;
use crate::manifest::{FORMAT_VERSION, MANIFEST_FILE, Manifest, TextStatistics, digest_files};
use crate::schema::IndexSettings;
use crate::source::{Batch, SourceFile};
use crate::stored;
use crate::survey::survey;
use crate::workshop::Workshop;

/// What to build a corpus from.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// JSON-lines files, plain, `.gz` or `.zst`.
    pub sources: Vec<PathBuf>,
    /// The snapshot directory to make; must not exist yet.
    pub target: PathBuf,
    /// Fail on the first bad line.
    pub strict: bool,
    /// Threads that read, and threads that index.
    pub threads: usize,
}

/// What a build did.
#[derive(Clone, Debug)]
pub struct BuildReport {
    /// Of the new snapshot, with all counts.
    pub manifest: Manifest,
    /// The first unusable lines.
    pub rejected: Vec<Rejected>,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is going on.
    pub phase: Phase,
    /// Bytes of the sources read in this phase, compressed as they are.
    pub bytes_read: u64,
    /// Bytes of the sources.
    pub bytes_total: u64,
    /// Lines done in this phase.
    pub lines: u64,
    /// Unusable lines so far.
    pub rejected: u64,
}

/// What a build is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// First reading: what there is, and what is kept.
    Reading,
    /// Second reading: indexing.
    Indexing,
    /// Merging segments, digesting files.
    Finishing,
}

/// Builds a snapshot. `progress` is called on this thread, at least once in every phase.
pub fn build(options: &BuildOptions, progress: &mut dyn FnMut(Progress)) -> Result<BuildReport, CorpusError> {
    build_as(options, Layout::ONE_SEGMENT, progress)
}

pub(crate) fn build_as(options: &BuildOptions, layout: Layout, progress: &mut dyn FnMut(Progress)) -> Result<BuildReport, CorpusError> {
    let bytes_total = size_of_sources(options)?;
    let workshop = Workshop::open(&options.target)?;
    let mut at = Progress { phase: Phase::Reading, bytes_read: 0, bytes_total, lines: 0, rejected: 0 };
    let first = survey(options, workshop.directory(), &mut at, progress)?;
    let mut counts = first.counts;
    let decided = first.census.decide();
    counts.kept = u64::from(decided.kept);
    if decided.kept == 0 {
        let lines = counts.lines;
        return Err(CorpusError::Build(format!("no document in {lines} lines of {} sources", options.sources.len())));
    }

    at = Progress { phase: Phase::Indexing, bytes_read: 0, lines: 0, ..at };
    let indexer = Indexer::create(&workshop.directory().join(INDEX_FOLDER), options.threads.max(1), layout)?;
    let second = index(options, workshop.directory(), &decided, &indexer, &mut at, progress)?;
    for (path, (before, after)) in options.sources.iter().zip(first.sources.iter().zip(&second.sources)) {
        if before != after {
            return Err(changed(path));
        }
    }
    counts.same_url = second.same_url;
    counts.same_text = second.same_text;

    progress(Progress { phase: Phase::Finishing, ..at });
    let index = indexer.finish()?;
    workshop.tidy()?;
    let settings = IndexSettings::current();
    let manifest = Manifest {
        format: FORMAT_VERSION,
        corpus_id: Manifest::corpus_id_of(&decided.documents, &settings),
        build_digest: Manifest::unsigned(),
        builder: concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned(),
        settings,
        counts,
        text: second.text,
        index,
        sources: first.sources,
        files: digest_files(workshop.directory())?,
    }
    .signed()?;
    let path = workshop.directory().join(MANIFEST_FILE);
    fs::write(&path, manifest.render()?).map_err(CorpusError::io("write", &path))?;
    workshop.publish()?;
    Ok(BuildReport { manifest, rejected: first.rejected })
}

fn size_of_sources(options: &BuildOptions) -> Result<u64, CorpusError> {
    if options.sources.is_empty() {
        return Err(CorpusError::Build("no source is given".to_owned()));
    }
    let mut bytes = 0;
    for path in &options.sources {
        bytes += fs::metadata(path).map_err(CorpusError::io("read", path))?.len();
    }
    Ok(bytes)
}

fn changed(path: &Path) -> CorpusError {
    CorpusError::Build(format!("source {} changed while it was read", path.display()))
}

/// What the second reading came to.
#[derive(Default)]
struct SecondReading {
    text: TextStatistics,
    same_url: u64,
    same_text: u64,
    sources: Vec<SourceFile>,
}

fn index(
    options: &BuildOptions,
    directory: &Path,
    decided: &Decided,
    indexer: &Indexer,
    at: &mut Progress,
    progress: &mut dyn FnMut(Progress),
) -> Result<SecondReading, CorpusError> {
    let mut aside = JsonLines::create(&directory.join(DUPLICATES_FILE))?;
    let mut total = SecondReading::default();
    let work = |batch: &Batch| index_batch(batch, decided, indexer);
    total.sources = for_each_batch(&options.sources, options.threads.max(1), &work, |batch, indexed, bytes_read| {
        for duplicate in &indexed.duplicates {
            aside.push(duplicate)?;
        }
        total.text.bytes += indexed.text.bytes;
        total.text.bytes_max = total.text.bytes_max.max(indexed.text.bytes_max);
        total.text.titled += indexed.text.titled;
        total.text.links += indexed.text.links;
        total.same_url += indexed.duplicates.iter().filter(|duplicate| duplicate.same == "url").count() as u64;
        total.same_text += indexed.duplicates.iter().filter(|duplicate| duplicate.same == "text").count() as u64;
        *at = Progress { bytes_read, lines: batch.index_first + batch.len() as u64, ..*at };
        progress(*at);
        Ok(())
    })?;
    aside.finish()?;
    Ok(total)
}

#[derive(Default)]
struct IndexedBatch {
    text: TextStatistics,
    duplicates: Vec<Duplicate>,
}

fn index_batch(batch: &Batch, decided: &Decided, indexer: &Indexer) -> Result<IndexedBatch, CorpusError> {
    let mut indexed = IndexedBatch::default();
    for (offset, line) in batch.lines().enumerate() {
        let fate = decided.fates.get(batch.index_first as usize + offset).ok_or_else(|| changed(&batch.path))?;
        let (same, kept) = match *fate {
            Fate::Nothing => continue,
            Fate::Kept(ordinal) => ("", ordinal),
            Fate::SameUrl(ordinal) => ("url", ordinal),
            Fate::SameText(ordinal) => ("text", ordinal),
        };
        let line = line.ok().and_then(|line| Line::parse(line).ok()).ok_or_else(|| changed(&batch.path))?;
        if let Fate::Kept(ordinal) = *fate {
            indexed.text.bytes += line.text.len() as u64;
            indexed.text.bytes_max = indexed.text.bytes_max.max(line.text.len() as u64);
            indexed.text.titled += u64::from(!line.title.is_empty());
            indexed.text.links += line.rest.links.len() as u64;
            indexer.add(stored::entry(ordinal, &line.url, &line.title, &line.text, &line.rest))?;
            continue;
        }
        if let Fate::SameText(ordinal) = *fate {
            indexer.add(stored::alias(ordinal, &line.url))?;
        }
        let file = batch.path.display().to_string();
        indexed.duplicates.push(Duplicate { file, line: batch.line_first + offset as u64, url: line.url, same, kept });
    }
    Ok(indexed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aside::REJECTED_FILE;
    use crate::manifest::Counts;
    use crate::snapshot::Corpus;
    use crate::testing::{Source, line};

    fn built(source: &Source, strict: bool) -> Result<BuildReport, CorpusError> {
        build(&source.options(strict, 2), &mut |_| {})
    }

    fn mixed() -> Vec<String> {
        vec![
            line("https://e.org/a", "A", "alpha"),
            "{\"url\":\"https://e.org/b\"}".to_owned(),
            line("HTTPS://e.org/a", "A", "alpha and more"),
            String::new(),
            line("https://e.org/other", "B", "alpha and more"),
            "not json".to_owned(),
            line("https://e.org/c", "C", "gamma"),
        ]
    }

    #[test]
    fn every_line_is_accounted_for() {
        let source = Source::new(&mixed());
        let report = built(&source, false).expect("built");
        let expected = Counts { lines: 7, blank: 1, kept: 2, rejected: 2, same_url: 1, same_text: 1 };
        assert_eq!(report.manifest.counts, expected);
        assert_eq!(report.rejected.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 6]);
        assert!(report.rejected[0].reason.contains("`text` is missing"));
        let target = source.options(false, 1).target;
        let rejected = fs::read_to_string(target.join(REJECTED_FILE)).expect("rejected");
        assert!(rejected.contains("documents.jsonl\",\"line\":6") && rejected.contains("\"raw\":\"not json\""), "{rejected}");
        let duplicates = fs::read_to_string(target.join(DUPLICATES_FILE)).expect("duplicates");
        let kept = Corpus::open(&target).expect("opens").lookup("https://e.org/a").expect("lookup").expect("kept").0;
        assert!(duplicates.contains(&format!("\"line\":1,\"url\":\"https://e.org/a\",\"same\":\"url\",\"kept\":{kept}")), "{duplicates}");
        assert!(
            duplicates.contains(&format!("\"line\":5,\"url\":\"https://e.org/other\",\"same\":\"text\",\"kept\":{kept}")),
            "{duplicates}"
        );
    }

    #[test]
    fn a_strict_build_fails_on_the_first_bad_line_and_leaves_nothing_that_opens() {
        let source = Source::new(&mixed());
        let message = built(&source, true).expect_err("strict").to_string();
        assert!(message.contains("documents.jsonl:2: field `text` is missing"), "{message}");
        assert!(!source.options(true, 1).target.exists());
        assert!(built(&source, false).is_ok(), "a later build is not in the way of what is left");
    }

    #[test]
    fn the_id_is_that_of_the_documents() {
        let mut lines = mixed();
        let id = |lines: &[String]| built(&Source::new(lines), false).expect("built").manifest.corpus_id;
        let first = id(&lines);
        lines.reverse();
        lines.push("more rubbish".to_owned());
        assert_eq!(id(&lines), first, "order and rubbish do not count");
        lines.push(line("https://e.org/d", "", "delta"));
        assert_ne!(id(&lines), first);
    }

    #[test]
    fn a_build_of_no_documents_is_an_error() {
        let message = built(&Source::new(&["rubbish".to_owned()]), false).expect_err("nothing kept").to_string();
        assert!(message.contains("no document in 1 lines of 1 sources"), "{message}");
    }

    #[test]
    fn a_source_that_changes_between_the_readings_is_noticed() {
        let source = Source::new(&mixed());
        let options = source.options(false, 1);
        let mut added = false;
        let outcome = build(&options, &mut |at| {
            if at.phase == Phase::Reading && !added {
                added = true;
                let mut lines = mixed();
                lines.push(line("https://e.org/new", "", "new"));
                fs::write(&options.sources[0], lines.join("\n")).expect("write");
            }
        });
        let message = outcome.expect_err("changed").to_string();
        assert!(message.contains("changed while it was read"), "{message}");
        assert!(!options.target.exists());
    }
}
