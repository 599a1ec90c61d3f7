//! Pausing, cancelling and running on: one fact in `control.json`, told to the ledger so that every claim hears of it at once.
//!
//! The archive decides; a ledger that was not told, or lost it, is told by whoever looks next.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dataset::DatasetError;
use dataset::frozen::{self, put_json};
use model::layout::CampaignKeys;
use model::{Control, ControlState};
use runtime::{Archive, Ledger, LedgerError};

/// Why the state could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The archive failed.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The archive says so now, but the ledger could not be told: workers hear of it when they look into the archive.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A cancelled campaign stays cancelled.
    #[error(
        "change the state of campaign {campaign}: it is cancelled, and what is sealed may count on that; plan a campaign of another name"
    )]
    Cancelled {
        /// Which.
        campaign: String,
    },
}

/// Sets the state of the campaign `name`.
///
/// # Errors
/// When archive or ledger fail, or the campaign is cancelled.
pub async fn set_state(archive: &dyn Archive, ledger: &dyn Ledger, name: &str, state: ControlState) -> Result<Control, ControlError> {
    let mut control = frozen::control(archive, name).await?;
    if control.state == ControlState::Cancelled && state != ControlState::Cancelled {
        return Err(ControlError::Cancelled { campaign: name.to_owned() });
    }
    if control.state != state {
        control.state = state;
        put_json(archive, &CampaignKeys::new(name).control(), &control).await?;
    }
    ledger.set_control(state).await?;
    Ok(control)
}

/// Notes that the campaign `name` was handed to a cluster, or taken up again, at this moment.
///
/// # Errors
/// When the archive fails.
pub async fn mark_submitted(archive: &dyn Archive, name: &str) -> Result<Control, DatasetError> {
    let mut control = frozen::control(archive, name).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    control.submitted = true;
    control.began_unix_s = Some(now);
    put_json(archive, &CampaignKeys::new(name).control(), &control).await?;
    Ok(control)
}

/// How long ago the campaign of `control` was submitted or last resumed.
pub fn age(control: &Control) -> Duration {
    let began = control.began_unix_s.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    began.and_then(|began| SystemTime::now().duration_since(began).ok()).unwrap_or_default()
}
