//! Runs a command to its end: its runtime, its output, and its errors with their exit codes.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use crate::schema::problem::{Place, Problem, Problems};

/// What is wrong with the command line.
pub fn usage(message: String) -> Problems {
    Problem { place: Place::whole("pgvigil"), message }.into()
}

/// Prints the error to standard error, and returns the exit code: 2 for bad input or usage, 1 for anything else.
pub fn report(error: anyhow::Error) -> ExitCode {
    if let Some(problems) = error.downcast_ref::<Problems>() {
        eprintln!("{problems}");
        return ExitCode::from(2);
    }
    eprintln!("pgvigil: {error:#}");
    ExitCode::FAILURE
}

/// Prints to standard output. A closed reader (`| head`) is not an error.
pub fn print(text: &(impl AsRef<[u8]> + ?Sized)) -> anyhow::Result<()> {
    match io::Write::write_all(&mut io::stdout().lock(), text.as_ref()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// `1 target`, `2 targets`.
pub fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Runs a command's work to its end, and then waits only briefly: name lookups and file reads run in threads that
/// cannot be stopped.
pub fn run_to_end(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // Lets sessions that ended with it close.
    runtime.block_on(tokio::task::yield_now());
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}
