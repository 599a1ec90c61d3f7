//! Measures what a turn costs a worker: from a completion to the next request, ready to be sent, at turns 1, 10, 50 and 100 of one job.
//!
//! `cargo run --release -p synthesis --example bench_turn_loop -- DOCUMENTS`, where DOCUMENTS are the JSON lines of a corpus of at least 51
//! pages. The worker's own handler runs whole jobs on one thread: reading the completion, the tools, the journal in its database and its
//! copy, the digest and the body of the request. Only the teacher is not counted: it answers at once, with searches for and openings of one
//! page after the other, so that the conversation grows by about the same at every turn. Processor time, not time: of all threads (those that
//! carry out tools and keep the journal too) and of the job's own. Its last lines are for `scripts/bench`: what, value, unit, bound, target.

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use corpus::{BuildOptions, Corpus};
use model::settings::{Dialect, HttpSettings};
use model::written::CampaignFile;
use model::{Campaign, Completion, Digest, FinishReason, Job, JobId, JobMessage, Plan, Settings, Step, Uid, Usage};
use runtime::ledger::embedded::EmbeddedLedger;
use runtime::queue::memory::MemoryQueue;
use runtime::{Archive, Ask, Claim, Context, Disposition, Handler, Ledger, Queue, Shutdown, WorkKey};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};
use synthesis::{SynthesisHandler, Voices};
use teacher::http::{HttpTeacher, Template};
use teacher::{Request, Teacher, TeacherError, Tokens};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TEMPLATE: &str = include_str!("../../../src/teacher/http/template/fixtures/chatml.jinja");
/// Where no server has to be: nothing is sent.
const ENDPOINT: &str = "http://127.0.0.1:1/v1";
/// Turns whose cost is printed.
const PRINTED: [usize; 4] = [1, 10, 50, 100];
/// Turns with calls; then comes the answer.
const TURNS: u32 = 101;
/// Jobs that are measured; at each turn the median of them counts.
const JOBS: u64 = 15;
/// The context at which the target holds, in tokens, and the target.
const CONTEXT_TOKENS: u64 = 20_000;
const TARGET_MICROS: f64 = 1000.0;

/// Processor time so far.
#[derive(Debug, Clone, Copy)]
struct Spent {
    all: Duration,
    own: Duration,
}

impl Spent {
    fn now() -> Self {
        let read = |clock| {
            let time = clock_gettime(clock);
            Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
        };
        Self { all: read(ClockId::ProcessCPUTime), own: read(ClockId::ThreadCPUTime) }
    }

    fn since(self, earlier: Self) -> Self {
        Self { all: self.all.saturating_sub(earlier.all), own: self.own.saturating_sub(earlier.own) }
    }
}

/// One request, and the answer to it.
#[derive(Debug, Clone, Copy)]
struct Asked {
    ready: Spent,
    answered: Spent,
    messages: usize,
    body_bytes: usize,
    context_tokens: u64,
}

/// One turn of one job: what it cost until the next request was ready, and how long that request is.
#[derive(Debug, Clone, Copy)]
struct Turn {
    cost: Spent,
    body_bytes: usize,
    context_tokens: u64,
}

/// A teacher that makes each request ready as if to send it, notes when, and answers at once.
struct Noting {
    http: HttpTeacher,
    /// URL and title.
    pages: Vec<(String, String)>,
    noted: Mutex<Vec<Asked>>,
}

#[async_trait]
impl Teacher for Noting {
    async fn complete(&self, request: &Request) -> std::result::Result<Completion, TeacherError> {
        let body_bytes = black_box(self.http.body(request)?).len();
        let ready = Spent::now();
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        // What the request before it had is counted already.
        let (before, from) = match noted.last() {
            Some(last) if request.key.turn > 0 => (last.context_tokens, last.messages),
            _ => (0, 0),
        };
        let new: u64 = request.messages.iter().skip(from).map(|message| u64::from(Tokens::O200k.count(&message.text))).sum();
        let completion = self.answer(request.key.turn);
        let (messages, context_tokens) = (request.messages.len(), before + new);
        noted.push(Asked { ready, answered: Spent::now(), messages, body_bytes, context_tokens });
        Ok(completion)
    }
}

impl Noting {
    /// A search for a page, then its opening, then the next page; no call is made twice.
    fn answer(&self, turn: u32) -> Completion {
        let number = usize::try_from(turn).unwrap_or(0);
        let text = match self.pages.get(number / 2) {
            Some((url, title)) if turn < TURNS => {
                let (tool, arguments) = match number % 2 {
                    0 => ("search", json!({"query": title, "topn": 5})),
                    _ => ("open", json!({"id": url})),
                };
                let arguments = arguments.as_object().cloned().unwrap_or_default();
                let thought =
                    format!("What is known of {title} so far leaves open when it was built and by whom; its own page should say.");
                format!("<think>\n{thought}\n</think>\n{}", teacher::dialect::write(Dialect::Hermes, tool, &arguments))
            }
            _ => "Explanation: the pages say so.\nExact Answer: 1871\nConfidence: 90%".to_owned(),
        };
        let usage = Usage { prompt_tokens: 100, completion_tokens: 60, calls: 1, ..Usage::default() };
        Completion { text, reasoning: None, calls: Vec::new(), finish_reason: FinishReason::Stop, usage, model: None }
    }

    /// The turns of the job that was just done.
    fn take(&self) -> Vec<Turn> {
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        let pairs = noted.iter().zip(noted.iter().skip(1));
        pairs
            .map(|(asked, next)| Turn {
                cost: next.ready.since(asked.answered),
                body_bytes: next.body_bytes,
                context_tokens: next.context_tokens,
            })
            .collect()
    }
}

fn main() -> Result<()> {
    let documents = PathBuf::from(std::env::args().nth(1).ok_or("usage: bench_turn_loop DOCUMENTS")?);
    // A second installation is refused and harmless.
    drop(rustls::crypto::ring::default_provider().install_default());
    let home = tempfile::tempdir()?;
    let target = home.path().join("corpus");
    corpus::build(&BuildOptions { sources: vec![documents.clone()], target: target.clone(), strict: false, threads: 1 }, &mut |_| {})?;
    let corpus = Corpus::open(&target)?;
    let pages = pages(&documents)?;
    // One thread for the job; tools and the journal's database have threads of their own, as they have in a worker.
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{:<12}{:>6}{:>18}{:>12}{:>18}{:>18}", "mode", "turn", "context, tokens", "body, KiB", "all threads, us", "own thread, us");
    let mut lines = Vec::new();
    for mode in ["chat", "completion"] {
        let noting = Arc::new(Noting { http: http(mode)?, pages: pages.clone(), noted: Mutex::default() });
        let jobs = executor.block_on(jobs(&home.path().join(mode), mode, &corpus, &noting))?;
        for turn in PRINTED {
            let Some(median) = median(&jobs, turn) else { continue };
            let Turn { cost, body_bytes, context_tokens } = median;
            let (all, own) = (micros(cost.all), micros(cost.own));
            println!("{mode:<12}{turn:>6}{context_tokens:>18}{:>12}{all:>18.0}{own:>18.0}", body_bytes >> 10);
        }
        // At the first turn whose context is as long as the target says.
        let long = (1..=jobs.first().map_or(0, Vec::len))
            .filter_map(|turn| median(&jobs, turn))
            .find(|turn| turn.context_tokens >= CONTEXT_TOKENS);
        let long =
            long.ok_or_else(|| format!("measure {mode}: no context came to {CONTEXT_TOKENS} tokens; give a corpus of longer pages"))?;
        lines.push(format!(
            "CPU of a turn at {} tokens, {mode} mode\t{:.0}\tus\t<=\t{TARGET_MICROS}",
            long.context_tokens,
            micros(long.cost.all)
        ));
    }
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Turn `turn` of the job that was the middle one in its cost.
fn median(jobs: &[Vec<Turn>], turn: usize) -> Option<Turn> {
    let mut turns: Vec<Turn> = jobs.iter().filter_map(|job| job.get(turn.checked_sub(1)?)).copied().collect();
    turns.sort_by_key(|turn| turn.cost.all);
    turns.get(turns.len() / 2).copied()
}

/// Runs the jobs one after the other, each as the worker loop would.
async fn jobs(folder: &Path, mode: &str, corpus: &Corpus, noting: &Arc<Noting>) -> Result<Vec<Vec<Turn>>> {
    std::fs::create_dir_all(folder)?;
    let archive = runtime::archive::connect(&folder.join("archive").to_string_lossy()).await?;
    let ledger = Arc::new(EmbeddedLedger::open(folder.join("ledger")).await?);
    let campaign = Arc::new(campaign(&settings(mode)?, corpus, &archive));
    let handler = SynthesisHandler::new(
        Arc::clone(&campaign),
        Digest::of(b"grade"),
        corpus.clone(),
        Voices::of(Arc::clone(noting) as Arc<dyn Teacher>),
        Arc::clone(&ledger) as Arc<dyn Ledger>,
        Arc::clone(&archive),
        Arc::new(MemoryQueue::new(1024)) as Arc<dyn Queue>,
    );
    let context = Context { shutdown: Shutdown::new(Duration::ZERO), worker: "bench".to_owned(), is_second_hand: false };
    let mut done = Vec::new();
    for number in 0..JOBS {
        let seed: model::Seed = serde_json::from_value(json!({"id": format!("s{number}"), "question": "When was the dam built?"}))?;
        let job = Job { id: JobId::of(&campaign.uid, &seed.id, 0), place: campaign.plan.place(number, 0), sample: 0 };
        let key = WorkKey::Synthesis(job.id.clone());
        let Claim::Taken(lease) = ledger.claim(&key, Ask::default()).await? else {
            return Err(format!("claim {key}: the ledger does not give it").into());
        };
        let message = JobMessage::new(campaign.uid.clone(), job, Step::default(), seed)?;
        let Disposition::Done = handler.handle(message, &lease, &context).await? else {
            return Err(format!("research {key}: it handed itself on").into());
        };
        ledger.finish(&lease).await?;
        done.push(noting.take());
    }
    ledger.close().await;
    Ok(done)
}

fn http(mode: &str) -> Result<HttpTeacher> {
    let settings = HttpSettings { endpoints: vec![ENDPOINT.to_owned()], ..HttpSettings::default() };
    let template = match mode {
        "completion" => Some(Template::new(TEMPLATE, &Map::new(), None)?),
        _ => None,
    };
    Ok(HttpTeacher::new(&settings, "bench", None)?.speaking(Dialect::Hermes, template))
}

fn settings(mode: &str) -> Result<Settings> {
    let template = if mode == "completion" { "chat_template = \"chatml.jinja\"\n" } else { "" };
    let text = format!(
        "[campaign]\nname = \"bench\"\nseeds = \"seeds.jsonl\"\n[corpus]\npath = \"corpus\"\n[recipe]\nkind = \"browse\"\n\
         [teacher]\nkind = \"http\"\nmodel = \"bench\"\nendpoints = [\"{ENDPOINT}\"]\ndialect = \"hermes\"\nmode = \"{mode}\"\n{template}"
    );
    Ok(CampaignFile::parse(&text)?.resolve(Path::new("/"))?)
}

/// A plan that nobody froze: the handler asks it for addresses and settings alone.
fn campaign(settings: &Settings, corpus: &Corpus, archive: &Arc<dyn Archive>) -> Campaign {
    Campaign {
        schema_version: 1,
        uid: Uid("bench".to_owned()),
        name: settings.campaign.name.clone(),
        archive: archive.id().to_owned(),
        plan: Plan { seeds: JOBS, rows_per_shard: 512, samples: 1 },
        seeds: Digest::of(b"seeds"),
        corpus_id: corpus.id().clone(),
        prompts: BTreeMap::new(),
        settings: settings.clone(),
    }
}

/// URL and title of each document.
fn pages(documents: &Path) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(documents)?;
    let field = |line: &Value, name: &str| line[name].as_str().map(str::to_owned);
    let mut pages = Vec::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line)?;
        pages.extend(field(&line, "url").zip(field(&line, "title")));
    }
    Ok(pages)
}
