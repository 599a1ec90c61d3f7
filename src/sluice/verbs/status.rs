//! `sluice status NAME [--watch]`: counted from the archive, and asked of the ledger that `sluice run` left beside the campaign, or of the
//! cluster where the environment names one.
//!
//! An archive that does not answer at first leaves nothing to say. Whatever else does not answer, or stops to, is left out and named on
//! standard error.

use std::io::IsTerminal;
use std::time::Duration;

use coordinator::Census;
use coordinator::live::{Sample, Status};
use model::Control;
use runtime::LedgerError;
use runtime::connections::{AMQP_VARIABLE, REDIS_VARIABLE};
use runtime::ledger::embedded::{EmbeddedLedger, Tenancy};

use crate::args::StatusArgs;
use crate::cluster::{Glance, Seen, unix_ms};
use crate::exit::{End, VerbError};
use crate::local::ledger_folder;
use crate::place::{Loaded, Place};
use crate::tables;

/// How often a watched status is drawn.
const REDRAW: Duration = Duration::from_secs(2);
/// Clears a terminal and puts the cursor into its corner.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

pub(crate) async fn run(args: StatusArgs) -> Result<End, VerbError> {
    let named = args.campaign;
    let place = Place::open(&named.name, named.archive.as_deref()).await?;
    let is_set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let mut glance = match is_set(AMQP_VARIABLE) || is_set(REDIS_VARIABLE) {
        true => Some(Glance::from_environment(format!("status-{}", std::process::id()))?),
        false => None,
    };
    let is_redrawn = args.watch && std::io::stdout().is_terminal();
    let mut census = Census::default();
    let (mut said, mut is_first) = (Vec::new(), true);
    loop {
        let (status, silent) = match sample(&place, glance.as_mut(), &mut census).await {
            Ok((status, silent)) => (Some(status), silent),
            Err(error) if is_first => return Err(error),
            // An outage that began while somebody watches, and may pass.
            Err(error) => (None, vec![format!("the archive does not answer, failed to {error}")]),
        };
        if let Some(status) = &status {
            if named.json {
                super::print_json(status)?;
            } else {
                let clear = if is_redrawn { CLEAR } else { "" };
                super::print(&format!("{clear}{}", tables::status(status)))?;
            }
        }
        // After what is drawn, which would wipe it away; and again only where it was wiped away.
        if silent != said || (is_redrawn && status.is_some()) {
            for line in &silent {
                eprintln!("sluice: {line}");
            }
        }
        (said, is_first) = (silent, false);
        if !args.watch || status.is_some_and(|status| status.outstanding == 0) {
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
    if let Some(glance) = glance {
        glance.close().await;
    }
    Ok(End::Done)
}

/// The status, and a line about each that did not answer.
async fn sample(place: &Place, glance: Option<&mut Glance>, census: &mut Census) -> Result<(Status, Vec<String>), VerbError> {
    // Anew each time: while somebody watches, a campaign is submitted, or goes on with another budget.
    let Loaded { campaign, control, grade } = Loaded::of(&place.archive, &place.campaign.name).await?;
    // Before counting, so that what ends meanwhile counts as finished.
    let (seen, is_left) = match (of_this_machine(place, &control).await, glance) {
        (Some(seen), _) => seen,
        (None, Some(glance)) => (glance.at(&campaign).await, None),
        (None, None) => (Seen::default(), None),
    };
    let progress = census.count(place.archive.as_ref(), &campaign, grade.digest()).await?;
    let Seen { standing, depths, workers, silent } = seen;
    let (budget, age) = (campaign.settings.budget, coordinator::age(&control));
    Ok((Status::of(Sample { progress, standing, depths, workers, budget, age, is_left, sampled_unix_ms: unix_ms() }), silent))
}

/// What the ledger says that `sluice run` left beside the campaign, and whether nobody works with it. `None` for what a cluster works on, and
/// where any machine might: in a store.
async fn of_this_machine(place: &Place, control: &Control) -> Option<(Seen, Option<bool>)> {
    let archive = place.archive.place();
    if control.submitted || archive.contains("://") {
        return None;
    }
    let silent = |error: &LedgerError| vec![format!("the ledger of this machine does not answer, failed to {error}")];
    match EmbeddedLedger::look(ledger_folder(&archive, &place.campaign.name)).await {
        // A lost ledger learns what was spent from the archive, when the next run begins.
        Ok(Tenancy::Left(Ok(standing))) => {
            Some((Seen { standing: Some(standing).filter(|standing| standing.is_whole), ..Seen::default() }, Some(true)))
        }
        Ok(Tenancy::Left(Err(error))) => Some((Seen { silent: silent(&error), ..Seen::default() }, Some(true))),
        Ok(Tenancy::Held) => Some((Seen::default(), Some(false))),
        Ok(Tenancy::None) => None,
        Err(error) => Some((Seen { silent: silent(&error), ..Seen::default() }, None)),
    }
}
