//! Seeds frozen in the archive, in parts; and a campaign's other frozen objects.
//!
//! Parts hold a fixed number of seeds whatever the shard size, so that any shard's seeds are found by arithmetic and a reader holds one part.

use model::layout::CampaignKeys;
use model::seed::{SEEDS_PER_PART, read_part};
use model::{Campaign, Control, Digest, JobId, Seed};
use runtime::Archive;

use crate::DatasetError;
use crate::seeds::Seeds;

/// What was frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Number of seeds.
    pub seeds: u64,
    /// Of these: unusable lines, whose jobs will end with the reason.
    pub invalid: u64,
    /// Digest of all of them in order.
    pub digest: Digest,
}

/// Reads `seeds` to the end (or to `limit`) and hands them on in parts; returns what they are. Touches no archive when `keep` does not.
///
/// # Errors
/// When the seeds cannot be read, or `keep` fails.
pub async fn cut<F>(mut seeds: Seeds, limit: Option<u64>, mut keep: impl FnMut(u64, Vec<u8>) -> F) -> Result<Frozen, DatasetError>
where
    F: Future<Output = Result<(), DatasetError>>,
{
    let mut digests = Vec::new();
    let mut part = Vec::new();
    let (mut count, mut invalid) = (0, 0);
    loop {
        let next = if limit.is_some_and(|limit| count >= limit) { None } else { seeds.next_seed()? };
        let is_end = next.is_none();
        if let Some(seed) = next {
            invalid += u64::from(seed.invalid.is_some());
            serde_json::to_writer(&mut part, &seed).map_err(|error| DatasetError::damaged("a seed", error))?;
            part.push(b'\n');
            count += 1;
        }
        if !part.is_empty() && (is_end || count % SEEDS_PER_PART == 0) {
            digests.push(Digest::of(&part));
            let number = (count - 1) / SEEDS_PER_PART;
            let bytes = model::wire::compress("seeds", &part).map_err(|error| DatasetError::damaged("a part of the seeds", error))?;
            keep(number, bytes).await?;
            part.clear();
        }
        if is_end {
            break;
        }
    }
    Ok(Frozen { seeds: count, invalid, digest: digest_of_parts(&digests) })
}

fn digest_of_parts(digests: &[Digest]) -> Digest {
    Digest::of_parts(digests.iter().map(|digest| digest.as_str().as_bytes()))
}

/// A reader of frozen seeds that keeps the part it read last.
pub struct FrozenSeeds<'a> {
    archive: &'a dyn Archive,
    keys: CampaignKeys,
    part: Option<(u64, Vec<Seed>)>,
}

impl<'a> FrozenSeeds<'a> {
    /// The seeds of the campaign `name`.
    pub fn new(archive: &'a dyn Archive, name: &str) -> Self {
        Self { archive, keys: CampaignKeys::new(name), part: None }
    }

    /// Seed number `number`.
    ///
    /// # Errors
    /// When its part is missing or damaged.
    pub async fn get(&mut self, number: u64) -> Result<Seed, DatasetError> {
        let wanted = number / SEEDS_PER_PART;
        if self.part.as_ref().is_none_or(|(part, _)| *part != wanted) {
            self.part = Some((wanted, self.read(wanted).await?));
        }
        let place = usize::try_from(number % SEEDS_PER_PART).unwrap_or(usize::MAX);
        let seed = self.part.as_ref().and_then(|(_, seeds)| seeds.get(place)).cloned();
        seed.ok_or_else(|| DatasetError::damaged(&self.keys.seeds(wanted), format!("it has no seed number {number}")))
    }

    /// The planned jobs of `shard` with their ranks, in rank order.
    ///
    /// # Errors
    /// As [`FrozenSeeds::get`].
    pub async fn jobs(&mut self, campaign: &Campaign, shard: u64) -> Result<Vec<(u64, JobId)>, DatasetError> {
        let (members, sample) = campaign.plan.members(shard);
        let mut jobs = Vec::new();
        for number in members {
            let job = JobId::of(&campaign.uid, &self.get(number).await?.id, sample);
            jobs.push((campaign.plan.place(number, sample).rank, job));
        }
        Ok(jobs)
    }

    /// The digest of the first `seeds` seeds as they stand, computed as when they were frozen.
    ///
    /// # Errors
    /// When a part is missing, or is no whole frame.
    pub async fn digest(&self, seeds: u64) -> Result<Digest, DatasetError> {
        let mut digests = Vec::new();
        for part in 0..seeds.div_ceil(SEEDS_PER_PART) {
            digests.push(Digest::of(&self.text(part).await?));
        }
        Ok(digest_of_parts(&digests))
    }

    async fn text(&self, part: u64) -> Result<Vec<u8>, DatasetError> {
        let key = self.keys.seeds(part);
        let hint = "the campaign's frozen seeds are incomplete";
        let bytes = self.archive.get(&key).await?.ok_or(DatasetError::Missing { key: key.clone(), hint })?;
        read_part(&bytes).map_err(|error| DatasetError::damaged(&key, error))
    }

    async fn read(&self, part: u64) -> Result<Vec<Seed>, DatasetError> {
        let (key, text) = (self.keys.seeds(part), self.text(part).await?);
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(|error| DatasetError::damaged(&key, error))).collect()
    }
}

/// The frozen plan of the campaign `name`; `None` when there is none.
///
/// # Errors
/// When the archive fails or the object is damaged.
pub async fn campaign(archive: &dyn Archive, name: &str) -> Result<Option<Campaign>, DatasetError> {
    let key = CampaignKeys::new(name).campaign();
    let Some(bytes) = archive.get(&key).await? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| DatasetError::damaged(&key, error))
}

/// The control object of the campaign `name`; the default when there is none.
///
/// # Errors
/// When the archive fails or the object is damaged.
pub async fn control(archive: &dyn Archive, name: &str) -> Result<Control, DatasetError> {
    let key = CampaignKeys::new(name).control();
    let Some(bytes) = archive.get(&key).await? else { return Ok(Control::default()) };
    serde_json::from_slice(&bytes).map_err(|error| DatasetError::damaged(&key, error))
}

/// Puts a JSON object.
///
/// # Errors
/// When the archive fails.
pub async fn put_json<T: serde::Serialize>(archive: &dyn Archive, key: &str, value: &T) -> Result<(), DatasetError> {
    Ok(archive.put(key, json_bytes(key, value)?).await?)
}

/// The one form in which a JSON object is written.
pub(crate) fn json_bytes<T: serde::Serialize>(key: &str, value: &T) -> Result<Vec<u8>, DatasetError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| DatasetError::damaged(key, error))?;
    bytes.push(b'\n');
    Ok(bytes)
}
