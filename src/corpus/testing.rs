//! Small corpora for the tests of this room.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::build::{BuildOptions, build_as};
use crate::indexer::Layout;
use crate::snapshot::Corpus;

/// A source line.
pub(crate) fn line(url: &str, title: &str, text: &str) -> String {
    serde_json::json!({ "url": url, "title": title, "text": text }).to_string()
}

/// A source file in a directory of its own.
pub(crate) struct Source {
    home: TempDir,
    target: PathBuf,
}

/// A corpus in a directory of its own.
pub(crate) struct Built {
    corpus: Corpus,
    source: Source,
}

impl Source {
    pub(crate) fn new(lines: &[String]) -> Self {
        let home = tempfile::tempdir().expect("temporary directory");
        fs::write(home.path().join("documents.jsonl"), lines.join("\n")).expect("write the source");
        let target = home.path().join("corpus");
        Self { home, target }
    }

    pub(crate) fn options(&self, strict: bool, threads: usize) -> BuildOptions {
        BuildOptions { sources: vec![self.home.path().join("documents.jsonl")], target: self.target.clone(), strict, threads }
    }

    pub(crate) fn build(self, layout: Layout, threads: usize) -> Built {
        build_as(&self.options(false, threads), layout, &mut |_| {}).expect("the corpus builds");
        Built { corpus: Corpus::open(&self.target).expect("the corpus opens"), source: self }
    }
}

impl Built {
    pub(crate) fn directory(&self) -> &Path {
        &self.source.target
    }
}

impl Deref for Built {
    type Target = Corpus;

    fn deref(&self) -> &Corpus {
        &self.corpus
    }
}
