//! The coordinator: plans campaigns, publishes what is outstanding, pauses, retries, clears what was set aside, and says how far all is.
//!
//! Everything it knows it reads from the archive, so it can be killed, started again, or run twice. Nothing here is a process: whoever
//! composes one decides when what is done.

pub mod aside;
pub mod control;
pub mod live;
pub mod plan;
pub mod publish;
pub mod rebuild;
pub mod retry;
pub mod server;
pub mod status;

pub use aside::{Aside, Cleared};
pub use control::{ControlError, age, mark_submitted, set_state};
pub use plan::{Differences, Freeze, PlanError, freeze, keep_prompts};
pub use publish::{PublishError, Published, Publisher};
pub use rebuild::rebuild;
pub use retry::retry;
pub use status::{Census, Progress, progress};
