//! The texts that a campaign names by digest.

use model::layout::CampaignKeys;
use model::{Campaign, Digest};
use runtime::Archive;

use crate::DatasetError;

const HINT: &str = "the campaign's prompts are incomplete; plan it again under another name";

/// The prompts of one campaign.
pub(super) struct Prompts<'a> {
    pub(super) archive: &'a dyn Archive,
    pub(super) keys: &'a CampaignKeys,
    pub(super) campaign: &'a Campaign,
}

impl Prompts<'_> {
    /// The prompt `name`, where the campaign has one.
    pub(super) async fn named(&self, name: &str) -> Result<Option<String>, DatasetError> {
        match self.campaign.prompts.get(name) {
            Some(digest) => self.read(digest, name).await.map(Some),
            None => Ok(None),
        }
    }

    /// The prompt `name`, without which there is nothing to write.
    pub(super) async fn required(&self, name: &str) -> Result<String, DatasetError> {
        self.named(name).await?.ok_or_else(|| self.missing(name))
    }

    /// The prompt that a thread names.
    pub(super) async fn of_digest(&self, digest: &Digest) -> Result<String, DatasetError> {
        match self.campaign.prompts.iter().find(|(_, known)| *known == digest) {
            Some((name, _)) => self.read(digest, name).await,
            None => Err(self.missing(digest.short())),
        }
    }

    async fn read(&self, digest: &Digest, name: &str) -> Result<String, DatasetError> {
        let bytes = self.archive.get(&self.keys.prompt(digest)).await?.ok_or_else(|| self.missing(name))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn missing(&self, name: &str) -> DatasetError {
        DatasetError::Missing { key: format!("prompt {name} of campaign {}", self.campaign.name), hint: HINT }
    }
}
