//! Reads sources once, works on their batches on several threads, and retires the results in the order of the lines.
//!
//! At most `IN_FLIGHT` batches exist at once, whatever the speed of reader, workers and retirement: a batch is read only after a place is
//! free, and its place is free only after it is retired.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::error::CorpusError;
use crate::source::{Batch, Source, SourceFile};

/// Batches in flight for each worker, and as many more for the reader and retirement.
const IN_FLIGHT: usize = 4;

/// A batch on its way, with its number and the compressed bytes read of all sources so far.
struct Sent {
    number: u64,
    bytes_read: u64,
    batch: Batch,
}

/// What became of a batch. A panic travels with it: were it to end its thread only, the others would wait for its place for ever.
type Worked<R> = (Sent, thread::Result<Result<R, CorpusError>>);

/// Runs `work` on every batch, on `threads` threads, and `retire` on this thread with each batch, its result and the bytes read so far.
/// Returns what the sources were. The first error, in the order of the lines where two compete, ends everything.
pub(crate) fn for_each_batch<R: Send>(
    sources: &[PathBuf],
    threads: usize,
    work: &(impl Fn(&Batch) -> Result<R, CorpusError> + Sync),
    mut retire: impl FnMut(Batch, R, u64) -> Result<(), CorpusError>,
) -> Result<Vec<SourceFile>, CorpusError> {
    let places = IN_FLIGHT * (threads + 1);
    let (place_free, free_places) = sync_channel::<()>(places);
    let (to_work, waiting) = sync_channel::<Sent>(places);
    let (worked, finished) = sync_channel::<Worked<R>>(places);
    let waiting = Mutex::new(waiting);
    for _ in 0..places {
        // The channel has room for exactly these.
        place_free.send(()).map_err(|_| CorpusError::Build("open the lanes".to_owned()))?;
    }
    thread::scope(|scope| {
        let reader = scope.spawn(move || read(sources, &free_places, &to_work));
        for _ in 0..threads {
            let worked = worked.clone();
            let waiting = &waiting;
            scope.spawn(move || work_on(waiting, &worked, work));
        }
        drop(worked);
        // On an error this function's ends of the channels are dropped, at which reader and workers stop.
        let retired = retire_in_order(finished, place_free, &mut retire);
        let files = reader.join().unwrap_or_else(|panic| resume_unwind(panic));
        retired.and(files)
    })
}

fn read(sources: &[PathBuf], free_places: &Receiver<()>, to_work: &SyncSender<Sent>) -> Result<Vec<SourceFile>, CorpusError> {
    let mut files: Vec<SourceFile> = Vec::with_capacity(sources.len());
    let mut number = 0;
    let mut has_place = false;
    for path in sources {
        let mut source = Source::open(path)?;
        let lines_before: u64 = files.iter().map(|file| file.lines).sum();
        let bytes_before: u64 = files.iter().map(|file| file.bytes).sum();
        let mut lines = 0;
        loop {
            // The end of a source uses no place: it stays for the next one.
            if !has_place && free_places.recv().is_err() {
                return Ok(files);
            }
            has_place = true;
            let Some(batch) = source.next_batch(lines_before + lines)? else { break };
            lines += batch.len() as u64;
            let sent = Sent { number, bytes_read: bytes_before + source.bytes_read(), batch };
            if to_work.send(sent).is_err() {
                return Ok(files);
            }
            has_place = false;
            number += 1;
        }
        files.push(source.finish()?);
    }
    Ok(files)
}

fn work_on<R>(waiting: &Mutex<Receiver<Sent>>, worked: &SyncSender<Worked<R>>, work: &impl Fn(&Batch) -> Result<R, CorpusError>) {
    loop {
        let next = waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok(sent) = next else { return };
        let result = catch_unwind(AssertUnwindSafe(|| work(&sent.batch)));
        if worked.send((sent, result)).is_err() {
            return;
        }
    }
}

fn retire_in_order<R>(
    finished: Receiver<Worked<R>>,
    place_free: SyncSender<()>,
    retire: &mut impl FnMut(Batch, R, u64) -> Result<(), CorpusError>,
) -> Result<(), CorpusError> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (sent, result) in finished {
        early.insert(sent.number, (sent, result));
        while let Some((sent, result)) = early.remove(&next) {
            let result = result.unwrap_or_else(|panic| resume_unwind(panic));
            retire(sent.batch, result?, sent.bytes_read)?;
            next += 1;
            if place_free.send(()).is_err() {
                // The reader has reached the end and needs no more places.
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// `count` sources of 4,000 lines of 200 bytes each: two batches a source.
    fn sources(directory: &std::path::Path, count: usize) -> Vec<PathBuf> {
        (0..count)
            .map(|n| {
                let path = directory.join(format!("{n}.jsonl"));
                std::fs::write(&path, (0..4_000).map(|line| format!("{line:0199}\n")).collect::<String>()).expect("write");
                path
            })
            .collect()
    }

    #[test]
    fn batches_retire_in_order_and_few_are_in_flight() {
        let directory = tempfile::tempdir().expect("temporary directory");
        // More sources than places, so that a place lost at the end of a source would be missed.
        let paths = sources(directory.path(), 20);
        let (started, retired) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut indexes = Vec::new();
        let files = for_each_batch(
            &paths,
            3,
            &|batch| {
                let in_flight = started.fetch_add(1, Ordering::SeqCst) + 1 - retired.load(Ordering::SeqCst);
                assert!(in_flight <= IN_FLIGHT * 4, "{in_flight} batches in flight");
                Ok(batch.index_first)
            },
            |batch, index, _| {
                indexes.push((index, batch.len() as u64));
                retired.fetch_add(1, Ordering::SeqCst);
                Ok(())
            },
        )
        .expect("all batches pass");
        assert_eq!(files.len(), 20);
        let mut expected = 0;
        for (index, lines) in indexes {
            assert_eq!(index, expected);
            expected += lines;
        }
        assert_eq!(expected, 80_000);
    }

    #[test]
    fn the_first_error_ends_everything() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let paths = sources(directory.path(), 20);
        let first_above = AtomicUsize::new(usize::MAX);
        let outcome = for_each_batch(
            &paths,
            2,
            &|batch| {
                if batch.index_first <= 8_000 {
                    return Ok(());
                }
                first_above.fetch_min(batch.index_first as usize, Ordering::SeqCst);
                Err(CorpusError::Build(batch.index_first.to_string()))
            },
            |_, (), _| Ok(()),
        );
        let message = outcome.expect_err("an error").to_string();
        let expected = first_above.load(Ordering::SeqCst);
        assert!(message.ends_with(&format!(" {expected}")), "{message} instead of {expected}");
    }

    #[test]
    fn a_panic_in_a_worker_reaches_the_caller() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let paths = sources(directory.path(), 8);
        let outcome = std::panic::catch_unwind(|| for_each_batch(&paths, 2, &|_| -> Result<(), _> { panic!("worker") }, |_, (), _| Ok(())));
        assert!(outcome.is_err());
    }
}
