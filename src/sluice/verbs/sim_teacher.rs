//! `sluice sim-teacher`: a server to rehearse with before GPUs are rented.

use std::sync::Arc;
use std::time::Duration;

use runtime::Shutdown;
use teacher::heuristic::HeuristicTeacher;
use teacher::sim::{Fault, Sim, SimSettings};

use crate::args::SimArgs;
use crate::exit::{End, VerbError};

/// Time for requests in flight after the first Ctrl-C; a second one ends it at once.
const DRAIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: SimArgs) -> Result<End, VerbError> {
    let settings = settings(&args).map_err(|problem| VerbError::Usage(format!("start sim-teacher: {problem}")))?;
    let sim = Sim::bind(settings, Arc::new(HeuristicTeacher), corpus::count_tokens).await;
    let sim = sim.map_err(|error| VerbError::Unreachable(format!("listen on {}: {error}", args.listen)))?;
    super::print(&format!("listening on http://{}/v1", sim.address()?))?;
    let shutdown = Shutdown::on_signals(DRAIN)?;
    let asked = shutdown.clone();
    tokio::select! {
        served = sim.serve(async move { asked.requested().await }) => served?,
        // Whoever is still served has had the time that was promised.
        () = shutdown.expired() => {}
    }
    Ok(End::Done)
}

/// What was typed as what it means.
fn settings(args: &SimArgs) -> Result<SimSettings, String> {
    let faults = &args.faults;
    let mut settings = SimSettings {
        listen: args.listen,
        model: args.model.clone(),
        any_model: false,
        dialect: args.dialect,
        latency_mean: Duration::from_millis(args.latency_ms),
        latency_shape: args.latency_shape,
        latency_jitter: args.latency_jitter,
        tokens_per_second: args.tokens_per_second,
        slots: args.slots,
        queue: args.queue,
        full_429: args.full_429,
        requests_per_minute: args.requests_per_minute,
        tokens_per_minute: args.tokens_per_minute,
        trickle: Duration::from_secs(faults.trickle_s),
        retry_after_s: faults.retry_after_s,
        down_every: args.down_every.map(Duration::from_secs),
        down_for: Duration::from_secs(args.down_for.unwrap_or_default()),
        context_tokens: args.context_tokens,
        seed: args.seed,
        ..SimSettings::default()
    };
    if let Some(written) = &faults.faults {
        settings.set_faults(written).map_err(|problem| format!("--faults: {problem}"))?;
    }
    for (fault, share) in [
        (Fault::RateLimited, faults.rate_429),
        (Fault::ServerError, faults.rate_500),
        (Fault::BadGateway, faults.rate_502),
        (Fault::Unavailable, faults.rate_503),
        (Fault::Hang, faults.rate_hang),
        (Fault::Cut, faults.rate_cut),
        (Fault::Torn, faults.rate_torn),
        (Fault::Trickle, faults.rate_trickle),
        (Fault::Garbled, faults.rate_garbled),
        (Fault::Empty, faults.rate_empty),
        (Fault::Refusal, faults.rate_refusal),
        (Fault::CutCall, faults.rate_cut_call),
        (Fault::BrokenCall, faults.rate_broken_call),
        (Fault::UnknownTool, faults.rate_unknown_tool),
        (Fault::Narrated, faults.rate_narrated),
    ] {
        if let Some(share) = share {
            *fault.share_mut(&mut settings) = share;
        }
    }
    settings.check()?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Verb};

    fn typed(words: &[&str]) -> Result<SimSettings, String> {
        let words = ["sluice", "sim-teacher"].iter().chain(words);
        match Args::try_parse_from(words).map_err(|error| error.to_string())?.verb {
            Verb::SimTeacher(args) => settings(&args),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_single_rate_overrules_the_shorthand() {
        let settings = typed(&["--rate-hang", "0", "--faults", "all=0.01", "--dialect", "kimi"]).expect("well typed");
        assert_eq!((settings.rate_hang, settings.rate_torn, settings.rate_narrated), (0.0, 0.01, 0.01));
        assert_eq!(settings.dialect, Some(model::settings::Dialect::Kimi));
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_listens() {
        for (words, problem) in [
            (["--rate-429", "2"], "from 0 to 1"),
            (["--faults", "all=0.5"], "add up"),
            (["--dialect", "klingon"], "one of"),
            (["--latency-shape", "round"], "fixed"),
            (["--down-every", "60"], "--down-for"),
        ] {
            assert!(typed(&words).is_err_and(|error| error.contains(problem)), "{words:?}");
        }
    }
}
