//! What can be wrong with seeds, rows and data sets.

use runtime::ArchiveError;

/// Trouble with a data set.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file of the user's cannot be read or written.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The seeds cannot be used as a whole.
    #[error("read seeds {path}: {reason}")]
    Seeds {
        /// Which file.
        path: String,
        /// What, where, and what to do.
        reason: String,
    },
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An object that should be there is not.
    #[error("read {key}: there is no such object; {hint}")]
    Missing {
        /// Its key.
        key: String,
        /// What to do.
        hint: &'static str,
    },
    /// An object is not what it should be.
    #[error("read {key}: {reason}")]
    Damaged {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The campaign is not finished.
    #[error(
        "seal {campaign}: {outstanding} of {planned} jobs are outstanding; run the campaign again to finish it, or seal what there is with --partial"
    )]
    Outstanding {
        /// Which campaign.
        campaign: String,
        /// Jobs that are not terminal.
        outstanding: u64,
        /// Planned jobs.
        planned: u64,
    },
    /// The campaign's rows are not what was asked for.
    #[error("export {campaign} {what}")]
    Unfit {
        /// Which campaign.
        campaign: String,
        /// As what, why not, and what to do.
        what: &'static str,
    },
    /// A blocking task died.
    #[error("{0}")]
    Died(String),
}

impl DatasetError {
    pub(crate) fn damaged(key: &str, reason: impl ToString) -> Self {
        Self::Damaged { key: key.to_owned(), reason: reason.to_string() }
    }
}

/// Runs CPU-bound work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DatasetError> + Send + 'static,
) -> Result<T, DatasetError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| DatasetError::Died(format!("work on a shard: {error}")))?
}
