//! The synthesis worker: turns a job into a trajectory.
//!
//! Recipes (`browse`) are pure functions of job, corpus and journal; `handler` is the only part that knows archive and queues.

mod browse;
mod budget;
mod desk;
mod handler;
mod pace;
pub mod prompts;
mod transcript;

pub use handler::SynthesisHandler;
