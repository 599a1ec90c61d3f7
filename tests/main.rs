//! The suites that need more than one room: contracts of the ports, the wire, the pipeline, faults, real HTTP.
//!
//! One target, so that there is one link. The program under test is a process of its own wherever it is killed.

mod ablate;
mod clocks;
mod cluster;
mod contract;
mod decompose;
mod deployment;
mod faults;
mod hostile;
mod house;
mod http;
mod journal_copy;
mod outcomes;
mod peers;
mod pipeline;
mod plan;
mod rabbitmq;
mod s3;
mod sample;
mod samples;
mod schemas;

use tests::services;
