//! A small trajectory of our own that every rule accepts; tests spoil it in one respect each.

use model::{
    Action, Attribution, Citation, Digest, FinishReason, JobId, Observation, Outcome, Provenance, Retrieval, Sampling, Seed, TeacherRecord,
    Thread, ThreadRole, Trajectory, Turn, Uid, Usage,
};
use serde_json::{Value, json};

const PAGE: &str = "https://example.org/tidal-mill";

pub(crate) fn trajectory() -> Trajectory {
    let search = turn(Some(("search", json!({"query": "oldest tidal mill", "topn": 5}))), &[PAGE, "https://example.org/water-mill"], None);
    let open = turn(Some(("open", json!({"id": 0}))), &[PAGE], Some(PAGE));
    let find = turn(Some(("find", json!({"pattern": "first recorded"}))), &[PAGE], Some(PAGE));
    let last = turn(None, &[], None);
    Trajectory {
        schema_version: model::trajectory::SCHEMA_VERSION,
        job_id: JobId::of(&Uid("sample".into()), "mill", 0),
        rank: 0,
        campaign: "sample".into(),
        seed: Seed {
            id: "mill".into(),
            question: "In which year was the tidal mill at the river mouth first recorded?".into(),
            answers: vec!["1170".into()],
            gold_urls: vec![PAGE.into(), "https://example.org/river-mouth".into()],
            topic: None,
            language: Some("en".into()),
            invalid: None,
            extra: serde_json::Map::new(),
        },
        sample: 0,
        recipe: "browse".into(),
        corpus_id: Digest::of(b"corpus"),
        teacher: TeacherRecord {
            model: "scripted".into(),
            sampling: Sampling { temperature: 1.0, top_p: 0.95, max_completion_tokens: 4096, seed: 11 },
            dialect: "hermes".into(),
        },
        threads: vec![Thread {
            role: ThreadRole::Researcher,
            subtask: None,
            prompt: Digest::of(b"prompt"),
            turns: vec![search, open, find, last],
        }],
        outcome: Outcome::Answered,
        limit: None,
        answer: Some(
            "The mill at the river mouth was first recorded in 1170, in a grant of land to the abbey on the hill【1†L4-L6】.".into(),
        ),
        citations: vec![Citation {
            marker: "【1†L4-L6】".into(),
            url: Some(PAGE.into()),
            title: Some("Tidal mill".into()),
            lines: Some((4, 6)),
            attribution: Attribution::Shown,
        }],
        usage: Usage { prompt_tokens: 4000, completion_tokens: 80, calls: 4 },
        provenance: Provenance::default(),
    }
}

/// The same, with another answer.
pub(crate) fn answering(answer: &str) -> Trajectory {
    Trajectory { answer: Some(answer.into()), ..trajectory() }
}

fn turn(call: Option<(&str, Value)>, shown: &[&str], opened: Option<&str>) -> Turn {
    let actions = call.map(|(tool, arguments)| Action {
        id: String::new(),
        tool: tool.into(),
        arguments: arguments.as_object().cloned().expect("arguments are an object"),
        written: None,
        dialect: "hermes".into(),
        repairs: Vec::new(),
        unreadable: None,
    });
    let observations = actions.iter().map(|_| Observation {
        text: "[1] Tidal mill".into(),
        tokens: 100,
        urls_shown: shown.iter().map(|url| (*url).to_owned()).collect(),
        url_opened: opened.map(str::to_owned),
        ..Observation::default()
    });
    let gold = |urls: &[&str]| urls.iter().filter(|url| **url == PAGE).map(|url| (*url).to_owned()).collect();
    Turn {
        reasoning: None,
        text: String::new(),
        raw: None,
        observations: observations.collect(),
        actions: actions.into_iter().collect(),
        notices: Vec::new(),
        retrieval: Retrieval { gold_shown: gold(shown), gold_opened: gold(opened.as_slice()) },
        finish_reason: FinishReason::Stop,
        usage: Usage { prompt_tokens: 1000, completion_tokens: 20, calls: 1 },
    }
}
