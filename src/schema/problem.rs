//! Problems of a configuration, each with its place: collected over all files, then shown together.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A place in a file: for a block of SQL, that of its first character.
///
/// With line 0 only the name is shown: an environment variable has no lines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// One thing that is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub place: Place,
    pub message: String,
}

/// All problems, one line each, in the order of files and lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    found: BTreeSet<Problem>,
    /// What may be a mistake, and is not refused.
    notes: BTreeSet<Problem>,
}

impl Place {
    /// The start of a file.
    pub fn start(file: &str) -> Place {
        Place { file: file.into(), line: 1, column: 1 }
    }

    /// Something without lines, such as an environment variable.
    pub fn whole(name: &str) -> Place {
        Place { file: name.into(), line: 0, column: 0 }
    }

    /// Where the character number `index` (from 0) of `text` stands, if `text` starts here and each of its lines
    /// at this column. That is so for [`crate::collector::Variant`].
    pub fn within(&self, text: &str, index: usize) -> Place {
        let (mut line, mut column) = (self.line, self.column);
        for character in text.chars().take(index) {
            column += 1;
            if character == '\n' {
                (line, column) = (line + 1, self.column);
            }
        }
        Place { file: self.file.clone(), line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl Problems {
    /// Adds a problem.
    pub fn add(&mut self, place: &Place, message: impl Into<String>) {
        self.found.insert(Problem { place: place.clone(), message: message.into() });
    }

    /// Adds a note, which is not a problem.
    pub fn note(&mut self, place: &Place, message: impl Into<String>) {
        self.notes.insert(Problem { place: place.clone(), message: message.into() });
    }

    /// Takes the notes out.
    pub fn take_notes(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.notes).into_iter().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// These problems and those.
    pub fn and(mut self, others: Problems) -> Problems {
        self.found.extend(others.found);
        self.notes.extend(others.notes);
        self
    }

    /// The value if there are no problems, otherwise the problems.
    pub fn unless_any<T>(self, value: T) -> Result<T, Problems> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems { found: [problem].into(), notes: BTreeSet::new() }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.found.iter().enumerate() {
            write!(f, "{}{problem}", if nth == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_in_a_block_is_a_position_in_its_file() {
        let place = Place { file: "f".into(), line: 14, column: 11 };
        let text = "SELECT é,\n  x\nFROM y\n";
        for (index, shown) in
            [(0, "f:14:11"), (7, "f:14:18"), (10, "f:15:11"), (12, "f:15:13"), (14, "f:16:11"), (99, "f:17:11")]
        {
            assert_eq!(place.within(text, index).to_string(), shown, "{index}");
        }
    }
}
