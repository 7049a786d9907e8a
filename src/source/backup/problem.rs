//! Why something about a repository is unknown.

use std::fmt;

/// A reason, and for people what happened.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupProblem {
    pub reason: BackupReason,
    pub message: String,
}

/// The reasons, each a word that is also the value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackupReason {
    /// No attempt has ended yet.
    Pending,
    /// There is no such program, file or folder.
    Missing,
    /// The attempt failed: an exit code, a refusal.
    Failed,
    /// It did not end in time, and a program was killed.
    Timeout,
    /// An earlier process has not ended yet, though it was killed; no second one is started beside it.
    Busy,
    TooLarge,
    /// This is not the output of the tool.
    Garbage,
    /// The file has not been written for longer than `max_age`.
    Stale,
}

impl BackupReason {
    pub fn word(self) -> &'static str {
        match self {
            BackupReason::Pending => "pending",
            BackupReason::Missing => "missing",
            BackupReason::Failed => "failed",
            BackupReason::Timeout => "timeout",
            BackupReason::Busy => "busy",
            BackupReason::TooLarge => "too_large",
            BackupReason::Garbage => "garbage",
            BackupReason::Stale => "stale",
        }
    }
}

impl BackupProblem {
    pub fn new(reason: BackupReason, message: impl Into<String>) -> Self {
        BackupProblem { reason, message: message.into() }
    }

    /// Of bytes that are not what a command writes.
    pub fn not_output_of(command: &str, what: impl fmt::Display) -> Self {
        BackupProblem::new(BackupReason::Garbage, format!("this is not the output of `{command}`: {what}"))
    }

    /// Of a file or folder that could not be read.
    pub fn of_file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let is_missing = error.kind() == std::io::ErrorKind::NotFound;
        let reason = if is_missing { BackupReason::Missing } else { BackupReason::Failed };
        BackupProblem::new(reason, format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for BackupProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.reason.word())
    }
}
