//! The journal against a real ledger and a real archive, both in folders.

use model::layout::segment_of_key;
use model::{JobId, Message, Role, Sampling, Uid, wire};
use runtime::archive::directory::DirectoryArchive;
use runtime::ledger::embedded::EmbeddedLedger;
use runtime::{Archive, Ask, Claim, WorkKey};

use super::*;
use crate::Calls;
use crate::scripted::ScriptedTeacher;

const FOLDER: &str = "campaigns/test/journals/0/job/";

fn request(turn: u32, question: &str) -> Request {
    Request {
        job: JobId::of(&Uid("u".into()), "seed", 0),
        key: JournalKey { thread: 0, turn, call: 0 },
        messages: Arc::new(vec![Message::text(Role::User, question)]),
        rendered: crate::Rendered::default(),
        tools: Arc::default(),
        calls: Calls::Offered,
        sampling: Sampling { temperature: 0.0, top_p: 1.0, max_completion_tokens: 100, seed: 1 },
    }
}

/// What is journaled of turn `turn` when the teacher said `text`.
fn entry(turn: u32, text: &str) -> JournalEntry {
    let completion = serde_json::json!({"text": text, "finish_reason": "stop"});
    let completion = serde_json::from_value(completion).expect("a completion");
    JournalEntry { key: request(turn, "").key, request: Digest::of(&turn.to_le_bytes()), fact: Fact::Completion(Box::new(completion)) }
}

fn said(entries: &[JournalEntry]) -> Vec<(u32, String)> {
    let text = |entry: &JournalEntry| match &entry.fact {
        Fact::Completion(completion) => (entry.key.turn, completion.text.clone()),
        other => panic!("no completion but {other:?}"),
    };
    entries.iter().map(text).collect()
}

/// A teacher who says which turn it is.
fn teacher() -> ScriptedTeacher {
    ScriptedTeacher::from_journal((0..40).map(|turn| entry(turn, &format!("turn {turn}"))))
}

struct Desk {
    folder: tempfile::TempDir,
    archive: Arc<dyn Archive>,
    teacher: ScriptedTeacher,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = DirectoryArchive::open(folder.path().join("archive")).await.expect("an archive");
        Self { folder, archive: Arc::new(archive), teacher: teacher() }
    }

    async fn ledger(&self, name: &str) -> Arc<EmbeddedLedger> {
        Arc::new(EmbeddedLedger::open(self.folder.path().join(name)).await.expect("a ledger"))
    }

    fn copy(&self, is_expected: bool) -> JournalCopy {
        JournalCopy { archive: Arc::clone(&self.archive), folder: FOLDER.into(), is_expected }
    }

    async fn open(&self, ledger: &Arc<EmbeddedLedger>, lease: &Lease, is_expected: bool) -> Journal {
        let copy = Some(self.copy(is_expected));
        Journal::open(Arc::clone(ledger) as Arc<dyn Ledger>, lease.clone(), copy).await.expect("a journal")
    }

    /// Has the turns answered, by the journal or the teacher.
    async fn turns(&self, journal: &Journal, turns: std::ops::Range<u32>) {
        for turn in turns {
            let digest = Digest::of(&turn.to_le_bytes());
            let completion = journal.complete(&self.teacher, &request(turn, ""), digest).await.expect("answered");
            assert_eq!(completion.text, format!("turn {turn}"));
        }
    }

    async fn put(&self, segment: &str, entries: &[JournalEntry]) {
        let bytes = wire::encode_object("a journal segment", &entries).expect("encoded");
        self.archive.put(&format!("{FOLDER}{segment}.mp.zst"), bytes).await.expect("room");
    }

    async fn segments(&self) -> Vec<(u64, u64)> {
        let listed = self.archive.list(FOLDER).await.expect("readable");
        let mut segments: Vec<_> = listed.iter().map(|object| segment_of_key(&object.key).expect("a segment")).collect();
        segments.sort_unstable();
        segments
    }
}

async fn claim(ledger: &EmbeddedLedger, ask: impl Into<Ask>) -> Lease {
    let key = WorkKey::Synthesis(request(0, "").job);
    let Claim::Taken(lease) = ledger.claim(&key, ask.into()).await.expect("an answer") else { panic!("nobody else claims") };
    lease
}

async fn kind(ledger: &Arc<EmbeddedLedger>, lease: &Lease, question: &str) -> Option<TeacherErrorKind> {
    let journal = Journal::open(Arc::clone(ledger) as Arc<dyn Ledger>, lease.clone(), None).await.expect("a journal");
    let teacher = JournaledTeacher::new(Arc::new(teacher()), journal);
    teacher.complete(&request(0, question)).await.err().map(|error| error.kind)
}

#[tokio::test]
async fn a_journals_trouble_is_told_apart_from_an_outage() {
    let desk = Desk::new().await;
    let ledger = desk.ledger("ledger").await;
    let lease = claim(&ledger, Step::default()).await;
    let earlier = Lease { epoch: lease.epoch - 1, ..lease.clone() };
    assert_eq!(kind(&ledger, &earlier, "q").await, Some(TeacherErrorKind::Journal(JournalFault::Fenced)));
    assert_eq!(kind(&ledger, &lease, "q").await, None);
    assert_eq!(kind(&ledger, &lease, "another").await, Some(TeacherErrorKind::Journal(JournalFault::Mismatch)));

    let mut journal = Journal::open(Arc::clone(&ledger) as Arc<dyn Ledger>, lease, None).await.expect("a journal");
    journal.hold = Duration::ZERO;
    ledger.close().await;
    let error = JournaledTeacher::new(Arc::new(teacher()), journal).complete(&request(1, "q")).await.expect_err("it is closed");
    assert_eq!(error.kind, TeacherErrorKind::Outage);
    let damaged = LedgerError::Damaged { what: "w".into(), reason: "r".into() };
    assert_eq!(TeacherError::from(JournalError::from(damaged)).kind, TeacherErrorKind::Journal(JournalFault::Damaged));
}

#[tokio::test]
async fn entries_are_copied_by_eights_the_rest_when_the_job_hands_itself_on_and_none_stay_when_dropped() {
    let desk = Desk::new().await;
    let ledger = desk.ledger("ledger").await;
    let journal = desk.open(&ledger, &claim(&ledger, Step::default()).await, false).await;
    desk.turns(&journal, 0..7).await;
    assert_eq!(desk.segments().await, [], "a short job writes no copy");
    desk.turns(&journal, 7..19).await;
    assert_eq!(desk.segments().await, [(1, 0), (1, 8)]);
    journal.copy().await;
    journal.copy().await;
    assert_eq!(desk.segments().await, [(1, 0), (1, 8), (1, 16)]);
    let copied = desk.copy(true).read().await.expect("readable");
    assert_eq!(said(&copied.lacking(&[])), (0..19).map(|turn| (turn, format!("turn {turn}"))).collect::<Vec<_>>());
    journal.discard_copy().await.expect("dropped");
    assert_eq!((desk.segments().await, journal.take_warnings()), (vec![], vec![]));
}

#[tokio::test]
async fn a_lost_ledger_is_filled_from_the_copy_and_no_segment_is_written_over() {
    let desk = Desk::new().await;
    let ledger = desk.ledger("ledger").await;
    let lease = claim(&ledger, Step::default()).await;
    ledger.release(&lease).await.expect("released");
    let journal = desk.open(&ledger, &claim(&ledger, lease.step.next_slice()).await, false).await;
    desk.turns(&journal, 0..16).await;
    let before = desk.segments().await;

    let fresh = desk.ledger("fresh").await;
    let lease = claim(&fresh, Step::default()).await;
    assert!(before.iter().all(|(epoch, _)| *epoch > lease.epoch), "a fresh ledger begins at the lowest epoch: {before:?}");
    let journal = desk.open(&fresh, &lease, true).await;
    desk.turns(&journal, 0..24).await;
    assert_eq!((journal.replayed(), desk.teacher.requests()), (16, (24, 0)));
    assert_eq!(fresh.journal(&lease.key).await.expect("readable").len(), 24, "both agree");
    assert_eq!(desk.segments().await, [&before[..], &[(before[0].0, 16)]].concat());
}

#[tokio::test]
async fn the_ledger_stands_above_the_copy_a_later_holder_above_an_earlier_one_and_else_the_first() {
    let desk = Desk::new().await;
    let ledger = desk.ledger("ledger").await;
    let lease = claim(&ledger, Step::default()).await;
    ledger.append(&lease, vec![entry(0, "ledger")]).await.expect("appended");
    desk.put("9-8", &[entry(2, "holder 9, later"), entry(3, "holder 9")]).await;
    desk.put("9-0", &[entry(2, "holder 9")]).await;
    desk.put("10-0", &[entry(1, "holder 10")]).await;
    desk.put("2-0", &[entry(0, "holder 2"), entry(1, "holder 2"), entry(4, "holder 2")]).await;
    let journal = desk.open(&ledger, &lease, false).await;
    let expected = ["ledger", "holder 10", "holder 9", "holder 9", "holder 2"].map(str::to_owned);
    let stands = said(&ledger.journal(&lease.key).await.expect("readable"));
    assert_eq!(stands, (0..).zip(expected).collect::<Vec<_>>());
    journal.copy().await;
    let copied = desk.copy(true).read().await.expect("readable");
    assert_eq!(said(&copied.lacking(&[])), stands, "what the ledger has otherwise is copied, as the latest holder's");
}

#[tokio::test]
async fn a_flipped_byte_costs_the_completions_of_its_segment_alone() {
    let desk = Desk::new().await;
    let ledger = desk.ledger("ledger").await;
    let journal = desk.open(&ledger, &claim(&ledger, Step::default()).await, false).await;
    desk.turns(&journal, 0..24).await;
    let key = model::layout::journal_segment(FOLDER, 1, 8);
    let mut bytes = desk.archive.get(&key).await.expect("readable").expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    desk.archive.put(&key, bytes).await.expect("room");

    let fresh = desk.ledger("fresh").await;
    let journal = desk.open(&fresh, &claim(&fresh, Step::default()).await, true).await;
    let warnings = journal.take_warnings();
    assert!(matches!(&warnings[..], [warning] if warning.contains(&key)), "{warnings:?}");
    desk.turns(&journal, 0..24).await;
    assert_eq!((journal.replayed(), desk.teacher.requests()), (16, (32, 8)));
    journal.discard_copy().await.expect("dropped");
    assert_eq!(desk.segments().await, [], "the damaged one too");
}

#[tokio::test]
async fn what_was_paid_for_while_the_ledger_was_down_is_not_asked_again() {
    let desk = Desk::new().await;
    let ledger = desk.ledger("ledger").await;
    let mut journal = desk.open(&ledger, &claim(&ledger, Step::default()).await, false).await;
    desk.turns(&journal, 0..3).await;
    journal.hold = Duration::ZERO;
    ledger.close().await;
    let error = journal.complete(&desk.teacher, &request(3, ""), entry(3, "").request).await.expect_err("it is closed");
    assert!(matches!(error, JournalError::Ledger(LedgerError::Unreachable { .. })), "{error}");
    assert!(journal.is_ahead_of_ledger());
    assert_eq!(desk.teacher.requests(), (4, 0));

    for (name, step) in [("continued", Step::default().next_slice()), ("continued again", Step::default().next_attempt())] {
        let fresh = desk.ledger(name).await;
        let journal = desk.open(&fresh, &claim(&fresh, step).await, false).await;
        desk.turns(&journal, 0..4).await;
        assert_eq!((desk.teacher.requests(), journal.is_ahead_of_ledger()), ((4, 0), false));
    }
}

#[tokio::test]
async fn a_fresh_job_is_not_looked_for_in_the_archive() {
    let desk = Desk::new().await;
    let ledger = desk.ledger("ledger").await;
    desk.put("1-0", &[entry(0, "of the copy")]).await;
    let lease = claim(&ledger, Step::default()).await;
    let journal = desk.open(&ledger, &lease, false).await;
    desk.turns(&journal, 0..1).await;
    assert_eq!(journal.replayed(), 0);
}

#[tokio::test]
async fn an_archive_that_fails_is_told_once_and_costs_no_completion() {
    let desk = Desk::new().await;
    let ledger = desk.ledger("ledger").await;
    let journal = desk.open(&ledger, &claim(&ledger, Step::default()).await, false).await;
    let in_the_way = desk.folder.path().join("archive/campaigns");
    std::fs::write(&in_the_way, "a file").expect("room");
    desk.turns(&journal, 0..17).await;
    journal.copy().await;
    let warnings = journal.take_warnings();
    assert!(matches!(&warnings[..], [warning] if warning.starts_with("copy the journal")), "{warnings:?}");
    std::fs::remove_file(in_the_way).expect("ours");
    desk.turns(&journal, 17..24).await;
    let copied = desk.copy(true).read().await.expect("readable");
    assert_eq!(copied.lacking(&[]).len(), 24, "nothing was forgotten meanwhile");
}
