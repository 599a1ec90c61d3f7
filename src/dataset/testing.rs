//! Rows of our own making, for the tests of this room.

use std::collections::BTreeMap;

use model::written::CampaignFile;
use model::{
    Action, Campaign, Digest, FinishReason, JobId, Observation, Outcome, Plan, Provenance, Retrieval, Row, Sampling, TeacherRecord, Thread,
    ThreadRole, Trajectory, Turn, Uid, Usage, Verdict, VerdictObject,
};
use serde_json::{Value, json};

/// A native call.
pub(crate) fn call(tool: &str, arguments: &Value) -> Action {
    Action {
        id: String::new(),
        tool: tool.into(),
        arguments: arguments.as_object().cloned().unwrap_or_default(),
        written: None,
        dialect: "openai".into(),
        repairs: Vec::new(),
        unreadable: None,
    }
}

/// A turn that only says something.
pub(crate) fn says(text: &str) -> Turn {
    Turn {
        reasoning: None,
        text: text.into(),
        raw: None,
        actions: Vec::new(),
        observations: Vec::new(),
        notices: Vec::new(),
        retrieval: Retrieval::default(),
        finish_reason: FinishReason::Stop,
        usage: Usage::default(),
    }
}

/// A turn that thinks, plans and calls.
pub(crate) fn acts(reasoning: &str, text: &str, calls: Vec<(Action, Observation)>) -> Turn {
    let (actions, observations) = calls.into_iter().unzip();
    Turn { reasoning: Some(reasoning.into()), actions, observations, ..says(text) }
}

/// What a tool returned.
pub(crate) fn observed(text: &str) -> Observation {
    Observation { text: text.into(), ..Observation::default() }
}

/// The thread of a subtask.
pub(crate) fn researcher(subtask: &str, turns: Vec<Turn>, answer: Option<&str>) -> Thread {
    let thread = Thread::new(ThreadRole::Researcher, Digest::of(b"researcher"), turns);
    Thread { subtask: Some(subtask.into()), answer: answer.map(str::to_owned), ..thread }
}

/// An accepted row of `decompose`.
pub(crate) fn row(threads: Vec<Thread>, answer: Option<&str>) -> Row {
    let trajectory = Trajectory {
        schema_version: model::trajectory::SCHEMA_VERSION,
        job_id: JobId::of(&Uid("u".into()), "s", 0),
        rank: 0,
        campaign: "c".into(),
        seed: serde_json::from_value(json!({"id": "s", "question": "Who built it?"})).expect("a seed"),
        sample: 0,
        recipe: "decompose".into(),
        corpus_id: Digest::of(b"corpus"),
        teacher: TeacherRecord {
            model: "m".into(),
            sampling: Sampling { temperature: 1.0, top_p: 1.0, max_completion_tokens: 1, seed: 1 },
            dialect: "openai".into(),
        },
        threads,
        outcome: Outcome::Answered,
        limit: None,
        answer: answer.map(str::to_owned),
        citations: Vec::new(),
        gold: None,
        usage: Usage::default(),
        provenance: Provenance::default(),
    };
    let verdict = Verdict { accepted: true, grade: Digest::of(b"grade"), findings: Vec::new(), scores: BTreeMap::new(), judge: None };
    Row::of(VerdictObject { verdict, trajectory }).expect("a row")
}

/// A campaign of `samples` samples of `seeds` seeds.
pub(crate) fn campaign(recipe: &str, seeds: u64, samples: u32) -> Campaign {
    let text = format!(
        "[campaign]\nname = \"c\"\nseeds = \"s.jsonl\"\n[corpus]\npath = \"corpus\"\n[recipe]\nkind = \"{recipe}\"\n[teacher]\nkind = \"heuristic\"\n"
    );
    let settings = CampaignFile::parse(&text).expect("well-formed").resolve(std::path::Path::new("/campaign")).expect("valid");
    Campaign {
        schema_version: model::trajectory::SCHEMA_VERSION,
        uid: Uid("u".into()),
        name: "c".into(),
        archive: "a".into(),
        plan: Plan { seeds, rows_per_shard: 2, samples },
        seeds: Digest::of(b"seeds"),
        corpus_id: Digest::of(b"corpus"),
        prompts: BTreeMap::new(),
        settings,
    }
}
