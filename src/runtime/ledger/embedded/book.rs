//! What the embedded ledger does, one request at a time: the owner of its database, called by one task only.
//!
//! A batch of requests is answered after one commit for all of them. When a commit fails nothing of the batch has happened, here or on disk,
//! and the database is opened anew for the next one: a full disk is an outage, not an end. Only what this process holds is in memory.

use std::collections::HashMap;
use std::path::PathBuf;

use model::{ControlState, Step, Usage, wire};

use super::claims::{Answer, Claimant, Remembered, Standing, after_death, decide, has_grown, room_after};
use super::lock::Lock;
use super::store::{Space, Store};
use crate::ledger::{Ask, Claim, Lease, LedgerError, LedgerStanding, Replanned, WorkKey};

const CONTROL: &[u8] = b"control";
const USAGE: &[u8] = b"usage";
/// There, whatever its value, when what is in the archive was noted: not in a ledger that was lost, and begun anew.
const WHOLE: &[u8] = b"whole";

/// One request: does its part of the batch, and leaves what is to be told when the batch is committed or has failed with a reason.
pub(super) type Request = Box<dyn FnOnce(&mut Book) -> Tell + Send>;
pub(super) type Tell = Box<dyn FnOnce(Result<(), &str>) + Send>;

#[derive(Debug)]
pub(super) struct Book {
    folder: PathBuf,
    /// `None` after a failed commit, until it is opened again.
    store: Option<Store>,
    held: HashMap<WorkKey, Held>,
    /// How many may be held at once without progress, after a death; one more for each that gets on. `None`: any number.
    room: Option<u64>,
    /// What `held` was before the batch changed it, to undo a failed one.
    undo: Vec<(WorkKey, Option<Held>)>,
    waiting: u64,
    control: ControlState,
    usage: Usage,
    is_whole: bool,
    _lock: Lock,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    epoch: u64,
    /// Length of the journal; `None` until somebody asks.
    journal: Option<u64>,
    /// Whether the journal grew since the claim.
    has_grown: bool,
}

impl Book {
    /// Opens the ledger in `folder`, which exists, as its next process.
    pub(super) fn open(folder: PathBuf) -> Result<Self, LedgerError> {
        let lock = Lock::take(&folder)?;
        let mut store = Store::open(&folder)?;
        let room = bury_the_dead(&mut store)?;
        let mut book = Self {
            folder,
            store: None,
            held: HashMap::new(),
            room,
            undo: Vec::new(),
            waiting: 0,
            control: ControlState::Running,
            usage: Usage::default(),
            is_whole: false,
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

    pub(super) fn claim(&mut self, key: &WorkKey, ask: Ask) -> Result<Claim, LedgerError> {
        let known = self.remembered(key)?;
        let holds_it = self.held.contains_key(key);
        let claimant = Claimant { step: ask.step, is_quarantine: ask.is_quarantine, holds_it, is_crowded: self.is_crowded() };
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
            Answer::Crowded => return Ok(Claim::Crowded),
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
        self.set_held(key, Some(Held { epoch: taken.epoch, journal: Some(journal), has_grown: false }));
        let lease = Lease { key: key.clone(), epoch: taken.epoch, step: ask.step };
        Ok(if is_poison { Claim::Poison(lease) } else { Claim::Taken(lease) })
    }

    pub(super) fn append(&mut self, lease: &Lease, entries: Vec<Vec<u8>>, cost: Usage) -> Result<Usage, LedgerError> {
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
        if next > from && !held.has_grown {
            self.make_room();
        }
        if cost != Usage::default() {
            let mut usage = self.usage;
            usage += cost;
            self.set_usage(usage)?;
        }
        self.set_held(&lease.key, Some(Held { journal: Some(next), has_grown: held.has_grown || next > from, ..held }));
        Ok(self.usage)
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
        let held = self.held.get(&lease.key).copied();
        self.let_go(lease, standing)?;
        if held.is_some_and(|held| !held.has_grown) {
            self.make_room();
        }
        self.drop_journal(&lease.key, held.and_then(|held| held.journal))
    }

    pub(super) fn note_terminal(&mut self, grade: &str, shard: u64, ranks: &[u64]) -> Result<u64, LedgerError> {
        let shard_key = [grade.as_bytes(), b"\0", &shard.to_be_bytes()].concat();
        let store = self.store()?;
        let before = match store.get(Space::Terminals, &shard_key)? {
            Some(bytes) => read::<u64>("the terminal ranks of a shard", &bytes)?,
            None => 0,
        };
        let mut known = before;
        for rank in ranks {
            let rank_key = [&shard_key[..], &rank.to_be_bytes()].concat();
            if store.get(Space::Terminals, &rank_key)?.is_none() {
                store.put(Space::Terminals, rank_key, Vec::new());
                known += 1;
            }
        }
        if known > before {
            store.put(Space::Terminals, shard_key, written("the terminal ranks of a shard", &known)?);
        }
        Ok(known)
    }

    pub(super) fn set_control(&mut self, state: ControlState) -> Result<(), LedgerError> {
        let bytes = written("the control state", &state)?;
        self.store()?.put(Space::Meta, CONTROL.to_vec(), bytes);
        self.control = state;
        Ok(())
    }

    pub(super) fn replan(&mut self, key: &WorkKey) -> Result<Replanned, LedgerError> {
        let Some(known) = self.remembered(key)? else { return Ok(Replanned::default()) };
        let replanned = Replanned { step: known.step, was_done: known.standing == Standing::Done };
        if replanned.was_done {
            self.remember(key, &Remembered { standing: Standing::Free, ..known })?;
        }
        Ok(replanned)
    }

    pub(super) fn note_effect(&mut self, key: &WorkKey, step: Step) -> Result<(), LedgerError> {
        let known = self.remembered(key)?.filter(|known| known.standing == Standing::Waiting && known.step <= step);
        let Some(known) = known else { return Ok(()) };
        self.waiting -= 1;
        self.remember(key, &Remembered { standing: Standing::Free, ..known })
    }

    pub(super) fn reopen(&mut self, key: &WorkKey) -> Result<(), LedgerError> {
        let Some(known) = self.remembered(key)? else { return Ok(()) };
        let standing = if known.standing == Standing::Done { Standing::Free } else { known.standing };
        self.remember(key, &Remembered { standing, suspicions: 0, ..known })
    }

    pub(super) fn mark_done(&mut self, key: &WorkKey) -> Result<(), LedgerError> {
        let known = self.remembered(key)?.unwrap_or_default();
        self.waiting -= u64::from(known.standing == Standing::Waiting);
        self.remember(key, &Remembered { standing: Standing::Done, ..known })
    }

    /// Everything that ended is noted; more may have been spent than this ledger saw itself.
    pub(super) fn set_whole(&mut self, usage: Usage) -> Result<(), LedgerError> {
        let known = self.usage;
        self.store()?.put(Space::Meta, WHOLE.to_vec(), Vec::new());
        self.is_whole = true;
        self.set_usage(Usage {
            prompt_tokens: known.prompt_tokens.max(usage.prompt_tokens),
            completion_tokens: known.completion_tokens.max(usage.completion_tokens),
            calls: known.calls.max(usage.calls),
            cost_micros: known.cost_micros.max(usage.cost_micros),
        })
    }

    pub(super) fn standing(&self) -> LedgerStanding {
        LedgerStanding {
            control: Some(self.control),
            is_whole: self.is_whole,
            running: self.held.len() as u64,
            yielded: self.waiting,
            usage: self.usage,
            wasted: Usage::default(),
        }
    }

    fn set_usage(&mut self, usage: Usage) -> Result<(), LedgerError> {
        let bytes = written("what was spent", &usage)?;
        self.store()?.put(Space::Meta, USAGE.to_vec(), bytes);
        self.usage = usage;
        Ok(())
    }

    /// Asked twice, as after an answer that was lost, it does nothing the second time: fenced is only who was followed by a later claim.
    fn let_go(&mut self, lease: &Lease, standing: Standing) -> Result<(), LedgerError> {
        let known = match self.remembered(&lease.key) {
            Ok(known) => known.filter(|known| known.epoch == lease.epoch),
            Err(error) => {
                // What is damaged is told, and held no more: else it would be ours for ever.
                if matches!(error, LedgerError::Damaged { .. }) && self.fenced(lease).is_ok() {
                    self.set_held(&lease.key, None);
                }
                return Err(error);
            }
        };
        let Some(known) = known else { return Err(LedgerError::Fenced { key: lease.key.to_string() }) };
        if known.standing == Standing::Done {
            return Ok(());
        }
        self.waiting += u64::from(standing == Standing::Waiting);
        self.waiting -= u64::from(known.standing == Standing::Waiting);
        let kept = match lease.key {
            // A seal that ended leaves nothing but its epoch: the next one comes at the first step.
            WorkKey::Seal(..) if standing == Standing::Free => Remembered { epoch: known.epoch, ..Remembered::default() },
            _ => Remembered { standing, ..known },
        };
        self.remember(&lease.key, &kept)?;
        self.set_held(&lease.key, None);
        Ok(())
    }

    fn is_crowded(&self) -> bool {
        let Some(room) = self.room else { return false };
        let stuck = self.held.values().filter(|held| !held.has_grown).count();
        stuck as u64 >= room
    }

    /// One more got on, so this process is not killed at once: more may run.
    fn make_room(&mut self) {
        self.room = self.room.map(|room| room.saturating_add(1));
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
        journal_len(self.store()?, &entries_prefix(key))
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

    /// Spoils what is remembered of `key`, as a bad disk does.
    #[cfg(test)]
    pub(super) fn damage(&mut self, key: &WorkKey) -> Result<(), LedgerError> {
        self.store()?.put(Space::Work, key.to_string().into_bytes(), vec![0xc1]);
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
        let LedgerStanding { control, usage, is_whole, yielded, .. } = at_rest(&store)?;
        (self.control, self.usage, self.is_whole, self.waiting) = (control.unwrap_or_default(), usage, is_whole, yielded);
        self.store = Some(store);
        Ok(())
    }
}

/// How a ledger stands that no process works with: nothing is held by the living.
pub(super) fn at_rest(store: &Store) -> Result<LedgerStanding, LedgerError> {
    let control = match store.get(Space::Meta, CONTROL)? {
        Some(bytes) => read("the control state", &bytes)?,
        None => ControlState::Running,
    };
    let usage = match store.get(Space::Meta, USAGE)? {
        Some(bytes) => read("what was spent", &bytes)?,
        None => Usage::default(),
    };
    let is_whole = store.get(Space::Meta, WHOLE)?.is_some();
    let mut yielded = 0;
    store.scan(Space::Work, &[], |_, bytes| {
        // One damaged job is no reason to refuse all others: whoever claims it is told.
        let standing = read::<Remembered>("what is remembered of a job", bytes).map_or(Standing::Free, |known| known.standing);
        yielded += u64::from(standing == Standing::Waiting);
        Ok(())
    })?;
    Ok(LedgerStanding { control: Some(control), is_whole, running: 0, yielded, usage, wasted: Usage::default() })
}

/// Frees what the last process still held, and draws from its death what [`after_death`] and [`room_after`] say.
fn bury_the_dead(store: &mut Store) -> Result<Option<u64>, LedgerError> {
    let mut held = Vec::new();
    store.scan(Space::Work, &[], |key, bytes| {
        // One damaged job is no reason to refuse all others: whoever claims it is told.
        let known = read::<Remembered>("what is remembered of a job", bytes).ok().filter(|known| known.standing == Standing::Held);
        held.extend(known.map(|known| (key.to_vec(), known)));
        Ok(())
    })?;
    let mut dead = Vec::with_capacity(held.len());
    for (key, known) in held {
        let journal = journal_len(store, &[&key[..], b"\0"].concat())?;
        dead.push((key, known, journal));
    }
    let stuck = dead.iter().filter(|(_, known, journal)| !has_grown(known, *journal)).count() as u64;
    for (key, known, journal) in dead {
        let known = after_death(known, journal, stuck == 1);
        store.put(Space::Work, key, written("what is remembered of a job", &known)?);
    }
    store.commit()?;
    Ok(room_after(stuck))
}

fn journal_len(store: &Store, prefix: &[u8]) -> Result<u64, LedgerError> {
    let mut length = 0;
    store.scan(Space::Journals, prefix, |_, _| {
        length += 1;
        Ok(())
    })?;
    Ok(length)
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
