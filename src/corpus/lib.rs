//! The corpus room: an immutable, content-addressed snapshot of documents with its index, and the browser over it.
//!
//! `build` turns sources into a snapshot directory; `snapshot` opens one by mmap and answers search, lookup and document; everything it
//! answers depends on the documents and the index settings alone: not on the wall clock, threads, or the number of index segments.
//! Everything here blocks: callers on an async runtime use its blocking threads. The room knows no jobs.

mod arguments;
mod aside;
mod browser;
mod build;
mod canonical;
mod census;
mod citations;
mod document;
mod error;
mod fold;
mod gold;
mod indexer;
mod lanes;
mod line;
mod manifest;
mod neutralise;
mod query;
mod ranking;
mod schema;
mod search;
mod segments;
mod shares;
mod snapshot;
mod snippet;
mod source;
mod stored;
mod survey;
mod terms;
#[cfg(test)]
mod testing;
mod tokens;
mod tools;
mod verify;
mod workshop;

pub use aside::{DUPLICATES_FILE, REJECTED_FILE, Rejected};
pub use browser::{Browser, CORPUS_FAULT, ShownPage, ShownPart, ToolBox, ToolLimits};
pub use build::{BuildOptions, BuildReport, Phase, Progress, build};
pub use canonical::{NotCanonical, URL_BYTES_MAX, canonical_url, without_fragment};
pub use citations::{resolve_citations, resolve_numbered};
pub use document::{Document, Link, Ordinal};
pub use error::CorpusError;
pub use gold::Gold;
#[doc(hidden)]
pub use indexer::{WRITER_BYTES_PER_THREAD, empty_index};
pub use manifest::{Counts, FORMAT_VERSION, IndexStatistics, MANIFEST_FILE, Manifest, SnapshotFile, TextStatistics};
pub use neutralise::neutralised;
pub use schema::{INDEX_VERSION, IndexSettings};
pub use search::Hit;
pub use shares::shares;
pub use snapshot::{Corpus, HITS_MAX};
pub use source::{LINE_BYTES_MAX, SourceFile};
pub use tokens::count_tokens;
pub use tools::{definitions, perform};
pub use verify::{Problem, VerifyReport, verify};
