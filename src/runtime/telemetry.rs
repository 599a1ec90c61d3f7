//! What a long-lived process shows: metrics for Prometheus, whether it lives, whether it is ready.
//!
//! Alive means that the loop which must never stop has come round lately, and nothing about dependencies: a broker that is down must not get
//! every worker restarted. Ready means that the dependencies are there and the process does not drain.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// A loop that has not come round for this long is stuck.
const STUCK: Duration = Duration::from_secs(60);
/// How often histograms are folded, so that nobody's scrapes are needed to bound memory.
const UPKEEP: Duration = Duration::from_secs(5);
/// Upper edges of the duration histograms, in seconds: from a ledger's answer to a long completion.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Whether a process is alive and ready; told by its loop, asked over HTTP.
#[derive(Debug, Clone)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    came_round: Instant,
    /// Why it is not ready; `None` when it is.
    unready: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        let state = State { came_round: Instant::now(), unready: Some("it starts".to_owned()) };
        Self { state: Arc::new(Mutex::new(state)) }
    }
}

impl Health {
    /// The loop has come round; `unready` is what keeps it from working, if anything does.
    pub fn came_round(&self, unready: Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { came_round: Instant::now(), unready };
    }

    fn alive(&self) -> (StatusCode, String) {
        let since = self.state.lock().unwrap_or_else(PoisonError::into_inner).came_round.elapsed();
        if since < STUCK {
            (StatusCode::OK, "alive\n".to_owned())
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, format!("the main loop has not come round for {} s\n", since.as_secs()))
        }
    }

    fn ready(&self) -> (StatusCode, String) {
        match &self.state.lock().unwrap_or_else(PoisonError::into_inner).unready {
            None => (StatusCode::OK, "ready\n".to_owned()),
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        }
    }
}

/// The process's HTTP face, bound and not yet serving.
#[derive(Debug)]
pub struct Face {
    listener: TcpListener,
    metrics: PrometheusHandle,
    health: Health,
}

impl Face {
    /// Binds `listen` and takes charge of the process's metrics. Once per process.
    ///
    /// # Errors
    /// When the address cannot be bound, or metrics are taken charge of already.
    pub async fn bind(listen: SocketAddr, health: Health) -> io::Result<Self> {
        let listener =
            TcpListener::bind(listen).await.map_err(|error| io::Error::new(error.kind(), format!("listen on {listen}: {error}")))?;
        let builder = PrometheusBuilder::new().set_buckets(SECONDS).map_err(io::Error::other)?;
        let metrics = builder.install_recorder().map_err(io::Error::other)?;
        metrics::gauge!("sluice_build", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { listener, metrics, health })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `/metrics`, `/healthz`, `/readyz` and whatever `more` has, until `until` is over.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, more: Router, until: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let Self { listener, metrics, health } = self;
        let upkeep = tokio::spawn({
            let metrics = metrics.clone();
            async move {
                let mut tick = tokio::time::interval(UPKEEP);
                loop {
                    tick.tick().await;
                    metrics.run_upkeep();
                }
            }
        });
        let alive = health.clone();
        let router = more
            .route("/metrics", get(async move || metrics.render()))
            .route("/healthz", get(async move || alive.alive()))
            .route("/readyz", get(async move || health.ready()));
        let served = axum::serve(listener, router).with_graceful_shutdown(until).await;
        upkeep.abort();
        served
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_is_not_alive_and_an_outage_is_only_unready() {
        let health = Health::default();
        assert_eq!(health.ready().0, StatusCode::SERVICE_UNAVAILABLE);
        health.came_round(None);
        assert_eq!((health.alive().0, health.ready().0), (StatusCode::OK, StatusCode::OK));
        health.came_round(Some("the broker cannot be reached".into()));
        assert_eq!((health.alive().0, health.ready().0), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
        tokio::time::advance(STUCK).await;
        assert_eq!(health.alive().0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
