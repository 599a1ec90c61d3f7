//! The suites that need more than one room: contracts of the ports, the wire, the pipeline, faults, real HTTP.
//!
//! One target, so that there is one link. The program under test is a process of its own wherever it is killed.

mod contract;
mod faults;
mod hostile;
mod house;
mod http;
mod outcomes;
mod pipeline;
mod sample;
mod schemas;
