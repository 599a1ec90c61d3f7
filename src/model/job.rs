//! A job's identity and address. Both are pure functions of the plan, so that every effect of a job has exactly one key.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// A campaign's random identity, drawn once when it is planned. Messages and ledger keys carry it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Uid(pub String);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of one (campaign, seed, sample): 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// The id of `sample` of the seed `seed_id` in the campaign `uid`.
    pub fn of(uid: &Uid, seed_id: &str, sample: u32) -> Self {
        let digest = Digest::of_parts([uid.0.as_bytes(), seed_id.as_bytes(), &sample.to_le_bytes()]);
        Self(digest.as_str().chars().take(32).collect())
    }

    /// The id's text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The job whose object is called `name`, if `name` is an id.
    pub fn parse(name: &str) -> Option<Self> {
        let well_formed = name.len() == 32 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| Self(name.to_owned()))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many seeds a campaign has and how its ranks are cut into shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// S: number of seeds.
    pub seeds: u64,
    /// M: ranks per shard.
    pub rows_per_shard: u32,
    /// Samples per seed planned so far; may only grow.
    pub samples: u32,
}

/// Where a job's objects live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// k, the shard.
    pub shard: u64,
    /// The job's place in the whole plan: shard · M + (seed number mod M). Not contiguous at the end of a layer.
    pub rank: u64,
}

impl Plan {
    /// B = ⌈S/M⌉: shards of one layer of samples.
    pub fn shards_per_sample(&self) -> u64 {
        self.seeds.div_ceil(u64::from(self.rows_per_shard))
    }

    /// All shards of the plan.
    pub fn shards(&self) -> u64 {
        self.shards_per_sample() * u64::from(self.samples)
    }

    /// All jobs of the plan.
    pub fn jobs(&self) -> u64 {
        self.seeds * u64::from(self.samples)
    }

    /// Address of sample `sample` of seed number `seed`.
    pub fn place(&self, seed: u64, sample: u32) -> Place {
        let rows = u64::from(self.rows_per_shard);
        let shard = u64::from(sample) * self.shards_per_sample() + seed / rows;
        Place { shard, rank: shard * rows + seed % rows }
    }

    /// Number of the seed whose job is at `place`.
    pub fn seed_at(&self, place: Place) -> u64 {
        let rows = u64::from(self.rows_per_shard).max(1);
        place.shard % self.shards_per_sample().max(1) * rows + place.rank % rows
    }

    /// Seed numbers and the sample that make up `shard`, in rank order.
    pub fn members(&self, shard: u64) -> (std::ops::Range<u64>, u32) {
        let rows = u64::from(self.rows_per_shard);
        let per_sample = self.shards_per_sample().max(1);
        let block = shard % per_sample;
        let sample = u32::try_from(shard / per_sample).unwrap_or(u32::MAX);
        (block * rows..((block + 1) * rows).min(self.seeds), sample)
    }
}

/// One job with its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Identity.
    pub id: JobId,
    /// Address.
    pub place: Place,
    /// Which sample of its seed.
    pub sample: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_samples_never_touch_an_old_shard() {
        let plan = Plan { seeds: 1000, rows_per_shard: 512, samples: 1 };
        let grown = Plan { samples: 3, ..plan };
        for seed in [0, 511, 512, 999] {
            assert_eq!(plan.place(seed, 0), grown.place(seed, 0));
            assert!(grown.place(seed, 1).shard >= plan.shards());
            assert!((0..3).all(|sample| grown.seed_at(grown.place(seed, sample)) == seed));
        }
        assert_eq!(plan.place(512, 0), Place { shard: 1, rank: 512 });
        assert_eq!(grown.place(999, 2), Place { shard: 5, rank: 5 * 512 + 487 });
    }

    #[test]
    fn members_are_the_inverse_of_place() {
        let plan = Plan { seeds: 1100, rows_per_shard: 100, samples: 4 };
        let mut jobs = 0;
        for shard in 0..plan.shards() {
            let (seeds, sample) = plan.members(shard);
            for seed in seeds {
                assert_eq!(plan.place(seed, sample).shard, shard);
                jobs += 1;
            }
        }
        assert_eq!(jobs, plan.jobs());
    }

    #[test]
    fn ids_differ_by_campaign_seed_and_sample() {
        let (a, b) = (Uid("a".into()), Uid("b".into()));
        let id = JobId::of(&a, "q1", 0);
        assert_eq!(JobId::parse(id.as_str()), Some(id.clone()));
        assert!(id != JobId::of(&b, "q1", 0) && id != JobId::of(&a, "q2", 0) && id != JobId::of(&a, "q1", 1));
    }
}
