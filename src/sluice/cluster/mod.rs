//! The factory on a cluster: the same handlers and loop as in one process, over a broker, a ledger and an archive that processes share.
//!
//! A [`Crew`] is one worker process: it finds campaigns, opens a [`station::Station`] for each, shares its slots among them, and closes those
//! that are paused or over. What a campaign consists of is read from the archive; nothing is known of it otherwise.

use std::sync::Arc;
use std::time::Duration;

use runtime::connections::Connections;
use runtime::ledger::{RedisSettings, Registry};
use runtime::queue::rabbitmq::{AmqpSettings, RabbitQueue};
use runtime::retry::{Policy, Tried, retry};
use runtime::{Archive, ArchiveError, LedgerError, QueueError};

use crate::exit::VerbError;

mod controls;
pub(crate) mod corpora;
pub(crate) mod crew;
mod finding;
mod glance;
mod leaving;
mod meters;
mod rests;
mod shares;
mod station;
mod watch;

pub(crate) use crew::{Crew, CrewSettings};
pub(crate) use glance::{Glance, Seen};
pub(crate) use station::{Role, Stage};
pub(crate) use watch::{Watch, unix_ms};

/// How long a dependency that does not answer is waited for when a process starts: a restart of it, and no more.
const START: Policy = Policy { first: Duration::from_millis(500), max: Duration::from_secs(3), tries: Some(8) };

/// What a process of the cluster shares with the others.
#[derive(Clone)]
pub(crate) struct Connected {
    pub(crate) archive: Arc<dyn Archive>,
    pub(crate) queue: Arc<RabbitQueue>,
    pub(crate) registry: Arc<Registry>,
}

/// Opens the archive of a process that lives long: one that does not answer is waited for, as the others are.
pub(crate) async fn wait_for_archive(place: &str) -> Result<Arc<dyn Archive>, VerbError> {
    let opened = retry(START, std::future::pending(), || async {
        runtime::archive::connect(place).await.map_err(|error| match error {
            ArchiveError::Unavailable { .. } => Tried::again(error),
            error => Tried::Stop(error),
        })
    });
    Ok(opened.await?)
}

impl Connected {
    /// Connects to everything, under the name `worker`.
    pub(crate) async fn open(archive: Arc<dyn Archive>, worker: &str) -> Result<Self, VerbError> {
        Self::with(&Connections::from_environment().map_err(VerbError::usage)?, archive, worker).await
    }

    async fn with(connections: &Connections, archive: Arc<dyn Archive>, worker: &str) -> Result<Self, VerbError> {
        let redis = RedisSettings { url: connections.redis.clone(), worker: worker.to_owned() };
        let registry = retry(START, std::future::pending(), || async {
            Registry::connect(redis.clone()).await.map_err(|error| match error {
                LedgerError::Unreachable { .. } => Tried::again(error),
                error => Tried::Stop(error),
            })
        })
        .await?;
        let amqp =
            AmqpSettings { urls: connections.amqp.clone(), management: connections.amqp_management.clone(), name: worker.to_owned() };
        let queue = retry(START, std::future::pending(), || async {
            runtime::queue::connect(amqp.clone()).await.map_err(|error| match error {
                QueueError::Unreachable { .. } => Tried::again(error),
                error => Tried::Stop(error),
            })
        })
        .await
        .map_err(VerbError::unreachable)?;
        Ok(Self { archive, queue, registry })
    }

    /// Says goodbye: what this process held is free at once.
    pub(crate) async fn close(&self) {
        self.registry.close().await;
        self.queue.close().await;
    }
}
