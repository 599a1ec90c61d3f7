//! Log lines on standard error, filtered by `SLUICE_LOG`, `RUST_LOG` or `-v`. Never prompts, model text or keys.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Sets up logging; `verbose` is how often `-v` was given.
pub(crate) fn set_up(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "info,tantivy=warn,fjall=warn,lsm_tree=warn",
        2 => "debug,tantivy=info,fjall=info,lsm_tree=info,hyper=info,reqwest=info",
        _ => "trace",
    };
    let named = ["SLUICE_LOG", "RUST_LOG"].into_iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty());
    let directives = named.unwrap_or_else(|| default.to_owned());
    // The broker's client logs messages with their bodies; what matters of it our own adapter says.
    let quiet = if directives.contains("lapin") { "" } else { ",lapin=off" };
    let filter = EnvFilter::new(format!("{directives}{quiet}"));
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
