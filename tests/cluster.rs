//! The cluster as users run it: real worker processes over RabbitMQ, Redis and S3, killed, stopped, lied to and cut off.
//!
//! What is promised is proved from the archive alone, by code that shares nothing with whoever wrote it (`proof.rs`). A [`town::Town`] is one
//! campaign with its own name and its own prefix of the bucket; where servers are broken, they are its own too.

mod archive;
mod aside;
mod beside;
mod budget;
mod divided;
mod door;
mod face;
mod gaps;
mod judged;
mod late;
mod losses;
mod outages;
mod poison;
mod proof;
mod refused;
mod samples;
mod seeds;
mod servers;
mod sharing;
mod small_disk;
mod smoke;
mod submission;
mod town;
mod worker;
