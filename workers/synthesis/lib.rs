//! The synthesis worker: turns a job into a trajectory.
//!
//! Recipes (`browse`, `decompose`) are pure functions of job, corpus and journal; `handler` is the only part that knows archive and queues.

mod browse;
mod budget;
mod clock;
mod decompose;
mod desk;
mod extract;
mod handler;
mod pace;
pub mod prompts;
mod recipe;
mod research;
mod speaker;
mod transcript;

pub use handler::SynthesisHandler;
pub use speaker::{Voice, Voices};
