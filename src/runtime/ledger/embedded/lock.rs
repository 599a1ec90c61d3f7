//! One process per ledger, held by the operating system: the lock goes with the process, however it dies.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ledger::LedgerError;

const FILE: &str = "lock";
/// A lock just given back may live on for a moment in a process that was being started meanwhile: it has our files until it runs its program.
const TRIES: u32 = 10;
/// Tries of somebody who only looks, against others who do.
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(30);

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
        if is_locked(&file, TRIES).map_err(unreachable)? {
            write_holder(&mut file).map_err(unreachable)?;
            return Ok(Self { _file: file });
        }
        Err(LedgerError::Locked { path: folder.display().to_string(), holder: holder(&mut file) })
    }
}

/// Takes the lock of the ledger in `folder` to look at it, which must not last: whoever works with it tries a little longer. `None` when a
/// process has it.
pub(super) fn look(folder: &Path) -> io::Result<Option<File>> {
    let file = File::open(folder.join(FILE))?;
    Ok(is_locked(&file, LOOKS)?.then_some(file))
}

/// Whether the lock on `file` was ours to take, in so many tries.
fn is_locked(file: &File, tries: u32) -> io::Result<bool> {
    for _ in 0..tries {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
    Ok(false)
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
