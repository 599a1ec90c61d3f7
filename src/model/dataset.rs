//! A sealed data set's manifest: what it consists of, provable against the archive.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shard::Sums;
use crate::{Counts, Digest, JobId, RowFile, Uid};

/// Which rows of the shards the data set means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Selection {
    /// All rows of the accepted files.
    #[default]
    All,
    /// The best accepted sample of each seed: these jobs and no others.
    BestOfSeed {
        /// In rank order.
        jobs: Vec<JobId>,
    },
}

/// One shard of the data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ManifestShard {
    /// k.
    pub shard: u64,
    /// Digest of the index object's bytes at the time of sealing.
    pub index: Digest,
    /// Accepted rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<RowFile>,
    /// Rejected rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<RowFile>,
    /// How many ended how.
    pub counts: Counts,
}

/// A sealed data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Version of the format.
    pub schema_version: u32,
    /// The campaign's name.
    pub campaign: String,
    /// The campaign's identity.
    pub uid: Uid,
    /// Number of this seal, from 1.
    pub number: u32,
    /// Digest of the rules and the judge.
    pub grade: Digest,
    /// The corpus.
    pub corpus_id: Digest,
    /// Planned jobs: accepted + rejected + failed + cancelled + outstanding.
    pub planned: u64,
    /// Jobs by how they ended.
    pub counts: Counts,
    /// Planned jobs that a cancelled campaign never finished.
    pub cancelled: u64,
    /// Jobs that are not terminal; empty unless sealed with `--partial`. At most [`OUTSTANDING_LISTED_MAX`] are listed by id.
    pub outstanding: u64,
    /// The outstanding jobs by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outstanding_jobs: Vec<JobId>,
    /// Which rows it means.
    pub selection: Selection,
    /// Sums over all rows.
    pub sums: Sums,
    /// The shards, in order.
    pub shards: Vec<ManifestShard>,
}

/// Most outstanding jobs that a manifest lists by id.
pub const OUTSTANDING_LISTED_MAX: usize = 10_000;
