//! Log lines on standard error, filtered by `SLUICE_LOG`, `RUST_LOG` or `-v`. Never prompts, model text or keys.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Sets up logging; `verbose` is how often `-v` was given.
pub(crate) fn set_up(verbose: u8) {
    let default = match verbose {
        0 => "warn,lapin=error",
        1 => "info,lapin=error,tantivy=warn,fjall=warn,lsm_tree=warn",
        2 => "debug,tantivy=info,fjall=info,lsm_tree=info,hyper=info,reqwest=info",
        _ => "trace",
    };
    let named = EnvFilter::try_from_env("SLUICE_LOG").or_else(|_| EnvFilter::try_from_default_env());
    let filter = named.unwrap_or_else(|_| EnvFilter::new(default));
    let built = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    // Fails only when a test set up logging before.
    if let Err(error) = built {
        tracing::debug!(%error, "logging was set up already");
    }
}
