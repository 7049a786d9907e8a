//! Backups that are files: those that match a pattern.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use wildmatch::WildMatch;

use crate::{
    settings::FilesSettings,
    source::backup::{
        problem::{BackupProblem, BackupReason},
        time,
        tool_tables::{FinishedBackup, RepositoryContents, Stanza},
    },
};

/// A file, or an object in a bucket.
pub struct NamedFile {
    pub name: String,
    pub size: f64,
    pub changed: f64,
}

/// The most that is kept of names, each with so many bytes beside it, and the most files: a folder of more is not one of backups.
pub const KEPT_LIMIT: usize = 16 << 20;
pub const KEPT_EACH: usize = 80;
const MOST_FILES: usize = 100_000;

/// A file that was changed within this time may be still being written.
const SETTLED: Duration = Duration::from_secs(300);

/// How names end of what is not finished, as programs that copy files have it.
const UNFINISHED: [&str; 7] = [".part", ".partial", ".tmp", ".temp", ".incomplete", ".filepart", ".new"];

/// The files that match, and are not being written.
///
/// # Errors
/// A folder on the way cannot be read, or is not there.
pub fn look(files: &FilesSettings) -> Result<RepositoryContents, BackupProblem> {
    let parts: Vec<&str> = files.pattern.split('/').filter(|part| !part.is_empty()).collect();
    let (fixed, rest) =
        parts.split_at(parts.iter().position(|part| is_pattern(part)).unwrap_or(parts.len().max(1) - 1));
    let mut folder = PathBuf::from("/");
    folder.extend(fixed);
    let mut matching = Matching::default();
    walk(&folder, rest, &mut matching).map_err(|error| BackupProblem::of_file(&folder, &error))?;
    if matching.is_too_much() {
        let message = format!("{} matches more than {MOST_FILES} files: give a narrower `pattern`", files.pattern);
        return Err(BackupProblem::new(BackupReason::TooLarge, message));
    }
    if matching.files == 0 && matching.folders > 0 {
        let message =
            format!("{} matches folders only: add the file in them that counts, such as /base.tar", files.pattern);
        return Err(BackupProblem::new(BackupReason::Garbage, message));
    }
    Ok(found(matching.finished.into_iter(), files.name_time.as_deref()))
}

/// What matches a pattern.
#[derive(Default)]
struct Matching {
    files: usize,
    /// Those of the files that are not being written.
    finished: Vec<NamedFile>,
    /// What those take in memory.
    kept: usize,
    folders: usize,
}

impl Matching {
    fn is_too_much(&self) -> bool {
        self.files > MOST_FILES || self.kept > KEPT_LIMIT
    }
}

fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?'])
}

fn walk(folder: &Path, parts: &[&str], matching: &mut Matching) -> io::Result<()> {
    let Some((part, deeper)) = parts.split_first() else { return Ok(()) };
    let pattern = WildMatch::new(part);
    for entry in fs::read_dir(folder)? {
        if matching.is_too_much() {
            break;
        }
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // As in a shell, what is hidden must be named.
        if !pattern.matches(&name) || name.starts_with('.') && !part.starts_with('.') {
            continue;
        }
        let data = match fs::metadata(entry.path()) {
            // It has gone meanwhile, or is a link to what has.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            data => data?,
        };
        if data.is_dir() && !deeper.is_empty() {
            match walk(&entry.path(), deeper, matching) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                walked => walked?,
            }
        } else if data.is_file() && deeper.is_empty() {
            matching.files += 1;
            let changed = data.modified()?;
            // The filesystem's clock may be ahead of ours.
            if changed.elapsed().unwrap_or_else(|ahead| ahead.duration()) >= SETTLED {
                let changed = changed.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
                matching.kept += name.len() + KEPT_EACH;
                matching.finished.push(NamedFile { name, size: data.len() as f64, changed });
            }
        } else if data.is_dir() && name != "lost+found" {
            matching.folders += 1;
        }
    }
    Ok(())
}

/// Files as backups. One without content is a backup that failed; one whose name has no time is odd, and where no name has one, what
/// backups there are is not known.
pub fn found(files: impl Iterator<Item = NamedFile>, name_time: Option<&str>) -> RepositoryContents {
    let (mut stanza, mut odd) = (Stanza::default(), 0);
    for file in files.filter(|file| !UNFINISHED.iter().any(|end| file.name.ends_with(end))) {
        let end = name_time.map_or(time::sensible(file.changed), |pattern| time::find(&file.name, pattern));
        match end {
            None => odd += 1,
            Some(end) if file.size == 0.0 => {
                stanza.failed = stanza.failed.into_iter().chain([end]).max_by(f64::total_cmp)
            }
            Some(end) => {
                let size = Some(file.size);
                stanza.backups.push(FinishedBackup {
                    kind: "full".into(),
                    end,
                    size,
                    stored: size,
                    ..FinishedBackup::default()
                });
            }
        }
    }
    stanza.partial = odd > 0 && stanza.backups.is_empty();
    let unknown = stanza
        .partial
        .then(|| format!("{odd} files match, and none has a time in its name or of its own that can be one"));
    RepositoryContents {
        stanzas: vec![stanza],
        odd,
        unknown: unknown.into_iter().collect(),
        ..RepositoryContents::default()
    }
}

/// Reads a document that somebody writes, and when that was.
///
/// # Errors
/// It cannot be read, or is too large.
pub fn read(path: &Path, limit: usize) -> Result<(Vec<u8>, std::time::SystemTime), BackupProblem> {
    use std::io::Read;
    let read = || -> io::Result<_> {
        let file = fs::File::open(path)?;
        let changed = file.metadata()?.modified()?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        Ok((bytes, changed))
    };
    let (bytes, changed) = read().map_err(|error| BackupProblem::of_file(path, &error))?;
    match bytes.len() > limit {
        true => Err(BackupProblem::new(
            BackupReason::TooLarge,
            format!("{} is larger than {} MiB", path.display(), limit >> 20),
        )),
        false => Ok((bytes, changed)),
    }
}
