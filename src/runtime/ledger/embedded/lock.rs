//! One process per ledger, held by the operating system: the lock goes with the process, however it dies.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::ledger::LedgerError;

const FILE: &str = "lock";
/// A lock just given back may live on for a moment in a process that was being started meanwhile: it has our files until it runs its program.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(30);
/// How long those are waited for who only look.
const LOOKERS_WAIT: Duration = Duration::from_secs(10);

/// Held as long as this value lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the ledger in `folder`, or says who has it.
    pub(super) fn take(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(FILE);
        let unreachable = |error: io::Error| LedgerError::Unreachable { reason: format!("lock {}: {error}", path.display()) };
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(unreachable)?;
        let (began, mut tries, mut are_lookers) = (Instant::now(), 0, false);
        while tries < TRIES {
            match file.try_lock() {
                Ok(()) => {
                    write_holder(&mut file).map_err(unreachable)?;
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::Error(error)) => return Err(unreachable(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            // Shared with lookers it can be had, with a process that works it cannot.
            are_lookers = file.try_lock_shared().is_ok();
            if are_lookers {
                file.unlock().map_err(unreachable)?;
            }
            tries += u32::from(!are_lookers || began.elapsed() > LOOKERS_WAIT);
            std::thread::sleep(PAUSE);
        }
        // A looker leaves its name nowhere, and what is written is that of a process that worked here before.
        let holder = if are_lookers { "somebody who looks at it".to_owned() } else { holder(&mut file) };
        Err(LedgerError::Locked { path: folder.display().to_string(), holder })
    }
}

/// Keeps processes from beginning to work with the ledger in `folder` while the file lives; they wait for it a while. `None` when one works
/// with it.
pub(super) fn look(folder: &Path) -> io::Result<Option<File>> {
    let file = File::open(folder.join(FILE))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// `<process id> <start, in seconds since 1970>`.
fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{} {}", std::process::id(), seconds_now())
}

/// Who holds the lock, for a person. It may be half written: then we know only that somebody does.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(100).read_to_string(&mut text);
    let mut words = text.split_whitespace().map(str::parse::<u64>);
    match (read, words.next(), words.next()) {
        (Ok(_), Some(Ok(process)), Some(Ok(start))) => {
            let age = Duration::from_secs(seconds_now().saturating_sub(start));
            format!("process {process}, started {} min {} s ago,", age.as_secs() / 60, age.as_secs() % 60)
        }
        _ => "another process".to_owned(),
    }
}

/// Only ever shown, never compared with anything but itself.
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
