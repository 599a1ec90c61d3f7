//! One of each noun, with every optional field in use, for the tests of the wire and the schemas.

use model::{
    Action, Attribution, Campaign, CandidateMessage, Citation, Completion, Control, Decision, Digest, Ended, Fact, Finding, FinishReason,
    Job, JobId, JobMessage, JournalEntry, JournalKey, JudgeReport, Limit, Manifest, Notice, NoticeKind, Observation, Outcome, Place, Plan,
    Provenance, Retrieval, Row, Sampling, Seed, Settings, Severity, ShardIndex, Step, TeacherRecord, Thread, ThreadRole, ToolCall,
    Trajectory, Turn, Uid, Usage, Verdict, VerdictObject,
};
use serde_json::json;

pub(crate) fn uid() -> Uid {
    Uid("00112233445566778899aabbccddeeff".into())
}

pub(crate) fn seed() -> Seed {
    Seed {
        id: "q-1".into(),
        question: "Which bridge did the engineer of the Orrel dam build first?".into(),
        answers: vec!["the Linden Bridge".into()],
        gold_urls: vec!["https://kb.example.org/bridges/linden".into()],
        topic: Some("bridges".into()),
        language: Some("en".into()),
        invalid: None,
        extra: json!({"hops": 2}).as_object().cloned().expect("an object"),
    }
}

pub(crate) fn job() -> Job {
    let plan = Plan { seeds: 1000, rows_per_shard: 512, samples: 2 };
    Job { id: JobId::of(&uid(), "q-1", 1), place: plan.place(3, 1), sample: 1 }
}

pub(crate) fn completion() -> Completion {
    Completion {
        text: "Let me look.".into(),
        reasoning: Some("The dam first.".into()),
        calls: vec![ToolCall { id: "call_0".into(), name: "search".into(), arguments: "{\"query\": \"Orrel dam engineer\"}".into() }],
        finish_reason: FinishReason::ToolCalls,
        usage: Usage { prompt_tokens: 812, completion_tokens: 33, calls: 1, ..Usage::default() },
        model: Some("some-model".into()),
    }
}

pub(crate) fn journal() -> Vec<JournalEntry> {
    let key = |call| JournalKey { thread: 0, turn: 0, call };
    let entry = |call, fact| JournalEntry { key: key(call), request: Digest::of(b"request"), fact };
    vec![
        entry(0, Fact::Completion(Box::new(completion()))),
        entry(1, Fact::Decision(Decision::Elapsed { busy_ms: 1200 })),
        entry(2, Fact::ProviderError { kind: "context_overflow".into(), message: "too long".into() }),
    ]
}

pub(crate) fn trajectory() -> Trajectory {
    let action = Action {
        id: "call_0".into(),
        tool: "search".into(),
        arguments: json!({"query": "Orrel dam engineer", "topn": 5}).as_object().cloned().expect("an object"),
        written: None,
        dialect: "openai".into(),
        repairs: vec!["a trailing comma was dropped".into()],
        unreadable: None,
    };
    let observation = Observation {
        text: "[0] Orrel dam engineer (search:0)\nL0: …".into(),
        tokens: 14,
        error: None,
        urls_shown: vec!["https://kb.example.org/bridges/linden".into()],
        urls_opened_too: Vec::new(),
        url_opened: None,
        cursor: Some(0),
        neutralised: 1,
        extract: None,
    };
    let turn = Turn {
        reasoning: Some("The dam first.".into()),
        text: "Let me look.".into(),
        raw: None,
        actions: vec![action],
        observations: vec![observation],
        notices: vec![Notice { kind: NoticeKind::BudgetWarning, text: "Notice: …".into() }],
        retrieval: Retrieval { gold_shown: vec!["https://kb.example.org/bridges/linden".into()], gold_opened: Vec::new() },
        finish_reason: FinishReason::ToolCalls,
        usage: Usage { prompt_tokens: 812, completion_tokens: 33, calls: 1, ..Usage::default() },
    };
    Trajectory {
        schema_version: 1,
        job_id: job().id,
        rank: job().place.rank,
        campaign: "sample".into(),
        seed: seed(),
        sample: 1,
        recipe: "browse".into(),
        corpus_id: Digest::of(b"corpus"),
        teacher: TeacherRecord {
            model: "some-model".into(),
            sampling: Sampling { temperature: 1.0, top_p: 0.95, max_completion_tokens: 4096, seed: 77 },
            dialect: "openai".into(),
        },
        threads: vec![Thread::new(ThreadRole::Researcher, Digest::of(b"prompt"), vec![turn])],
        outcome: Outcome::ForcedAnswer,
        limit: Some(Limit::Turns),
        answer: Some("The Linden Bridge 【1†L4】".into()),
        citations: vec![Citation {
            marker: "【1†L4】".into(),
            url: Some("https://kb.example.org/bridges/linden".into()),
            title: Some("Linden Bridge".into()),
            lines: Some((4, 4)),
            attribution: Attribution::Shown,
        }],
        gold: None,
        usage: Usage { prompt_tokens: 812, completion_tokens: 33, calls: 1, ..Usage::default() },
        provenance: Provenance { busy_ms: 5, attempts: 1, slices: 2, replayed: 1, worker: "w".into() },
    }
}

pub(crate) fn verdict() -> Verdict {
    Verdict {
        accepted: false,
        grade: Digest::of(b"grade"),
        findings: vec![Finding { rule: "citations".into(), severity: Severity::Hard, message: "0 of 1 citations resolve".into() }],
        scores: [("answer_f1".to_owned(), 0.5)].into(),
        judge: Some(JudgeReport {
            judge: "lexical".into(),
            rubric: Digest::of(b"rubric"),
            score: 1.0,
            correct: Some(true),
            extracted_answer: Some("the Linden Bridge".into()),
            words: "the reference stands in the last line".into(),
            halvings: 0,
            usage: Usage::default(),
        }),
    }
}

pub(crate) fn verdict_object() -> VerdictObject {
    VerdictObject { verdict: verdict(), trajectory: trajectory() }
}

pub(crate) fn row() -> Row {
    Row::of(verdict_object()).expect("a row")
}

pub(crate) fn ended() -> Ended {
    let Place { rank, .. } = job().place;
    Ended { job_id: job().id, rank, kind: "bad_request".into(), message: "refused".into(), attempts: 5, round: 0, journal: journal() }
}

pub(crate) fn job_message() -> JobMessage {
    JobMessage { version: 1, uid: uid(), job: job(), step: Step { round: 0, attempt: 2, slice: 1 }, seed: Some(seed()) }
}

pub(crate) fn candidate_message() -> CandidateMessage {
    CandidateMessage::Candidate { version: 1, uid: uid(), job: job(), step: Step::default() }
}

pub(crate) fn index() -> ShardIndex {
    let file = model::RowFile {
        path: "shards/rejected/part-00002-0011223344556677.jsonl.zst".into(),
        digest: Digest::of(b"file"),
        rows: 1,
        bytes: 900,
    };
    ShardIndex {
        schema_version: 1,
        uid: uid(),
        grade: Digest::of(b"grade"),
        shard: job().place.shard,
        ranks: vec![model::RankStatus {
            rank: job().place.rank,
            job: job().id,
            status: model::Terminal::Rejected,
            row: Some(row().content_digest),
            correct: None,
        }],
        accepted: None,
        rejected: Some(file),
        counts: model::Counts { rejected: 1, ..model::Counts::default() },
        sums: model::shard::Sums::default(),
    }
}

pub(crate) fn manifest() -> Manifest {
    let index = index();
    Manifest {
        schema_version: 1,
        campaign: "sample".into(),
        uid: uid(),
        number: 1,
        grade: index.grade.clone(),
        corpus_id: Digest::of(b"corpus"),
        planned: 2000,
        counts: index.counts,
        cancelled: 0,
        outstanding: 1999,
        outstanding_jobs: vec![JobId::of(&uid(), "q-2", 0)],
        selection: model::Selection::All,
        sums: index.sums.clone(),
        shards: vec![model::ManifestShard {
            shard: index.shard,
            index: Digest::of(b"index"),
            accepted: None,
            rejected: index.rejected,
            counts: index.counts,
        }],
    }
}

pub(crate) fn settings() -> Settings {
    let text = "[campaign]\nname = \"sample\"\nseeds = \"seeds.jsonl\"\n[corpus]\npath = \"corpus\"\nsources = [\"d.jsonl\"]\n[teacher]\nkind = \"http\"\n\
                endpoints = [\"http://127.0.0.1:8000/v1\"]\nmodel = \"some-model\"\napi_key_env = \"KEY\"\n";
    let file = model::written::CampaignFile::parse(text).expect("well-formed");
    file.resolve(std::path::Path::new("/campaign")).expect("valid")
}

pub(crate) fn campaign() -> Campaign {
    Campaign {
        schema_version: 1,
        uid: uid(),
        name: "sample".into(),
        archive: "ffeeddccbbaa99887766554433221100".into(),
        plan: Plan { seeds: 1000, rows_per_shard: 512, samples: 2 },
        seeds: Digest::of(b"seeds"),
        corpus_id: Digest::of(b"corpus"),
        prompts: [("browse.system".to_owned(), Digest::of(b"prompt"))].into(),
        settings: settings(),
    }
}

pub(crate) fn control() -> Control {
    let changed = [("teacher.concurrency".to_owned(), json!(128))].into();
    Control { state: model::ControlState::Paused, revisions: vec![model::Revision { changed }], submitted: false, began_unix_s: None }
}
