//! Data sets: seeds in, rows out. Reads seeds, freezes them, and is the only writer of rows; seals, verifies, exports and reports.
//!
//! All of it works from the archive alone. Nothing here talks to a queue, a ledger or a teacher, so any of it can be run by anybody at any
//! time, twice, without harm.

pub mod corpora;
pub mod error;
pub mod export;
pub mod frozen;
pub mod measures;
pub mod part;
pub mod passes;
pub mod rows;
pub mod seal;
pub mod seeds;
pub mod spared;
pub mod tally;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod verify;

pub use error::DatasetError;
pub use seal::{SealOptions, seal};
