//! `sluice corpus …`: builds snapshots, and lets a person try the tools by hand.

use std::path::{Path, PathBuf};

use corpus::{Browser, BuildOptions, BuildReport, Corpus, ToolLimits};
use model::{Action, Observation};
use serde_json::{Map, Value, json};

use crate::args::CorpusVerb;
use crate::exit::{End, VerbError};
use crate::progress::BuildBar;
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
    }
    Ok(End::Done)
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
