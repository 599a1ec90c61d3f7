//! The command line: from what was typed to one verb.
//!
//! Each verb lives in its own file under `verbs`; `local` composes the whole factory in one process, over the same ports that a cluster uses. Exit
//! codes mean something: see `exit.rs`.

mod args;
mod bootstrap;
mod chosen;
mod cluster;
mod comparison;
mod estimate;
mod exit;
mod grid;
mod kept;
mod local;
mod logging;
mod pilot;
mod place;
mod progress;
mod tables;
mod verbs;
mod voices;

use std::process::ExitCode;

use clap::Parser;

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    // One TLS provider for everything; a second call of `main` in one process finds it installed.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::of_usage(&error),
    };
    logging::set_up(args.verbose);
    // Blocking threads do the searching, compressing and file work. More of them than keep the cores busy only cost memory: the allocator
    // gives each thread a heap of its own, and what fragments in it stays.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(2 * cores + 2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sluice: failed to start the async runtime: {error}");
            return ExitCode::from(exit::BUG);
        }
    };
    let code = runtime.block_on(verbs::run(args.verb));
    // A verb that returned has made durable what it did; what still blocks in the background (a second Ctrl-C) must not hold the process.
    runtime.shutdown_background();
    exit::of(code)
}
