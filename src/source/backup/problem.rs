//! The reasons why a part of a repository is unknown.

use std::fmt;

use strum::IntoStaticStr;

/// A reason, and a message for people.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupProblem {
    pub reason: BackupReason,
    pub message: String,
}

/// The reasons; each is a word, which is also the value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum BackupReason {
    /// No attempt has ended yet.
    Pending,
    /// The program, file or folder does not exist.
    Missing,
    /// The attempt failed: an exit code, or a refusal.
    Failed,
    /// The attempt did not end in time, and its program was killed.
    Timeout,
    /// An earlier process was killed but has not ended yet; a second one is not started.
    Busy,
    TooLarge,
    /// The bytes are not the output of the tool.
    Garbage,
    /// The file has not been written for longer than `max_age`.
    Stale,
}

impl BackupReason {
    pub fn because(self, message: impl Into<String>) -> BackupProblem {
        BackupProblem { reason: self, message: message.into() }
    }
}

impl BackupProblem {
    /// The bytes are not the output of this command.
    pub fn not_output_of(command: &str, what: impl fmt::Display) -> Self {
        BackupReason::Garbage.because(format!("this is not the output of `{command}`: {what}"))
    }

    /// A file or folder could not be read.
    pub fn of_file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let is_missing = error.kind() == std::io::ErrorKind::NotFound;
        let reason = if is_missing { BackupReason::Missing } else { BackupReason::Failed };
        reason.because(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for BackupProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.reason.into_str())
    }
}
