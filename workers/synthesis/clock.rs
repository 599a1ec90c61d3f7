//! The clocks of a job and of a thread, as the journal has them.
//!
//! Asked only where a budget of wall time is set. What they say is journaled, so a job that is taken up again is told the same.

use model::{Decision, JournalKey};
use runtime::Failure;

use crate::budget::Limits;
use crate::research::failed;
use crate::speaker::Work;

/// Call number, within a turn, of the clocks.
pub(crate) const CLOCK_CALL: u32 = 1;

/// Work so far, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Elapsed {
    /// On the job.
    pub(crate) job_ms: u64,
    /// On the thread.
    pub(crate) thread_ms: u64,
}

/// The clocks of one thread.
#[derive(Debug)]
pub(crate) struct Clock {
    is_needed: bool,
    /// What the job's clock said when the thread began.
    began_ms: Option<u64>,
}

impl Clock {
    /// The clocks of a thread that begins now.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { is_needed: limits.job_wall_s.is_some() || limits.cost.wall_s.is_some(), began_ms: None }
    }

    /// What they say at the turn of `key`; nothing where nobody needs it.
    ///
    /// # Errors
    /// The ledger's, or a journal that answers another question.
    pub(crate) async fn read(&mut self, work: &Work<'_>, key: JournalKey) -> Result<Elapsed, Failure> {
        if !self.is_needed {
            return Ok(Elapsed::default());
        }
        let key = JournalKey { call: CLOCK_CALL, ..key };
        let Decision::Elapsed { busy_ms: job_ms } =
            work.journal.decide(key, || Decision::Elapsed { busy_ms: work.pace.busy_ms() }).await.map_err(failed)?;
        work.pace.at_least(job_ms);
        Ok(Elapsed { job_ms, thread_ms: job_ms.saturating_sub(*self.began_ms.get_or_insert(job_ms)) })
    }
}
