//! `sluice completions SHELL`

use clap::CommandFactory;

use crate::args::Args;
use crate::exit::{End, VerbError};

pub(crate) fn run(shell: clap_complete::Shell) -> Result<End, VerbError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "sluice", &mut script);
    super::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(End::Done)
}
