//! Why something is not known of a repository.

use std::fmt;

/// A reason, and what happened, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupProblem {
    pub why: BackupReason,
    pub message: String,
}

/// The reasons, each a word that is also the value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackupReason {
    /// No attempt has ended yet.
    Pending,
    /// There is no such program, file or folder.
    Missing,
    /// It was tried, and failed: an exit code, a refusal.
    Failed,
    /// It did not end in time; a program was killed.
    Timeout,
    /// One that was killed or given up earlier has not ended yet; no second one is started beside it.
    Busy,
    TooLarge,
    /// What came is not what this tool says.
    Garbage,
    /// A file that has not been written for longer than `max_age`.
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
    pub fn new(why: BackupReason, message: impl Into<String>) -> Self {
        BackupProblem { why, message: message.into() }
    }

    /// Of a file or folder that could not be read.
    pub fn of_file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let why =
            if error.kind() == std::io::ErrorKind::NotFound { BackupReason::Missing } else { BackupReason::Failed };
        BackupProblem::new(why, format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for BackupProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.why.word())
    }
}
