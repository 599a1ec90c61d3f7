//! What the embedded ledger does, one request at a time: the owner of its database, called by one task only.
//!
//! A batch of requests is answered after one commit for all of them. When a commit fails nothing of the batch has happened, here or on disk,
//! and the database is opened anew for the next one: a full disk is an outage, not an end. Only what this process holds is in memory.

use std::collections::HashMap;
use std::path::PathBuf;

use model::{ControlState, Step, wire};

use super::claims::{Answer, Claimant, Remembered, Standing, decide};
use super::lock::Lock;
use super::store::{Space, Store};
use crate::ledger::{Claim, Lease, LedgerCounts, LedgerError, WorkKey};

const BOOT: &[u8] = b"boot";
const CONTROL: &[u8] = b"control";

/// One request: does its part of the batch, and leaves what is to be told when the batch is committed or has failed with a reason.
pub(super) type Request = Box<dyn FnOnce(&mut Book) -> Tell + Send>;
pub(super) type Tell = Box<dyn FnOnce(Result<(), &str>) + Send>;

#[derive(Debug)]
pub(super) struct Book {
    folder: PathBuf,
    /// `None` after a failed commit, until it is opened again.
    store: Option<Store>,
    /// The number of this process among all that opened the ledger.
    boot: u64,
    held: HashMap<WorkKey, Held>,
    /// What `held` was before the batch changed it, to undo a failed one.
    undo: Vec<(WorkKey, Option<Held>)>,
    waiting: u64,
    control: ControlState,
    _lock: Lock,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    epoch: u64,
    /// Length of the journal; `None` until somebody asks.
    journal: Option<u64>,
}

impl Book {
    /// Opens the ledger in `folder`, which exists, as its next process.
    pub(super) fn open(folder: PathBuf) -> Result<Self, LedgerError> {
        let lock = Lock::take(&folder)?;
        let mut store = Store::open(&folder)?;
        let boot = match store.get(Space::Meta, BOOT)? {
            Some(bytes) => read::<u64>("the number of its last process", &bytes)? + 1,
            None => 1,
        };
        store.put(Space::Meta, BOOT.to_vec(), written("the number of this process", &boot)?);
        store.commit()?;
        let mut book = Self {
            folder,
            store: None,
            boot,
            held: HashMap::new(),
            undo: Vec::new(),
            waiting: 0,
            control: ControlState::Running,
            _lock: lock,
        };
        book.take_over(store)?;
        Ok(book)
    }

    /// Answers all requests with one commit.
    pub(super) fn serve(&mut self, requests: Vec<Request>) {
        let tells: Vec<Tell> = requests.into_iter().map(|request| request(self)).collect();
        let committed = self.store.as_mut().map_or(Ok(()), Store::commit);
        match committed {
            Ok(()) => {
                self.undo.clear();
                tells.into_iter().for_each(|tell| tell(Ok(())));
            }
            Err(error) => {
                tracing::error!(%error, "nothing of this batch was written; opening the ledger's database again");
                self.store = None;
                for (key, before) in std::mem::take(&mut self.undo).into_iter().rev() {
                    self.restore(key, before);
                }
                self.held.values_mut().for_each(|held| held.journal = None);
                let reason = match error {
                    LedgerError::Unreachable { reason } => reason,
                    other => other.to_string(),
                };
                tells.into_iter().for_each(|tell| tell(Err(&reason)));
            }
        }
    }

    pub(super) fn claim(&mut self, key: &WorkKey, step: Step, is_quarantine: bool) -> Result<Claim, LedgerError> {
        let known = self.remembered(key)?;
        let holds_it = self.held.contains_key(key);
        let claimant = Claimant { boot: self.boot, step, is_quarantine, holds_it };
        let journal = match &known {
            None => 0,
            Some(_) => self.journal_len(key)?,
        };
        let was_waiting = known.as_ref().is_some_and(|known| known.standing == Standing::Waiting);
        let (taken, is_poison) = match decide(known, self.control, claimant, journal) {
            Answer::Done => return Ok(Claim::Done),
            Answer::Cancelled => return Ok(Claim::Cancelled),
            Answer::Stale => return Ok(Claim::Stale),
            Answer::Paused => return Ok(Claim::Paused),
            Answer::Mine => return Ok(Claim::Mine),
            Answer::Suspect(remembered) => {
                self.remember(key, &remembered)?;
                self.waiting += u64::from(!was_waiting);
                return Ok(Claim::Suspect);
            }
            Answer::Taken(remembered) => (remembered, false),
            Answer::Poison(remembered) => (remembered, true),
        };
        self.remember(key, &taken)?;
        self.waiting -= u64::from(was_waiting);
        self.set_held(key, Some(Held { epoch: taken.epoch, journal: Some(journal) }));
        let lease = Lease { key: key.clone(), epoch: taken.epoch, step };
        Ok(if is_poison { Claim::Poison(lease) } else { Claim::Taken(lease) })
    }

    pub(super) fn append(&mut self, lease: &Lease, entries: Vec<Vec<u8>>) -> Result<(), LedgerError> {
        let held = self.fenced(lease)?;
        let from = match held.journal {
            Some(length) => length,
            None => self.journal_len(&lease.key)?,
        };
        let store = self.store()?;
        let mut next = from;
        for entry in entries {
            store.put(Space::Journals, entry_key(&lease.key, next), entry);
            next += 1;
        }
        self.set_held(&lease.key, Some(Held { journal: Some(next), ..held }));
        Ok(())
    }

    /// The journal's entries as they were written.
    pub(super) fn journal(&mut self, key: &WorkKey) -> Result<Vec<Vec<u8>>, LedgerError> {
        if self.held.get(key).is_some_and(|held| held.journal == Some(0)) {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        self.store()?.scan(Space::Journals, &entries_prefix(key), |found, entry| {
            if found != entry_key(key, entries.len() as u64) {
                return Err(LedgerError::Damaged {
                    what: format!("the journal of {key}"),
                    reason: format!("entry {} is missing", entries.len()),
                });
            }
            entries.push(entry.to_vec());
            Ok(())
        })?;
        Ok(entries)
    }

    pub(super) fn release(&mut self, lease: &Lease) -> Result<(), LedgerError> {
        self.let_go(lease, Standing::Waiting)
    }

    pub(super) fn finish(&mut self, lease: &Lease) -> Result<(), LedgerError> {
        let standing = match lease.key {
            WorkKey::Synthesis(_) | WorkKey::Filter(..) => Standing::Done,
            // A shard may have to be sealed again: a person retries one of its jobs, or its hint came too early.
            WorkKey::Seal(..) => Standing::Free,
        };
        let journal = self.held.get(&lease.key).and_then(|held| held.journal);
        self.let_go(lease, standing)?;
        self.drop_journal(&lease.key, journal)
    }

    pub(super) fn note_terminal(&mut self, grade: &str, shard: u64, rank: u64) -> Result<u64, LedgerError> {
        let shard_key = [grade.as_bytes(), b"\0", &shard.to_be_bytes()].concat();
        let rank_key = [&shard_key[..], &rank.to_be_bytes()].concat();
        let store = self.store()?;
        let known = match store.get(Space::Terminals, &shard_key)? {
            Some(bytes) => read::<u64>("the terminal ranks of a shard", &bytes)?,
            None => 0,
        };
        if store.get(Space::Terminals, &rank_key)?.is_some() {
            return Ok(known);
        }
        store.put(Space::Terminals, rank_key, Vec::new());
        store.put(Space::Terminals, shard_key, written("the terminal ranks of a shard", &(known + 1))?);
        Ok(known + 1)
    }

    pub(super) fn set_control(&mut self, state: ControlState) -> Result<(), LedgerError> {
        let bytes = written("the control state", &state)?;
        self.store()?.put(Space::Meta, CONTROL.to_vec(), bytes);
        self.control = state;
        Ok(())
    }

    pub(super) fn replan(&mut self, key: &WorkKey) -> Result<Step, LedgerError> {
        let Some(known) = self.remembered(key)? else { return Ok(Step::default()) };
        let step = known.step;
        if known.standing == Standing::Done {
            self.remember(key, &Remembered { standing: Standing::Free, ..known })?;
        }
        Ok(step)
    }

    pub(super) fn reopen(&mut self, key: &WorkKey) -> Result<(), LedgerError> {
        let Some(known) = self.remembered(key)? else { return Ok(()) };
        let standing = if known.standing == Standing::Done { Standing::Free } else { known.standing };
        self.remember(key, &Remembered { standing, suspicions: 0, in_quarantine: false, ..known })
    }

    pub(super) fn counts(&self) -> LedgerCounts {
        LedgerCounts { running: self.held.len() as u64, yielded: self.waiting }
    }

    /// Asked twice, as after an answer that was lost, it does nothing the second time: fenced is only who was followed by a later claim.
    fn let_go(&mut self, lease: &Lease, standing: Standing) -> Result<(), LedgerError> {
        let known = self.remembered(&lease.key)?.filter(|known| known.epoch == lease.epoch);
        let Some(known) = known else { return Err(LedgerError::Fenced { key: lease.key.to_string() }) };
        if known.standing == Standing::Done {
            return Ok(());
        }
        self.waiting += u64::from(standing == Standing::Waiting);
        self.waiting -= u64::from(known.standing == Standing::Waiting);
        self.remember(&lease.key, &Remembered { standing, ..known })?;
        self.set_held(&lease.key, None);
        Ok(())
    }

    fn drop_journal(&mut self, key: &WorkKey, length: Option<u64>) -> Result<(), LedgerError> {
        let length = match length {
            Some(length) => length,
            None => self.journal_len(key)?,
        };
        let store = self.store()?;
        (0..length).for_each(|number| store.remove(Space::Journals, entry_key(key, number)));
        Ok(())
    }

    fn fenced(&self, lease: &Lease) -> Result<Held, LedgerError> {
        let held = self.held.get(&lease.key).copied().filter(|held| held.epoch == lease.epoch);
        held.ok_or_else(|| LedgerError::Fenced { key: lease.key.to_string() })
    }

    fn journal_len(&mut self, key: &WorkKey) -> Result<u64, LedgerError> {
        let mut length = 0;
        self.store()?.scan(Space::Journals, &entries_prefix(key), |_, _| {
            length += 1;
            Ok(())
        })?;
        Ok(length)
    }

    fn remembered(&mut self, key: &WorkKey) -> Result<Option<Remembered>, LedgerError> {
        let found = self.store()?.get(Space::Work, key.to_string().as_bytes())?;
        found.map(|bytes| read("what is remembered of a job", &bytes)).transpose()
    }

    fn remember(&mut self, key: &WorkKey, remembered: &Remembered) -> Result<(), LedgerError> {
        let bytes = written("what is remembered of a job", remembered)?;
        self.store()?.put(Space::Work, key.to_string().into_bytes(), bytes);
        Ok(())
    }

    fn set_held(&mut self, key: &WorkKey, now: Option<Held>) {
        let before = self.held.get(key).copied();
        self.undo.push((key.clone(), before));
        self.restore(key.clone(), now);
    }

    fn restore(&mut self, key: WorkKey, held: Option<Held>) {
        match held {
            Some(held) => self.held.insert(key, held),
            None => self.held.remove(&key),
        };
    }

    fn store(&mut self) -> Result<&mut Store, LedgerError> {
        if self.store.is_none() {
            let store = Store::open(&self.folder)?;
            self.take_over(store)?;
        }
        self.store.as_mut().ok_or_else(|| LedgerError::Unreachable { reason: "its database is closed".to_owned() })
    }

    /// Reads from a database just opened what is kept in memory of it.
    fn take_over(&mut self, store: Store) -> Result<(), LedgerError> {
        self.control = match store.get(Space::Meta, CONTROL)? {
            Some(bytes) => read("the control state", &bytes)?,
            None => ControlState::Running,
        };
        let mut waiting = 0;
        store.scan(Space::Work, &[], |_, bytes| {
            // One damaged job is no reason to refuse all others: whoever claims it is told.
            let standing = read::<Remembered>("what is remembered of a job", bytes).map_or(Standing::Free, |known| known.standing);
            waiting += u64::from(standing == Standing::Waiting);
            Ok(())
        })?;
        self.waiting = waiting;
        self.store = Some(store);
        Ok(())
    }
}

fn entries_prefix(key: &WorkKey) -> Vec<u8> {
    format!("{key}\0").into_bytes()
}

fn entry_key(key: &WorkKey, number: u64) -> Vec<u8> {
    [entries_prefix(key).as_slice(), &number.to_be_bytes()].concat()
}

fn read<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, LedgerError> {
    wire::decode_message(what, bytes).map_err(|error| LedgerError::Damaged { what: what.to_owned(), reason: error.to_string() })
}

fn written<T: serde::Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, LedgerError> {
    wire::encode_message(what, value).map_err(|error| LedgerError::Damaged { what: what.to_owned(), reason: error.to_string() })
}
