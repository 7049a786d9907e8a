//! Finds backups that are files matching a pattern.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wildmatch::WildMatch;

use crate::settings::FilesSettings;
use crate::source::backup::contents::{FinishedBackup, RepositoryContents, Stanza};
use crate::source::backup::problem::{BackupProblem, BackupReason};
use crate::source::backup::time;
use crate::source::sections::unix_seconds;

/// A file, or an object in a bucket.
pub struct NamedFile {
    pub name: String,
    pub size: f64,
    pub changed: f64,
}

/// The most memory that names may take, each with this many bytes beside it, and the most files: a folder with more
/// contains something other than backups.
pub const KEPT_LIMIT: usize = 16 << 20;
pub const KEPT_EACH: usize = 80;
const MOST_FILES: usize = 100_000;

/// A file that changed within this time may still be growing.
const SETTLED: Duration = Duration::from_secs(300);

/// Suffixes of unfinished files, from common programs that copy files.
const UNFINISHED: [&str; 7] = [".part", ".partial", ".tmp", ".temp", ".incomplete", ".filepart", ".new"];

/// Returns the finished files that match, as backups.
///
/// # Errors
/// A folder of the pattern is missing or cannot be read, or too many files match.
pub fn list(files: &FilesSettings) -> Result<RepositoryContents, BackupProblem> {
    let parts: Vec<&str> = files.pattern.split('/').filter(|part| !part.is_empty()).collect();
    let first_pattern = parts.iter().position(|part| part.contains(['*', '?']));
    let (fixed, rest) = parts.split_at(first_pattern.unwrap_or(parts.len().saturating_sub(1)));
    let mut folder = PathBuf::from("/");
    folder.extend(fixed);
    let mut matches = PatternMatches::default();
    walk(&folder, rest, &mut matches).map_err(|error| BackupProblem::of_file(&folder, &error))?;
    if matches.are_too_many() {
        let message = format!("{} matches more than {MOST_FILES} files: give a narrower `pattern`", files.pattern);
        return Err(BackupReason::TooLarge.because(message));
    }
    if matches.files == 0 && matches.folders > 0 {
        let message =
            format!("{} matches folders only: add the file in them that counts, such as /base.tar", files.pattern);
        return Err(BackupReason::Garbage.because(message));
    }
    Ok(contents(matches.finished, files.name_time.as_deref()))
}

/// The matches of a pattern.
#[derive(Default)]
struct PatternMatches {
    files: usize,
    /// The files that have stopped changing.
    finished: Vec<NamedFile>,
    /// The memory of their names.
    kept: usize,
    folders: usize,
}

impl PatternMatches {
    fn are_too_many(&self) -> bool {
        self.files > MOST_FILES || self.kept > KEPT_LIMIT
    }

    fn push_file(&mut self, name: String, data: &fs::Metadata) -> io::Result<()> {
        self.files += 1;
        let changed = data.modified()?;
        // The filesystem's clock may be ahead of ours.
        if changed.elapsed().unwrap_or_else(|ahead| ahead.duration()) >= SETTLED {
            let changed = unix_seconds(changed).unwrap_or_default();
            self.kept += name.len() + KEPT_EACH;
            self.finished.push(NamedFile { name, size: data.len() as f64, changed });
        }
        Ok(())
    }
}

fn walk(folder: &Path, parts: &[&str], matches: &mut PatternMatches) -> io::Result<()> {
    let Some((part, deeper)) = parts.split_first() else { return Ok(()) };
    let pattern = WildMatch::new(part);
    for entry in fs::read_dir(folder)? {
        if matches.are_too_many() {
            break;
        }
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // As in a shell, a hidden file matches only a pattern with a dot.
        if !pattern.matches(&name) || name.starts_with('.') && !part.starts_with('.') {
            continue;
        }
        let Some(data) = unless_gone(fs::metadata(entry.path()))? else { continue };
        if data.is_dir() && !deeper.is_empty() {
            unless_gone(walk(&entry.path(), deeper, matches))?;
        } else if data.is_file() && deeper.is_empty() {
            matches.push_file(name, &data)?;
        } else if data.is_dir() && name != "lost+found" {
            matches.folders += 1;
        }
    }
    Ok(())
}

/// `None` for a file that was removed meanwhile, or whose target was.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Converts files to backups. An empty file is a failed backup. A file without a time in its name is malformed; if no
/// file has one, the backups are unknown.
pub fn contents(files: Vec<NamedFile>, name_time: Option<&str>) -> RepositoryContents {
    let (mut contents, mut stanza) = (RepositoryContents::default(), Stanza::default());
    for file in files.into_iter().filter(|file| !UNFINISHED.iter().any(|end| file.name.ends_with(end))) {
        let end = name_time.map_or(time::sensible(file.changed), |pattern| time::find_in_name(&file.name, pattern));
        match end {
            None => contents.malformed += 1,
            Some(end) if file.size == 0.0 => stanza.push_failed(end),
            Some(end) => stanza.backups.push(FinishedBackup {
                kind: "full".to_owned(),
                end,
                size: Some(file.size),
                stored: Some(file.size),
                ..FinishedBackup::default()
            }),
        }
    }
    stanza.partial = contents.malformed > 0 && stanza.backups.is_empty();
    if stanza.partial {
        let files = contents.malformed;
        contents.push_unknown(format!("{files} files match, and none has a possible time, in its name or of its own"));
    }
    contents.push(stanza);
    contents
}

/// Reads a document written by a job: its bytes, and when they were written.
///
/// # Errors
/// The file cannot be read, or is too large.
pub fn read(path: &Path, limit: usize) -> Result<(Vec<u8>, SystemTime), BackupProblem> {
    let (bytes, at) = read_to(path, limit + 1).map_err(|error| BackupProblem::of_file(path, &error))?;
    if bytes.len() > limit {
        return Err(BackupReason::TooLarge.because(format!("{} is larger than {} MiB", path.display(), limit >> 20)));
    }
    Ok((bytes, at))
}

fn read_to(path: &Path, limit: usize) -> io::Result<(Vec<u8>, SystemTime)> {
    let file = fs::File::open(path)?;
    let at = file.metadata()?.modified()?;
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok((bytes, at))
}
