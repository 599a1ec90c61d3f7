//! The fields of the index, and the settings that decide what it answers.
//!
//! Title and text share one field, `content`: its values are the title as often as it weighs, then the text. A document dropped for
//! having another's text leaves an *alias*: an entry of nothing but its URL and the ordinal it leads to.

use serde::{Deserialize, Serialize};
use tantivy::Index;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};

use crate::ranking::{B, K1, SCORE_FRACTION_BITS, TITLE_WEIGHT};
use crate::terms::ContentTokenizer;

/// Rises whenever the same documents would be indexed or answered differently: tokenizer, schema, ranking. Part of the corpus id.
pub const INDEX_VERSION: u32 = 1;

const CONTENT_TOKENIZER: &str = "sluice-content";

/// What decides the answers of an index, beside its documents. Part of the corpus id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSettings {
    /// [`INDEX_VERSION`] of the program that built it.
    pub version: u32,
    /// How text becomes terms.
    pub tokenizer: String,
    /// How terms become scores.
    pub ranking: String,
}

impl IndexSettings {
    /// Those of this program.
    pub fn current() -> Self {
        Self {
            version: INDEX_VERSION,
            tokenizer: "folded words, porter2; pairs of unspaced scripts".to_owned(),
            ranking: format!("bm25 k1={K1} b={B} title×{TITLE_WEIGHT}, 2^-{SCORE_FRACTION_BITS}"),
        }
    }
}

/// The fields, by name; numbered in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Canonical URL, one term; also of aliases.
    pub(crate) url: Field,
    /// Title and text.
    pub(crate) content: Field,
    /// Links and metadata as one JSON object; absent when there are none.
    pub(crate) rest: Field,
    /// The document's ordinal; of an alias, the one it leads to. A column.
    pub(crate) ordinal: Field,
    /// The ordinal as a term; not of aliases.
    pub(crate) kept: Field,
}

/// The fields of every index.
pub(crate) const FIELDS: Fields = Fields {
    url: Field::from_field_id(0),
    content: Field::from_field_id(1),
    rest: Field::from_field_id(2),
    ordinal: Field::from_field_id(3),
    kept: Field::from_field_id(4),
};

/// The schema of every index.
pub(crate) fn schema() -> Schema {
    let mut schema = Schema::builder();
    let content = TextFieldIndexing::default().set_tokenizer(CONTENT_TOKENIZER).set_index_option(IndexRecordOption::WithFreqs);
    let fields = Fields {
        url: schema.add_text_field("url", STRING | STORED),
        content: schema.add_text_field("content", TextOptions::default().set_stored().set_indexing_options(content)),
        rest: schema.add_text_field("rest", STORED),
        ordinal: schema.add_u64_field("ordinal", FAST),
        kept: schema.add_u64_field("kept", INDEXED),
    };
    debug_assert_eq!(fields, FIELDS);
    schema.build()
}

/// Gives `index` the tokenizer its schema names.
pub(crate) fn with_tokenizers(mut index: Index) -> Index {
    let tokenizers = TokenizerManager::default();
    tokenizers.register(CONTENT_TOKENIZER, TextAnalyzer::from(ContentTokenizer::new()));
    index.set_tokenizers(tokenizers);
    index
}
