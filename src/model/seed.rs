//! A seed: one question to research.
//!
//! A line that could not be read as a seed still has its number and its job; it carries the reason in `invalid`, and its job ends with that
//! reason on record, so that planned and accounted-for always agree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One question, with what is known about its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seed {
    /// Unique within the campaign.
    pub id: String,
    /// What to research.
    pub question: String,
    /// Reference answers, any of which is right; empty when none is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// URLs of documents known to hold the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gold_urls: Vec<String>,
    /// Topic, for stratified review and reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Language of the question (ISO 639-1), where the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Why this line is no usable seed; its job ends with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
    /// Fields of the source that have no meaning to us.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}
