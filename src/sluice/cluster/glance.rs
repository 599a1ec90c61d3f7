//! A cluster as somebody sees it who only looks: what does not answer at the moment is left out, and named.

use std::sync::Arc;

use model::{Campaign, Uid};
use runtime::connections::Connections;
use runtime::ledger::{RedisSettings, Registry, WorkerStatus};
use runtime::queue::rabbitmq::{AmqpSettings, RabbitQueue};
use runtime::{Depth, LedgerError, LedgerStanding, QueueError, QueueName};

use crate::exit::VerbError;

/// What can be asked, connected to when it is asked first.
pub(crate) struct Glance {
    redis: RedisSettings,
    amqp: AmqpSettings,
    registry: Option<Arc<Registry>>,
    queue: Option<Arc<RabbitQueue>>,
}

/// What was answered.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) standing: Option<LedgerStanding>,
    pub(crate) depths: Option<Vec<(QueueName, Depth)>>,
    pub(crate) workers: Option<Vec<WorkerStatus>>,
    /// A line about each that did not answer.
    pub(crate) silent: Vec<String>,
}

impl Glance {
    /// At the cluster that the environment names, under the name `name`.
    pub(crate) fn from_environment(name: String) -> Result<Self, VerbError> {
        let Connections { amqp, amqp_management, redis } = Connections::from_environment().map_err(VerbError::usage)?;
        let redis = RedisSettings { url: redis, worker: name.clone() };
        let amqp = AmqpSettings { urls: amqp, management: amqp_management, name };
        Ok(Self { redis, amqp, registry: None, queue: None })
    }

    /// What they say of `campaign` now.
    pub(crate) async fn at(&mut self, campaign: &Campaign) -> Seen {
        let Self { redis, amqp, registry, queue } = self;
        let (ledger, broker) = tokio::join!(ask_ledger(redis, registry, &campaign.uid), ask_broker(amqp, queue, &campaign.name));
        let mut seen = Seen::default();
        match ledger {
            Ok((standing, workers)) => (seen.standing, seen.workers) = (Some(standing), Some(workers)),
            Err(error) => seen.silent.push(format!("the ledger does not answer, failed to {error}")),
        }
        match broker {
            Ok(depths) => seen.depths = Some(depths),
            Err(error) => seen.silent.push(format!("the broker does not answer, failed to {error}")),
        }
        seen
    }

    /// Says goodbye to those that answered.
    pub(crate) async fn close(&self) {
        if let Some(registry) = &self.registry {
            registry.close().await;
        }
        if let Some(queue) = &self.queue {
            queue.close().await;
        }
    }
}

async fn ask_ledger(
    settings: &RedisSettings,
    registry: &mut Option<Arc<Registry>>,
    uid: &Uid,
) -> Result<(LedgerStanding, Vec<WorkerStatus>), LedgerError> {
    let registry = match registry {
        Some(registry) => registry,
        none => none.insert(Registry::connect(settings.clone()).await?),
    };
    Ok((registry.ledger(uid).standing().await?, registry.workers().await?))
}

async fn ask_broker(
    settings: &AmqpSettings,
    queue: &mut Option<Arc<RabbitQueue>>,
    campaign: &str,
) -> Result<Vec<(QueueName, Depth)>, QueueError> {
    let queue = match queue {
        Some(queue) => queue,
        none => none.insert(runtime::queue::connect(settings.clone()).await?),
    };
    queue.depths(campaign).await
}
