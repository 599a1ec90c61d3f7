//! How broker and ledger come to forget a campaign that is over: it is unregistered, and later, when nobody has to do with it any more, it is
//! removed.
//!
//! In two steps, because what the coordinator knows is some seconds old: the broker counts late, workers that have not heard yet declare
//! queues again, and somebody may be retrying a job at this moment. Whoever does registers it again, and then it stays as it is. A process
//! killed between the steps leaves empty queues behind, and a ledger that expires.

use std::time::Duration;

use runtime::Queue;
use runtime::ledger::{Registered, WorkerStatus};
use tokio::time::Instant;

use super::Connected;
use crate::exit::VerbError;

/// Between the steps at least: workers report every three seconds, and are forgotten after fifteen.
const FAREWELL: Duration = Duration::from_secs(15);

/// Campaigns that were unregistered and are not removed yet.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    campaigns: Vec<(Instant, Registered)>,
}

/// What becomes of a campaign that is leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Somebody registered it again.
    Stay,
    /// Too early, or a worker has not left it.
    Wait,
    Go,
}

impl Leaving {
    /// The first step.
    pub(super) async fn begin(&mut self, connected: &Connected, campaign: &Registered) -> Result<(), VerbError> {
        connected.registry.unregister(&campaign.name).await?;
        tracing::info!(campaign = %campaign.name, "the campaign is over; broker and ledger will forget it");
        self.campaigns.push((Instant::now(), campaign.clone()));
        Ok(())
    }

    /// The second step, for those whose time has come. One that cannot be removed is tried again.
    pub(super) async fn go_on(&mut self, connected: &Connected, found: &[Registered], workers: &[WorkerStatus]) -> Result<(), VerbError> {
        let mut trouble = None;
        let mut at = 0;
        while let Some((since, campaign)) = self.campaigns.get(at) {
            let is_settled = match next(&campaign.name, since.elapsed(), found, workers) {
                Next::Stay => {
                    tracing::info!(campaign = %campaign.name, "the campaign goes on: somebody registered it again");
                    true
                }
                Next::Wait => false,
                Next::Go => match remove(connected, campaign).await {
                    Ok(()) => true,
                    Err(error) => {
                        trouble.get_or_insert(error);
                        false
                    }
                },
            };
            if is_settled {
                self.campaigns.remove(at);
            } else {
                at += 1;
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    /// This process ends: whoever watches next finds them registered, and begins again.
    pub(super) async fn give_back(&mut self, connected: &Connected) {
        for (_, campaign) in self.campaigns.drain(..) {
            if let Err(error) = connected.registry.register(&campaign).await {
                tracing::warn!(campaign = %campaign.name, %error, "the campaign is over, and its empty queues stay");
            }
        }
    }
}

fn next(name: &str, since: Duration, found: &[Registered], workers: &[WorkerStatus]) -> Next {
    let is_served = workers.iter().flat_map(|worker| &worker.campaigns).any(|serving| serving.campaign == name);
    if found.iter().any(|campaign| campaign.name == name) {
        Next::Stay
    } else if since < FAREWELL || is_served {
        Next::Wait
    } else {
        Next::Go
    }
}

/// Removes it, unless somebody has to do with it after all.
async fn remove(connected: &Connected, campaign: &Registered) -> Result<(), VerbError> {
    let Connected { registry, queue, .. } = connected;
    let is_empty = queue.is_empty(&campaign.name).await.map_err(VerbError::unreachable)?;
    // Asked last: whoever has something to publish registers the campaign first.
    if registry.campaigns().await?.iter().any(|registered| registered.name == campaign.name) {
        return Ok(());
    }
    if !is_empty {
        tracing::info!(campaign = %campaign.name, "the campaign goes on: it has messages");
        return Ok(registry.register(campaign).await?);
    }
    queue.remove(&campaign.name).await.map_err(VerbError::unreachable)?;
    registry.ledger(&campaign.uid).forget().await?;
    registry.leave(&campaign.uid).await;
    tracing::info!(campaign = %campaign.name, "broker and ledger have forgotten the campaign");
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::Uid;
    use runtime::ledger::Serving;

    use super::*;

    #[test]
    fn a_campaign_goes_when_nobody_registered_it_again_and_no_worker_is_left() {
        let campaign = |name: &str| Registered { name: name.into(), uid: Uid("u".into()), archive: "here".into(), weight: 1 };
        let serving = |name: &str| Serving { campaign: name.into(), running: 0, slots: 1, holds: Vec::new() };
        let worker = |name: &str| WorkerStatus { campaigns: vec![serving(name)], ..WorkerStatus::default() };
        let (others, late) = ([campaign("b")], FAREWELL);
        assert_eq!(next("a", late, &others, &[worker("b")]), Next::Go);
        assert_eq!(next("a", late - Duration::from_secs(1), &others, &[]), Next::Wait);
        assert_eq!(next("a", late, &others, &[worker("b"), worker("a")]), Next::Wait);
        assert_eq!(next("a", late, &[campaign("a")], &[worker("a")]), Next::Stay);
    }
}
