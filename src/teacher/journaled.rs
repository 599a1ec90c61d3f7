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

/// What is wrong with a journal, for those who must know what becomes of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalFault {
    /// A later claim took the job over: whoever made it goes on, this one drops it.
    Fenced,
    /// Its bytes are not what was written.
    Damaged,
    /// It answers another question than is asked.
    Mismatch,
}

impl From<JournalError> for TeacherError {
    fn from(error: JournalError) -> Self {
        let kind = match error {
            JournalError::Teacher(error) => return error,
            JournalError::Ledger(LedgerError::Fenced { .. }) => TeacherErrorKind::Journal(JournalFault::Fenced),
            JournalError::Ledger(LedgerError::Damaged { .. }) => TeacherErrorKind::Journal(JournalFault::Damaged),
            JournalError::Ledger(LedgerError::Unreachable { .. } | LedgerError::Locked { .. }) => TeacherErrorKind::Outage,
            JournalError::Mismatch { .. } => TeacherErrorKind::Journal(JournalFault::Mismatch),
        };
        Self { kind, message: error.to_string(), retry_after: None }
    }
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
        let conversation = Conversation::new(request.messages.iter().cloned());
        let digest = conversation.request_digest(&request.tools, request.calls, &request.sampling);
        Ok(self.journal.complete(self.teacher.as_ref(), request, digest).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Calls;
    use crate::heuristic::HeuristicTeacher;
    use model::{JobId, Message, Role, Sampling, Step, Uid};
    use runtime::ledger::embedded::EmbeddedLedger;
    use runtime::{Claim, WorkKey};

    fn request(question: &str) -> Request {
        Request {
            job: JobId::of(&Uid("u".into()), "seed", 0),
            key: JournalKey { thread: JournalKey::JUDGE, turn: 0, call: 0 },
            messages: Arc::new(vec![Message::text(Role::User, question)]),
            tools: Arc::default(),
            calls: Calls::Offered,
            sampling: Sampling { temperature: 0.0, top_p: 1.0, max_completion_tokens: 100, seed: 1 },
        }
    }

    async fn kind(ledger: &Arc<dyn Ledger>, lease: &Lease, question: &str) -> Option<TeacherErrorKind> {
        let journal = Journal::open(Arc::clone(ledger), lease.clone()).await.expect("a journal");
        let teacher = JournaledTeacher::new(Arc::new(HeuristicTeacher), journal);
        teacher.complete(&request(question)).await.err().map(|error| error.kind)
    }

    #[tokio::test]
    async fn a_journals_trouble_is_told_apart_from_an_outage() {
        let folder = tempfile::tempdir().expect("a folder");
        let embedded = Arc::new(EmbeddedLedger::open(folder.path()).await.expect("a ledger"));
        let ledger: Arc<dyn Ledger> = Arc::clone(&embedded) as Arc<dyn Ledger>;
        let key = WorkKey::Filter("grade".into(), request("q").job);
        let Claim::Taken(lease) = ledger.claim(&key, Step::default().into()).await.expect("an answer") else { panic!("nobody else claims") };
        let earlier = Lease { epoch: lease.epoch - 1, ..lease.clone() };
        assert_eq!(kind(&ledger, &earlier, "q").await, Some(TeacherErrorKind::Journal(JournalFault::Fenced)));
        assert_eq!(kind(&ledger, &lease, "q").await, None);
        assert_eq!(kind(&ledger, &lease, "another").await, Some(TeacherErrorKind::Journal(JournalFault::Mismatch)));

        let journal = Journal::open(Arc::clone(&ledger), lease).await.expect("a journal");
        embedded.close().await;
        let mut unrecorded = request("q");
        unrecorded.key.call = 1;
        let error = JournaledTeacher::new(Arc::new(HeuristicTeacher), journal).complete(&unrecorded).await.expect_err("it is closed");
        assert_eq!(error.kind, TeacherErrorKind::Outage);
        let damaged = LedgerError::Damaged { what: "w".into(), reason: "r".into() };
        assert_eq!(TeacherError::from(JournalError::from(damaged)).kind, TeacherErrorKind::Journal(JournalFault::Damaged));
    }
}
