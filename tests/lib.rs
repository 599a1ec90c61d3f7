//! Nothing of its own: the package exists for its tests and for the program under test.
