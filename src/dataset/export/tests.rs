//! Exports out of an archive of our own making.

use std::sync::Arc;

use model::shard::Sums;
use model::{Attribution, Citation, Counts, Digest, ManifestShard, Notice, NoticeKind, RowFile, Thread, ThreadRole};

use super::*;
use crate::testing::{acts, call, campaign, observed, researcher, row, says};
use crate::trace::CallStyle;

/// An archive with one sealed row of `decompose`.
struct Sealed {
    archive: Arc<dyn Archive>,
    campaign: Campaign,
    manifest: Manifest,
    _folder: tempfile::TempDir,
}

impl Sealed {
    async fn new(recipe: &str, row: &Row, prompts: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = runtime::archive::connect(folder.path().to_str().expect("UTF-8")).await.expect("an archive");
        let mut campaign = campaign(recipe, 1, 1);
        let keys = CampaignKeys::new(&campaign.name);
        for (name, text) in prompts {
            let digest = Digest::of(text.as_bytes());
            archive.put(&keys.prompt(&digest), text.as_bytes().to_vec()).await.expect("put");
            campaign.prompts.insert((*name).to_owned(), digest);
        }
        let line = serde_json::to_string(row).expect("JSON") + "\n";
        let bytes = zstd::encode_all(line.as_bytes(), 1).expect("compressed");
        let file = RowFile { path: "shards/accepted/part.zst".into(), digest: Digest::of(&bytes), rows: 1, bytes: bytes.len() as u64 };
        archive.put(&format!("{}{}", keys.grade(&row.verdict.grade), file.path), bytes).await.expect("put");
        let counts = Counts { accepted: 1, ..Counts::default() };
        let shard = ManifestShard { shard: 0, index: Digest::of(b"index"), accepted: Some(file), rejected: None, counts };
        let manifest = Manifest {
            schema_version: 1,
            campaign: campaign.name.clone(),
            uid: campaign.uid.clone(),
            number: 1,
            grade: row.verdict.grade.clone(),
            corpus_id: campaign.corpus_id.clone(),
            planned: 1,
            counts,
            cancelled: 0,
            outstanding: 0,
            outstanding_jobs: Vec::new(),
            selection: Selection::All,
            sums: Sums::default(),
            shards: vec![shard],
        };
        Self { archive, campaign, manifest, _folder: folder }
    }

    async fn export(&self, format: Format) -> Result<Value, DatasetError> {
        let mut out = Vec::new();
        let written = export(self.archive.as_ref(), &self.campaign, &self.manifest, format, Which::Accepted, &mut out).await?;
        assert_eq!((written, out.last()), (1, Some(&b'\n')));
        Ok(serde_json::from_slice(&out).expect("one line of JSON"))
    }
}

fn decomposed() -> Row {
    let thread = |role, prompt: &str, turns| Thread::new(role, Digest::of(prompt.as_bytes()), turns);
    let cited = |marker: &str, url: Option<&str>, title: Option<&str>| Citation {
        marker: marker.into(),
        url: url.map(str::to_owned),
        title: title.map(str::to_owned),
        lines: None,
        attribution: if url.is_some() { Attribution::Shown } else { Attribution::Unresolved },
    };
    let page = model::Observation { extract: Some("größer".into()), ..observed("Größe: 大") };
    let crawl = acts("why", "look", vec![(call("crawl_page", &json!({"url": "https://a.example"})), page)]);
    let first = Thread {
        subtask: Some("how high".into()),
        answer: Some("High [1] ".into()),
        citations: vec![cited("[3]", Some("https://a.example"), Some("A")), cited("[9]", None, None)],
        ..thread(ThreadRole::Researcher, "R", vec![crawl, says("High [1].")])
    };
    let second = Thread {
        subtask: Some("how old".into()),
        continues: true,
        answer: Some("Old [2] ".into()),
        citations: vec![cited("[1]", Some("https://b.example"), None), cited("[2]", Some("https://a.example"), Some("A"))],
        ..thread(ThreadRole::Researcher, "R", vec![says("Old [1].")])
    };
    let refused = model::Turn { notices: vec![Notice { kind: NoticeKind::ReportRefused, text: "Notice: again".into() }], ..says("r") };
    let threads = vec![
        thread(ThreadRole::Planner, "P", vec![says("1. how high\n2. how old")]),
        first,
        second,
        thread(ThreadRole::Summarizer, "S", vec![refused, says("report")]),
    ];
    row(threads, Some("report [1] "))
}

const PROMPTS: [(&str, &str); 4] = [
    ("decompose.planner", "P"),
    ("decompose.researcher", "R"),
    ("decompose.summarizer", "S"),
    ("decompose.tools", "[{\"name\": \"crawl_page\"}]"),
];

#[tokio::test]
async fn a_trace_says_who_wrote_what_in_both_ways() {
    let mut prompts = PROMPTS.to_vec();
    prompts.push(("decompose.trace.system", "You research in tags."));
    let sealed = Sealed::new("decompose", &decomposed(), &prompts).await;
    let form = TraceForm { calls: CallStyle::Bare, pages: PageText::Page, mask: Mask::Both };
    let line = sealed.export(Format::Trace(form)).await.expect("exported");
    let text: Vec<char> = line["text"].as_str().expect("a text").chars().collect();
    let segments = line["segments"].as_array().expect("segments");
    let joined: String = segments.iter().map(|segment| segment["text"].as_str().expect("a text")).collect();
    assert_eq!(joined.chars().collect::<Vec<_>>(), text);
    let masked: Vec<&str> =
        segments.iter().filter(|segment| segment["label"] == false).filter_map(|segment| segment["text"].as_str()).collect();
    assert_eq!(masked, ["\n\n<observation>\nGröße: 大\n</observation>\n\n"]);
    let place = |n: usize| usize::try_from(line["mask"][0][n].as_u64().expect("a number")).expect("small");
    assert_eq!(text[place(0)..place(1)].iter().collect::<String>(), masked[0]);
    assert!(joined.contains("<crawl_page>https://a.example</crawl_page>"), "{joined}");
    assert_eq!((&line["prompt"], &line["question"]), (&json!("You research in tags."), &json!("Who built it?")));

    let without = Sealed::new("decompose", &decomposed(), &[]).await;
    let spans = without.export(Format::Trace(TraceForm::default())).await.expect("exported");
    assert!(spans.get("mask").is_some() && spans.get("segments").is_none() && spans.get("prompt").is_none());
    assert!(spans["text"].as_str().is_some_and(|text| text.contains("größer") && text.contains("url=https://a.example")));
    let segments = without.export(Format::Trace(TraceForm { mask: Mask::Segments, ..TraceForm::default() })).await.expect("exported");
    assert!(segments.get("mask").is_none() && segments.get("segments").is_some());
}

#[tokio::test]
async fn a_trace_of_browse_is_refused_before_anything_is_written() {
    let sealed = Sealed::new("browse", &decomposed(), &[]).await;
    let error = sealed.export(Format::Trace(TraceForm::default())).await.expect_err("refused").to_string();
    assert!(error.starts_with("export c as a trace") && error.contains("--format messages"), "{error}");
}

#[tokio::test]
async fn threads_of_decompose_are_conversations_under_their_own_prompts() {
    let sealed = Sealed::new("decompose", &decomposed(), &PROMPTS).await;
    let line = sealed.export(Format::Messages(PageText::Seen)).await.expect("exported");
    let threads = line["threads"].as_array().expect("threads");
    let roles: Vec<&Value> = threads.iter().map(|thread| &thread["role"]).collect();
    assert_eq!(roles, ["planner", "researcher", "researcher", "summarizer"]);
    let contents = |thread: usize| -> Vec<(&str, &str)> {
        let messages = threads[thread]["messages"].as_array().expect("messages");
        messages.iter().map(|message| (message["role"].as_str().expect("a role"), message["content"].as_str().expect("a text"))).collect()
    };
    assert_eq!(contents(0)[..2], [("system", "P"), ("user", "Who built it?")]);
    let expected = [
        ("system", "R"),
        ("user", "Question: Who built it?\n\nSubtask: how high"),
        ("assistant", "look"),
        ("tool", "größer"),
        ("assistant", "High [1]."),
    ];
    assert_eq!(contents(1), expected);
    assert_eq!(contents(2), [("user", "Subtask: how old"), ("assistant", "Old [1].")], "it goes on from the one before");
    assert_eq!(contents(3)[2..], [("assistant", "r"), ("user", "Notice: again"), ("assistant", "report")]);
    let asked = "Question: Who built it?\n\n<subtask>\nhow high\n</subtask>\n<subtask_answer>\nHigh [1] \n</subtask_answer>\n\n<subtask>\nhow \
                 old\n</subtask>\n<subtask_answer>\nOld [2] \n</subtask_answer>\n\nReferences\n[1]. https://a.example - A\n[2]. https://b.example";
    assert_eq!(contents(3)[..2], [("system", "S"), ("user", asked)]);
    assert_eq!((&threads[1]["subtask"], &line["tools"][0]["function"]["name"]), (&json!("how high"), &json!("crawl_page")));
    assert!(line.get("messages").is_none());

    let pages = sealed.export(Format::Messages(PageText::Page)).await.expect("exported");
    assert_eq!(pages["threads"][1]["messages"][3]["content"], "Größe: 大");
}

#[tokio::test]
async fn a_thread_under_a_prompt_that_the_campaign_does_not_have_is_told() {
    let sealed = Sealed::new("decompose", &row(vec![researcher("s", Vec::new(), None)], None), &PROMPTS).await;
    let error = sealed.export(Format::Messages(PageText::Seen)).await.expect_err("an unknown prompt").to_string();
    assert!(error.contains(Digest::of(b"researcher").short()) && error.contains("campaign c"), "{error}");
}

#[tokio::test]
async fn a_row_of_browse_is_one_conversation_under_the_plain_prompt() {
    let turn = acts("why", "look", vec![(call("search", &json!({"query": "q"})), observed("found"))]);
    let thread = Thread::new(ThreadRole::Researcher, Digest::of(b"as sent"), vec![turn, says("answer")]);
    let prompts = [("browse.system.plain", "plain"), ("browse.tools", "[{\"name\": \"search\"}]")];
    let sealed = Sealed::new("browse", &row(vec![thread], Some("answer")), &prompts).await;
    let line = sealed.export(Format::Messages(PageText::Seen)).await.expect("exported");
    let keys: Vec<&String> = line.as_object().expect("an object").keys().collect();
    let expected = ["job_id", "seed_id", "sample", "question", "answers", "accepted", "outcome", "scores", "messages", "tools"];
    assert_eq!(keys, expected);
    let contents: Vec<&Value> = line["messages"].as_array().expect("messages").iter().map(|message| &message["content"]).collect();
    assert_eq!(contents, ["plain", "Who built it?", "look", "found", "answer"]);
}
