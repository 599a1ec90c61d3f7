//! How many completions may have been asked for twice: what was in flight when somebody died or fell silent, and what a lost ledger forgot.
//!
//! An upper bound, summed fault by fault as each happens, and shown by cause.

use serde_json::{Value, json};

/// Completions of one unfinished job that the archive's copy may lack.
const UNCOPIED_MAX: u64 = 8;

/// Repeated requests that the promises allow, by cause.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    /// In flight at workers that were killed, or whose drain ran out.
    killed: u64,
    /// In flight at workers that were stopped for longer than their presence lasts.
    stopped: u64,
    /// In flight at all workers while the ledger could not be reached for longer than a presence lasts.
    silenced: u64,
    /// In journals that the ledger lost.
    lost: u64,
}

impl Allowance {
    pub(crate) fn killed(&mut self, in_flight: u64) {
        self.killed += in_flight;
    }

    pub(crate) fn stopped(&mut self, in_flight: u64) {
        self.stopped += in_flight;
    }

    pub(crate) fn silenced(&mut self, in_flight: u64) {
        self.silenced += in_flight;
    }

    /// The ledger lost so many journals, while so much was in flight.
    pub(crate) fn lost(&mut self, journals: u64, in_flight: u64) {
        self.lost += journals * UNCOPIED_MAX + in_flight;
    }

    pub(crate) fn total(&self) -> u64 {
        self.killed + self.stopped + self.silenced + self.lost
    }

    pub(crate) fn by_cause(&self) -> Value {
        json!({ "killed": self.killed, "stopped": self.stopped, "silenced": self.silenced, "ledger_lost": self.lost })
    }
}
