//! The benchmark behind `scripts/load`: what a cluster on this machine costs and how fast it answers, beside the bounds it has to keep.
//!
//! Everything runs on servers of its own and is removed at the end. It measures from outside: the programs' own words, the operating
//! system's account of them, the archive as files, and a teacher of its own that notes who asks when. It judges nothing but numbers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

#[path = "load/account.rs"]
mod account;
#[path = "load/dispatch.rs"]
mod dispatch;
#[path = "load/drain.rs"]
mod drain;
#[path = "load/gauge.rs"]
mod gauge;
#[path = "load/ground.rs"]
mod ground;
#[path = "load/latency.rs"]
mod latency;
#[path = "load/memory.rs"]
mod memory;
#[path = "load/outcome.rs"]
mod outcome;
#[path = "load/program.rs"]
mod program;
#[path = "load/resume.rs"]
mod resume;
#[path = "load/teacher.rs"]
mod teacher;
#[path = "load/throughput.rs"]
mod throughput;

use account::Account;
use ground::Ground;

/// Measures a cluster of this machine, with servers of its own, and prints each number beside its bound.
#[derive(Parser)]
#[command(name = "load")]
struct Arguments {
    /// Jobs of the parts `throughput` and `resume`.
    #[arg(long, default_value_t = 100_000)]
    jobs: u64,
    /// A folder with documents and questions, such as squad_dev; default: the repository's example.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// What is measured; may be given several times.
    #[arg(long = "part", value_enum, value_name = "PART", default_value = "all")]
    parts: Vec<Part>,
    /// Jobs in flight per worker of the part `throughput`.
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
    /// Jobs of the run in one process that the cluster is compared with; default: as many as `--jobs`, at most 10,000.
    #[arg(long)]
    single_jobs: Option<u64>,
    /// Print the numbers as JSON.
    #[arg(long)]
    json: bool,
    /// Keep the folder with campaigns, logs and objects, and say where it is.
    #[arg(long)]
    keep: bool,
    /// The program that is measured.
    #[arg(long, env = "SLUICE_BIN")]
    sluice: PathBuf,
}

/// A part of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A campaign from submit to seal, beside the same in one process.
    Throughput,
    /// Many jobs against a slow teacher.
    Latency,
    /// Broker and ledger lost at half of the jobs.
    Resume,
    /// Three workers over one corpus.
    Memory,
    /// From a message to its first completion; a worker lost.
    Dispatch,
    /// Drain, pause, cancel.
    Drain,
    /// All of them.
    All,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(4),
        Err(error) => {
            eprintln!("load: failed to {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every bound was kept.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let is_wanted = |part| arguments.parts.contains(&part) || arguments.parts.contains(&Part::All);
    let ground = Ground::prepare(&arguments.sluice, arguments.data.as_deref(), arguments.keep)?;
    let mut account = Account::new(arguments.json);
    if is_wanted(Part::Throughput) {
        let single_jobs = arguments.single_jobs.unwrap_or(arguments.jobs.min(10_000));
        throughput::measure(&ground, &mut account, arguments.jobs, single_jobs, arguments.concurrency)?;
    }
    if is_wanted(Part::Latency) {
        latency::measure(&ground, &mut account)?;
    }
    if is_wanted(Part::Memory) {
        memory::measure(&ground, &mut account)?;
    }
    if is_wanted(Part::Dispatch) {
        dispatch::measure(&ground, &mut account)?;
    }
    if is_wanted(Part::Drain) {
        drain::measure(&ground, &mut account)?;
    }
    if is_wanted(Part::Resume) {
        resume::measure(&ground, &mut account, arguments.jobs, arguments.concurrency)?;
    }
    account.print()
}
