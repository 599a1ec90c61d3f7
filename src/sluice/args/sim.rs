//! Arguments of `sim-teacher`: one for everything that a rehearsal can set.

use std::net::SocketAddr;

use clap::Args as ClapArgs;
use model::settings::Dialect;
use teacher::sim::LatencyShape;

/// Arguments of `sim-teacher`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SimArgs {
    /// Address to listen on; port 0 chooses one.
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    /// The model's name; requests for another one are refused, as a real server would.
    #[arg(long, default_value = "heuristic")]
    pub(crate) model: String,
    /// How calls are written, by the names of campaign files. Default: natively where tools are offered, else as hermes.
    #[arg(long, value_parser = dialect, value_name = "NAME")]
    pub(crate) dialect: Option<Dialect>,
    /// Longest conversation, in tokens; longer ones are refused as a real server would. Default: no limit.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) context_tokens: Option<u32>,
    /// Seed of latencies and faults: the same request and try fare alike under the same seed.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,

    /// Mean time to the first token, in milliseconds.
    #[arg(long, default_value_t = 0, help_heading = "Speed")]
    pub(crate) latency_ms: u64,
    /// How latencies are spread around the mean: fixed, uniform, exponential or lognormal.
    #[arg(long, default_value = "uniform", value_name = "SHAPE", help_heading = "Speed")]
    pub(crate) latency_shape: LatencyShape,
    /// For the uniform shape: how far single latencies stray from the mean, 0 to 1.
    #[arg(long, default_value_t = 0.5, value_name = "SHARE", help_heading = "Speed")]
    pub(crate) latency_jitter: f64,
    /// Tokens a second after the first. Default: all at once.
    #[arg(long, value_name = "TOKENS", help_heading = "Speed")]
    pub(crate) tokens_per_second: Option<f64>,
    /// Requests answered at once; others wait in the queue.
    #[arg(long, default_value_t = 4096, value_name = "REQUESTS", help_heading = "Speed")]
    pub(crate) slots: u32,
    /// Requests in the queue at most; more get a 503 with Retry-After.
    #[arg(long, default_value_t = 4096, value_name = "REQUESTS", help_heading = "Speed")]
    pub(crate) queue: u32,
    /// Answer 429 and not 503 when the queue is full.
    #[arg(long, help_heading = "Speed")]
    pub(crate) full_429: bool,
    /// Requests admitted per minute; more get a 429 with the Retry-After it takes. Default: no limit.
    #[arg(long, value_name = "REQUESTS", help_heading = "Speed")]
    pub(crate) requests_per_minute: Option<u32>,
    /// Tokens admitted per minute, of prompts and completions. Default: no limit.
    #[arg(long, value_name = "TOKENS", help_heading = "Speed")]
    pub(crate) tokens_per_minute: Option<u64>,

    #[command(flatten)]
    pub(crate) faults: FaultArgs,

    /// Seconds from the beginning of one down window to that of the next. Default: no windows.
    #[arg(long, value_name = "SECONDS", requires = "down_for", help_heading = "Outages")]
    pub(crate) down_every: Option<u64>,
    /// Seconds that a down window lasts: connections are closed unanswered, also those in work.
    #[arg(long, value_name = "SECONDS", requires = "down_every", help_heading = "Outages")]
    pub(crate) down_for: Option<u64>,
}

/// Shares of faults. A rate of a single fault overrules `--faults`.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Faults")]
pub(crate) struct FaultArgs {
    /// Shares of faults by name, 0 to 1: `all=0.01,hang=0`. Later parts overrule earlier ones.
    ///
    /// `server` names all faults that another try escapes: 429, 500, 502, 503, hang, cut, torn, trickle, garbled. From the fourth try on that a
    /// client numbers there are none, unless a share is 1. `model` names what the played model does wrong, the same in every try: empty, refusal,
    /// and of the answers that call a tool cut-call, broken-call, unknown-tool, narrated. Each side's shares add up to at most 1.
    #[arg(long, value_name = "NAME=SHARE,…")]
    pub(crate) faults: Option<String>,
    /// Share of tries answered 429, 0 to 1.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_429: Option<f64>,
    /// Share of tries answered 500.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_500: Option<f64>,
    /// Share of tries answered 502.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_502: Option<f64>,
    /// Share of tries answered 503.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_503: Option<f64>,
    /// Share of tries that are never answered.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_hang: Option<f64>,
    /// Share of tries whose connection is cut before the answer.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_cut: Option<f64>,
    /// Share of tries whose body is torn in the middle.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_torn: Option<f64>,
    /// Share of tries whose body trickles.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_trickle: Option<f64>,
    /// Share of tries whose body is malformed JSON.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_garbled: Option<f64>,
    /// Share of requests answered without any content.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_empty: Option<f64>,
    /// Share of requests answered with a refusal.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_refusal: Option<f64>,
    /// Share of calling answers that the token limit cuts within a call.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_cut_call: Option<f64>,
    /// Share of calling answers with a malformed call.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_broken_call: Option<f64>,
    /// Share of calling answers that call an unknown tool.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_unknown_tool: Option<f64>,
    /// Share of calling answers that tell of a call and make none.
    #[arg(long, value_name = "SHARE")]
    pub(crate) rate_narrated: Option<f64>,
    /// Retry-After of a 429 or 503 that is a fault or a full queue, in seconds.
    #[arg(long, default_value_t = 1, value_name = "SECONDS")]
    pub(crate) retry_after_s: u64,
    /// How much longer a body takes that trickles, in seconds.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub(crate) trickle_s: u64,
}

fn dialect(name: &str) -> Result<Dialect, String> {
    let names = || Dialect::ALL.map(Dialect::name).join(", ");
    Dialect::named(name).ok_or_else(|| format!("a dialect is one of {}", names()))
}
