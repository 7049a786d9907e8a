//! Why something is not known of a repository.

use std::fmt;

/// A reason, and what happened, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub why: Why,
    pub message: String,
}

/// The reasons, each a word that is also the value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
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

impl Why {
    pub fn word(self) -> &'static str {
        match self {
            Why::Pending => "pending",
            Why::Missing => "missing",
            Why::Failed => "failed",
            Why::Timeout => "timeout",
            Why::Busy => "busy",
            Why::TooLarge => "too_large",
            Why::Garbage => "garbage",
            Why::Stale => "stale",
        }
    }
}

impl Problem {
    pub fn new(why: Why, message: impl Into<String>) -> Self {
        Problem { why, message: message.into() }
    }

    /// Of a file or folder that could not be read.
    pub fn of_file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let why = if error.kind() == std::io::ErrorKind::NotFound { Why::Missing } else { Why::Failed };
        Problem::new(why, format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.why.word())
    }
}
