//! The binary: one line, so that tests can build the same program from the library.
fn main() -> std::process::ExitCode {
    sluice::main()
}
