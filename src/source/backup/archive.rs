//! Finds gaps in a folder of archived WAL since a backup began, and when its last segment was archived.
//!
//! Files are recognised by their names, which begin with the 24 characters of a segment: timeline, log and number, each
//! 8 hexadecimal digits. Timelines are merged: after a failover, the next one continues where the last ended.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use crate::source::backup::problem::{BackupProblem, BackupReason};

/// The position of a segment in the log, on any timeline.
pub type Segment = (u32, u32);

/// The state of an archive from the beginning of a backup on.
pub struct ArchivedWal {
    /// The number of missing segments.
    pub gaps: u64,
    /// When the last segment before the first gap was archived.
    pub last: Option<SystemTime>,
}

/// The segment in a file's name, if the file is a complete segment.
pub fn segment(name: &str) -> Option<Segment> {
    let (digits, rest) = name.split_at_checked(24)?;
    let is_whole = !rest.ends_with(".backup") && !rest.ends_with(".partial") && !rest.ends_with(".tmp");
    let is_separated = rest.is_empty() || rest.starts_with(['.', '-']);
    if !is_whole || !is_separated || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((hexadecimal(&digits[8..16])?, hexadecimal(&digits[16..])?))
}

fn hexadecimal(digits: &str) -> Option<u32> {
    u32::from_str_radix(digits, 16).ok()
}

/// Finds the gaps of a folder from `begin` on.
///
/// # Errors
/// The folder cannot be read, or has nothing from `begin` on. A backup is complete only when its own WAL is archived,
/// so that would be the folder of another server.
pub fn find_gaps(folder: &Path, begin: Segment) -> Result<ArchivedWal, BackupProblem> {
    let unreadable = |error: io::Error| BackupProblem::of_file(folder, &error);
    // There may be a million segments: their paths are not kept.
    let (mut segments, mut highest) = (Vec::new(), 0);
    walk(folder, begin.0, true, &mut |segment, _| {
        highest = highest.max(segment.1);
        segments.extend((segment >= begin).then_some(segment));
    })
    .map_err(unreadable)?;
    if segments.is_empty() {
        let message = "it has neither the WAL of the newest backup nor any later: is that archived elsewhere?";
        return Err(BackupReason::Missing.because(format!("{}: {message}", folder.display())));
    }
    segments.sort_unstable();
    segments.dedup();
    let (gaps, last) = follow(&segments, begin, highest);
    let last = last.map(|last| archived_at(folder, last)).transpose().map_err(unreadable)?;
    Ok(ArchivedWal { gaps, last: last.flatten() })
}

/// When a segment was archived.
fn archived_at(folder: &Path, wanted: Segment) -> io::Result<Option<SystemTime>> {
    let mut file = None;
    walk(folder, wanted.0, true, &mut |segment, path| {
        if segment == wanted {
            file = Some(path);
        }
    })?;
    file.map(|file| fs::metadata(file)?.modified()).transpose()
}

/// Calls `each` for every segment and its file, from the log before `begin` on. Segments are in the folder itself, or
/// in folders below it that are named after timeline and log.
fn walk(folder: &Path, begin: u32, is_top: bool, each: &mut dyn FnMut(Segment, PathBuf)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let log = if is_top && name.len() == 16 { name.get(8..).and_then(hexadecimal) } else { None };
        match (log, segment(&name)) {
            (Some(log), _) if log.saturating_add(1) >= begin => walk(&entry.path(), begin, false, each)?,
            (None, Some(segment)) => each(segment, entry.path()),
            _ => (),
        }
    }
    Ok(())
}

/// Follows rising segments from `begin`: the number of those missing, and the last one before the first gap. The number
/// of segments in a log depends on their size, which is not known here: it is a power of two, and above the highest
/// number in any log.
fn follow(segments: &[Segment], begin: Segment, highest: u32) -> (u64, Option<Segment>) {
    let per_log = u64::from(highest.max(begin.1)).saturating_add(1).next_power_of_two().max(4);
    let place = |(log, number): Segment| u64::from(log).saturating_mul(per_log).saturating_add(u64::from(number));
    let (mut gaps, mut last, mut expected) = (0, None, place(begin));
    for segment in segments {
        let place = place(*segment);
        gaps += place.saturating_sub(expected);
        if gaps == 0 {
            last = Some(*segment);
        }
        expected = place.saturating_add(1);
    }
    (gaps, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_by_name() {
        for (name, expected) in [
            ("00000001000000000000000A", Some((0, 10))),
            ("00000002000000030000000A-ee902003eac2fdee.gz", Some((3, 10))),
            ("00000001000000000000000A.zst", Some((0, 10))),
            ("00000001000000000000000A.partial", None),
            ("000000010000000000000002.00000028.backup", None),
            ("00000002.history", None),
            ("00000001000000000000000Ax", None),
            ("0000000100000000000000äA", None),
            ("archive.info", None),
        ] {
            assert_eq!(segment(name), expected, "{name}");
        }
    }

    #[test]
    fn gaps_are_counted_and_end_what_can_be_restored() {
        for (segments, begin, gaps, last) in [
            (vec![], (0, 1), 0, None),
            (vec![(0, 1), (0, 2), (0, 3)], (0, 1), 0, Some((0, 3))),
            (vec![(0, 1), (0, 2), (0, 5)], (0, 1), 2, Some((0, 2))),
            (vec![(0, 4), (0, 5)], (0, 2), 2, None),
            (vec![(0, 0xfe), (0, 0xff), (1, 0)], (0, 0xfe), 0, Some((1, 0))),
            (vec![(0, 0x3f), (1, 0), (1, 1)], (0, 0x3f), 0, Some((1, 1))),
            // After a power of two of them, where another log shows that a log has more.
            (vec![(0, 0x3f), (1, 0), (1, 0x40)], (0, 0x3f), 64 + 63, Some((0, 0x3f))),
            (vec![(7, 3), (8, 0), (8, 0xff), (9, 0)], (7, 3), 252 + 254, Some((7, 3))),
            (vec![(0, 0xfd), (1, 0)], (0, 0xfd), 2, Some((0, 0xfd))),
            (vec![(0, 0xff), (1, 1)], (0, 0xff), 1, Some((0, 0xff))),
            (vec![(u32::MAX, u32::MAX)], (0, 0), u64::from(u32::MAX) * ((1 << 32) + 1), None),
        ] {
            let highest = segments.iter().map(|(_, number)| *number).max().unwrap_or_default();
            assert_eq!(follow(&segments, begin, highest), (gaps, last), "{segments:?}");
        }
    }
}
