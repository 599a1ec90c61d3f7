//! Small trajectories of our own that every rule accepts, one for each recipe; tests spoil them in one respect each.

use model::{
    Action, Attribution, Citation, Digest, FinishReason, JobId, Observation, Outcome, Provenance, Retrieval, Sampling, Seed, TeacherRecord,
    Thread, ThreadRole, Trajectory, Turn, Uid, Usage,
};
use serde_json::{Value, json};

const PAGE: &str = "https://example.org/tidal-mill";
const DEEDS: &str = "https://example.org/deeds";

const REPORT: &str = "\
# The tidal mill at the river mouth

## Introduction

This report tells when the mill at the river mouth was first recorded, and to whom it belonged.

## First record

The mill was first recorded in 1170 [1] , in a grant of land to the abbey on the hill.

## Owners

The abbey held it until 1540, when it was sold with the meadows around it [2] .

## Conclusion

The mill is older than the bridge beside it, and was the abbey's for more than three hundred years.

## References

[1]. https://example.org/tidal-mill - A page
[2]. https://example.org/deeds - A page
";

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
        threads: vec![Thread::new(ThreadRole::Researcher, Digest::of(b"prompt"), vec![search, open, find, last])],
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
        gold: None,
        usage: Usage { prompt_tokens: 4000, completion_tokens: 80, calls: 4, ..Usage::default() },
        provenance: Provenance::default(),
    }
}

/// The same, with another answer.
pub(crate) fn answering(answer: &str) -> Trajectory {
    Trajectory { answer: Some(answer.into()), ..trajectory() }
}

/// Two researchers with four calls each, between a planner and a summarizer.
pub(crate) fn decompose() -> Trajectory {
    let subtasks = ["When was the mill first recorded?", "Who owned the mill after the abbey?"];
    let list = format!("<subtask_list>\n1. {}\n2. {}\n</subtask_list>", subtasks[0], subtasks[1]);
    let planner = Thread::new(ThreadRole::Planner, Digest::of(b"planner"), vec![saying("Two things are asked.", &list)]);
    let researchers = subtasks.iter().zip([(1170, PAGE), (1540, DEEDS)]).map(|(subtask, (year, page))| {
        let search = |words: &str| ("web_search", json!({"query": [format!("{words} {year}")], "num": 5}), None);
        let crawl = |url: &'static str| ("crawl_page", json!({"url": [url]}), Some(url));
        let calls = [
            search("mill records"),
            crawl(page),
            search("abbey mill"),
            ("crawl_page", json!({"url": [page, "https://example.org/sea"]}), Some(page)),
        ];
        let mut turns: Vec<Turn> = Vec::new();
        for (tool, arguments, opened) in calls {
            let reasoning = Some(format!("What does a page of {year} say?"));
            turns.push(Turn { reasoning, ..turn(Some((tool, arguments)), &[page], opened) });
        }
        let answer = format!("The deed is of {year} [1] .\n\nReferences\n[1]. {page} - A page");
        turns.push(saying("That is enough.", &format!("<subtask_answer>{answer}</subtask_answer>")));
        Thread {
            subtask: Some((*subtask).to_owned()),
            answer: Some(answer),
            outcome: Some(Outcome::Answered),
            ..Thread::new(ThreadRole::Researcher, Digest::of(b"researcher"), turns)
        }
    });
    let summarizer = Thread::new(
        ThreadRole::Summarizer,
        Digest::of(b"summarizer"),
        vec![saying("Both answers agree.", &format!("<suggested_answer>{REPORT}</suggested_answer>"))],
    );
    let threads = std::iter::once(planner).chain(researchers).chain([summarizer]).collect();
    let citation = |number: u32, url: &str| Citation {
        marker: format!("[{number}]"),
        url: Some(url.into()),
        title: Some("A page".into()),
        lines: None,
        attribution: Attribution::Shown,
    };
    Trajectory {
        recipe: "decompose".into(),
        threads,
        answer: Some(REPORT.into()),
        citations: vec![citation(1, PAGE), citation(2, DEEDS)],
        ..trajectory()
    }
}

fn saying(reasoning: &str, text: &str) -> Turn {
    Turn { reasoning: Some(reasoning.into()), text: text.into(), ..turn(None, &[], None) }
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
        usage: Usage { prompt_tokens: 1000, completion_tokens: 20, calls: 1, ..Usage::default() },
    }
}
