//! The coordinator's HTTP face: the status of campaigns, and how much work there is for autoscaling, as sampled last.
//!
//! Read-only, and never a question to broker or ledger: whoever asks often costs nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::live::Status;

/// The stages whose work can be asked for.
pub const STAGES: [&str; 3] = ["synthesis", "filter", "quarantine"];

/// The newest status of every campaign.
#[derive(Debug, Clone, Default)]
pub struct Board {
    /// `None` until something is shown: that nothing is known yet must not be taken for nothing to do.
    campaigns: Arc<RwLock<Option<Campaigns>>>,
}

type Campaigns = BTreeMap<String, Status>;

impl Board {
    /// Replaces everything that is known.
    pub fn show(&self, statuses: impl IntoIterator<Item = Status>) {
        let campaigns = statuses.into_iter().map(|status| (status.campaign.clone(), status)).collect();
        *self.campaigns.write().unwrap_or_else(PoisonError::into_inner) = Some(campaigns);
    }

    /// Work of `stage` over all campaigns; `None` while nothing is known.
    pub fn runnable(&self, stage: &str) -> Option<u64> {
        Some(self.shown().as_ref()?.values().map(|status| status.runnable(stage)).sum())
    }

    fn shown(&self) -> RwLockReadGuard<'_, Option<Campaigns>> {
        self.campaigns.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The routes below `/api`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/api/campaigns", get(campaigns))
            .route("/api/campaigns/{name}", get(campaign))
            .route("/api/runnable", get(runnable))
            .with_state(self.clone())
    }
}

async fn campaigns(State(board): State<Board>) -> Json<Vec<Status>> {
    Json(board.shown().iter().flat_map(BTreeMap::values).cloned().collect())
}

async fn campaign(State(board): State<Board>, Path(name): Path<String>) -> Response {
    let status = board.shown().as_ref().and_then(|campaigns| campaigns.get(&name)).cloned();
    match status {
        Some(status) => Json(status).into_response(),
        None => (StatusCode::NOT_FOUND, format!("no campaign {name} is being worked on\n")).into_response(),
    }
}

#[derive(Deserialize)]
struct Asked {
    stage: String,
}

#[derive(Serialize)]
struct Runnable {
    runnable: u64,
}

async fn runnable(State(board): State<Board>, Query(asked): Query<Asked>) -> Response {
    if !STAGES.contains(&asked.stage.as_str()) {
        return (StatusCode::BAD_REQUEST, format!("no stage {}; there are: {}\n", asked.stage, STAGES.join(", "))).into_response();
    }
    match board.runnable(&asked.stage) {
        Some(runnable) => Json(Runnable { runnable }).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no campaign was sampled yet\n").into_response(),
    }
}
