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

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Completion, JobId, JournalKey, Message, Sampling, ToolDefinition};

pub use connect::connect;
pub use conversation::Conversation;
pub use journaled::{Journal, JournalError, JournaledTeacher};

/// One completion to be made.
#[derive(Debug, Clone)]
pub struct Request {
    /// For which job: lets a pool keep a job on the server that has its prefix cached, and a script find its line. No model sees it.
    pub job: JobId,
    /// Which completion of the job.
    pub key: JournalKey,
    /// The whole conversation.
    pub messages: Arc<Vec<Message>>,
    /// Tools on offer; empty when tools are described in the system prompt (text dialects) or no call may be made.
    pub tools: Arc<Vec<ToolDefinition>>,
    /// How to sample.
    pub sampling: Sampling,
}

/// What kind of trouble a teacher had; decides what happens to the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeacherErrorKind {
    /// For this request, now: 429, 5xx, a timeout, a torn body, while the server is otherwise up.
    Transient,
    /// No server can be reached at all: no attempt is spent.
    Outage,
    /// The conversation is longer than the model's context: the recipe shortens its plans and forces an answer.
    ContextOverflow,
    /// The request is refused as wrong, or the key is: trying again does not help.
    Permanent,
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
}
