//! The ledger of local mode: a small database beside the campaign, owned by one task; one process at a time.
//!
//! Requests go through a bounded channel; all that wait when the owner is free form one batch, are committed together and then answered. So
//! one worker alone waits for one write, and sixty-four share one. What was answered survives a killed process; a power loss costs at most
//! the last second. What there is no need for: liveness of others, clocks, leases that expire.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use async_trait::async_trait;
use model::{ControlState, JournalEntry, Step, Usage, wire};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Ask, Buckets, Claim, Lease, Ledger, LedgerError, LedgerStanding, Replanned, WorkKey, cost_of};
use crate::disk;

mod book;
mod claims;
mod lock;
mod store;

use book::{Book, Request};
use store::Store;

/// Requests that wait for the next batch, at most: more than there are jobs in flight, so that nobody waits to wait.
const REQUESTS_MAX: usize = 1024;
/// Requests in one commit, at most: keeps an answer within a few milliseconds.
const BATCH_MAX: usize = 256;
/// How much a power loss may cost.
const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// How often, and after which pause, somebody tries who finds another one looking.
const LOOKS: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(30);

/// Who works with a ledger, as somebody sees who does not.
#[derive(Debug)]
pub enum Tenancy {
    /// Nobody ever did.
    None,
    /// A process does.
    Held,
    /// Nobody does any more; and how it stands, if it can be read.
    Left(Result<LedgerStanding, LedgerError>),
}

/// A ledger in a folder.
#[derive(Debug)]
pub struct EmbeddedLedger {
    requests: mpsc::Sender<Request>,
    closing: CancellationToken,
    owner: Mutex<Option<JoinHandle<()>>>,
    /// One process runs the campaign, and a limit per minute has no need to outlive it.
    buckets: Buckets,
}

impl EmbeddedLedger {
    /// Opens the ledger in `folder`, creating it on first use.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] when another process has it open; otherwise when it cannot be read or written.
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, LedgerError> {
        let folder = folder.into();
        let opening = move || {
            let at = |error: io::Error| LedgerError::Unreachable { reason: format!("open {}: {error}", folder.display()) };
            fs::create_dir_all(&folder).map_err(at)?;
            let disk = fs::File::open(&folder).map_err(at)?;
            Ok((Book::open(folder)?, disk))
        };
        let (book, disk) = tokio::task::spawn_blocking(opening).await.map_err(|error| unreachable(&error))??;
        let (requests, waiting) = mpsc::channel(REQUESTS_MAX);
        let closing = CancellationToken::new();
        let owner = tokio::spawn(own(book, disk, waiting, closing.clone()));
        Ok(Self { requests, closing, owner: Mutex::new(Some(owner)), buckets: Buckets::default() })
    }

    /// Looks at the ledger in `folder`. No claim of a process that died ends by it; the database may tidy its own files.
    ///
    /// # Errors
    /// When it cannot be said whether a process works with it.
    pub async fn look(folder: impl Into<PathBuf>) -> Result<Tenancy, LedgerError> {
        let folder = folder.into();
        let looking = move || match lock::look(&folder) {
            Ok(Some(_locked)) => Ok(Tenancy::Left(left(&folder))),
            Ok(None) => Ok(Tenancy::Held),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Tenancy::None),
            Err(error) => Err(LedgerError::Unreachable { reason: format!("look at {}: {error}", folder.display()) }),
        };
        tokio::task::spawn_blocking(looking).await.map_err(|error| unreachable(&error))?
    }

    /// Answers what was asked, syncs, and gives up the lock. Whatever is asked later is unreachable.
    pub async fn close(&self) {
        self.closing.cancel();
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(owner) = owner else { return };
        if let Err(error) = owner.await {
            tracing::error!(%error, "the ledger's owner died; all it had answered is written");
        }
    }

    /// Spoils what is remembered of `key`, as a bad disk does.
    #[cfg(test)]
    pub(crate) async fn damage(&self, key: &WorkKey) {
        let key = key.clone();
        self.ask(move |book| book.damage(&key)).await.expect("open");
    }

    /// Has the owner do `work`; returns when what it wrote is committed.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Book) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (answer, answered) = oneshot::channel();
        let request: Request = Box::new(move |book| {
            let worked = work(book);
            Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => worked,
                    Err(reason) => Err(LedgerError::Unreachable { reason: reason.to_owned() }),
                };
                // Whoever asked may have been aborted meanwhile; what was written stays written.
                drop(answer.send(result));
            })
        });
        self.requests.send(request).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

/// How the ledger in `folder` stands, with which nobody works. Others may look at it at the same time, and the database has room for one.
fn left(folder: &Path) -> Result<LedgerStanding, LedgerError> {
    if !Store::exists(folder) {
        return Ok(LedgerStanding::default());
    }
    let mut tries = LOOKS;
    loop {
        tries -= 1;
        match Store::open(folder) {
            Ok(store) => return book::at_rest(&store),
            Err(LedgerError::Unreachable { .. }) if tries > 0 => std::thread::sleep(LOOK_PAUSE),
            Err(error) => return Err(error),
        }
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn claim(&self, key: &WorkKey, ask: Ask) -> Result<Claim, LedgerError> {
        let key = key.clone();
        self.ask(move |book| book.claim(&key, ask)).await
    }

    async fn append(&self, lease: &Lease, entries: Vec<JournalEntry>) -> Result<Usage, LedgerError> {
        let encoded: Result<Vec<Vec<u8>>, _> = entries.iter().map(|entry| wire::encode_message("journal entry", entry)).collect();
        let encoded = encoded.map_err(|error| LedgerError::Damaged { what: "a journal entry".into(), reason: error.to_string() })?;
        let (lease, cost) = (lease.clone(), cost_of(&entries));
        self.ask(move |book| book.append(&lease, encoded, cost)).await
    }

    async fn journal(&self, key: &WorkKey) -> Result<Vec<JournalEntry>, LedgerError> {
        let asked = key.clone();
        let encoded = self.ask(move |book| book.journal(&asked)).await?;
        let decode = |(number, bytes): (usize, &Vec<u8>)| {
            wire::decode_message("journal entry", bytes).map_err(|error| LedgerError::Damaged {
                what: format!("entry {number} of the journal of {key}"),
                reason: error.to_string(),
            })
        };
        encoded.iter().enumerate().map(decode).collect()
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        let lease = lease.clone();
        self.ask(move |book| book.release(&lease)).await
    }

    /// Nobody asks this ledger what was wasted: a run that is interrupted says it itself.
    async fn abandon(&self, lease: &Lease) -> Result<(), LedgerError> {
        self.release(lease).await
    }

    async fn finish(&self, lease: &Lease) -> Result<(), LedgerError> {
        let lease = lease.clone();
        self.ask(move |book| book.finish(&lease)).await
    }

    async fn note_terminal(&self, grade: &str, shard: u64, ranks: &[u64]) -> Result<u64, LedgerError> {
        let (grade, ranks) = (grade.to_owned(), ranks.to_vec());
        self.ask(move |book| book.note_terminal(&grade, shard, &ranks)).await
    }

    async fn set_control(&self, state: ControlState) -> Result<(), LedgerError> {
        self.ask(move |book| book.set_control(state)).await
    }

    async fn set_whole(&self, usage: Usage) -> Result<(), LedgerError> {
        self.ask(move |book| book.set_whole(usage)).await
    }

    async fn mark_done(&self, keys: &[WorkKey]) -> Result<(), LedgerError> {
        let keys = keys.to_vec();
        self.ask(move |book| keys.iter().try_for_each(|key| book.mark_done(key))).await
    }

    async fn note_effect(&self, key: &WorkKey, step: Step) -> Result<(), LedgerError> {
        let key = key.clone();
        self.ask(move |book| book.note_effect(&key, step)).await
    }

    async fn replan(&self, keys: &[WorkKey]) -> Result<Vec<Replanned>, LedgerError> {
        let keys = keys.to_vec();
        self.ask(move |book| keys.iter().map(|key| book.replan(key)).collect()).await
    }

    async fn reopen(&self, key: &WorkKey) -> Result<(), LedgerError> {
        let key = key.clone();
        self.ask(move |book| book.reopen(&key)).await
    }

    async fn draw(&self, limit: &str, amount: u64, per_minute: u64) -> Result<Duration, LedgerError> {
        Ok(self.buckets.draw(limit, amount, per_minute))
    }

    async fn standing(&self) -> Result<LedgerStanding, LedgerError> {
        self.ask(|book| Ok(book.standing())).await
    }

    async fn forget(&self) -> Result<(), LedgerError> {
        // Its folder stands beside the campaign and goes with it.
        Ok(())
    }
}

/// Owns the book until nobody can ask any more. The blocking pool has it for one batch at a time, so no async thread ever waits for a disk.
async fn own(mut book: Book, disk: fs::File, mut requests: mpsc::Receiver<Request>, closing: CancellationToken) {
    let mut disk = Disk { folder: std::sync::Arc::new(disk), syncing: None, dirty_since: None };
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        tokio::select! {
            // What was asked before closing is still answered: a closed channel gives out what it has.
            () = closing.cancelled(), if !requests.is_closed() => requests.close(),
            () = disk.is_due() => disk.start_sync(),
            count = requests.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    break;
                }
                let requests = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_MAX));
                let served = tokio::task::spawn_blocking(move || {
                    book.serve(requests);
                    book
                });
                book = match served.await {
                    Ok(book) => book,
                    Err(error) => {
                        tracing::error!(%error, "the ledger stops: a request broke it");
                        return;
                    }
                };
                disk.dirty_since.get_or_insert_with(Instant::now);
            }
        }
    }
    let folder = std::sync::Arc::clone(&disk.folder);
    let closed = tokio::task::spawn_blocking(move || {
        let synced = disk::sync_file_system(&folder);
        // Here, because the database waits for its threads when it is dropped.
        drop(book);
        synced
    });
    report(closed.await);
}

/// Syncs in the background, one at a time: writing goes on meanwhile.
struct Disk {
    folder: std::sync::Arc<fs::File>,
    syncing: Option<JoinHandle<io::Result<()>>>,
    dirty_since: Option<Instant>,
}

impl Disk {
    /// Returns when something was written a second ago and no sync is under way.
    async fn is_due(&mut self) {
        if let Some(syncing) = &mut self.syncing {
            report(syncing.await);
            self.syncing = None;
        }
        match self.dirty_since {
            Some(since) => tokio::time::sleep_until(since + SYNC_PERIOD).await,
            None => std::future::pending().await,
        }
    }

    fn start_sync(&mut self) {
        let folder = std::sync::Arc::clone(&self.folder);
        self.dirty_since = None;
        self.syncing = Some(tokio::task::spawn_blocking(move || disk::sync_file_system(&folder)));
    }
}

/// A failed sync is not fatal: nothing is lost unless the power fails too, and the next write brings the next sync.
fn report(synced: Result<io::Result<()>, tokio::task::JoinError>) {
    if let Err(error) = synced.map_err(io::Error::other).flatten() {
        tracing::warn!(%error, "what the ledger wrote lately would not survive a power loss");
    }
}

fn closed() -> LedgerError {
    LedgerError::Unreachable { reason: "it is closed".to_owned() }
}

fn unreachable(error: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Unreachable { reason: error.to_string() }
}
