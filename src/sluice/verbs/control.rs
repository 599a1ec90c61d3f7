//! `sluice resume|pause|cancel|retry NAME`: a person's word on a campaign that a cluster works on.

use std::time::Duration;

use coordinator::ControlError;
use model::ControlState;
use runtime::{Queue, QueueName};
use serde_json::json;

use super::submit::{publish, registered};
use crate::args::{CampaignArgs, RetryArgs};
use crate::cluster::Connected;
use crate::exit::{End, VerbError};
use crate::place::{Loaded, Place};

/// How long workers are waited for to leave a cancelled campaign; they need two rounds.
const LEAVING: Duration = Duration::from_secs(10);

impl From<ControlError> for VerbError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Dataset(error) => error.into(),
            ControlError::Ledger(error) => error.into(),
            error @ ControlError::Cancelled { .. } => Self::usage(error),
        }
    }
}

async fn open(args: &CampaignArgs) -> Result<(Connected, Place), VerbError> {
    let place = Place::open(&args.name, args.archive.as_deref()).await?;
    let connected = Connected::open(place.archive.clone(), &format!("control-{}", std::process::id())).await?;
    Ok((connected, place))
}

async fn set_state(connected: &Connected, place: &Place, state: ControlState) -> Result<(), VerbError> {
    let ledger = connected.registry.ledger(&place.campaign.uid);
    coordinator::set_state(place.archive.as_ref(), ledger.as_ref(), &place.campaign.name, state).await?;
    Ok(())
}

pub(crate) async fn pause(args: CampaignArgs) -> Result<End, VerbError> {
    let (connected, place) = open(&args).await?;
    set_state(&connected, &place, ControlState::Paused).await?;
    let name = &place.campaign.name;
    connected.close().await;
    say(
        &args,
        &json!({"campaign": name, "state": "paused"}),
        &format!("{name} is paused; its workers leave it within seconds. Go on with: sluice resume {name}"),
    )
}

pub(crate) async fn cancel(args: CampaignArgs) -> Result<End, VerbError> {
    let (connected, place) = open(&args).await?;
    set_state(&connected, &place, ControlState::Cancelled).await?;
    let name = place.campaign.name.clone();
    let is_left = tokio::time::timeout(LEAVING, async {
        while serves(&connected, &name).await? {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok::<_, VerbError>(())
    })
    .await;
    match is_left {
        Ok(left) => left?,
        Err(_) => eprintln!("some workers have not left {name} yet; they do when they look next"),
    }
    // The ledger keeps its word for a while: whoever claims late is told.
    connected.registry.unregister(&name).await?;
    connected.queue.remove(&name).await.map_err(VerbError::unreachable)?;
    connected.close().await;
    say(
        &args,
        &json!({"campaign": name, "state": "cancelled"}),
        &format!("{name} is cancelled; seal what there is with: sluice seal {name}"),
    )
}

/// Whether any worker works on the campaign.
async fn serves(connected: &Connected, name: &str) -> Result<bool, VerbError> {
    let workers = connected.registry.workers().await?;
    Ok(workers.iter().flat_map(|worker| &worker.campaigns).any(|serving| serving.campaign == name))
}

pub(crate) async fn resume(args: CampaignArgs) -> Result<End, VerbError> {
    let (connected, place) = open(&args).await?;
    let was_paused = place.control.state == ControlState::Paused;
    set_state(&connected, &place, ControlState::Running).await?;
    let name = place.campaign.name.clone();
    coordinator::mark_submitted(place.archive.as_ref(), &name).await?;
    let loaded = Loaded::of(&place.archive, &name).await?;
    let waiting = waiting(&connected, &name).await?;
    let outstanding = coordinator::progress(place.archive.as_ref(), &loaded.campaign, loaded.grade.digest()).await?.outstanding;
    let ledger = connected.registry.ledger(&loaded.campaign.uid);
    let is_whole = ledger.standing().await?.is_whole;
    // Only after a pause: whoever resumes what runs already misses something, and depths count what stands for no job too.
    if was_paused && waiting >= outstanding && is_whole {
        connected.registry.register(&registered(&loaded)).await?;
        connected.close().await;
        let said = format!("{name} runs on; its {waiting} messages wait in the broker, so nothing was published again");
        return say(
            &args,
            &json!({"campaign": name, "state": "running", "outstanding": outstanding, "jobs": 0, "candidates": 0, "seals": 0}),
            &said,
        );
    }
    let published = publish(&connected, &loaded).await?;
    connected.close().await;
    let said = format!(
        "{name} runs on: {outstanding} jobs outstanding; published {} jobs, {} candidates, {} seals again",
        published.jobs, published.candidates, published.seals
    );
    let counts = json!({
        "campaign": name, "state": "running", "outstanding": outstanding,
        "jobs": published.jobs, "candidates": published.candidates, "seals": published.seals,
    });
    say(&args, &counts, &said)
}

/// Messages of the campaign that the broker has, in hands or not.
async fn waiting(connected: &Connected, name: &str) -> Result<u64, VerbError> {
    let depths = connected.queue.depths(name).await.map_err(VerbError::unreachable)?;
    let work = depths.iter().filter(|(queue, _)| !matches!(queue, QueueName::Dead(_) | QueueName::Parked(_)));
    // Each says the delayed ones of the whole campaign.
    let delayed = depths.iter().map(|(_, depth)| depth.delayed).max().unwrap_or_default();
    Ok(work.map(|(_, depth)| depth.ready + depth.unacked).sum::<u64>() + delayed)
}

pub(crate) async fn retry(args: RetryArgs) -> Result<End, VerbError> {
    let (connected, place) = open(&args.campaign).await?;
    let name = place.campaign.name.clone();
    if place.control.state == ControlState::Cancelled {
        return Err(VerbError::Usage(format!("retry campaign {name}: it is cancelled; choose another name for what is to be done again")));
    }
    coordinator::mark_submitted(place.archive.as_ref(), &name).await?;
    let loaded = Loaded::of(&place.archive, &name).await?;
    let ledger = connected.registry.ledger(&loaded.campaign.uid);
    ledger.set_control(loaded.control.state).await?;
    let (archive, grade) = (place.archive.as_ref(), loaded.grade.digest());
    coordinator::rebuild(archive, ledger.as_ref(), &loaded.campaign, &loaded.campaign.settings, grade)
        .await
        .map_err(VerbError::unreachable)?;
    connected.registry.register(&registered(&loaded)).await?;
    let retried = coordinator::retry(archive, connected.queue.as_ref(), ledger.as_ref(), &loaded.campaign, grade, &args.kinds)
        .await
        .map_err(VerbError::unreachable)?;
    connected.close().await;
    let total: u64 = retried.values().sum();
    let kinds: Vec<String> = retried.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let said = if total == 0 {
        format!("{name} has no failed jobs of that kind")
    } else {
        format!("{name}: {total} failed jobs are tried again ({}); seal again when they have ended", kinds.join(", "))
    };
    say(&args.campaign, &json!({"campaign": name, "retried": retried}), &said)
}

fn say(args: &CampaignArgs, counts: &serde_json::Value, text: &str) -> Result<End, VerbError> {
    if args.json { super::print_json(counts) } else { super::print(text) }?;
    Ok(End::Done)
}
