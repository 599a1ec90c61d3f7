//! The archive's copy of one job's journal: segments, each an object of some entries, written once and never changed.
//!
//! The ledger is the journal; the copy is what is left of it when the ledger is lost, or cannot be reached while something paid for has to be
//! put somewhere. Segments carry no fence: a holder that was taken over and cannot reach the ledger may still write one. So where two
//! disagree the later holder's stands, because whatever was built on the other was refused by the ledger. A segment that cannot be read
//! costs its own completions, which are asked for again, and never the job.

use std::collections::{HashMap, HashSet};
use std::future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::layout::{journal_segment, segment_of_key};
use model::wire::WireError;
use model::{JournalEntry, JournalKey, wire};
use runtime::retry::{Policy, Tried, retry};
use runtime::{Archive, ArchiveError};
use tokio::task::JoinError;

/// Where the segments of one job's journal are.
#[derive(Clone)]
pub struct JournalCopy {
    /// The archive.
    pub archive: Arc<dyn Archive>,
    /// The job's folder, `model::layout::CampaignKeys::journal_folder`.
    pub folder: String,
    /// Somebody may have copied what the ledger does not know of. Without it the folder is only listed for a job that the ledger, or the
    /// message's step, shows to have been begun: a listing for each fresh job of a campaign would be too much.
    pub is_expected: bool,
}

/// What a job's segments hold.
#[derive(Debug, Default)]
pub struct Copied {
    /// The entries that stand, one for each key.
    entries: HashMap<JournalKey, JournalEntry>,
    /// Keys of all segments, unreadable ones too.
    pub segments: Vec<String>,
    /// What could not be read, and why.
    pub warnings: Vec<String>,
    /// The highest epoch of a segment.
    epoch: u64,
    /// Above this no segment begins.
    from: u64,
}

/// Why entries were not copied. They are copied with the next ones.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("encode a journal: {0}")]
    Panic(#[from] JoinError),
}

impl JournalCopy {
    /// Tries of one call: what goes wrong for a moment costs no job its slice.
    const TRIES: Policy = Policy { first: Duration::from_millis(200), max: Duration::from_secs(2), tries: Some(4) };

    /// Reads all segments.
    ///
    /// # Errors
    /// When the archive fails. What is damaged is no error but a warning.
    pub async fn read(&self) -> Result<Copied, ArchiveError> {
        let listed = retry(Self::TRIES, future::pending(), || async { self.archive.list(&self.folder).await.map_err(tried) }).await?;
        let mut found: Vec<((u64, u64), String)> =
            listed.into_iter().filter_map(|object| Some((segment_of_key(&object.key)?, object.key))).collect();
        // Later holders first, because the first entry of a key stands; within one holder's in the order of writing.
        found.sort_by_key(|((epoch, from), _)| (std::cmp::Reverse(*epoch), *from));
        let mut copied = Copied::default();
        // As many as a job has turns, at most.
        for ((epoch, from), key) in found {
            let bytes = retry(Self::TRIES, future::pending(), || async { self.archive.get(&key).await.map_err(tried) }).await?;
            // Dropped since it was listed.
            let Some(bytes) = bytes else { continue };
            match tokio::task::spawn_blocking(move || wire::decode_object::<Vec<JournalEntry>>("a journal segment", &bytes)).await {
                Ok(Ok(entries)) => copied.add(epoch, from, entries),
                Ok(Err(error)) => copied.skip(epoch, from, &key, &error),
                Err(panic) => copied.skip(epoch, from, &key, &panic),
            }
            copied.segments.push(key);
        }
        Ok(copied)
    }

    /// Removes `segments`, all it can of them.
    ///
    /// # Errors
    /// The last failure.
    pub async fn discard(&self, segments: &[String]) -> Result<(), ArchiveError> {
        let mut result = Ok(());
        for key in segments {
            if let Err(error) = self.archive.delete(key).await {
                result = Err(error);
            }
        }
        result
    }
}

impl Copied {
    fn add(&mut self, epoch: u64, from: u64, entries: Vec<JournalEntry>) {
        self.note(epoch, from + entries.len() as u64);
        for entry in entries {
            self.entries.entry(entry.key).or_insert(entry);
        }
    }

    fn skip(&mut self, epoch: u64, from: u64, key: &str, error: &dyn std::fmt::Display) {
        self.note(epoch, from + 1);
        self.warnings.push(format!("read {key}: {error}; its completions are asked for again"));
    }

    fn note(&mut self, epoch: u64, behind: u64) {
        self.epoch = self.epoch.max(epoch);
        self.from = self.from.max(behind);
    }

    /// The entries under keys that `known` has no entry of, in the order of their keys.
    pub fn lacking(&self, known: &[JournalEntry]) -> Vec<JournalEntry> {
        let known: HashSet<JournalKey> = known.iter().map(|entry| entry.key).collect();
        let mut lacking: Vec<JournalEntry> = self.entries.values().filter(|entry| !known.contains(&entry.key)).cloned().collect();
        lacking.sort_by_key(|entry| entry.key);
        lacking
    }

    /// Whether exactly this entry is in the copy.
    pub(super) fn has(&self, entry: &JournalEntry) -> bool {
        self.entries.get(&entry.key) == Some(entry)
    }
}

/// Who copies what the holder of one lease journals.
pub(super) struct Copier {
    copy: JournalCopy,
    state: Mutex<State>,
}

struct State {
    /// Not below that of any segment found: a ledger that was lost may begin again at its lowest epoch.
    epoch: u64,
    from: u64,
    /// What no segment holds yet.
    pending: Vec<JournalEntry>,
    segments: Vec<String>,
    /// The first failure to copy was told.
    has_failed: bool,
    warnings: Vec<String>,
}

impl Copier {
    /// Entries that make a segment.
    pub(super) const SEGMENT_ENTRIES: usize = 8;
    /// Segments that are written on the way: the next one is another chance.
    pub(super) const ONCE: Policy = Policy { tries: Some(1), ..JournalCopy::TRIES };
    /// Segments that nothing comes after.
    pub(super) const FIRMLY: Policy = JournalCopy::TRIES;

    /// For a holder of `epoch` who found `copied`, and `pending` journaled and not copied.
    pub(super) fn new(copy: JournalCopy, epoch: u64, copied: Copied, pending: Vec<JournalEntry>) -> Self {
        let state = State {
            epoch: epoch.max(copied.epoch),
            from: copied.from,
            pending,
            segments: copied.segments,
            has_failed: false,
            warnings: copied.warnings,
        };
        Self { copy, state: Mutex::new(state) }
    }

    /// Notes an entry to be copied; whether enough of them wait for a segment.
    pub(super) fn note(&self, entry: JournalEntry) -> bool {
        let mut state = self.state();
        state.pending.push(entry);
        // Not at each entry while the archive is down.
        state.pending.len().is_multiple_of(Self::SEGMENT_ENTRIES)
    }

    /// Writes what is not copied yet as one segment. After a failure, which is a warning, it waits for the next one.
    pub(super) async fn write(&self, policy: Policy) {
        let (key, batch) = {
            let mut state = self.state();
            if state.pending.is_empty() {
                return;
            }
            let batch = std::mem::take(&mut state.pending);
            let key = journal_segment(&self.copy.folder, state.epoch, state.from);
            state.from += batch.len() as u64;
            // Known before it is put: a put that seemed to fail may have happened.
            state.segments.push(key.clone());
            (key, Arc::new(batch))
        };
        let Err(error) = self.put(policy, &key, Arc::clone(&batch)).await else { return };
        let mut state = self.state();
        state.pending.splice(0..0, batch.iter().cloned());
        if !std::mem::replace(&mut state.has_failed, true) {
            state.warnings.push(format!("copy the journal: {error}"));
        }
    }

    async fn put(&self, policy: Policy, key: &str, batch: Arc<Vec<JournalEntry>>) -> Result<(), CopyError> {
        let bytes = tokio::task::spawn_blocking(move || wire::encode_object("a journal segment", &*batch)).await??;
        retry(policy, future::pending(), || async { self.copy.archive.put(key, bytes.clone()).await.map_err(tried) }).await?;
        Ok(())
    }

    pub(super) async fn discard(&self) -> Result<(), ArchiveError> {
        let segments = std::mem::take(&mut self.state().segments);
        self.copy.discard(&segments).await
    }

    pub(super) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.state().warnings)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tried(error: ArchiveError) -> Tried<ArchiveError> {
    match error {
        ArchiveError::Unavailable { .. } => Tried::again(error),
        ArchiveError::Unusable { .. } | ArchiveError::File { .. } | ArchiveError::Refused { .. } => Tried::Stop(error),
    }
}
