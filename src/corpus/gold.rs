//! The gold documents of a seed, as far as a corpus has them.

use std::collections::{HashMap, HashSet};

use model::{GoldMet, Seed, Thread};

use crate::error::CorpusError;
use crate::snapshot::Corpus;

/// The gold documents of one seed.
#[derive(Debug, Clone, Default)]
pub struct Gold {
    /// URL of a document of the corpus → the first of the seed's URLs that leads to it, as the seed writes it.
    pub urls: HashMap<String, String>,
    /// How many there are: each document once, however many URLs lead to it; a URL that leads to none counts as one.
    pub documents: u32,
}

impl Gold {
    /// The documents that `urls` lead to.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn of(corpus: &Corpus, urls: &[String]) -> Result<Self, CorpusError> {
        let (mut found, mut missing) = (HashMap::new(), HashSet::new());
        for url in urls {
            match corpus.lookup(url)? {
                Some(ordinal) => {
                    found.entry(corpus.document(ordinal)?.url).or_insert_with(|| url.clone());
                }
                None => {
                    missing.insert(url.as_str());
                }
            }
        }
        let documents = u32::try_from(found.len() + missing.len()).unwrap_or(u32::MAX);
        Ok(Self { urls: found, documents })
    }

    /// What `threads` met of the gold documents of `seed`, whose these are.
    pub fn met(&self, seed: &Seed, threads: &[Thread]) -> Option<GoldMet> {
        GoldMet::of(seed, threads).map(|met| GoldMet { documents: self.documents, ..met })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::indexer::Layout;
    use crate::testing::{Source, line};

    #[test]
    fn several_urls_of_one_document_are_one_gold_document() {
        let corpus = Source::new(&[line("https://e.org/a", "A", "text of a"), line("https://e.org/b", "B", "text of b")]);
        let corpus = corpus.build(Layout::ONE_SEGMENT, 1);
        let urls = ["https://e.org/a#part", "https://E.org/a", "https://e.org/b", "https://e.org/gone", "https://e.org/gone"];
        let gold = Gold::of(&corpus, &urls.map(str::to_owned)).expect("readable");
        assert_eq!((gold.documents, gold.urls.len()), (3, 2));
        assert_eq!(gold.urls["https://e.org/a"], "https://e.org/a#part");
    }
}
