//! `sluice serve`: the coordinator as a process.

use std::time::Duration;

use coordinator::server::Board;
use runtime::Shutdown;
use runtime::telemetry::{Face, Health};

use crate::args::ServeArgs;
use crate::cluster::{Connected, Watch, wait_for_archive};
use crate::exit::{End, VerbError};
use crate::place::archive_place;

/// Nothing it does takes long; what it was doing, the next one does.
const DRAIN: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: ServeArgs) -> Result<End, VerbError> {
    let place = archive_place(args.archive.as_deref())?;
    let health = Health::default();
    let face = Face::bind(args.listen, health.clone()).await.map_err(VerbError::usage)?;
    let address = face.address()?;
    let shutdown = Shutdown::on_signals(DRAIN)?;
    let board = Board::default();
    let (router, until) = (board.router(), shutdown.clone());
    let serving = tokio::spawn(face.serve(router, async move { until.requested().await }));
    let name = format!("coordinator-{}", std::process::id());
    let connecting = async { Connected::open(wait_for_archive(&place).await?, &name).await };
    let connected = health.alive_during(connecting).await?;
    eprintln!("serves http://{address}: /metrics, /healthz, /readyz, /api/campaigns, /api/runnable");
    let end = Watch::new(connected, board, health, shutdown).run().await;
    serving.await.map_err(anyhow::Error::from)??;
    end
}
