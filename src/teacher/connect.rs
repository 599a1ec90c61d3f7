//! From settings to a teacher. The only place besides their own files that names the kinds.

use std::sync::Arc;

use model::settings::{HttpSettings, TeacherKind, TeacherSettings};

use crate::Teacher;
use crate::heuristic::HeuristicTeacher;
use crate::http::HttpTeacher;
use crate::scripted::ScriptedTeacher;

/// A teacher that cannot be had with these settings.
#[derive(Debug, thiserror::Error)]
#[error("set up the teacher: {0}")]
pub struct ConnectError(String);

/// The teacher that `settings` describe. Opens no connection yet.
///
/// # Errors
/// When the API key's variable is not set, or the script cannot be read.
pub fn connect(settings: &TeacherSettings) -> Result<Arc<dyn Teacher>, ConnectError> {
    match &settings.kind {
        TeacherKind::Heuristic => Ok(Arc::new(HeuristicTeacher)),
        TeacherKind::Http(http) => connect_http(http, &settings.model),
        TeacherKind::Scripted { script } => {
            let text = std::fs::read_to_string(script).map_err(|error| ConnectError(format!("read the script {script}: {error}")))?;
            let teacher = ScriptedTeacher::from_text(&text).map_err(|error| ConnectError(format!("read the script {script}: {error}")))?;
            Ok(Arc::new(teacher))
        }
    }
}

/// The model `model` behind `http`, for a teacher or a judge.
///
/// # Errors
/// When the API key's variable is not set, or an endpoint is no URL.
pub fn connect_http(http: &HttpSettings, model: &str) -> Result<Arc<dyn Teacher>, ConnectError> {
    let key = match &http.api_key_env {
        None => None,
        Some(name) => {
            Some(std::env::var(name).map_err(|_| ConnectError(format!("the variable {name} is not set; it must hold the API key")))?)
        }
    };
    let teacher = HttpTeacher::new(http, model, key).map_err(|error| ConnectError(error.to_string()))?;
    Ok(Arc::new(teacher))
}
