//! Which campaigns there are to work on: the registry says, and what it has lost the archive knows.
//!
//! The archive is looked into beside everything else, now and then, and soon when a campaign is gone from the registry: until it has answered,
//! a campaign that was there is believed in, for a registry that was wiped must not make anybody leave work. An archive that hangs holds
//! nobody up.

use std::collections::BTreeSet;
use std::time::Duration;

use model::layout::CampaignKeys;
use model::{ControlState, Manifest};
use runtime::Archive;
use runtime::ledger::Registered;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Connected;
use crate::exit::VerbError;

/// How often the archive is looked into while the registry knows no campaign of ours, or one less than before.
const LOST: Duration = Duration::from_secs(10);
/// How often it is otherwise: the registry may have been wiped, and told of a campaign since.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Finds campaigns.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    /// What was found last.
    known: Vec<Registered>,
    looked: Option<Instant>,
    /// At most one look at a time.
    looking: JoinSet<Looked>,
    /// Campaigns of the archive that nobody need look at again: over, or never handed to a cluster. One that is registered is none of them.
    settled: BTreeSet<String>,
}

/// What a look into the archive came to. Campaigns that were missing it has registered.
#[derive(Debug)]
struct Looked {
    settled: BTreeSet<String>,
    /// Those that had been there and are answered for: registered again, or gone for good.
    answered: BTreeSet<String>,
}

impl Finding {
    /// All campaigns of this archive that are registered, and those that were a moment ago and of which the archive has not said yet that they
    /// are over.
    pub(crate) async fn campaigns(&mut self, connected: &Connected) -> Result<Vec<Registered>, VerbError> {
        // Before the registry is asked, so that what the look registered is found there.
        self.take_look();
        let registered = connected.registry.campaigns().await?;
        let names: BTreeSet<String> = registered.iter().map(|campaign| campaign.name.clone()).collect();
        self.settled.retain(|name| !names.contains(name));
        let ours = connected.archive.id();
        let mut found: Vec<Registered> = registered.into_iter().filter(|campaign| campaign.archive == ours).collect();
        let doubted = missing(&self.known, &found);
        let has_lost = found.is_empty() || !doubted.is_empty();
        let every = if has_lost { LOST } else { LOOK_EVERY };
        if self.looking.is_empty() && self.looked.is_none_or(|at| at.elapsed() >= every) {
            self.looked = Some(Instant::now());
            let doubted: BTreeSet<String> = doubted.iter().map(|campaign| campaign.name.clone()).collect();
            // A registry that knows nothing may have known anything.
            let settled = if found.is_empty() { BTreeSet::new() } else { &self.settled - &doubted };
            self.looking.spawn(look(connected.clone(), names, doubted, settled));
        }
        found.extend(doubted);
        self.known.clone_from(&found);
        Ok(found)
    }

    /// Whoever has unregistered `name` itself does not doubt that it is gone.
    pub(crate) fn let_go(&mut self, name: &str) {
        self.known.retain(|campaign| campaign.name != name);
    }

    fn take_look(&mut self) {
        match self.looking.try_join_next() {
            Some(Ok(looked)) => {
                self.settled = looked.settled;
                self.known.retain(|campaign| !looked.answered.contains(&campaign.name));
            }
            Some(Err(error)) => tracing::error!(%error, "looking for campaigns in the archive panicked"),
            None => {}
        }
    }
}

/// Campaigns that were known and are not found any more, under any uid.
fn missing(known: &[Registered], found: &[Registered]) -> Vec<Registered> {
    known.iter().filter(|campaign| found.iter().all(|found| found.name != campaign.name)).cloned().collect()
}

/// Looks into the archive for campaigns that are in none of `registered` and `settled`. Of the `doubted`, those are answered for that it could
/// read, and those it has not.
async fn look(connected: Connected, registered: BTreeSet<String>, doubted: BTreeSet<String>, mut settled: BTreeSet<String>) -> Looked {
    match register_missing(&connected, &registered, &mut settled).await {
        Ok(unreadable) => Looked { settled, answered: &doubted - &unreadable },
        Err(error) => {
            tracing::warn!(%error, "the archive could not be looked into for campaigns; trying again");
            Looked { settled, answered: BTreeSet::new() }
        }
    }
}

/// Registers each at once: between reading it and telling of it somebody might cancel it. Returns which could not be read: one of them is no
/// reason not to find the others.
async fn register_missing(
    connected: &Connected,
    registered: &BTreeSet<String>,
    settled: &mut BTreeSet<String>,
) -> Result<BTreeSet<String>, VerbError> {
    let mut unreadable = BTreeSet::new();
    for name in connected.archive.folders("campaigns/").await? {
        if registered.contains(&name) || settled.contains(&name) {
            continue;
        }
        match unfinished(connected.archive.as_ref(), &name).await {
            Ok(Some(campaign)) => {
                connected.registry.register(&campaign).await?;
                tracing::warn!(campaign = %name, "the registry did not know this campaign; registered it again from the archive");
            }
            Ok(None) => {
                settled.insert(name);
            }
            Err(error) => {
                if unreadable.is_empty() {
                    tracing::warn!(campaign = %name, %error, "a campaign of the archive cannot be read; looking for the others");
                }
                unreadable.insert(name);
            }
        }
    }
    Ok(unreadable)
}

/// The campaign `name` of the archive, if a cluster has still to do with it: it was handed to one, is not cancelled, and is not sealed whole.
pub(super) async fn unfinished(archive: &dyn Archive, name: &str) -> Result<Option<Registered>, VerbError> {
    let Some(campaign) = dataset::frozen::campaign(archive, name).await? else { return Ok(None) };
    let manifest = archive.get(&CampaignKeys::new(name).dataset()).await?;
    let manifest = manifest.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
    let is_sealed_whole = manifest.is_some_and(|manifest| manifest.outstanding == 0 && manifest.planned == campaign.plan.jobs());
    // Last, because this is what a person may change at this moment.
    let control = dataset::frozen::control(archive, name).await?;
    if !control.submitted || control.state == ControlState::Cancelled || is_sealed_whole {
        return Ok(None);
    }
    let weight = campaign.settings.campaign.weight;
    Ok(Some(Registered { name: name.to_owned(), uid: campaign.uid, archive: archive.id().to_owned(), weight }))
}

#[cfg(test)]
mod tests {
    use model::Uid;

    use super::*;

    #[test]
    fn a_campaign_is_missing_when_none_of_its_name_is_found() {
        let campaign = |name: &str, uid: &str| Registered { name: name.into(), uid: Uid(uid.into()), archive: "here".into(), weight: 1 };
        let known = [campaign("a", "1"), campaign("b", "1")];
        assert_eq!(missing(&known, &[campaign("b", "2"), campaign("c", "1")]), [campaign("a", "1")]);
        assert!(missing(&known, &known).is_empty());
    }
}
