//! The `pgvigil` program: everything is in the library.

fn main() -> std::process::ExitCode {
    pgvigil::cli::main(std::env::args_os())
}
