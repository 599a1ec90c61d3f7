//! What keeps workers alive: the three ports (queue, ledger, archive) with their adapters, the worker loop, retry, shutdown, failpoints.
//!
//! One order of effects holds everywhere: effect durable → downstream confirmed → upstream acknowledged. Nothing here knows what a job means;
//! a [`Handler`] does. What is deliberately absent: locks that correctness would rest on, and any clock in a decision that outlives a process.

pub mod archive;
pub mod connections;
mod disk;
pub mod failpoint;
pub mod ledger;
pub mod queue;
pub mod retry;
pub mod shutdown;
pub mod telemetry;
pub mod worker;

pub use archive::directory::random_id;
pub use archive::{Archive, ArchiveError};
pub use ledger::{Ask, Claim, Lease, Ledger, LedgerError, LedgerStanding, Replanned, WorkKey};
pub use queue::{Aside, Delivery, Depth, Queue, QueueError, QueueName, Subscription};
pub use shutdown::Shutdown;
pub use worker::{Context, Disposition, Failure, FailureKind, Handler, Holds, Opened, Slots, Worker, WorkerReport, WorkerSettings};
