//! `sluice worker synthesis|filter`: one worker process of a cluster.

use std::time::Duration;

use runtime::Shutdown;
use runtime::telemetry::{Face, Health};

use crate::args::WorkerArgs;
use crate::cluster::corpora::Corpora;
use crate::cluster::{Connected, Crew, CrewSettings, Role, wait_for_archive};
use crate::exit::{End, VerbError};
use crate::place::archive_place;

pub(crate) async fn run(args: WorkerArgs) -> Result<End, VerbError> {
    let place = archive_place(args.archive.as_deref())?;
    let health = Health::default();
    let face = match args.listen {
        Some(listen) => Some(Face::bind(listen, health.clone()).await.map_err(VerbError::usage)?),
        None => None,
    };
    let shutdown = Shutdown::on_signals(Duration::from_secs(args.drain_s))?;
    if let Some(face) = face {
        let address = face.address()?;
        tracing::info!(%address, "shows metrics and health");
        let until = shutdown.clone();
        // Ends with the process: it must answer while the process drains.
        tokio::spawn(async move {
            if let Err(error) = face.serve(axum::Router::new(), async move { until.expired().await }).await {
                tracing::error!(%error, "metrics and health are not shown any more");
            }
        });
    }
    let worker = args.id.unwrap_or_else(own_name);
    let connecting = async { Connected::open(wait_for_archive(&place).await?, &worker).await };
    let connected = health.alive_during(connecting).await?;
    let role = Role { stage: args.stage, quarantine: args.quarantine };
    eprintln!("{worker} serves {} from {place}", role.name());
    let settings = CrewSettings {
        role,
        worker,
        slots: args.concurrency,
        drain: Duration::from_secs(args.drain_s),
        slice: Duration::from_secs(args.slice_s),
        only: args.campaigns,
        corpora: Corpora::new(args.corpora),
    };
    Crew::new(connected, settings, health, shutdown).run().await
}

/// The host's name, which in a cluster is the pod's, and the process's number.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "worker" } else { host }, std::process::id())
}
