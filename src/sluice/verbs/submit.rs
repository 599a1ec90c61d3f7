//! `sluice submit CAMPAIGN.toml`: plans a campaign, and hands it to a cluster.
//!
//! Everything it does may be done again: a frozen plan is compared, a pushed corpus is left alone, and what is published twice is done once.

use std::path::PathBuf;
use std::time::Instant;

use coordinator::{Publisher, rebuild};
use model::ControlState;
use runtime::ledger::Registered;
use serde_json::json;

use crate::args::SubmitArgs;
use crate::cluster::Connected;
use crate::exit::{End, VerbError};
use crate::kept;
use crate::place::{Loaded, archive_place};
use crate::progress::BytesBar;
use crate::voices::{self, Files};
use crate::{local, verbs};

pub(crate) async fn run(args: SubmitArgs) -> Result<End, VerbError> {
    let mut settings = verbs::run::read_settings(&args.campaign)?;
    // Whatever of it is wrong is said here, and not by every worker.
    voices::connect(&settings, Files::Here, None).await?;
    let began = Instant::now();
    let place = archive_place(settings.campaign.archive.as_deref())?;
    let archive = runtime::archive::connect(&place).await?;
    let connected = Connected::open(archive, &format!("submit-{}", std::process::id())).await?;
    let archive = &connected.archive;
    let corpus = local::open_or_build(&settings.corpus, archive).await?;
    let files = kept::keep(&mut settings, archive.as_ref()).await?;
    if settings.corpus.id.is_none() {
        let bar = BytesBar::new("pushing the corpus");
        let folder = PathBuf::from(&settings.corpus.path);
        dataset::corpora::push(archive.as_ref(), &folder, &|done, total| bar.show(done, total)).await?;
        bar.finish();
    }
    let campaign = local::plan(archive.as_ref(), &settings, &corpus, files).await?;
    let name = campaign.name.clone();
    let control = coordinator::mark_submitted(archive.as_ref(), &name).await?;
    if control.state == ControlState::Cancelled {
        return Err(VerbError::Usage(format!("submit campaign {name}: it was cancelled; choose another name")));
    }
    let loaded = Loaded::of(archive, &name).await?;
    coordinator::keep_prompts(archive.as_ref(), &name, &loaded.grade.prompts()).await?;
    let planned_ms = began.elapsed().as_millis();
    let published = publish(&connected, &loaded).await?;
    connected.close().await;
    if args.json {
        super::print_json(&json!({
            "campaign": name, "planned": campaign.plan.jobs(), "jobs": published.jobs, "candidates": published.candidates,
            "seals": published.seals, "planned_ms": planned_ms as u64, "took_ms": began.elapsed().as_millis() as u64,
        }))?;
    } else {
        super::print(&format!(
            "{name}: {} jobs planned; published {} jobs, {} candidates, {} seals in {:.1} s",
            campaign.plan.jobs(),
            published.jobs,
            published.candidates,
            published.seals,
            began.elapsed().as_secs_f64()
        ))?;
        super::print(&format!("watch it with: sluice status {name} --watch --archive {place}"))?;
    }
    Ok(End::Done)
}

/// Makes the campaign known, and publishes what is outstanding.
pub(crate) async fn publish(connected: &Connected, loaded: &Loaded) -> Result<coordinator::Published, VerbError> {
    let (campaign, archive) = (&loaded.campaign, connected.archive.as_ref());
    let ledger = connected.registry.ledger(&campaign.uid);
    let grade = loaded.grade.digest();
    ledger.set_control(loaded.control.state).await?;
    rebuild(archive, ledger.as_ref(), campaign, &campaign.settings, grade).await.map_err(VerbError::unreachable)?;
    connected.registry.register(&registered(loaded)).await?;
    let publisher = Publisher::new(archive, connected.queue.as_ref(), ledger.as_ref(), campaign, grade);
    publisher.outstanding().await.map_err(VerbError::unreachable)
}

/// How the registry knows the campaign.
pub(crate) fn registered(loaded: &Loaded) -> Registered {
    let campaign = &loaded.campaign;
    Registered {
        name: campaign.name.clone(),
        uid: campaign.uid.clone(),
        archive: campaign.archive.clone(),
        weight: campaign.settings.campaign.weight,
    }
}
