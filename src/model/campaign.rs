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
    /// The settings with all revisions of operational keys applied: those the campaign was last run with. A revision to `null` removes its
    /// key, since that is how a key that is no longer written is recorded.
    ///
    /// # Errors
    /// When a revision leads to settings that cannot be read.
    pub fn effective_settings(&self, control: &Control) -> Result<Settings, serde_json::Error> {
        let mut value = serde_json::to_value(&self.settings)?;
        for (key, new) in control.revisions.iter().flat_map(|revision| &revision.changed) {
            revise(&mut value, key, new);
        }
        serde_json::from_value(value)
    }
}

fn revise(settings: &mut Value, key: &str, new: &Value) {
    let mut place = settings;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if !place.is_object() {
            *place = Value::Object(serde_json::Map::new());
        }
        let Value::Object(fields) = place else { return };
        if new.is_null() && (parts.peek().is_none() || !fields.contains_key(part)) {
            fields.shift_remove(part);
            return;
        }
        place = fields.entry(part).or_insert(Value::Null);
    }
    *place = new.clone();
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
    /// Whether it was handed to a cluster: its workers look for such campaigns when their ledger was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub submitted: bool,
    /// When it was submitted or last resumed, in seconds since 1970: what `budget.wall_hours` counts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_unix_s: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_sets_a_key_makes_a_table_and_null_removes() {
        let mut settings = serde_json::json!({"corpus": {"path": "c", "sources": ["d"]}, "judge": {"kind": {"kind": "off"}}});
        revise(&mut settings, "corpus.sources", &Value::Null);
        revise(&mut settings, "campaign.fields.id", &Value::Null);
        revise(&mut settings, "corpus.path", &Value::from("e"));
        revise(&mut settings, "judge.kind.http.timeout_s", &Value::from(5));
        let expected = serde_json::json!({"corpus": {"path": "e"}, "judge": {"kind": {"kind": "off", "http": {"timeout_s": 5}}}});
        assert_eq!(settings, expected);
    }
}
