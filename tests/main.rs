//! The one test binary: contract suites per port, hostile bytes, schemas; pipeline and faults beside them.

mod contract;
mod hostile;
mod sample;
mod schemas;
