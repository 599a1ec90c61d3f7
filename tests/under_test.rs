//! The program under test: `sluice`, built with failpoints.
fn main() -> std::process::ExitCode {
    sluice::main()
}
