//! The journal around a teacher: no completion that is recorded is ever requested again.
//!
//! A completion is appended, and durable, before it is handed on. On resume the recorded facts answer first; a fact recorded under the same
//! key for another request is a loud error, because it means that a prompt, a tool or the corpus changed under a running job. Provider errors that
//! change the path (a context overflow) are facts too; those that do not are not recorded. The ledger decides; the archive's copy is for when
//! the ledger forgot or does not answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use model::{Completion, Decision, Digest, Fact, JournalEntry, JournalKey, Step};
use runtime::retry::{Policy, Tried, retry};
use runtime::{ArchiveError, Failure, Lease, Ledger, LedgerError, failpoint};

use crate::conversation::Conversation;
use crate::{Request, Teacher, TeacherError, TeacherErrorKind};

mod copy;
mod purse;
#[cfg(test)]
mod tests;

use copy::Copier;
pub use copy::{Copied, JournalCopy};
pub use purse::Purse;

/// How long a fact is held while the ledger does not answer, before it is put into the archive's copy: longer than a restart of it takes.
const HOLD: Duration = Duration::from_secs(10);
/// Between the tries of an append; what ends them is [`HOLD`].
const APPEND: Policy = Policy { first: Duration::from_millis(100), max: Duration::from_secs(2), tries: None };

/// The facts of one job, for the holder of its lease.
pub struct Journal {
    ledger: Arc<dyn Ledger>,
    lease: Lease,
    recorded: HashMap<JournalKey, (Digest, Fact)>,
    replayed: AtomicU32,
    copier: Option<Copier>,
    is_ahead: AtomicBool,
    hold: Duration,
    purse: Option<Arc<Purse>>,
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The ledger failed, or somebody took the job over.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The copy could not be read, and without it what was paid for would be asked for again.
    #[error(transparent)]
    Copy(#[from] ArchiveError),
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Ledger(error) => error.into(),
            OpenError::Copy(error) => error.into(),
        }
    }
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
            JournalError::Ledger(LedgerError::Unreachable { .. } | LedgerError::Locked { .. } | LedgerError::Unusable { .. }) => {
                TeacherErrorKind::Outage
            }
            JournalError::Mismatch { .. } => TeacherErrorKind::Journal(JournalFault::Mismatch),
        };
        Self { kind, message: error.to_string(), retry_after: None }
    }
}

impl Journal {
    /// The journal of the job that `lease` holds. What its `copy` has and the ledger lacks is appended to the ledger, so that both agree.
    ///
    /// # Errors
    /// When the ledger, or a copy that may hold more, cannot be read, or somebody took the job over.
    pub async fn open(ledger: Arc<dyn Ledger>, lease: Lease, copy: Option<JournalCopy>) -> Result<Self, OpenError> {
        let mut entries = ledger.journal(&lease.key).await?;
        let mut copied = Copied::default();
        if let Some(copy) = &copy {
            // Whoever left a copy behind mostly left one of these signs too; see `JournalCopy::is_expected` for the rest.
            let was_begun = !entries.is_empty() || lease.step != Step::default();
            if copy.is_expected || was_begun {
                copied = copy.read().await?;
            }
            let lacking = copied.lacking(&entries);
            if !lacking.is_empty() {
                ledger.append(&lease, lacking.clone()).await?;
                entries.extend(lacking);
            }
        }
        let mut recorded = HashMap::new();
        let mut uncopied = Vec::new();
        for entry in entries {
            // An append that seemed to fail may have happened: the first entry of a key is the one that was acted on.
            let Entry::Vacant(vacant) = recorded.entry(entry.key) else { continue };
            if copy.is_some() && !copied.has(&entry) {
                uncopied.push(entry.clone());
            }
            vacant.insert((entry.request, entry.fact));
        }
        let copier = copy.map(|copy| Copier::new(copy, lease.epoch, copied, uncopied));
        Ok(Self { ledger, lease, recorded, replayed: AtomicU32::new(0), copier, is_ahead: AtomicBool::new(false), hold: HOLD, purse: None })
    }

    /// The same journal, which tells `purse` what the campaign spent.
    pub fn paid_from(self, purse: Arc<Purse>) -> Self {
        Self { purse: Some(purse), ..self }
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

    /// In the ledger, durably, when it succeeds. Where the ledger does not answer, in the copy; that is an error all the same, because the job
    /// cannot go on without the ledger ([`Journal::is_ahead_of_ledger`]).
    async fn append(&self, key: JournalKey, request: Digest, fact: Fact) -> Result<(), LedgerError> {
        let entry = JournalEntry { key, request, fact };
        failpoint::hit("journal.before");
        let appended = retry(APPEND, tokio::time::sleep(self.hold), || async {
            self.ledger.append(&self.lease, vec![entry.clone()]).await.map_err(|error| match error {
                LedgerError::Unreachable { .. } => Tried::again(error),
                _ => Tried::Stop(error),
            })
        })
        .await;
        if let (Ok(spent), Some(purse)) = (&appended, &self.purse) {
            purse.note(*spent);
        }
        let appended = appended.map(drop);
        if appended.is_ok() {
            failpoint::hit("journal.after");
        }
        let Some(copier) = &self.copier else { return appended };
        match &appended {
            Ok(()) => {
                if copier.note(entry) {
                    copier.write(Copier::ONCE).await;
                }
            }
            // Whoever took the job over asks for himself, and what cannot be written will not be read.
            Err(LedgerError::Fenced { .. } | LedgerError::Damaged { .. }) => {}
            Err(LedgerError::Unreachable { .. } | LedgerError::Locked { .. } | LedgerError::Unusable { .. }) => {
                copier.note(entry);
                // Whether the put succeeds or only seems to fail: to look in vain costs one listing.
                self.is_ahead.store(true, Ordering::Relaxed);
                copier.write(Copier::FIRMLY).await;
            }
        }
        appended
    }

    /// Whether the copy may hold what the ledger lacks, because it did not answer. Whoever takes the job up next has to be told to look there.
    pub fn is_ahead_of_ledger(&self) -> bool {
        self.is_ahead.load(Ordering::Relaxed)
    }

    /// Copies what is not copied yet, for a job that hands itself on. A failure is a warning: the ledger has it all.
    pub async fn copy(&self) {
        if let Some(copier) = &self.copier {
            copier.write(Copier::FIRMLY).await;
        }
    }

    /// Drops the copy, as far as this journal found or wrote it: nobody needs it any more.
    ///
    /// # Errors
    /// When the archive fails. What stays is swept when the campaign is sealed.
    pub async fn discard_copy(&self) -> Result<(), ArchiveError> {
        match &self.copier {
            Some(copier) => copier.discard().await,
            None => Ok(()),
        }
    }

    /// What went wrong with the copy since this was last asked: segments that could not be read, the first one that could not be written.
    pub fn take_warnings(&self) -> Vec<String> {
        self.copier.as_ref().map(Copier::take_warnings).unwrap_or_default()
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

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
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
