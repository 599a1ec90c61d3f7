//! What the embedded ledger promises beyond its port: nothing acknowledged is lost by a kill, one process at a time, and memory of deaths.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use model::{ControlState, Step};
use runtime::ledger::embedded::{EmbeddedLedger, Tenancy};
use runtime::{Ask, Claim, Ledger, LedgerError, LedgerStanding};

use super::{counts, entry, job, step, take};

/// Set for a child process: the folder of the ledger it writes until it is killed.
const CHILD: &str = "SLUICE_TEST_LEDGER";
/// Jobs that the child writes at once.
const WRITERS: u32 = 8;

async fn open(folder: &Path) -> EmbeddedLedger {
    EmbeddedLedger::open(folder).await.expect("our own ledger")
}

/// How the ledger stands, which nobody has open.
async fn left(folder: &Path) -> LedgerStanding {
    match EmbeddedLedger::look(folder).await {
        Ok(Tenancy::Left(Ok(standing))) => standing,
        other => panic!("left and readable, not {other:?}"),
    }
}

/// The child's part: appends for ever, and says after each acknowledged entry which it was.
async fn write_until_killed(folder: &Path) {
    let ledger = Arc::new(open(folder).await);
    let writers = (0..WRITERS).map(|writer| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            let key = job(&writer.to_string());
            let from = u32::try_from(ledger.journal(&key).await.expect("readable").len()).expect("few");
            let lease = take(&*ledger, &key, step(0, 0)).await;
            for turn in from.. {
                ledger.append(&lease, vec![entry(turn)]).await.expect("held");
                // One write per line: `println!` of a test would be captured.
                let line = format!("{writer} {turn}\n");
                rustix::io::write(std::io::stdout(), line.as_bytes()).expect("the parent reads");
            }
        })
    });
    futures::future::join_all(writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_entry_survives_kill_9() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = folder.path().join("ledger");
    let mut acknowledged = [0_u32; WRITERS as usize];
    let mut epochs = [0_u64; WRITERS as usize];
    // The first kills come while the database is being created, the last ones after thousands of appends.
    for life_ms in [0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 50, 200, 400, 2_000, 10_000] {
        // A machine with other things to do may need more than the others give.
        if life_ms > 400 && acknowledged.iter().all(|turns| *turns > 0) {
            break;
        }
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["every_acknowledged_entry_survives_kill_9", "--nocapture", "--test-threads=1"])
            .env(CHILD, &ledger)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child process");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let reader = std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines.filter_map(|line| Some(line.split_once(' ')?).and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)))).collect()
        });
        tokio::time::sleep(Duration::from_millis(life_ms)).await;
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        let said: Vec<(usize, u32)> = reader.join().expect("no panic");
        for (writer, turn) in said {
            acknowledged[writer] = acknowledged[writer].max(turn + 1);
        }

        let reopened = open(&ledger).await;
        for writer in 0..WRITERS {
            let (key, acknowledged) = (job(&writer.to_string()), acknowledged[writer as usize]);
            let journal = reopened.journal(&key).await.expect("readable");
            assert!(journal.len() >= acknowledged as usize, "{} of {acknowledged} after {life_ms} ms", journal.len());
            let whole: Vec<_> = (0..u32::try_from(journal.len()).expect("few")).map(entry).collect();
            assert!(journal == whole, "the journal of writer {writer} has a gap or a stranger after {life_ms} ms");
            // Claimed as the quarantine does, so that lives too short to append anything do not end the test.
            let (Claim::Taken(lease) | Claim::Poison(lease)) =
                reopened.claim(&key, Ask { step: step(0, 0), is_quarantine: true, has_looked: false }).await.expect("reachable")
            else {
                panic!("nobody lives who could hold it");
            };
            assert!(lease.epoch > epochs[writer as usize], "epochs grow across kills");
            epochs[writer as usize] = lease.epoch;
            reopened.release(&lease).await.expect("held");
            reopened.reopen(&key).await.expect("reachable");
        }
        reopened.close().await;
    }
    assert!(acknowledged.iter().all(|turns| *turns > 0), "the children wrote: {acknowledged:?}");
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_ledger() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(matches!(EmbeddedLedger::look(folder.path()).await, Ok(Tenancy::None)));
    let first = open(folder.path()).await;
    let error = EmbeddedLedger::open(folder.path()).await.expect_err("one at a time");
    let LedgerError::Locked { holder, .. } = &error else { panic!("locked, not {error}") };
    assert!(matches!(EmbeddedLedger::look(folder.path()).await, Ok(Tenancy::Held)));
    assert!(holder.contains(&format!("process {}", std::process::id())), "{holder}");
    first.close().await;
    let later = first.standing().await;
    assert!(matches!(later, Err(LedgerError::Unreachable { .. })), "a closed ledger answers nothing: {later:?}");
    open(folder.path()).await.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_look_at_once_and_a_process_that_begins_waits_for_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    open(folder.path()).await.close().await;
    futures::future::join_all((0..4).map(|_| left(folder.path()))).await;

    let looks = std::fs::File::open(folder.path().join("lock")).expect("a lock");
    looks.lock_shared().expect("nobody works");
    let path = folder.path().to_owned();
    let begins = tokio::spawn(async move { open(&path).await.close().await });
    // Longer than it waits for a process that works.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!begins.is_finished());
    drop(looks);
    begins.await.expect("begun");
}

#[tokio::test]
async fn what_was_decided_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = open(folder.path()).await;
    let (done, yielded) = (take(&ledger, &job("done"), step(0, 0)).await, take(&ledger, &job("yielded"), step(1, 4)).await);
    ledger.append(&yielded, vec![entry(0), entry(1)]).await.expect("held");
    ledger.finish(&done).await.expect("held");
    ledger.release(&yielded).await.expect("held");
    assert_eq!(ledger.note_terminal("g", 0, &[0]).await.expect("reachable"), 1);
    ledger.set_control(ControlState::Paused).await.expect("reachable");
    ledger.close().await;

    let standing = left(folder.path()).await;
    assert_eq!((standing.control, standing.running, standing.yielded), (Some(ControlState::Paused), 0, 1));
    let ledger = open(folder.path()).await;
    assert_eq!(counts(&ledger).await, (0, 1));
    assert_eq!(ledger.claim(&job("yielded"), step(1, 4).into()).await.expect("open"), Claim::Paused);
    ledger.set_control(ControlState::Running).await.expect("open");
    assert_eq!(ledger.claim(&job("done"), step(0, 0).into()).await.expect("open"), Claim::Done);
    assert_eq!(ledger.claim(&job("yielded"), step(1, 3).into()).await.expect("open"), Claim::Stale);
    let again = take(&ledger, &job("yielded"), step(1, 4)).await;
    assert!(again.epoch > yielded.epoch);
    assert_eq!(ledger.journal(&job("yielded")).await.expect("open"), [entry(0), entry(1)]);
    assert_eq!(ledger.note_terminal("g", 0, &[1]).await.expect("open"), 2);
}

#[tokio::test]
async fn three_deaths_without_progress_make_a_suspect_and_progress_clears_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = Step::default();
    for death in 0..6 {
        let ledger = open(folder.path()).await;
        let progress = take(&ledger, &job("progress"), start).await;
        ledger.append(&progress, vec![entry(death)]).await.expect("held");
        match ledger.claim(&job("stuck"), start.into()).await.expect("open") {
            Claim::Taken(lease) if death < 3 => assert_eq!(lease.step, start),
            Claim::Suspect if death >= 3 => {}
            other => panic!("death {death}: {other:?}"),
        }
        ledger.close().await;
    }
    let ledger = open(folder.path()).await;
    ledger.reopen(&job("stuck")).await.expect("open");
    take(&ledger, &job("stuck"), start).await;
}

/// Claims jobs until no more are to be had, and returns how many; the process then dies.
async fn die_with(folder: &Path, jobs: u32) -> usize {
    let ledger = open(folder).await;
    let mut taken = 0;
    for number in 0..jobs {
        match ledger.claim(&job(&number.to_string()), Step::default().into()).await.expect("open") {
            Claim::Taken(_) => taken += 1,
            Claim::Crowded | Claim::Suspect => {}
            other => panic!("job {number}: {other:?}"),
        }
    }
    ledger.close().await;
    taken
}

#[tokio::test]
async fn a_run_killed_before_its_first_completion_accuses_none_of_its_jobs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut at_once = Vec::new();
    for _kill in 0..6 {
        at_once.push(die_with(folder.path(), 64).await);
        assert_eq!(left(folder.path()).await.running, 0, "and whoever only looks draws nothing from its death");
    }
    assert_eq!(at_once, [64, 32, 16, 8, 4, 2], "and what is under way is halved each time");
    let ledger = open(folder.path()).await;
    for number in 0..64 {
        let key = job(&number.to_string());
        let lease = take(&ledger, &key, Step::default()).await;
        let next = ledger.claim(&job("next"), Step::default().into()).await.expect("open");
        if number == 0 {
            assert_eq!(next, Claim::Crowded, "one at a time at first");
        }
        ledger.append(&lease, vec![entry(0)]).await.expect("held");
    }
}

#[tokio::test]
async fn what_kills_at_once_is_found_among_sixty_four_and_only_it_is_suspected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for at_once in [64, 32, 16, 8, 4, 2, 1, 1, 1] {
        assert_eq!(die_with(folder.path(), 64).await, at_once);
    }
    let ledger = open(folder.path()).await;
    assert_eq!(ledger.claim(&job("0"), Step::default().into()).await.expect("open"), Claim::Suspect);
    for number in 1..64 {
        let lease = take(&ledger, &job(&number.to_string()), Step::default()).await;
        ledger.finish(&lease).await.expect("held");
    }
}
