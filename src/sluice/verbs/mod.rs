//! One file per verb.

mod ablate;
mod completions;
mod control;
pub(crate) mod corpus;
mod dataset;
pub(crate) mod plan;
mod run;
mod serve;
mod sim_teacher;
mod status;
mod submit;
mod worker;

use crate::args::Verb;
use crate::exit::{End, VerbError};

/// Does what was asked.
pub(crate) async fn run(verb: Verb) -> Result<End, VerbError> {
    match verb {
        Verb::Corpus(verb) => corpus::run(verb).await,
        Verb::Plan(args) => plan::run(args).await,
        Verb::Run(args) => run::run(args).await,
        Verb::Submit(args) => submit::run(args).await,
        Verb::Worker(args) => worker::run(args).await,
        Verb::Resume(args) => control::resume(args).await,
        Verb::Pause(args) => control::pause(args).await,
        Verb::Cancel(args) => control::cancel(args).await,
        Verb::Retry(args) => control::retry(args).await,
        Verb::Serve(args) => serve::run(args).await,
        Verb::Status(args) => status::run(args).await,
        Verb::Seal(args) => dataset::seal(args).await,
        Verb::Verify(args) => dataset::verify(args).await,
        Verb::Export(args) => dataset::export(args).await,
        Verb::Report(args) => dataset::report(args).await,
        Verb::Ablate(args) => ablate::run(args).await,
        Verb::SimTeacher(args) => sim_teacher::run(*args).await,
        Verb::Completions { shell } => completions::run(shell),
    }
}

/// Prints `value` as one pretty JSON document on standard output.
pub(crate) fn print_json<T: serde::Serialize>(value: &T) -> Result<(), VerbError> {
    let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
    print(&text)
}

/// Prints a line on standard output; a closed pipe is not a bug of ours.
pub(crate) fn print(text: &str) -> Result<(), VerbError> {
    use std::io::Write;
    let written = writeln!(std::io::stdout(), "{text}");
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(VerbError::unreachable(format!("write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Runs blocking work off the async threads; a panic in it is a bug.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, VerbError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| VerbError::Bug(error.into()))
}
