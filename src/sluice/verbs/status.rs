//! `sluice status NAME [--watch]`: counted from the archive, and from the cluster where the environment names one.

use std::io::IsTerminal;
use std::time::Duration;

use coordinator::Census;
use coordinator::live::{Sample, Status};
use runtime::Ledger;
use runtime::connections::{AMQP_VARIABLE, REDIS_VARIABLE};

use crate::args::StatusArgs;
use crate::cluster::{Connected, unix_ms};
use crate::exit::{End, VerbError};
use crate::place::Place;
use crate::tables;

/// How often a watched status is drawn.
const REDRAW: Duration = Duration::from_secs(2);
/// Clears a terminal and puts the cursor into its corner.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

pub(crate) async fn run(args: StatusArgs) -> Result<End, VerbError> {
    let named = args.campaign;
    let place = Place::open(&named.name, named.archive.as_deref()).await?;
    let is_set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let connected = match is_set(AMQP_VARIABLE) || is_set(REDIS_VARIABLE) {
        true => Some(Connected::open(place.archive.clone(), &format!("status-{}", std::process::id())).await?),
        false => None,
    };
    let ledger = connected.as_ref().map(|connected| connected.registry.ledger(&place.campaign.uid));
    let mut census = Census::default();
    loop {
        let status = sample(&place, connected.as_ref(), ledger.as_deref(), &mut census).await?;
        if named.json {
            super::print_json(&status)?;
        } else {
            let clear = if args.watch && std::io::stdout().is_terminal() { CLEAR } else { "" };
            super::print(&format!("{clear}{}", tables::status(&status)))?;
        }
        if !args.watch || status.outstanding == 0 {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(REDRAW) => {}
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
        }
    }
    if let Some(connected) = connected {
        connected.close().await;
    }
    Ok(End::Done)
}

async fn sample(
    place: &Place,
    connected: Option<&Connected>,
    ledger: Option<&dyn Ledger>,
    census: &mut Census,
) -> Result<Status, VerbError> {
    let name = &place.campaign.name;
    let progress = census.count(place.archive.as_ref(), &place.campaign, place.grade.digest()).await?;
    let (mut standing, mut depths, mut workers) = (None, None, Vec::new());
    if let (Some(connected), Some(ledger)) = (connected, ledger) {
        standing = Some(ledger.standing().await?);
        depths = Some(connected.queue.depths(name).await.map_err(VerbError::unreachable)?);
        workers = connected.registry.workers().await?;
    }
    let budget = place.campaign.settings.budget;
    Ok(Status::of(Sample { progress, standing, depths, workers, budget, sampled_unix_ms: unix_ms() }))
}
