//! Where a town's servers are: those that all tests share, or its own where a test breaks them.

use tests::services::{self, OwnBroker, OwnRedis, OwnS3, S3Place};

/// Where a town's servers are.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) amqp: String,
    pub(crate) management: String,
    pub(crate) redis: String,
    pub(crate) s3: S3Place,
}

impl Servers {
    /// Those that all tests share.
    pub(crate) fn shared() -> Self {
        let (amqp, management, redis) = (services::amqp_url(), services::management_url(), services::redis_url());
        Self { amqp, management, redis, s3: services::s3() }
    }

    pub(crate) fn with_broker(self, broker: &OwnBroker) -> Self {
        Self { amqp: broker.url().to_owned(), management: broker.management_url().to_owned(), ..self }
    }

    pub(crate) fn with_redis(self, redis: &OwnRedis) -> Self {
        Self { redis: redis.url(), ..self }
    }

    pub(crate) fn with_s3(self, s3: &OwnS3) -> Self {
        Self { s3: s3.place().clone(), ..self }
    }

    /// The environment in which programs find them.
    pub(crate) fn environment(&self) -> [(&'static str, String); 7] {
        [
            ("SLUICE_AMQP_URL", self.amqp.clone()),
            ("SLUICE_AMQP_MANAGEMENT_URL", self.management.clone()),
            ("SLUICE_REDIS_URL", self.redis.clone()),
            ("AWS_ENDPOINT_URL", self.s3.endpoint.clone()),
            ("AWS_REGION", self.s3.region.clone()),
            ("AWS_ACCESS_KEY_ID", self.s3.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.s3.secret_key.clone()),
        ]
    }
}
