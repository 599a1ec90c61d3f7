//! `sluice corpus …`: builds snapshots, lets a person try the tools by hand, and moves snapshots into archives and out of them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use corpus::{Browser, BuildOptions, BuildReport, Corpus, ToolLimits};
use dataset::corpora;
use model::{Action, Digest, Observation};
use serde_json::{Map, Value, json};

use crate::args::CorpusVerb;
use crate::exit::{End, VerbError};
use crate::place::archive_place;
use crate::progress::{BuildBar, Spinner};
use crate::tables;

pub(crate) async fn run(verb: CorpusVerb) -> Result<End, VerbError> {
    match verb {
        CorpusVerb::Build { sources, out, strict, threads, json } => {
            let report = build(sources, out, strict, threads).await?;
            if json { super::print_json(&report.manifest) } else { super::print(&tables::built(&report)) }?;
        }
        CorpusVerb::Stats { corpus, json } => {
            let corpus = open(corpus).await?;
            if json { super::print_json(corpus.manifest()) } else { super::print(&tables::corpus(corpus.manifest())) }?;
        }
        CorpusVerb::Verify { corpus, json } => return verify(corpus, json).await,
        CorpusVerb::Search { corpus, query, topn, json } => {
            return show(&perform(corpus, vec![("search", json!({"query": query, "topn": topn}))]).await?, json);
        }
        CorpusVerb::Open { corpus, url, loc, num_lines, json } => {
            let mut arguments = Map::new();
            arguments.insert("id".into(), url.into());
            arguments.extend(loc.map(|loc| ("loc".to_owned(), loc.into())));
            arguments.extend(num_lines.map(|lines| ("num_lines".to_owned(), lines.into())));
            return show(&perform(corpus, vec![("open", Value::Object(arguments))]).await?, json);
        }
        CorpusVerb::Find { corpus, url, pattern, json } => {
            return show(&perform(corpus, vec![("open", json!({"id": url})), ("find", json!({"pattern": pattern}))]).await?, json);
        }
        CorpusVerb::Push { corpus, archive, json } => push(&corpus, archive.as_deref(), json).await?,
        CorpusVerb::Pull { id, into, archive, json } => pull(&id, &into, archive.as_deref(), json).await?,
    }
    Ok(End::Done)
}

async fn push(snapshot: &Path, archive: Option<&str>, as_json: bool) -> Result<(), VerbError> {
    let archive = runtime::archive::connect(&archive_place(archive)?).await?;
    let bar = MovedBar::new("MiB pushed");
    let pushed = corpora::push(archive.as_ref(), snapshot, |done, total| bar.show(done, total)).await;
    bar.finish();
    let pushed = pushed?;
    if as_json {
        let corpora::Pushed { corpus_id, build_digest, bytes, files_uploaded } = &pushed;
        return super::print_json(&json!({
            "corpus_id": corpus_id, "build_digest": build_digest, "bytes": bytes, "files_uploaded": files_uploaded,
        }));
    }
    let done = match pushed.files_uploaded {
        0 => "was there already".to_owned(),
        files => format!("{files} files uploaded"),
    };
    super::print(&format!("corpus {} is in the archive {}: {done}", pushed.corpus_id, archive.place()))
}

async fn pull(id: &Digest, home: &Path, archive: Option<&str>, as_json: bool) -> Result<(), VerbError> {
    let place = archive_place(archive)?;
    // A mistyped place is an error here, not a fresh archive.
    if !place.contains("://") && !Path::new(&place).join(model::layout::ARCHIVE).is_file() {
        return Err(VerbError::Usage(format!("open the archive {place}: there is none (no {} in it)", model::layout::ARCHIVE)));
    }
    let archive = runtime::archive::connect(&place).await?;
    let bar = MovedBar::new("MiB pulled");
    let pulled = corpora::pull(archive.as_ref(), id, home, |done, total| bar.show(done, total)).await;
    bar.finish();
    let path = pulled?;
    if as_json {
        return super::print_json(&json!({"corpus_id": id, "path": path}));
    }
    super::print(&format!("corpus {id} is in {}", path.display()))
}

/// Bytes on their way, shown from the moment that their number is known.
struct MovedBar {
    what: &'static str,
    shown: OnceLock<Spinner>,
}

impl MovedBar {
    fn new(what: &'static str) -> Self {
        Self { what, shown: OnceLock::new() }
    }

    fn show(&self, bytes_done: u64, bytes_total: u64) {
        self.shown.get_or_init(|| Spinner::new(bytes_total >> 20, self.what)).set(bytes_done >> 20);
    }

    fn finish(&self) {
        if let Some(shown) = self.shown.get() {
            shown.finish();
        }
    }
}

/// Builds a snapshot, with a bar.
pub(crate) async fn build(sources: Vec<PathBuf>, target: PathBuf, strict: bool, threads: Option<usize>) -> Result<BuildReport, VerbError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = threads.unwrap_or(cores);
    let report = super::blocking(move || {
        let bar = BuildBar::new();
        let report = corpus::build(&BuildOptions { sources, target, strict, threads }, &mut |progress| bar.show(&progress));
        bar.finish();
        report
    });
    Ok(report.await??)
}

/// Opens a snapshot.
pub(crate) async fn open(directory: PathBuf) -> Result<Corpus, VerbError> {
    Ok(super::blocking(move || Corpus::open(&directory)).await??)
}

async fn verify(directory: PathBuf, as_json: bool) -> Result<End, VerbError> {
    let shown = directory.display().to_string();
    let report = super::blocking(move || corpus::verify(Path::new(&directory))).await??;
    if as_json {
        let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        super::print_json(&json!({"corpus_id": report.manifest.corpus_id, "files": report.manifest.files.len(), "problems": problems}))?;
    } else if report.is_sound() {
        super::print(&format!("{shown} is sound: corpus {}, {} files", report.manifest.corpus_id, report.manifest.files.len()))?;
    } else {
        for problem in &report.problems {
            super::print(&problem.to_string())?;
        }
    }
    Ok(if report.is_sound() { End::Done } else { End::WithFailures })
}

/// The observation of the last of `calls`; an earlier one that fails is shown instead.
async fn perform(directory: PathBuf, calls: Vec<(&'static str, Value)>) -> Result<Observation, VerbError> {
    let corpus = open(directory).await?;
    super::blocking(move || {
        let mut browser = Browser::new(corpus, ToolLimits::default());
        let mut last = Observation::default();
        for (tool, arguments) in calls {
            let arguments = arguments.as_object().cloned().unwrap_or_default();
            let action = Action {
                id: String::new(),
                tool: tool.into(),
                arguments,
                written: None,
                dialect: "hand".into(),
                repairs: Vec::new(),
                unreadable: None,
            };
            last = corpus::perform(&mut browser, &action);
            if last.error.is_some() {
                break;
            }
        }
        last
    })
    .await
}

fn show(observation: &Observation, as_json: bool) -> Result<End, VerbError> {
    if as_json { super::print_json(observation) } else { super::print(&observation.text) }?;
    // What a model is told as text, a script is told by the exit code.
    Ok(if observation.error.is_none() { End::Done } else { End::WithFailures })
}
