//! A campaign as it is frozen in the archive, and the one mutable object beside it: control.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, Plan, Settings, Uid};

/// A prompt or tool definition that a campaign uses: versioned by the digest of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// What it is for, e.g. `browse.system`.
    pub name: String,
    /// The text as sent.
    pub text: String,
}

impl Prompt {
    /// The prompt's version.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }
}

/// The frozen plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Campaign {
    /// Version of the format.
    pub schema_version: u32,
    /// Its random identity.
    pub uid: Uid,
    /// Its name.
    pub name: String,
    /// The archive it lives in, by the archive's own id.
    pub archive: String,
    /// S, M and the samples planned so far.
    pub plan: Plan,
    /// Digest of the seeds in order.
    pub seeds: Digest,
    /// The corpus.
    pub corpus_id: Digest,
    /// Digests of prompts and tool definitions by name.
    pub prompts: BTreeMap<String, Digest>,
    /// The resolved configuration as first planned.
    pub settings: Settings,
}

impl Campaign {
    /// What may never change under this name, flattened to `key → value`, for comparing.
    pub fn identity(&self) -> BTreeMap<String, Value> {
        let mut identity = self.settings.identity();
        identity.insert("campaign.seeds (content)".into(), Value::String(self.seeds.to_string()));
        identity.insert("corpus (content)".into(), Value::String(self.corpus_id.to_string()));
        for (name, digest) in &self.prompts {
            identity.insert(format!("prompt {name}"), Value::String(digest.to_string()));
        }
        identity
    }
}

impl Campaign {
    /// The settings with all revisions of operational keys applied: those the campaign was last run with.
    ///
    /// # Errors
    /// When a revision leads to settings that cannot be read.
    pub fn effective_settings(&self, control: &Control) -> Result<Settings, serde_json::Error> {
        let mut value = serde_json::to_value(&self.settings)?;
        for (key, new) in control.revisions.iter().flat_map(|revision| &revision.changed) {
            let mut place = &mut value;
            for part in key.split('.') {
                if !place.is_object() {
                    *place = Value::Object(serde_json::Map::new());
                }
                place = &mut place[part];
            }
            *place = new.clone();
        }
        serde_json::from_value(value)
    }
}

/// Whether a campaign runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ControlState {
    /// Jobs are taken.
    #[default]
    Running,
    /// No job is taken.
    Paused,
    /// No job is taken any more; what is not terminal counts as cancelled.
    Cancelled,
}

/// One change of operational keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Revision {
    /// What changed: key → new value.
    pub changed: BTreeMap<String, Value>,
}

/// The mutable object beside a campaign.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// Whether it runs.
    pub state: ControlState,
    /// All changes of operational keys, oldest first.
    #[serde(default)]
    pub revisions: Vec<Revision>,
}
