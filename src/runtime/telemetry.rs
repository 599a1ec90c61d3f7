//! What a long-lived process shows: metrics for Prometheus, whether it lives, whether it is ready.
//!
//! Alive means that the task which must never stop still turns, and nothing about dependencies: whatever it waits for, a timer beside that
//! says so ([`Health::alive_during`]). A broker that is down or a store that hangs must not get every worker restarted. Ready means that the
//! dependencies are there and the process does not drain.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior};

/// A task that has not turned for this long is stuck.
const STUCK: Duration = Duration::from_secs(60);
/// How often a task that waits says that it turns.
const TURN: Duration = Duration::from_secs(5);
/// How often histograms are folded, so that nobody's scrapes are needed to bound memory.
const UPKEEP: Duration = Duration::from_secs(5);
/// Upper edges of the duration histograms, in seconds: from a ledger's answer to a long completion.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Whether a process is alive and ready; told by its main task, asked over HTTP.
#[derive(Debug, Clone)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    turned: Instant,
    /// Why it is not ready; `None` when it is.
    unready: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        let state = State { turned: Instant::now(), unready: Some("it starts".to_owned()) };
        Self { state: Arc::new(Mutex::new(state)) }
    }
}

impl Health {
    /// The loop has come round; `unready` is what keeps it from working, if anything does.
    pub fn came_round(&self, unready: Option<String>) {
        *self.state() = State { turned: Instant::now(), unready };
    }

    /// Awaits `work`, alive meanwhile however long a dependency keeps it waiting, and as ready as was said last. Only a task that cannot be
    /// woken is stuck.
    pub async fn alive_during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut turns = tokio::time::interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = turns.tick() => self.state().turned = Instant::now(),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> (StatusCode, String) {
        let since = self.state().turned.elapsed();
        if since < STUCK {
            (StatusCode::OK, "alive\n".to_owned())
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, format!("the main task has not turned for {} s\n", since.as_secs()))
        }
    }

    fn ready(&self) -> (StatusCode, String) {
        match &self.state().unready {
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
    use crate::WorkerReport;

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

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_dependency_is_alive_and_as_ready_as_before() {
        let health = Health::default();
        health.came_round(Some("the store hangs".into()));
        let seen = health.alive_during(async {
            tokio::time::sleep(3 * STUCK).await;
            (health.alive().0, health.ready().0)
        });
        assert_eq!(seen.await, (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
    }

    #[test]
    fn counters_of_a_campaign_left_and_entered_again_go_on_growing() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let done = |done| WorkerReport { done, ..WorkerReport::default() };
        metrics::with_local_recorder(&recorder, || {
            done(5).show(&done(0), "c", "filter");
            done(7).show(&done(5), "c", "filter");
            // It was left, and entered again.
            done(2).show(&done(0), "c", "filter");
        });
        let shown = recorder.handle().render();
        let line = shown.lines().find(|line| line.contains("outcome=\"done\"")).expect("it is shown");
        assert!(line.ends_with(" 9"), "{line}");
    }
}
