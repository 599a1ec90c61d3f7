//! From settings to a teacher. The only place besides their own files that names the kinds.

use std::sync::Arc;

use async_trait::async_trait;
use model::settings::{Dialect, HttpSettings, Mode, TeacherKind, TeacherSettings};
use model::{Completion, Price};
use runtime::Ledger;
use runtime::ledger::EndpointHealth;
use serde_json::Value;

use crate::heuristic::HeuristicTeacher;
use crate::http::{HttpTeacher, TEMPLATE_VARIABLES, Template};
use crate::scripted::ScriptedTeacher;
use crate::tokens::Tokens;
use crate::{Request, Teacher, TeacherError};

/// A teacher that cannot be had with these settings.
#[derive(Debug, thiserror::Error)]
#[error("set up the teacher: {0}")]
pub struct ConnectError(String);

/// What a teacher needs beside its settings.
#[derive(Clone, Default)]
pub struct Means {
    /// For `mode = "completion"`: the text of the model's chat template, or of the `tokenizer_config.json` that holds it.
    pub chat_template: Option<String>,
    /// The only date a prompt may know, `YYYY-MM-DD`: what a chat template that asks for today is told.
    pub as_of: Option<String>,
    /// Whether it is told of tools: then a chat template has to write them.
    pub offers_tools: bool,
    /// Counts its tokens.
    pub tokens: Tokens,
    /// Shares limits per minute with the other workers; without one they are this process's own.
    pub ledger: Option<Arc<dyn Ledger>>,
}

/// The teacher that `settings` describe. Opens no connection yet.
///
/// # Errors
/// When the API key's variable is not set, the script cannot be read, or the chat template cannot be understood.
pub fn connect(settings: &TeacherSettings, means: Means) -> Result<Arc<dyn Teacher>, ConnectError> {
    let teacher: Arc<dyn Teacher> = match &settings.kind {
        TeacherKind::Heuristic => Arc::new(HeuristicTeacher),
        TeacherKind::Http(http) => {
            let template = match settings.mode {
                Mode::Chat => None,
                Mode::Completion => Some(template(http, settings.dialect, &means)?),
            };
            let teacher = over_http(http, &settings.model, means)?.speaking(settings.dialect, template);
            Arc::new(teacher.for_jobs(settings.concurrency))
        }
        TeacherKind::Scripted { script } => {
            let text = std::fs::read_to_string(script).map_err(|error| ConnectError(format!("read the script {script}: {error}")))?;
            let teacher = ScriptedTeacher::from_text(&text).map_err(|error| ConnectError(format!("read the script {script}: {error}")))?;
            Arc::new(teacher)
        }
    };
    Ok(priced(teacher, settings.price))
}

/// The model `model` behind `http`, which costs `price`, for a judge.
///
/// # Errors
/// When the API key's variable is not set, or an endpoint is no URL.
pub fn connect_http(http: &HttpSettings, model: &str, price: Option<Price>, means: Means) -> Result<Arc<dyn Teacher>, ConnectError> {
    Ok(priced(Arc::new(over_http(http, model, means)?), price))
}

fn priced(teacher: Arc<dyn Teacher>, price: Option<Price>) -> Arc<dyn Teacher> {
    match price {
        None => teacher,
        Some(price) => Arc::new(Priced { teacher, price }),
    }
}

fn template(http: &HttpSettings, dialect: Dialect, means: &Means) -> Result<Template, ConnectError> {
    let Some(text) = &means.chat_template else {
        return Err(ConnectError("`mode = \"completion\"` needs the model's chat template; give its path as `chat_template`".to_owned()));
    };
    let variables = http.extra.get(TEMPLATE_VARIABLES).and_then(Value::as_object).cloned().unwrap_or_default();
    let template = Template::new(text, &variables, means.as_of.as_deref()).map_err(ConnectError)?;
    // The tag protocol's tools stand in the prompt.
    if means.offers_tools && dialect != Dialect::Tags {
        template.writes_tools().map_err(ConnectError)?;
    }
    Ok(template)
}

fn over_http(http: &HttpSettings, model: &str, means: Means) -> Result<HttpTeacher, ConnectError> {
    let key = match &http.api_key_env {
        None => None,
        Some(name) => {
            Some(std::env::var(name).map_err(|_| ConnectError(format!("the variable {name} is not set; it must hold the API key")))?)
        }
    };
    let teacher = HttpTeacher::new(http, model, key).map_err(|error| ConnectError(error.to_string()))?.counting(means.tokens);
    Ok(match means.ledger {
        None => teacher,
        Some(ledger) => teacher.sharing_limits(ledger),
    })
}

/// A teacher whose completions have a price: what each cost when it was made is journaled with it. The only place that knows prices, for every
/// kind, so that a rehearsal shows the money too.
struct Priced {
    teacher: Arc<dyn Teacher>,
    price: Price,
}

#[async_trait]
impl Teacher for Priced {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        let mut completion = self.teacher.complete(request).await?;
        completion.usage.cost_micros = self.price.cost_micros(&completion.usage);
        Ok(completion)
    }

    fn health(&self) -> Vec<EndpointHealth> {
        self.teacher.health()
    }
}

#[cfg(test)]
mod tests {
    use model::settings::{Dialect, Mode, Roles};
    use model::{JobId, JournalKey, Message, Role, Sampling, Uid};

    use super::*;
    use crate::Calls;

    #[tokio::test]
    async fn a_rehearsal_costs_what_the_model_would() {
        let settings = TeacherSettings {
            kind: TeacherKind::Heuristic,
            model: "heuristic".into(),
            dialect: Dialect::Hermes,
            mode: Mode::Chat,
            chat_template: None,
            tokenizer: "o200k".into(),
            temperature: 0.0,
            top_p: 1.0,
            max_completion_tokens: 100,
            concurrency: 1,
            price: Some(Price { prompt: 2.0, completion: 10.0 }),
            roles: Roles::default(),
        };
        let request = Request {
            job: JobId::of(&Uid("u".into()), "seed", 0),
            key: JournalKey { thread: 0, turn: 0, call: 0 },
            messages: Arc::new(vec![Message::text(Role::User, "In which year was the Edersee dam finished?")]),
            tools: Arc::default(),
            rendered: crate::Rendered::default(),
            calls: Calls::Offered,
            sampling: Sampling { temperature: 0.0, top_p: 1.0, max_completion_tokens: 100, seed: 1 },
        };
        let usage = connect(&settings, Means::default()).expect("no keys, no files").complete(&request).await.expect("rules").usage;
        assert!(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
        assert_eq!(usage.cost_micros, 2 * usage.prompt_tokens + 10 * usage.completion_tokens);
        let free = connect(&TeacherSettings { price: None, ..settings }, Means::default()).expect("no keys, no files");
        assert_eq!(free.complete(&request).await.expect("rules").usage.cost_micros, 0);
    }

    fn raw() -> TeacherSettings {
        let http = HttpSettings { endpoints: vec!["http://127.0.0.1:1/v1".to_owned()], ..HttpSettings::default() };
        TeacherSettings {
            kind: TeacherKind::Http(http),
            model: "m".to_owned(),
            dialect: Dialect::Hermes,
            mode: Mode::Completion,
            chat_template: Some("template.jinja".to_owned()),
            tokenizer: "o200k".to_owned(),
            temperature: 1.0,
            top_p: 1.0,
            max_completion_tokens: 16,
            concurrency: 1,
            price: None,
            roles: Roles::default(),
        }
    }

    #[test]
    fn a_template_that_cannot_work_is_told_when_the_teacher_is_set_up() {
        // A second installation is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connected = |text: Option<&str>, as_of: Option<&str>| {
            let means = Means { chat_template: text.map(str::to_owned), as_of: as_of.map(str::to_owned), ..Means::default() };
            connect(&raw(), means).map(|_| ()).map_err(|error| error.to_string())
        };
        let dated = "{{ strftime_now('%Y') }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
        assert_eq!(connected(Some(dated), Some("2026-02-03")), Ok(()));
        assert!(connected(Some(dated), None).expect_err("no clock").contains("recipe.as_of"));
        assert!(connected(None, None).expect_err("no template").contains("chat_template"));
    }
}
