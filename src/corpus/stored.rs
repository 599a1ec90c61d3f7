//! A document as the index stores it, and back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tantivy::schema::TantivyDocument;
use tantivy::schema::document::{DeserializeError, DocumentDeserialize, DocumentDeserializer};

use crate::document::{Document, Link, Ordinal};
use crate::line::Marks;
use crate::ranking::TITLE_WEIGHT;
use crate::schema::FIELDS;

/// What an entry of the index holds of its document.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) url: String,
    pub(crate) title: String,
    pub(crate) text: String,
    rest: Option<String>,
}

/// Links and metadata, as stored.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Rest {
    pub(crate) links: Vec<Link>,
    pub(crate) metadata: Map<String, Value>,
}

impl Rest {
    /// As JSON; nothing when there is nothing.
    pub(crate) fn to_json(&self) -> Option<String> {
        if self.links.is_empty() && self.metadata.is_empty() {
            return None;
        }
        // What was read from JSON can be written as JSON.
        serde_json::to_string(self).ok()
    }
}

/// The index entry of a document.
pub(crate) fn entry(ordinal: Ordinal, url: &str, title: &str, text: &str, rest: &Rest) -> TantivyDocument {
    let mut entry = alias(ordinal, url);
    entry.add_u64(FIELDS.kept, u64::from(ordinal.0));
    for _ in 0..TITLE_WEIGHT {
        entry.add_text(FIELDS.content, title);
    }
    entry.add_text(FIELDS.content, text);
    if let Some(rest) = rest.to_json() {
        entry.add_text(FIELDS.rest, &rest);
    }
    entry
}

/// The index entry that leads from `url` to a document.
pub(crate) fn alias(ordinal: Ordinal, url: &str) -> TantivyDocument {
    let mut alias = TantivyDocument::default();
    alias.add_text(FIELDS.url, url);
    alias.add_u64(FIELDS.ordinal, u64::from(ordinal.0));
    alias
}

impl Stored {
    /// Whether it only leads from a URL to a document.
    pub(crate) fn is_alias(&self) -> bool {
        // A document's text is never empty.
        self.text.is_empty()
    }

    /// As they were when it was a source line.
    pub(crate) fn marks(&self) -> Marks {
        Marks::of(&self.url, &self.title, &self.text, self.rest.as_deref())
    }

    /// As the browser sees it.
    pub(crate) fn into_document(self, ordinal: Ordinal) -> Result<Document, serde_json::Error> {
        let rest = self.rest.map(|rest| serde_json::from_str::<Rest>(&rest)).transpose()?.unwrap_or_default();
        Ok(Document { ordinal, url: self.url, title: self.title, text: self.text, links: rest.links, metadata: rest.metadata })
    }
}

impl DocumentDeserialize for Stored {
    fn deserialize<'de, D: DocumentDeserializer<'de>>(mut deserializer: D) -> Result<Self, DeserializeError> {
        let mut stored = Self::default();
        while let Some((field, value)) = deserializer.next_field::<String>()? {
            if field == FIELDS.url {
                stored.url = value;
            } else if field == FIELDS.content {
                // The title some times, then the text.
                stored.title = std::mem::replace(&mut stored.text, value);
            } else if field == FIELDS.rest {
                stored.rest = Some(value);
            }
        }
        Ok(stored)
    }
}
