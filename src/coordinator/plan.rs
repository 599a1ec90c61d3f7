//! Planning: freezes seeds, prompts and configuration in the archive. `campaign.json`, written last, decides.
//!
//! Planning again under an existing name compares instead: identity keys may not differ, and every difference is named; samples may grow;
//! changed operational keys become a revision in `control.json`.

use std::collections::BTreeMap;
use std::fmt;

use dataset::DatasetError;
use dataset::frozen::{self, Frozen, put_json};
use dataset::seeds::Seeds;
use model::layout::CampaignKeys;
use model::{Campaign, Digest, Plan, Prompt, Revision, Settings, Uid};
use runtime::Archive;
use serde_json::Value;

/// What is frozen, besides the seeds that the settings name.
pub struct Freeze<'a> {
    /// The checked configuration.
    pub settings: &'a Settings,
    /// The corpus.
    pub corpus_id: &'a Digest,
    /// Every prompt and tool definition that will be used.
    pub prompts: &'a [Prompt],
    /// The identity of the campaign if it is new.
    pub uid: Uid,
}

/// A plan that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Seeds or archive failed.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// There are no seeds.
    #[error("plan campaign {name}: {path} has no seeds")]
    NoSeeds {
        /// The campaign.
        name: String,
        /// The seeds' file.
        path: String,
    },
    /// The name is taken by a campaign that differs.
    #[error(
        "plan campaign {name}: a campaign of this name exists in the archive {archive} and differs in\n{differences}\nrestore these, or choose another name"
    )]
    Changed {
        /// The campaign.
        name: String,
        /// The archive.
        archive: String,
        /// What differs.
        differences: Differences,
    },
}

/// Identity keys that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differences(pub Vec<(String, Value, Value)>);

impl Differences {
    /// The keys in which what was planned and what is written now differ; `null` where one of them has none.
    pub fn between(frozen: &BTreeMap<String, Value>, now: &BTreeMap<String, Value>) -> Self {
        Self(differing(frozen, now))
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, frozen, now)) in self.0.iter().enumerate() {
            let end = if n + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "  {key}: {frozen} when it was planned, {now} now{end}")?;
        }
        Ok(())
    }
}

/// Freezes a new campaign, or compares with the frozen one of that name.
///
/// # Errors
/// When the seeds cannot be used, the archive fails, or identity keys differ.
pub async fn freeze(archive: &dyn Archive, freeze: Freeze<'_>) -> Result<Campaign, PlanError> {
    let name = &freeze.settings.campaign.name;
    match frozen::campaign(archive, name).await? {
        None => plan_new(archive, freeze).await,
        Some(campaign) => plan_again(archive, freeze, campaign).await,
    }
}

async fn plan_new(archive: &dyn Archive, freeze: Freeze<'_>) -> Result<Campaign, PlanError> {
    let settings = freeze.settings;
    let keys = CampaignKeys::new(&settings.campaign.name);
    let seeds = Seeds::open(&settings.campaign.seeds, &settings.campaign.fields)?;
    let keep = |part, bytes| {
        let key = keys.seeds(part);
        async move { Ok(archive.put(&key, bytes).await?) }
    };
    let frozen = frozen::cut(seeds, settings.campaign.limit, keep).await?;
    keep_prompts(archive, &settings.campaign.name, freeze.prompts).await?;
    let campaign = campaign_of(archive, freeze, &frozen)?;
    write_samples(archive, &keys, &campaign, 0).await?;
    put_json(archive, &keys.campaign(), &campaign).await?;
    Ok(campaign)
}

/// Keeps `prompts` in the campaign's folder, by digest. What a judge is told belongs there too, though it is no part of the plan.
///
/// # Errors
/// When the archive fails.
pub async fn keep_prompts(archive: &dyn Archive, campaign: &str, prompts: &[Prompt]) -> Result<(), DatasetError> {
    let keys = CampaignKeys::new(campaign);
    for prompt in prompts {
        archive.put(&keys.prompt(&prompt.digest()), prompt.text.clone().into_bytes()).await?;
    }
    Ok(())
}

fn campaign_of(archive: &dyn Archive, freeze: Freeze<'_>, frozen: &Frozen) -> Result<Campaign, PlanError> {
    let settings = freeze.settings;
    if frozen.seeds == 0 {
        return Err(PlanError::NoSeeds { name: settings.campaign.name.clone(), path: settings.campaign.seeds.clone() });
    }
    if frozen.invalid > 0 {
        tracing::warn!(campaign = %settings.campaign.name, invalid = frozen.invalid, "some seeds are unusable; their jobs will end with the reason");
    }
    Ok(Campaign {
        schema_version: model::trajectory::SCHEMA_VERSION,
        uid: freeze.uid,
        name: settings.campaign.name.clone(),
        archive: archive.id().to_owned(),
        plan: Plan { seeds: frozen.seeds, rows_per_shard: settings.campaign.rows_per_shard, samples: settings.campaign.samples_per_seed },
        seeds: frozen.digest.clone(),
        corpus_id: freeze.corpus_id.clone(),
        prompts: freeze.prompts.iter().map(|prompt| (prompt.name.clone(), prompt.digest())).collect(),
        settings: settings.clone(),
    })
}

async fn plan_again(archive: &dyn Archive, freeze: Freeze<'_>, planned: Campaign) -> Result<Campaign, PlanError> {
    let keys = CampaignKeys::new(&planned.name);
    let seeds = Seeds::open(&freeze.settings.campaign.seeds, &freeze.settings.campaign.fields)?;
    let frozen = frozen::cut(seeds, freeze.settings.campaign.limit, |_, _| async { Ok(()) }).await?;
    let uid = planned.uid.clone();
    let now = campaign_of(archive, Freeze { uid, ..freeze }, &frozen)?;
    let mut differences = differing(&planned.identity(), &now.identity());
    if planned.archive != now.archive {
        differences.push(("archive (id)".into(), planned.archive.clone().into(), now.archive.clone().into()));
    }
    if now.plan.samples < planned.plan.samples {
        differences.push(("campaign.samples_per_seed".into(), planned.plan.samples.into(), now.plan.samples.into()));
    }
    if !differences.is_empty() {
        return Err(PlanError::Changed { name: planned.name, archive: archive.place(), differences: Differences(differences) });
    }
    record_revision(archive, &keys, &planned, &now.settings).await?;
    if now.plan.samples > planned.plan.samples {
        let grown = Campaign { plan: now.plan, ..planned.clone() };
        write_samples(archive, &keys, &grown, planned.plan.samples).await?;
        put_json(archive, &keys.campaign(), &grown).await?;
    }
    Ok(Campaign { plan: now.plan, settings: now.settings, ..planned })
}

fn differing(frozen: &BTreeMap<String, Value>, now: &BTreeMap<String, Value>) -> Vec<(String, Value, Value)> {
    let keys: std::collections::BTreeSet<&String> = frozen.keys().chain(now.keys()).collect();
    let of = |map: &BTreeMap<String, Value>, key: &str| map.get(key).cloned().unwrap_or(Value::Null);
    let pairs = keys.into_iter().map(|key| (key.clone(), of(frozen, key), of(now, key)));
    pairs.filter(|(_, frozen, now)| frozen != now).collect()
}

/// Adds a revision to `control.json` when operational keys differ from the latest known ones.
async fn record_revision(archive: &dyn Archive, keys: &CampaignKeys, planned: &Campaign, now: &Settings) -> Result<(), DatasetError> {
    let mut control = frozen::control(archive, &planned.name).await?;
    let mut known = flat(&planned.settings)?;
    for revision in &control.revisions {
        known.extend(revision.changed.clone());
    }
    let changed: BTreeMap<String, Value> = differing(&known, &flat(now)?)
        .into_iter()
        .filter(|(key, ..)| key != "campaign.samples_per_seed")
        .map(|(key, _, now)| (key, now))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    control.revisions.push(Revision { changed });
    put_json(archive, &keys.control(), &control).await
}

/// Settings as `a.b.c → value`.
fn flat(settings: &Settings) -> Result<BTreeMap<String, Value>, DatasetError> {
    fn walk(prefix: &str, value: Value, into: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                    walk(&key, value, into);
                }
            }
            value => {
                into.insert(prefix.to_owned(), value);
            }
        }
    }
    let value =
        serde_json::to_value(settings).map_err(|error| DatasetError::Damaged { key: "the settings".into(), reason: error.to_string() })?;
    let mut into = BTreeMap::new();
    walk("", value, &mut into);
    Ok(into)
}

/// Which seeds have which samples: so far every seed has every sample.
async fn write_samples(archive: &dyn Archive, keys: &CampaignKeys, campaign: &Campaign, from: u32) -> Result<(), DatasetError> {
    for sample in from..campaign.plan.samples {
        let shards = campaign.plan.shards_per_sample();
        let first = u64::from(sample) * shards;
        let layer = serde_json::json!({"sample": sample, "seeds": "all", "count": campaign.plan.seeds, "shards": [first, first + shards]});
        put_json(archive, &keys.sample(sample), &layer).await?;
    }
    Ok(())
}
