//! The database under the embedded ledger: four spaces, staged changes, one atomic commit for all of them.
//!
//! A commit hands its bytes to the operating system and no further, which survives a killed process; syncing is somebody else's, in the
//! background. What is staged is seen by later reads of the same batch. Caches and buffers are small and of fixed size.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::ledger::LedgerError;

/// What recent reads may keep in memory.
const CACHE_BYTES: u64 = 8 << 20;
/// What writes may keep in memory before they go into a table, per space.
const BUFFER_BYTES: u64 = 4 << 20;
/// What writes may keep in memory in all spaces together before the next one waits.
const UNWRITTEN_BYTES_MAX: u64 = 6 * BUFFER_BYTES;
/// Longest that a write waits for room; a disk slower than that is better left to the database's own brakes.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(1);
const ROOM_CHECK: Duration = Duration::from_millis(1);
/// Smallest bound on write-ahead logs that the database takes.
const LOG_BYTES_MAX: u64 = 64 << 20;
const DATABASE: &str = "db";
const UNBORN: &str = "db.unborn";

/// What kind of fact a key leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    /// Key → what is remembered of it.
    Work,
    /// (key, number) → journal entry.
    Journals,
    /// (grade, shard, rank) → nothing; (grade, shard) → how many.
    Terminals,
    /// Control state, number of the process.
    Meta,
}

/// The database, open, with the changes of the batch that is being made.
pub(super) struct Store {
    place: PathBuf,
    database: Database,
    spaces: [Keyspace; 4],
    staged: BTreeMap<(Space, Vec<u8>), Option<Vec<u8>>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("staged", &self.staged.len()).finish_non_exhaustive()
    }
}

impl Store {
    /// Whether a database was ever created in `folder`.
    pub(super) fn exists(folder: &Path) -> bool {
        folder.join(DATABASE).exists()
    }

    /// Opens the database in `folder`, creating it if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, LedgerError> {
        let place = folder.join(DATABASE);
        if !place.exists() {
            create(folder, &place).map_err(|error| unreachable(&place, &error))?;
        }
        Self::open_at(&place).map_err(|error| match error {
            fjall::Error::Io(error) => unreachable(&place, &error),
            fjall::Error::Locked => LedgerError::Unreachable { reason: format!("open {}: another process has it open", place.display()) },
            other => LedgerError::Damaged { what: place.display().to_string(), reason: other.to_string() },
        })
    }

    fn open_at(place: &Path) -> fjall::Result<Self> {
        let database = Database::builder(place).cache_size(CACHE_BYTES).max_journaling_size(LOG_BYTES_MAX).worker_threads(2).open()?;
        let space = |name| database.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(BUFFER_BYTES));
        let spaces = [space("work")?, space("journals")?, space("terminals")?, space("meta")?];
        Ok(Self { place: place.to_owned(), database, spaces, staged: BTreeMap::new() })
    }

    /// The value of `key`, as the batch sees it.
    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        if let Some(staged) = self.staged.get(&(space, key.to_vec())) {
            return Ok(staged.clone());
        }
        let found = self.space(space).get(key).map_err(|error| read_error(space, error))?;
        Ok(found.map(|value| value.to_vec()))
    }

    pub(super) fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.staged.insert((space, key), Some(value));
    }

    pub(super) fn remove(&mut self, space: Space, key: Vec<u8>) {
        self.staged.insert((space, key), None);
    }

    /// All pairs whose key begins with `prefix`, in order, as the batch sees them.
    pub(super) fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut staged = self.staged.range((space, prefix.to_vec())..).map(|((space, key), value)| (*space, key, value)).peekable();
        let is_ours = |(of, key, _): &(Space, &Vec<u8>, &Option<Vec<u8>>)| *of == space && key.starts_with(prefix);
        for pair in self.space(space).prefix(prefix) {
            let (key, value) = pair.into_inner().map_err(|error| read_error(space, error))?;
            let mut is_replaced = false;
            while let Some((_, staged_key, staged_value)) = staged.next_if(|next| is_ours(next) && next.1.as_slice() <= &*key) {
                is_replaced |= staged_key.as_slice() == &*key;
                if let Some(staged_value) = staged_value {
                    visit(staged_key, staged_value)?;
                }
            }
            if !is_replaced {
                visit(&key, &value)?;
            }
        }
        for (_, key, value) in staged.take_while(is_ours) {
            if let Some(value) = value {
                visit(key, value)?;
            }
        }
        Ok(())
    }

    /// Commits what is staged, all or nothing: afterwards it survives a kill of this process.
    pub(super) fn commit(&mut self) -> Result<(), LedgerError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        self.wait_for_room();
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for ((space, key), value) in std::mem::take(&mut self.staged) {
            let space = &self.spaces[space as usize];
            match value {
                Some(value) => batch.insert(space, key, value),
                None => batch.remove(space, key),
            }
        }
        batch.commit().map_err(|error| {
            let why = match error {
                fjall::Error::Io(error) => error.to_string(),
                other => other.to_string(),
            };
            LedgerError::Unreachable { reason: format!("write to {}: {why}", self.place.display()) }
        })
    }

    /// The database halts writers by itself only when whole buffers queue up, and lets the one in use grow meanwhile.
    fn wait_for_room(&self) {
        let start = Instant::now();
        while self.database.write_buffer_size() > UNWRITTEN_BYTES_MAX && start.elapsed() < ROOM_WAIT_MAX {
            std::thread::sleep(ROOM_CHECK);
        }
    }

    fn space(&self, space: Space) -> &Keyspace {
        &self.spaces[space as usize]
    }
}

/// Creates the database aside and moves it to its place, because a kill in the middle of creating one leaves what can be neither opened nor
/// created again. The ledger's lock is held, so whatever lies aside is nobody's.
fn create(folder: &Path, place: &Path) -> io::Result<()> {
    let aside: PathBuf = folder.join(UNBORN);
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    let fresh = Store::open_at(&aside).map_err(io::Error::other)?;
    fresh.database.persist(PersistMode::SyncAll).map_err(io::Error::other)?;
    drop(fresh);
    fs::rename(&aside, place)
}

fn unreachable(place: &Path, error: &io::Error) -> LedgerError {
    LedgerError::Unreachable { reason: format!("open {}: {error}", place.display()) }
}

fn read_error(space: Space, error: fjall::Error) -> LedgerError {
    match error {
        fjall::Error::Io(error) => LedgerError::Unreachable { reason: format!("read {space:?}: {error}") },
        fjall::Error::Poisoned => LedgerError::Unreachable { reason: "the database refuses to go on after a failed write".to_owned() },
        other => LedgerError::Damaged { what: format!("{space:?}"), reason: other.to_string() },
    }
}
