//! A document as it was kept: canonical URL, title, text, links and whatever else its source line carried.
//!
//! Documents are addressed by ordinal, their rank when all kept documents are sorted by the digest of their canonical URL: the same in every
//! build of the same documents, and telling nothing about where a document came from.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A document's number within its corpus, from 0; canonical, so equal corpora number their documents equally.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ordinal(pub u32);

/// One kept document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its number.
    pub ordinal: Ordinal,
    /// Its canonical URL.
    pub url: String,
    /// Its title; may be empty.
    pub title: String,
    /// Its text, byte for byte as in the source.
    pub text: String,
    /// Its links in the order of the source line.
    pub links: Vec<Link>,
    /// All other fields of the source line, in their order.
    pub metadata: Map<String, Value>,
}

/// A link out of a document, as the source wrote it: the URL is not canonicalised and may be relative or lead out of the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where it leads.
    pub url: String,
    /// What it is called, when the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
