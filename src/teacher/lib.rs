//! Teachers: whatever completes a conversation. One trait; over HTTP, by heuristics without any model, or from a script; the journal wraps any.
//!
//! A teacher is stateless: what it answers depends on the request alone (and, for a model, on its sampling). It never sees a corpus handle,
//! a reference answer or a clock.

pub mod connect;
pub mod conversation;
pub mod dialect;
pub mod heuristic;
pub mod http;
pub mod journaled;
pub mod scripted;
pub mod sim;
pub mod tokens;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Completion, JobId, JournalKey, Message, Sampling, ToolDefinition};

pub use connect::{Means, connect};
pub use conversation::{Conversation, Rendered};
pub use journaled::{Journal, JournalError, JournalFault, JournaledTeacher, Purse};
pub use runtime::ledger::EndpointHealth;
pub use tokens::Tokens;

/// One completion to be made.
#[derive(Debug, Clone)]
pub struct Request {
    /// For which job: lets a pool keep a job on the server that has its prefix cached, and a script find its line. No model sees it.
    pub job: JobId,
    /// Which completion of the job.
    pub key: JournalKey,
    /// The whole conversation.
    pub messages: Arc<Vec<Message>>,
    /// What was made of these messages for a server so far ([`Conversation::rendered`]). Without it all of it is made anew.
    pub rendered: Rendered,
    /// Tools as the server is told of them; empty when they are described in the system prompt (text dialects) or there are none.
    pub tools: Arc<Vec<ToolDefinition>>,
    /// Whether a call may be made.
    pub calls: Calls,
    /// How to sample.
    pub sampling: Sampling,
}

/// Whether a completion may call tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// It may.
    Offered,
    /// It must answer. The tools are named all the same, so that the conversation up to here stays what a server has cached.
    Forbidden,
}

/// What kind of trouble a teacher had; decides what happens to the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeacherErrorKind {
    /// For this request, now: 429, 5xx, a timeout, a torn body, while the server is otherwise up.
    Transient,
    /// No server can be reached, or none serves anybody as things are set up (key, account, model): no attempt is spent.
    Outage,
    /// The conversation is longer than the model's context: the recipe shortens its plans and forces an answer.
    ContextOverflow,
    /// The request is refused as wrong: trying again does not help.
    Permanent,
    /// Not the teacher's trouble but that of the journal around it. Only a [`JournaledTeacher`] says so.
    Journal(JournalFault),
}

impl TeacherErrorKind {
    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Outage => "outage",
            Self::ContextOverflow => "context_overflow",
            Self::Permanent => "permanent",
            Self::Journal(_) => "journal",
        }
    }
}

/// Trouble with a completion.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TeacherError {
    /// What kind.
    pub kind: TeacherErrorKind,
    /// What happened, where, and what to do; never a key, never model text.
    pub message: String,
    /// How long the server asked us to wait.
    pub retry_after: Option<Duration>,
}

/// The port.
#[async_trait]
pub trait Teacher: Send + Sync + 'static {
    /// Completes the conversation.
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError>;

    /// How its servers do at the moment; empty for a teacher without any.
    fn health(&self) -> Vec<EndpointHealth> {
        Vec::new()
    }
}
