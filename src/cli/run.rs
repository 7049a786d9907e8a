//! Runs a command to its end: its runtime, its output, and its errors with their exit codes.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use crate::schema::problem::Problems;

/// Why a command ends with an exit code other than 0.
pub enum CommandError {
    /// Bad input: 2.
    Input(Problems),
    /// An argument that does not exist: 2.
    Usage(String),
    /// Anything else: 1.
    Failed(anyhow::Error),
}

impl From<Problems> for CommandError {
    fn from(problems: Problems) -> Self {
        CommandError::Input(problems)
    }
}

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        CommandError::Failed(error)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        CommandError::Failed(error.into())
    }
}

impl CommandError {
    /// Prints the error to standard error, and returns the exit code.
    pub fn report(self) -> ExitCode {
        let (message, code) = match self {
            CommandError::Input(problems) => (problems.to_string(), 2),
            CommandError::Usage(message) => (format!("pgvigil: {message}"), 2),
            CommandError::Failed(error) => (format!("pgvigil: {error:#}"), 1),
        };
        eprintln!("{message}");
        ExitCode::from(code)
    }
}

/// Prints to standard output. A closed reader (`| head`) is not an error.
pub fn print(text: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), CommandError> {
    match io::Write::write_all(&mut io::stdout().lock(), text.as_ref()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Runs a command's work to its end, and then waits only briefly: name lookups and file reads run in threads that
/// cannot be stopped.
pub fn run_to_end(work: impl Future<Output = Result<(), CommandError>>) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // Lets sessions that ended with it close.
    runtime.block_on(tokio::task::yield_now());
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}
