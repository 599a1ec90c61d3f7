//! What programs of this package and its tests share: the real servers. For the rest the package exists for its tests and for the program
//! under test.

pub mod services;
