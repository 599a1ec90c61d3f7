//! Writes the index: documents in on any number of threads, a fixed number of segments out.
//!
//! Nothing a reader can ask depends on how documents fell into segments, so they may fall as threads and memory have it.

use std::fs;
use std::path::{Path, PathBuf};

use tantivy::indexer::NoMergePolicy;
use tantivy::schema::TantivyDocument;
use tantivy::{Index, IndexWriter, SegmentReader};

use crate::error::CorpusError;
use crate::manifest::IndexStatistics;
use crate::schema::{FIELDS, schema, with_tokenizers};

/// The index's folder in a snapshot.
pub(crate) const INDEX_FOLDER: &str = "index";
/// Memory for the postings of one thread before they become a segment.
#[doc(hidden)]
pub const WRITER_BYTES_PER_THREAD: usize = 96 << 20;
/// More threads than this would wait for the disk, and each has its memory.
const THREADS_MAX: usize = 8;

/// How an index is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// A segment ends after this many documents, and is not merged; without, all are merged into one.
    pub(crate) documents_per_segment: Option<u64>,
}

impl Layout {
    /// What snapshots have: a query then looks each term up once.
    pub(crate) const ONE_SEGMENT: Self = Self { documents_per_segment: None };
}

/// An index being written.
pub(crate) struct Indexer {
    folder: PathBuf,
    index: Index,
    writer: Writer,
    layout: Layout,
}

/// Documents are added from many threads; ending a segment needs the writer alone.
enum Writer {
    Shared(IndexWriter),
    Counting(std::sync::Mutex<(IndexWriter, u64)>),
}

impl Indexer {
    /// Begins an index in the new folder `folder`.
    pub(crate) fn create(folder: &Path, threads: usize, layout: Layout) -> Result<Self, CorpusError> {
        fs::create_dir(folder).map_err(CorpusError::io("create", folder))?;
        let index = empty_index(folder).map_err(CorpusError::index("create"))?;
        let threads = threads.min(THREADS_MAX);
        let writer: IndexWriter =
            index.writer_with_num_threads(threads, threads * WRITER_BYTES_PER_THREAD).map_err(CorpusError::index("create"))?;
        let writer = match layout.documents_per_segment {
            None => Writer::Shared(writer),
            Some(_) => {
                writer.set_merge_policy(Box::new(NoMergePolicy));
                Writer::Counting(std::sync::Mutex::new((writer, 0)))
            }
        };
        Ok(Self { folder: folder.to_owned(), index, writer, layout })
    }

    /// Adds an entry.
    pub(crate) fn add(&self, entry: TantivyDocument) -> Result<(), CorpusError> {
        match &self.writer {
            Writer::Shared(writer) => writer.add_document(entry).map(drop),
            Writer::Counting(counting) => {
                let mut counting = counting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let (writer, added) = &mut *counting;
                *added += 1;
                let is_full = self.layout.documents_per_segment.is_some_and(|limit| added.is_multiple_of(limit));
                writer.add_document(entry).and_then(|_| if is_full { writer.commit().map(drop) } else { Ok(()) })
            }
        }
        .map_err(CorpusError::index("write"))
    }

    /// Ends the index and leaves nothing in its folder that a reader does not need.
    pub(crate) fn finish(self) -> Result<IndexStatistics, CorpusError> {
        let writing = CorpusError::index;
        let mut writer = match self.writer {
            Writer::Shared(writer) => writer,
            Writer::Counting(counting) => counting.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).0,
        };
        writer.commit().map_err(writing("write"))?;
        writer.wait_merging_threads().map_err(writing("merge"))?;
        if self.layout.documents_per_segment.is_none() {
            merge(&self.index)?;
        }
        for entry in fs::read_dir(&self.folder).map_err(CorpusError::io("read", &self.folder))? {
            let entry = entry.map_err(CorpusError::io("read", &self.folder))?;
            // Locks, and the list of what may be deleted: only writers look at them.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                fs::remove_file(entry.path()).map_err(CorpusError::io("remove", &entry.path()))?;
            }
        }
        statistics(&self.index).map_err(writing("read"))
    }
}

/// A new index in `folder`, with schema and tokenizer of every snapshot. Public for the benchmark, which fills one without us.
#[doc(hidden)]
pub fn empty_index(folder: &Path) -> tantivy::Result<Index> {
    Index::create_in_dir(folder, schema()).map(with_tokenizers)
}

/// Merges what segments there are into one.
fn merge(index: &Index) -> Result<(), CorpusError> {
    let failed = CorpusError::index;
    let segments = index.searchable_segment_ids().map_err(failed("merge"))?;
    if segments.len() < 2 {
        return Ok(());
    }
    // The first writer went with its merges; this one adds nothing.
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 16 << 20).map_err(failed("merge"))?;
    writer.set_merge_policy(Box::new(NoMergePolicy));
    writer.merge(&segments).wait().map_err(failed("merge"))?;
    writer.garbage_collect_files().wait().map_err(failed("merge"))?;
    writer.wait_merging_threads().map_err(failed("merge"))
}

fn statistics(index: &Index) -> tantivy::Result<IndexStatistics> {
    let mut statistics = IndexStatistics::default();
    for segment in index.searchable_segments()? {
        let content = SegmentReader::open(&segment)?.inverted_index(FIELDS.content)?;
        statistics.segments += 1;
        statistics.terms += content.terms().num_terms() as u64;
        statistics.tokens += content.total_num_tokens();
    }
    Ok(statistics)
}
