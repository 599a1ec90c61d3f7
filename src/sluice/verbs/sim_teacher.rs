//! `sluice sim-teacher`: a server to rehearse with before GPUs are rented.

use std::sync::Arc;
use std::time::Duration;

use runtime::Shutdown;
use teacher::heuristic::HeuristicTeacher;
use teacher::sim::{Sim, SimSettings};

use crate::args::SimArgs;
use crate::exit::{End, VerbError};

/// Time for requests in flight after the first Ctrl-C.
const DRAIN: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: SimArgs) -> Result<End, VerbError> {
    for (name, share) in [("--rate-429", args.rate_429), ("--rate-500", args.rate_500), ("--latency-jitter", args.latency_jitter)] {
        if !(0.0..=1.0).contains(&share) {
            return Err(VerbError::Usage(format!("start sim-teacher: {name} {share} must be from 0 to 1")));
        }
    }
    let settings = SimSettings {
        listen: args.listen,
        latency_mean: Duration::from_millis(args.latency_ms),
        latency_jitter: args.latency_jitter,
        rate_429: args.rate_429,
        rate_500: args.rate_500,
        retry_after_s: args.retry_after_s,
        context_tokens: args.context_tokens,
        seed: args.seed,
        ..SimSettings::default()
    };
    let sim = Sim::bind(settings, Arc::new(HeuristicTeacher), corpus::count_tokens).await;
    let sim = sim.map_err(|error| VerbError::Unreachable(format!("listen on {}: {error}", args.listen)))?;
    super::print(&format!("listening on http://{}/v1", sim.address()?))?;
    let shutdown = Shutdown::on_signals(DRAIN)?;
    sim.serve(async move { shutdown.requested().await }).await?;
    Ok(End::Done)
}
