//! The filter worker: rules and a judge turn a trajectory into a verdict.
//!
//! [`Grade`] is the heart of it: plain rules first, cheapest first, then a judge if nothing rejected. A rejected trajectory is kept with
//! its findings; nothing here drops anything.

mod candidate;
pub mod grade;
pub mod handler;
pub mod judge;
mod plain;
pub mod rules;
#[cfg(test)]
mod sample;
mod scores;

pub use grade::Grade;
pub use handler::FilterHandler;
pub use judge::JudgeError;
