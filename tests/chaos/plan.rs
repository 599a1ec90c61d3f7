//! A campaign's plan as its archive states it: which jobs there are, and which shard and rank each has.
//!
//! Computed from the public layout alone, with none of the code that writes it, so that a mistake there is not repeated here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// Where one job belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) shard: u64,
    pub(crate) rank: u64,
}

/// All jobs of a campaign.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) uid: String,
    pub(crate) corpus_id: String,
    /// Shards of all samples.
    pub(crate) shards: u64,
    /// By id.
    pub(crate) jobs: BTreeMap<String, Address>,
}

/// What is read of `campaign.json`.
#[derive(Deserialize)]
struct Frozen {
    uid: String,
    corpus_id: String,
    plan: Size,
}

/// S, M and the samples.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Size {
    pub(crate) seeds: u64,
    pub(crate) rows_per_shard: u64,
    pub(crate) samples: u64,
}

impl Plan {
    /// Reads the plan of the campaign in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let frozen = frozen(folder)?;
        let Size { seeds, rows_per_shard, samples } = frozen.plan;
        let ids = seed_ids(folder)?;
        if ids.len() as u64 != seeds {
            return Err(format!("campaign.json plans {seeds} seeds, and the frozen parts have {}", ids.len()));
        }
        let blocks = seeds.div_ceil(rows_per_shard);
        let mut jobs = BTreeMap::new();
        for sample in 0..samples {
            for (i, id) in (0..).zip(&ids) {
                let shard = sample * blocks + i / rows_per_shard;
                let address = Address { shard, rank: shard * rows_per_shard + i % rows_per_shard };
                let sample = u32::try_from(sample).map_err(|error| error.to_string())?;
                if jobs.insert(job_id(&frozen.uid, id, sample), address).is_some() {
                    return Err(format!("two jobs have one id: sample {sample} of seed {id} is the second"));
                }
            }
        }
        Ok(Self { uid: frozen.uid, corpus_id: frozen.corpus_id, shards: blocks * samples, jobs })
    }
}

/// How large the campaign in `folder` is at this moment.
pub(crate) fn size(folder: &Path) -> Result<Size, String> {
    Ok(frozen(folder)?.plan)
}

fn frozen(folder: &Path) -> Result<Frozen, String> {
    let path = folder.join("campaign.json");
    let bytes = std::fs::read(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("read {}: {error}", path.display()))
}

/// The first 32 hexadecimal digits of BLAKE3 over uid, seed id and sample, each preceded by its length in 8 bytes, little endian.
fn job_id(uid: &str, seed: &str, sample: u32) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [uid.as_bytes(), seed.as_bytes(), &sample.to_le_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

/// The seeds' ids, in order of their numbers.
fn seed_ids(folder: &Path) -> Result<Vec<String>, String> {
    let parts: BTreeSet<_> = super::archive::files(&folder.join("seeds"))?.into_iter().collect();
    let mut ids = Vec::new();
    for part in parts {
        let path = folder.join("seeds").join(&part);
        let bytes = std::fs::read(&path).map_err(|error| format!("read {part}: {error}"))?;
        let text = zstd::decode_all(bytes.as_slice()).map_err(|error| format!("decompress {part}: {error}"))?;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let seed: Value = serde_json::from_slice(line).map_err(|error| format!("read a seed of {part}: {error}"))?;
            ids.push(seed["id"].as_str().ok_or_else(|| format!("a seed of {part} has no id"))?.to_owned());
        }
    }
    Ok(ids)
}
