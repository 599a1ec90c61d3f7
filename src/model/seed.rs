//! A seed: one question to research.
//!
//! A line that could not be read as a seed still has its number and its job; it carries the reason in `invalid`, and its job ends with that
//! reason on record, so that planned and accounted-for always agree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::wire::{self, WireError};

/// Frozen seeds per part.
pub const SEEDS_PER_PART: u64 = 2048;
/// Largest decompressed part.
const PART_BYTES_MAX: u64 = 2 << 30;

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

/// The text of a part of the frozen seeds, a line a seed, from the bytes of its object.
///
/// # Errors
/// When it is no whole frame, or larger than any part is.
pub fn read_part(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    wire::decompress("seeds", bytes, PART_BYTES_MAX)
}

/// Seed number `number` from the text of its part.
///
/// # Errors
/// What is wrong with it.
pub fn in_part(text: &[u8], number: u64) -> Result<Seed, String> {
    let place = usize::try_from(number % SEEDS_PER_PART).unwrap_or(usize::MAX);
    let line = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).nth(place);
    let line = line.ok_or_else(|| format!("it has no seed number {number}"))?;
    serde_json::from_slice(line).map_err(|error| error.to_string())
}
