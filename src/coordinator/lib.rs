//! The coordinator: plans campaigns, and says how far they are.
//!
//! Everything it knows it reads from the archive, so it can be killed, started again, or run twice. What is not here yet: the verbs and the
//! server of the cluster.

pub mod plan;
pub mod publish;
pub mod status;

pub use plan::{Freeze, PlanError, freeze, keep_prompts};
pub use publish::publish_outstanding;
pub use status::{Progress, progress};
