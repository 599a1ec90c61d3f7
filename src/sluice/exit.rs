//! Exit codes, and the one place where an error becomes a line for a person.
//!
//! 0 done · 1 a bug · 2 usage or configuration · 3 a dependency cannot be reached or used · 4 the campaign finished with failures, or
//! verification found differences · 130 interrupted, and can be continued.

use std::process::ExitCode;

/// A bug of ours.
pub(crate) const BUG: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const WITH_FAILURES: u8 = 4;
const INTERRUPTED: u8 = 130;

/// How a verb ended well, or well enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Done.
    Done,
    /// Done, and something is wrong with what was found or made; it was reported.
    WithFailures,
    /// Asked to stop; it can be continued.
    Interrupted,
}

/// Why a verb did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerbError {
    /// What was asked for is wrong.
    #[error("{0}")]
    Usage(String),
    /// Something that is needed cannot be reached or used.
    #[error("{0}")]
    Unreachable(String),
    /// A bug.
    #[error(transparent)]
    Bug(#[from] anyhow::Error),
}

impl VerbError {
    /// Something typed or configured is wrong.
    pub(crate) fn usage(error: impl ToString) -> Self {
        Self::Usage(error.to_string())
    }

    /// Something needed cannot be reached or used.
    pub(crate) fn unreachable(error: impl ToString) -> Self {
        Self::Unreachable(error.to_string())
    }

    /// The same, said of one of several.
    pub(crate) fn of(self, which: &str) -> Self {
        match self {
            Self::Usage(message) => Self::Usage(format!("run {which}: {message}")),
            Self::Unreachable(message) => Self::Unreachable(format!("run {which}: {message}")),
            Self::Bug(error) => Self::Bug(error.context(format!("run {which}"))),
        }
    }
}

impl From<dataset::DatasetError> for VerbError {
    fn from(error: dataset::DatasetError) -> Self {
        use dataset::DatasetError::{Archive, Damaged, Died, File, Missing, Outstanding, Seeds, Unfit};
        match &error {
            File { .. } | Seeds { .. } | Missing { .. } | Outstanding { .. } | Unfit { .. } => Self::usage(error),
            Archive(_) | Damaged { .. } => Self::unreachable(error),
            Died(_) => Self::Bug(error.into()),
        }
    }
}

impl From<runtime::ArchiveError> for VerbError {
    fn from(error: runtime::ArchiveError) -> Self {
        Self::unreachable(error)
    }
}

impl From<runtime::LedgerError> for VerbError {
    fn from(error: runtime::LedgerError) -> Self {
        Self::unreachable(error)
    }
}

impl From<corpus::CorpusError> for VerbError {
    fn from(error: corpus::CorpusError) -> Self {
        match error {
            corpus::CorpusError::Io { .. } | corpus::CorpusError::Index { .. } => Self::unreachable(error),
            error => Self::usage(error),
        }
    }
}

impl From<std::io::Error> for VerbError {
    fn from(error: std::io::Error) -> Self {
        Self::unreachable(error)
    }
}

/// The exit code of a verb, after its error was printed.
pub(crate) fn of(result: Result<End, VerbError>) -> ExitCode {
    let code = match result {
        Ok(End::Done) => return ExitCode::SUCCESS,
        Ok(End::WithFailures) => WITH_FAILURES,
        Ok(End::Interrupted) => INTERRUPTED,
        Err(error) => {
            eprintln!("sluice: failed to {error}");
            match error {
                VerbError::Usage(_) => USAGE,
                VerbError::Unreachable(_) => UNREACHABLE,
                VerbError::Bug(_) => BUG,
            }
        }
    };
    ExitCode::from(code)
}

/// Prints what clap has to say: help and version are no errors.
pub(crate) fn of_usage(error: &clap::Error) -> ExitCode {
    if error.print().is_err() {
        return ExitCode::from(UNREACHABLE);
    }
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}
