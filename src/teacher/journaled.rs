//! The journal around a teacher: no completion that is recorded is ever requested again.
//!
//! A completion is appended, and durable, before it is handed on. On resume the recorded facts answer first; a fact recorded under the same
//! key for another request is a loud error, because it means that a prompt, a tool or the corpus changed under a running job. Provider errors that
//! change the path (a context overflow) are facts too; those that do not are not recorded.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use model::{Completion, Decision, Digest, Fact, JournalEntry, JournalKey};
use runtime::{Lease, Ledger, LedgerError};

use crate::conversation::Conversation;
use crate::{Request, Teacher, TeacherError, TeacherErrorKind};

/// The facts of one job, for the holder of its lease.
pub struct Journal {
    ledger: Arc<dyn Ledger>,
    lease: Lease,
    recorded: HashMap<JournalKey, (Digest, Fact)>,
    replayed: AtomicU32,
}

/// Why a fact could not be had.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The teacher failed.
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    /// The ledger failed, or somebody took the job over.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The journal answers another question than is asked.
    #[error(
        "resume from the journal: thread {}, turn {}, call {} was recorded for request {recorded}, but {asked} is asked now; \
         a prompt, a tool or the corpus changed since: start a new campaign, or restore what it was planned with",
        key.thread, key.turn, key.call
    )]
    Mismatch {
        /// Where.
        key: JournalKey,
        /// The recorded request's digest, shortened.
        recorded: String,
        /// The present request's digest, shortened.
        asked: String,
    },
}

impl Journal {
    /// The journal of the job that `lease` holds.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn open(ledger: Arc<dyn Ledger>, lease: Lease) -> Result<Self, LedgerError> {
        let entries = ledger.journal(&lease.key).await?;
        let mut recorded = HashMap::new();
        for entry in entries {
            // An append that seemed to fail may have happened: the first entry of a key is the one that was acted on.
            recorded.entry(entry.key).or_insert((entry.request, entry.fact));
        }
        Ok(Self { ledger, lease, recorded, replayed: AtomicU32::new(0) })
    }

    /// Facts that came out of the journal so far.
    pub fn replayed(&self) -> u32 {
        self.replayed.load(Ordering::Relaxed)
    }

    fn recall(&self, key: JournalKey, request: &Digest) -> Result<Option<&Fact>, JournalError> {
        match self.recorded.get(&key) {
            None => Ok(None),
            Some((recorded, fact)) if recorded == request => {
                self.replayed.fetch_add(1, Ordering::Relaxed);
                Ok(Some(fact))
            }
            Some((recorded, _)) => {
                Err(JournalError::Mismatch { key, recorded: recorded.short().to_owned(), asked: request.short().to_owned() })
            }
        }
    }

    async fn append(&self, key: JournalKey, request: Digest, fact: Fact) -> Result<(), LedgerError> {
        self.ledger.append(&self.lease, vec![JournalEntry { key, request, fact }]).await
    }

    /// The completion recorded for this request, else the teacher's, recorded first.
    ///
    /// # Errors
    /// The teacher's, the ledger's, or a mismatch.
    pub async fn complete(&self, teacher: &dyn Teacher, request: &Request, digest: Digest) -> Result<Completion, JournalError> {
        match self.recall(request.key, &digest)? {
            Some(Fact::Completion(completion)) => return Ok((**completion).clone()),
            Some(Fact::ProviderError { message, .. }) => {
                let kind = TeacherErrorKind::ContextOverflow;
                return Err(TeacherError { kind, message: message.clone(), retry_after: None }.into());
            }
            Some(Fact::Decision(_)) => return Err(self.wrong_kind(request.key)),
            None => {}
        }
        match teacher.complete(request).await {
            Ok(completion) => {
                self.append(request.key, digest, Fact::Completion(Box::new(completion.clone()))).await?;
                Ok(completion)
            }
            Err(error) if error.kind == TeacherErrorKind::ContextOverflow => {
                let fact = Fact::ProviderError { kind: "context_overflow".into(), message: error.message.clone() };
                self.append(request.key, digest, fact).await?;
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The decision recorded under `key`, else `now`, recorded first.
    ///
    /// # Errors
    /// The ledger's, or a mismatch.
    pub async fn decide(&self, key: JournalKey, now: impl FnOnce() -> Decision) -> Result<Decision, JournalError> {
        let request = Digest::of(b"decision");
        match self.recall(key, &request)? {
            Some(Fact::Decision(decision)) => Ok(*decision),
            Some(_) => Err(self.wrong_kind(key)),
            None => {
                let decision = now();
                self.append(key, request, Fact::Decision(decision)).await?;
                Ok(decision)
            }
        }
    }

    fn wrong_kind(&self, key: JournalKey) -> JournalError {
        JournalError::Mismatch { key, recorded: "another kind of fact".into(), asked: "this one".into() }
    }
}

/// A teacher whose completions are all journaled; for callers that hold a plain [`Teacher`].
pub struct JournaledTeacher {
    teacher: Arc<dyn Teacher>,
    journal: Journal,
}

impl JournaledTeacher {
    /// `teacher`, recorded in `journal`.
    pub fn new(teacher: Arc<dyn Teacher>, journal: Journal) -> Self {
        Self { teacher, journal }
    }
}

#[async_trait]
impl Teacher for JournaledTeacher {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        let digest = Conversation::new(request.messages.iter().cloned()).request_digest(&request.tools, &request.sampling);
        self.journal.complete(self.teacher.as_ref(), request, digest).await.map_err(|error| match error {
            JournalError::Teacher(error) => error,
            JournalError::Ledger(error) => TeacherError { kind: TeacherErrorKind::Outage, message: error.to_string(), retry_after: None },
            error @ JournalError::Mismatch { .. } => {
                TeacherError { kind: TeacherErrorKind::Permanent, message: error.to_string(), retry_after: None }
            }
        })
    }
}
