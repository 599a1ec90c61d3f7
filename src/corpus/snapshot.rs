//! A snapshot, opened: search, lookup, document.
//!
//! Everything is read through mmap; what is held in memory does not grow with the corpus. Answers depend on the corpus id and the question
//! alone.

use std::path::Path;
use std::sync::Arc;

use model::Digest;
use tantivy::columnar::ColumnValues;
use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;
use tantivy::store::StoreReader;
use tantivy::{Index, InvertedIndexReader, SegmentReader, Term};

use crate::canonical::{canonical_url, without_fragment};
use crate::document::{Document, Ordinal};
use crate::error::CorpusError;
use crate::indexer::INDEX_FOLDER;
use crate::manifest::Manifest;
use crate::query::{QueryTerm, query_terms};
use crate::ranking::{Ranking, Weight};
use crate::schema::FIELDS;
use crate::search::{Best, Clause, Entries, Found, Hit, search_segment};
use crate::snippet::Snippets;
use crate::stored::Stored;

/// A search gives no more results than this, whatever it is asked for.
pub const HITS_MAX: usize = 1_000;
/// Of a query's terms the rarest are used, at most so many.
const TERMS_MAX: usize = 48;
/// Decompressed blocks of documents that are kept, of 16 KiB each or of one longer document.
const STORE_BLOCKS_CACHED: usize = 16;

/// An opened snapshot. Clones share it; every method may be called from any thread, and blocks.
#[derive(Clone)]
pub struct Corpus {
    opened: Arc<Opened>,
}

struct Opened {
    manifest: Manifest,
    ranking: Ranking,
    segments: Vec<Segment>,
}

struct Segment {
    content: Arc<InvertedIndexReader>,
    urls: Arc<InvertedIndexReader>,
    kept: Arc<InvertedIndexReader>,
    norms: FieldNormReader,
    ordinals: Arc<dyn ColumnValues<u64>>,
    store: StoreReader,
}

impl Corpus {
    /// Opens the snapshot in `directory` by mmap, without digesting its files (that is `verify`). Names both versions when it was built by
    /// another one.
    pub fn open(directory: &Path) -> Result<Self, CorpusError> {
        let manifest = Manifest::read(directory)?;
        let folder = directory.join(INDEX_FOLDER);
        let segments = open_segments(&folder).map_err(|error| CorpusError::Damaged { path: folder, reason: error.to_string() })?;
        let ranking = Ranking::new(manifest.counts.kept, manifest.index.tokens);
        Ok(Self { opened: Arc::new(Opened { manifest, ranking, segments }) })
    }

    /// The corpus id: a digest of documents and index settings only.
    pub fn id(&self) -> &Digest {
        &self.opened.manifest.corpus_id
    }

    /// What the snapshot consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.opened.manifest
    }

    /// Number of documents.
    #[expect(clippy::len_without_is_empty, reason = "a corpus of no documents cannot be built")]
    pub fn len(&self) -> u64 {
        self.opened.manifest.counts.kept
    }

    /// The best `topn` documents for `query` (at most [`HITS_MAX`]), best first. The query is text without syntax; one without a word finds
    /// nothing.
    pub fn search(&self, query: &str, topn: usize) -> Result<Vec<Hit>, CorpusError> {
        if topn == 0 {
            return Ok(Vec::new());
        }
        let terms = self.weigh(query_terms(query))?;
        let mut best = Best::new(topn.min(HITS_MAX));
        for (at, segment) in self.opened.segments.iter().enumerate() {
            let clauses = segment.clauses(at, &terms).map_err(reading)?;
            search_segment(clauses, &self.opened.ranking, at, segment, &mut best);
        }
        let snippets = Snippets::new(terms.iter().map(|term| (term.text.as_str(), term.weight.bound())));
        best.into_sorted().into_iter().map(|found| self.hit(found, &snippets)).collect()
    }

    /// The document at `url`, which is canonicalised first; none for what is no URL. URLs of dropped duplicates lead to the kept document,
    /// and a fragment that is no document of its own leads to its page.
    pub fn lookup(&self, url: &str) -> Result<Option<Ordinal>, CorpusError> {
        let Ok(canonical) = canonical_url(url) else { return Ok(None) };
        if let Some(ordinal) = self.lookup_canonical(&canonical)? {
            return Ok(Some(ordinal));
        }
        without_fragment(&canonical).map_or(Ok(None), |page| self.lookup_canonical(page))
    }

    /// The document at `url` as models write URLs: under whichever of the two web schemes the corpus has it; a missing scheme is supplied.
    pub(crate) fn lookup_written(&self, url: &str) -> Result<Option<Ordinal>, CorpusError> {
        let url = url.trim();
        let (http, https) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) | (_, Some(rest)) => (format!("http://{rest}"), format!("https://{rest}")),
            _ if url.contains("://") => return self.lookup(url),
            _ => (format!("http://{url}"), format!("https://{url}")),
        };
        let (written, other) = if url.starts_with("http://") { (http, https) } else { (https, http) };
        match self.lookup(&written)? {
            Some(ordinal) => Ok(Some(ordinal)),
            None => self.lookup(&other),
        }
    }

    /// The document of that number.
    pub fn document(&self, ordinal: Ordinal) -> Result<Document, CorpusError> {
        let term = Term::from_field_u64(FIELDS.kept, u64::from(ordinal.0));
        for segment in &self.opened.segments {
            if let Some(entry) = first_entry(&segment.kept, &term)? {
                let stored: Stored = segment.store.get(entry).map_err(CorpusError::index("read"))?;
                return stored.into_document(ordinal).map_err(|error| reading(std::io::Error::from(error)));
            }
        }
        Err(CorpusError::NoDocument(ordinal.0))
    }

    fn lookup_canonical(&self, canonical: &str) -> Result<Option<Ordinal>, CorpusError> {
        let term = Term::from_field_text(FIELDS.url, canonical);
        for segment in &self.opened.segments {
            if let Some(entry) = first_entry(&segment.urls, &term)? {
                return Ok(Some(Ordinal(segment.ordinal(entry))));
            }
        }
        Ok(None)
    }

    /// Looks the terms up and keeps those that occur, of too many the rarest.
    fn weigh(&self, terms: Vec<QueryTerm>) -> Result<Vec<WeightedTerm>, CorpusError> {
        let mut weighted = Vec::with_capacity(terms.len());
        for QueryTerm { text, count } in terms {
            let term = Term::from_field_text(FIELDS.content, &text);
            let mut postings = Vec::new();
            for (at, segment) in self.opened.segments.iter().enumerate() {
                if let Some(found) = segment.content.get_term_info(&term).map_err(reading)? {
                    postings.push((at, found));
                }
            }
            let frequency = postings.iter().map(|(_, found)| u64::from(found.doc_freq)).sum();
            if frequency > 0 {
                weighted.push(WeightedTerm { weight: self.opened.ranking.weight(frequency, count), text, frequency, postings });
            }
        }
        weighted.sort_by(|a, b| (a.frequency, &a.text).cmp(&(b.frequency, &b.text)));
        weighted.truncate(TERMS_MAX);
        Ok(weighted)
    }

    fn hit(&self, found: Found, snippets: &Snippets<'_>) -> Result<Hit, CorpusError> {
        let segment = self.opened.segments.get(found.segment).ok_or(CorpusError::NoDocument(found.ordinal.0))?;
        let stored: Stored = segment.store.get(found.entry).map_err(CorpusError::index("read"))?;
        Ok(Hit {
            ordinal: Ordinal(found.ordinal.0),
            snippet: snippets.cut(&stored.text),
            url: stored.url,
            title: stored.title,
            score: i64::from(found.score),
        })
    }

    /// Number of entries of the index: documents and aliases.
    pub(crate) fn entries(&self) -> u64 {
        self.opened.segments.iter().map(|segment| u64::from(segment.norms.num_docs())).sum()
    }

    /// Calls `each` with every kept document's ordinal and its entry, in no particular order; aliases are left out.
    pub(crate) fn for_each_stored(&self, mut each: impl FnMut(Ordinal, Stored)) -> Result<(), CorpusError> {
        for segment in &self.opened.segments {
            // A corpus is never deleted from, so the store's entries are numbered without gaps.
            for (entry, stored) in segment.store.iter::<Stored>(None).enumerate() {
                let stored = stored.map_err(CorpusError::index("read"))?;
                if !stored.is_alias() {
                    each(Ordinal(segment.ordinal(entry as u32)), stored);
                }
            }
        }
        Ok(())
    }
}

/// A term of a query that occurs.
struct WeightedTerm {
    text: String,
    /// Documents it occurs in.
    frequency: u64,
    weight: Weight,
    /// Where its postings are, by segment.
    postings: Vec<(usize, TermInfo)>,
}

impl Segment {
    fn clauses(&self, at: usize, terms: &[WeightedTerm]) -> std::io::Result<Vec<Clause>> {
        let mut clauses = Vec::with_capacity(terms.len());
        for term in terms {
            for (_, found) in term.postings.iter().filter(|(segment, _)| *segment == at) {
                let postings = self.content.read_block_postings_from_terminfo(found, IndexRecordOption::WithFreqs)?;
                clauses.push(Clause::new(postings, term.weight));
            }
        }
        Ok(clauses)
    }
}

impl Entries for Segment {
    #[inline]
    fn norm_id(&self, entry: u32) -> u8 {
        self.norms.fieldnorm_id(entry)
    }

    fn ordinal(&self, entry: u32) -> u32 {
        self.ordinals.get_val(entry) as u32
    }
}

fn open_segments(folder: &Path) -> tantivy::Result<Vec<Segment>> {
    let index = Index::open_in_dir(folder)?;
    let mut segments = Vec::new();
    for segment in index.searchable_segments()? {
        let reader = SegmentReader::open(&segment)?;
        segments.push(Segment {
            content: reader.inverted_index(FIELDS.content)?,
            urls: reader.inverted_index(FIELDS.url)?,
            kept: reader.inverted_index(FIELDS.kept)?,
            norms: reader.get_fieldnorms_reader(FIELDS.content)?,
            ordinals: reader.fast_fields().u64("ordinal")?.first_or_default_col(0),
            store: reader.get_store_reader(STORE_BLOCKS_CACHED)?,
        });
    }
    Ok(segments)
}

fn first_entry(index: &InvertedIndexReader, term: &Term) -> Result<Option<u32>, CorpusError> {
    let Some(found) = index.get_term_info(term).map_err(reading)? else { return Ok(None) };
    let postings = index.read_block_postings_from_terminfo(&found, IndexRecordOption::Basic).map_err(reading)?;
    Ok(postings.docs().first().copied())
}

fn reading(error: std::io::Error) -> CorpusError {
    CorpusError::index("read")(error.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::indexer::Layout;
    use crate::manifest::MANIFEST_FILE;
    use crate::schema::INDEX_VERSION;
    use crate::testing::{Source, line};

    fn corpus() -> crate::testing::Built {
        Source::new(&[
            line("https://e.org/whale", "Blue whale", "The blue whale is the largest animal. Its heart weighs 180 kg."),
            line("https://e.org/krill", "Krill", "Krill are small crustaceans that whales eat."),
            line("https://e.org/page", "A page", "A page with passages."),
            line("https://e.org/page#p2", "A page, passage 2", "The second passage."),
            line("https://e.org/very/long/alias", "Small crustaceans", "Krill are small crustaceans that whales eat."),
            line("https://e.org/tokyo", "東京", "東京は日本の首都である。猫が多い。"),
            line("https://e.org/who", "The Who", "A band."),
            r#"{"url":"https://e.org/links","title":"Links","text":"See also.","links":["/a",{"url":"b","text":"B"}],"lang":"en","n":[1,2]}"#.to_owned(),
        ])
        .build(Layout::ONE_SEGMENT, 2)
    }

    fn urls(corpus: &Corpus, query: &str) -> Vec<String> {
        corpus.search(query, 10).expect("search").into_iter().map(|hit| hit.url).collect()
    }

    #[test]
    fn words_are_found_in_every_form_and_script() {
        let corpus = corpus();
        assert_eq!(urls(&corpus, "whale hearts?"), ["https://e.org/whale", "https://e.org/krill"]);
        assert_eq!(urls(&corpus, "ＫＲＩＬＬ"), ["https://e.org/krill"]);
        assert_eq!(urls(&corpus, "日本の首都"), ["https://e.org/tokyo"]);
        assert_eq!(urls(&corpus, "猫"), ["https://e.org/tokyo"]);
        assert_eq!(urls(&corpus, "the who")[0], "https://e.org/who");
        assert_eq!(urls(&corpus, "180"), ["https://e.org/whale"]);
        for nothing in ["", " \n", "?!\"*", "zyzzyva"] {
            assert!(urls(&corpus, nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn topn_is_honoured() {
        let corpus = corpus();
        assert_eq!(corpus.search("page passage whale", 2).expect("search").len(), 2);
        assert_eq!(corpus.search("page passage whale", 0).expect("search"), []);
        assert_eq!(corpus.search("page passage whale", usize::MAX).expect("search").len(), 4);
    }

    #[test]
    fn a_hit_shows_where_the_words_are() {
        let hit = corpus().search("heart weight", 1).expect("search").remove(0);
        assert_eq!((hit.title.as_str(), hit.url.as_str()), ("Blue whale", "https://e.org/whale"));
        assert!(hit.snippet.contains("heart weighs 180 kg"), "{}", hit.snippet);
        assert!(hit.score > 0);
    }

    #[test]
    fn a_document_is_found_by_every_url_that_means_it() {
        let corpus = corpus();
        let at = |url: &str| corpus.lookup(url).expect("lookup").map(|ordinal| corpus.document(ordinal).expect("document").url);
        assert_eq!(at("HTTPS://E.org:443/krill?utm_source=x"), Some("https://e.org/krill".into()));
        assert_eq!(at("https://e.org/very/long/alias"), Some("https://e.org/krill".into()));
        assert_eq!(at("https://e.org/page#p2"), Some("https://e.org/page#p2".into()));
        assert_eq!(at("https://e.org/page#p3"), Some("https://e.org/page".into()));
        assert_eq!(at("https://e.org/nowhere"), None);
        assert_eq!(at("krill"), None);
    }

    #[test]
    fn a_document_comes_back_as_it_was() {
        let corpus = corpus();
        let ordinal = corpus.lookup("https://e.org/links").expect("lookup").expect("a document");
        let document = corpus.document(ordinal).expect("document");
        assert_eq!(document.ordinal, ordinal);
        assert_eq!(document.links[0].url, "/a");
        assert_eq!(document.links[1].text.as_deref(), Some("B"));
        assert_eq!(serde_json::Value::Object(document.metadata), serde_json::json!({ "lang": "en", "n": [1, 2] }));
        let all: Vec<_> = (0..corpus.len() as u32).map(|n| corpus.document(Ordinal(n)).expect("every ordinal is there").url).collect();
        assert_eq!(all.len(), 7);
        assert!(matches!(corpus.document(Ordinal(7)), Err(CorpusError::NoDocument(7))));
    }

    #[test]
    fn another_version_is_named_with_this_one() {
        let corpus = corpus();
        let path = corpus.directory().join(MANIFEST_FILE);
        let manifest = fs::read_to_string(&path).expect("manifest");
        let older = manifest.replacen(&format!("\"version\": {INDEX_VERSION}"), "\"version\": 4711", 1);
        fs::write(&path, older).expect("write");
        let message = Corpus::open(corpus.directory()).err().expect("another version is refused").to_string();
        assert!(message.contains("index version is 4711") && message.contains(&format!("reads {INDEX_VERSION}")), "{message}");
    }

    #[test]
    fn a_corpus_is_shared_between_threads() {
        fn shared<T: Clone + Send + Sync + 'static>() {}
        shared::<Corpus>();
    }
}
