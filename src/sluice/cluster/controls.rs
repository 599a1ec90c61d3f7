//! What the archive says a person wants of each campaign, read now and then.
//!
//! The archive decides, and the ledger hears of it first. So an archive that hangs is waited for a moment in each round, all campaigns
//! together, and then what it said last is believed: a pause takes hold through the ledger meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use model::Control;
use runtime::Archive;
use tokio::time::{Instant, timeout};

use crate::exit::VerbError;

/// How long the archive is waited for in one round.
const PATIENCE: Duration = Duration::from_secs(3);

/// The controls of campaigns, as they were read last.
#[derive(Debug, Default)]
pub(super) struct Controls {
    known: HashMap<String, (Instant, Control)>,
    /// What is left of it in this round.
    patience: Duration,
}

impl Controls {
    /// A round begins.
    pub(super) fn begin_round(&mut self) {
        self.patience = PATIENCE;
    }

    /// Somebody knows better than what was read last.
    pub(super) fn forget(&mut self, name: &str) {
        self.known.remove(name);
    }

    /// The control of the campaign `name`, as it was at most `believed` ago; or as it was read last, when the archive does not answer.
    pub(super) async fn of(&mut self, archive: &dyn Archive, name: &str, believed: Duration) -> Result<Control, VerbError> {
        if let Some((read, control)) = self.known.get(name)
            && read.elapsed() < believed
        {
            return Ok(control.clone());
        }
        let control = match (self.read(archive, name).await, self.known.get(name)) {
            (Some(control), _) => control?,
            (None, Some((_, control))) => control.clone(),
            (None, None) => {
                let within = PATIENCE.as_secs();
                return Err(VerbError::Unreachable(format!(
                    "read the control of campaign {name}: no answer from the archive in {within} s"
                )));
            }
        };
        self.known.insert(name.to_owned(), (Instant::now(), control.clone()));
        Ok(control)
    }

    /// `None` when the archive does not answer in time.
    async fn read(&mut self, archive: &dyn Archive, name: &str) -> Option<Result<Control, dataset::DatasetError>> {
        if self.patience.is_zero() {
            return None;
        }
        let began = Instant::now();
        let answer = timeout(self.patience, dataset::frozen::control(archive, name)).await;
        self.patience = self.patience.saturating_sub(began.elapsed());
        answer.ok()
    }
}
