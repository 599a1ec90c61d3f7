//! What was typed. What it means is decided by each verb.

mod sim;
mod trials;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub(crate) use self::sim::SimArgs;
pub(crate) use self::trials::{AblateArgs, PlanArgs};
use crate::cluster::Stage;

/// A factory for deep-research training data: seed questions in, sealed and verifiable trajectories out.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, propagate_version = true)]
pub(crate) struct Args {
    /// More log lines on standard error (-v, -vv, -vvv).
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Build a corpus, and try the tools on it by hand.
    #[command(subcommand)]
    Corpus(CorpusVerb),
    /// Estimate calls, tokens, money and hours of a campaign from a pilot of a few jobs, before it is spent on.
    ///
    /// The pilot asks the campaign's own teachers and judge, and costs what they cost. Of the campaign itself nothing is created but its corpus, where that is not built yet.
    Plan(PlanArgs),
    /// Run a campaign in this process, without services, and seal it.
    ///
    /// Run the same command again to continue a campaign that was interrupted or killed.
    Run(RunArgs),
    /// Plan a campaign and hand it to a cluster's workers; pushes its corpus into the archive when it is missing there.
    ///
    /// Submit the same file again to add samples, to change endpoints and the like, or after an interruption.
    Submit(SubmitArgs),
    /// Work on campaigns that were submitted, until asked to stop.
    Worker(WorkerArgs),
    /// Show how far a campaign is.
    ///
    /// Counted from its archive; where SLUICE_AMQP_URL and SLUICE_REDIS_URL name a cluster, also what its queues and workers hold.
    Status(StatusArgs),
    /// Run a paused campaign on, or publish again what is outstanding after the loss of broker or ledger.
    Resume(CampaignArgs),
    /// Stop a campaign for now: its jobs hand themselves on at their next turn, and wait.
    Pause(CampaignArgs),
    /// End a campaign: what is not terminal counts as cancelled when it is sealed.
    Cancel(CampaignArgs),
    /// Publish failed jobs again; after a seal, too.
    Retry(RetryArgs),
    /// Look after a cluster: metrics, runnable jobs for autoscaling, messages set aside, ledgers that were lost, later samples (samples_first).
    Serve(ServeArgs),
    /// Prove that every planned job is accounted for, and write the data set's manifest.
    Seal(SealArgs),
    /// Check a data set digest by digest, and replay every observation against the corpus.
    Verify(VerifyArgs),
    /// Write a data set's rows in a form that others read.
    Export(ExportArgs),
    /// Print the closing table of a data set; of one with several samples a seed, with pass@k.
    Report(DatasetArgs),
    /// Run variants of a campaign over the same seeds in this process, and print how they compare.
    ///
    /// Each variant is a campaign of its own. Run the same command again to continue; what is finished is not run again.
    Ablate(AblateArgs),
    /// Serve the heuristic teacher as an OpenAI-compatible server, with latency and faults, to rehearse with.
    SimTeacher(Box<SimArgs>),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// What to do with a corpus.
#[derive(Debug, Subcommand)]
pub(crate) enum CorpusVerb {
    /// Build a snapshot from JSON lines (plain, .gz, .zst) with `url`, `title`, `text`.
    Build {
        /// A source; may be given several times.
        #[arg(long = "source", required = true, value_name = "FILE")]
        sources: Vec<PathBuf>,
        /// The snapshot directory to write; must not exist.
        #[arg(long, short, value_name = "DIR")]
        out: PathBuf,
        /// Fail on the first unusable line instead of keeping it aside.
        #[arg(long)]
        strict: bool,
        /// Threads; default: all cores.
        #[arg(long)]
        threads: Option<usize>,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print what a snapshot consists of.
    Stats {
        /// The snapshot directory.
        corpus: PathBuf,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Digest every file of a snapshot and compare.
    Verify {
        /// The snapshot directory.
        corpus: PathBuf,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Search, as a model would see it.
    Search {
        /// The snapshot directory.
        corpus: PathBuf,
        /// The query.
        query: String,
        /// How many results.
        #[arg(long, default_value_t = 10)]
        topn: u32,
        /// Print the observation as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Open a document, as a model would see it.
    Open {
        /// The snapshot directory.
        corpus: PathBuf,
        /// The document's URL.
        url: String,
        /// First line to show.
        #[arg(long)]
        loc: Option<u32>,
        /// How many lines to show.
        #[arg(long)]
        num_lines: Option<u32>,
        /// Print the observation as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Find a text in a document, as a model would see it.
    Find {
        /// The snapshot directory.
        corpus: PathBuf,
        /// The document's URL.
        url: String,
        /// What to find.
        pattern: String,
        /// Print the observation as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put a snapshot into an archive, where workers fetch it from; what is there already is left alone.
    Push {
        /// The snapshot directory.
        corpus: PathBuf,
        /// The archive; default: the variable SLUICE_ARCHIVE.
        #[arg(long)]
        archive: Option<String>,
        /// Print what was done as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Fetch a snapshot from an archive and check every byte of it.
    Pull {
        /// The corpus id, as `corpus stats` prints it.
        id: model::Digest,
        /// The folder that gets the snapshot, in a folder named by the corpus id.
        #[arg(long, value_name = "DIR", default_value = ".")]
        into: PathBuf,
        /// The archive; default: the variable SLUICE_ARCHIVE.
        #[arg(long)]
        archive: Option<String>,
        /// Print where it is as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `run`.
#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    /// The campaign file.
    pub(crate) campaign: PathBuf,
    /// Print what the campaign file means, defaults and roles included, and stop. Not a campaign file itself.
    #[arg(long)]
    pub(crate) dump_config: bool,
    /// Print the closing report as JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not seal at the end.
    #[arg(long)]
    pub(crate) no_seal: bool,
    /// The data set means the best accepted sample of each seed only.
    #[arg(long)]
    pub(crate) best_of_seed: bool,
}

/// Arguments of `submit`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SubmitArgs {
    /// The campaign file.
    pub(crate) campaign: PathBuf,
    /// Print what was published as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `worker`.
#[derive(Debug, ClapArgs)]
pub(crate) struct WorkerArgs {
    /// What it does.
    #[arg(value_enum)]
    pub(crate) stage: Stage,
    /// Serve what is suspected of killing workers, one at a time.
    #[arg(long)]
    pub(crate) quarantine: bool,
    /// Jobs in flight, over all campaigns.
    #[arg(long, default_value_t = 64)]
    pub(crate) concurrency: usize,
    /// Only this campaign; may be given several times. Default: all.
    #[arg(long = "campaign", value_name = "NAME")]
    pub(crate) campaigns: Vec<String>,
    /// The archive; default: the variable SLUICE_ARCHIVE.
    #[arg(long)]
    pub(crate) archive: Option<String>,
    /// The machine's folder of corpora, shared by its workers. Default: the user's cache folder.
    #[arg(long, env = "SLUICE_CORPORA", value_name = "DIR")]
    pub(crate) corpora: Option<PathBuf>,
    /// Time for completions in flight when asked to stop, in seconds.
    #[arg(long, default_value_t = 120)]
    pub(crate) drain_s: u64,
    /// Longest time on one job before it hands itself on, in seconds; well below the broker's acknowledgement timeout.
    #[arg(long, default_value_t = 1200)]
    pub(crate) slice_s: u64,
    /// Address for /metrics, /healthz and /readyz; port 0 chooses one. Default: none.
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
    /// The worker's id. Default: the host's name and the process's number.
    #[arg(long)]
    pub(crate) id: Option<String>,
}

/// Arguments of `serve`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    /// Address for /metrics, /healthz, /readyz and /api; port 0 chooses one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// The archive; default: the variable SLUICE_ARCHIVE.
    #[arg(long)]
    pub(crate) archive: Option<String>,
}

/// Arguments of `status`.
#[derive(Debug, ClapArgs)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) campaign: CampaignArgs,
    /// Redraw every few seconds until nothing is outstanding.
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Arguments of `retry`.
#[derive(Debug, ClapArgs)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    pub(crate) campaign: CampaignArgs,
    /// Only failures of this kind, as `status` names them; may be given several times. Default: all.
    #[arg(long = "kind", value_name = "KIND")]
    pub(crate) kinds: Vec<String>,
}

/// Names a campaign.
#[derive(Debug, ClapArgs)]
pub(crate) struct CampaignArgs {
    /// The campaign's name, or its folder in an archive.
    pub(crate) name: String,
    /// The archive; default: the variable SLUICE_ARCHIVE.
    #[arg(long)]
    pub(crate) archive: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `seal`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SealArgs {
    #[command(flatten)]
    pub(crate) campaign: CampaignArgs,
    /// Seal what there is, listing what is outstanding.
    #[arg(long)]
    pub(crate) partial: bool,
    /// The data set means the best accepted sample of each seed only.
    #[arg(long)]
    pub(crate) best_of_seed: bool,
}

/// Names a data set.
#[derive(Debug, ClapArgs)]
pub(crate) struct DatasetArgs {
    /// A campaign's folder in an archive, a manifest in it, or a campaign's name.
    pub(crate) dataset: String,
    /// The archive, when only a name is given; default: the variable SLUICE_ARCHIVE.
    #[arg(long)]
    pub(crate) archive: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `verify`.
#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,
    /// The corpus snapshot; default: where the campaign had it.
    #[arg(long, value_name = "DIR")]
    pub(crate) corpus: Option<PathBuf>,
}

/// Arguments of `export`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// A campaign's folder in an archive, a manifest in it, or a campaign's name.
    pub(crate) dataset: String,
    /// The archive, when only a name is given; default: the variable SLUICE_ARCHIVE.
    #[arg(long)]
    pub(crate) archive: Option<String>,
    /// The form.
    #[arg(long, value_enum)]
    pub(crate) format: ExportFormat,
    /// For traces: how calls are written that the model did not write as tags. Default: keyed.
    #[arg(long, value_enum)]
    pub(crate) calls: Option<ExportCalls>,
    /// For traces and messages: which text of a crawled page is shown. Default: seen.
    #[arg(long, value_enum)]
    pub(crate) pages: Option<ExportPages>,
    /// For traces: how observations are told from what the model wrote. Default: spans.
    #[arg(long, value_enum)]
    pub(crate) mask: Option<ExportMask>,
    /// Which rows.
    #[arg(long, value_enum, default_value_t = ExportRows::Accepted)]
    pub(crate) rows: ExportRows,
    /// Where to; default: standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Rows as they are.
    Native,
    /// OpenAI chat messages with tools; of `decompose` one conversation a thread.
    Messages,
    /// One stream of O-Researcher's tags with a mask over the observations; of `decompose` alone.
    Trace,
}

/// How a trace writes calls.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportCalls {
    /// `query=a | b&num=10` and `url=a | b`.
    Keyed,
    /// `a | b&serp_num=10` and `a | b`.
    Bare,
}

/// Which text of a crawled page an export shows.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportPages {
    /// What the researcher saw.
    Seen,
    /// The stored page.
    Page,
    /// The extract, where there is one.
    Extract,
}

/// How a trace tells observations from what the model wrote.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportMask {
    /// `mask`: begin and end of each observation, in Unicode code points.
    Spans,
    /// `segments`: labelled texts, as axolotl's `input_output` reads them.
    Segments,
    /// Both.
    Both,
}

/// Which rows an export has.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportRows {
    /// Accepted rows.
    Accepted,
    /// Rejected rows.
    Rejected,
    /// Both.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_is_reached_from_this_machine_alone_unless_it_is_told_otherwise() {
        let typed = |words: &[&str]| Args::try_parse_from(["sluice"].iter().chain(words)).expect("well typed").verb;
        let Verb::Serve(serve) = typed(&["serve"]) else { panic!("another verb") };
        let Verb::SimTeacher(sim) = typed(&["sim-teacher"]) else { panic!("another verb") };
        let Verb::Worker(worker) = typed(&["worker", "synthesis"]) else { panic!("another verb") };
        assert!(serve.listen.ip().is_loopback() && sim.listen.ip().is_loopback());
        assert_eq!(worker.listen, None);
    }
}
