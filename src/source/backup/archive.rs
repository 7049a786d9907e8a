//! A folder of archived WAL, whoever wrote it: what is missing in it since a backup began, and when the last of it came.
//!
//! Files are found by their names, of which the first 24 characters are the segment's: timeline, log and number, each 8
//! hexadecimal digits. Timelines are taken together: after a failover the next one goes on where the last ended.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The place of a segment in the log, on whichever timeline.
pub type Segment = (u32, u32);

/// What an archive shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Segments that are missing since the beginning.
    pub gaps: u64,
    /// The last before the first gap.
    pub last: Option<Segment>,
}

/// The segment that a file is named after, if it is one and is complete.
pub fn segment(name: &str) -> Option<Segment> {
    let (digits, rest) = name.split_at_checked(24)?;
    let is_whole = !rest.ends_with(".backup") && !rest.ends_with(".partial") && !rest.ends_with(".tmp");
    let separated = rest.is_empty() || rest.starts_with(['.', '-']);
    if !is_whole || !separated || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(&digits[8..16], 16).ok()?, u32::from_str_radix(&digits[16..], 16).ok()?))
}

/// Reads a folder: what is missing from `begin` on, and when the last segment before the first gap was archived.
///
/// # Errors
/// The folder cannot be read, or has nothing from there on: a backup is complete when its own WAL is archived, so it is another one's.
pub fn look(folder: &Path, begin: Segment) -> io::Result<(u64, Option<SystemTime>)> {
    let (mut segments, mut most) = (Vec::new(), 0);
    // There may be a million: their paths are not kept.
    each(folder, begin.0, true, &mut |segment, _| {
        most = most.max(segment.1);
        segments.extend((segment >= begin).then_some(segment));
    })?;
    if segments.is_empty() {
        let message = "there is no WAL of the newest backup in it, nor any later: is it archived elsewhere?";
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    segments.sort_unstable();
    segments.dedup();
    let seen = follow(&segments, begin, most);
    let mut file = None;
    if let Some(last) = seen.last {
        each(folder, last.0, true, &mut |segment, path| file = (segment == last).then_some(path).or(file.take()))?;
    }
    let time = file.map(|file| fs::metadata(file).and_then(|data| data.modified())).transpose()?;
    Ok((seen.gaps, time))
}

/// Tells of each segment and its file, from the log before this one on. Segments lie in the folder itself, or one below in folders named after their
/// timeline and log.
fn each(folder: &Path, begin: u32, is_top: bool, tell: &mut dyn FnMut(Segment, PathBuf)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let log = (is_top && name.len() == 16).then(|| u32::from_str_radix(name.get(8..)?, 16).ok()).flatten();
        match (log, segment(&name)) {
            (Some(log), _) if log.saturating_add(1) >= begin => each(&entry.path(), begin, false, tell)?,
            (None, Some(segment)) => tell(segment, entry.path()),
            _ => {}
        }
    }
    Ok(())
}

/// Follows rising segments from `begin`. How many there are in a log depends on their size, which nobody says: it is a power of two,
/// and so many that the highest number seen anywhere, `most`, is one of them.
pub fn follow(segments: &[Segment], begin: Segment, most: u32) -> Seen {
    let (mut gaps, mut last) = (0, None);
    let per_log = u64::from(most.max(begin.1)).saturating_add(1).next_power_of_two().max(4);
    let mut before: Option<Segment> = None;
    for segment in segments {
        let missing = match before {
            None => distance(begin, *segment, per_log),
            Some(before) => distance(before, *segment, per_log).saturating_sub(1),
        };
        gaps += missing;
        if gaps == 0 {
            last = Some(*segment);
        }
        before = Some(*segment);
    }
    Seen { gaps, last }
}

fn distance(from: Segment, to: Segment, per_log: u64) -> u64 {
    let place = |(log, number): Segment| u64::from(log).saturating_mul(per_log).saturating_add(u64::from(number));
    place(to).saturating_sub(place(from))
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
    fn gaps_are_counted_and_stop_the_way() {
        for (segments, begin, gaps, last) in [
            (vec![], (0, 1), 0, None),
            (vec![(0, 1), (0, 2), (0, 3)], (0, 1), 0, Some((0, 3))),
            (vec![(0, 1), (0, 2), (0, 5)], (0, 1), 2, Some((0, 2))),
            (vec![(0, 4), (0, 5)], (0, 2), 2, None),
            (vec![(0, 0xfe), (0, 0xff), (1, 0)], (0, 0xfe), 0, Some((1, 0))),
            (vec![(0, 0x3f), (1, 0), (1, 1)], (0, 0x3f), 0, Some((1, 1))),
            // After a power of two of them, where another log shows that there are more.
            (vec![(0, 0x3f), (1, 0), (1, 0x40)], (0, 0x3f), 64 + 63, Some((0, 0x3f))),
            (vec![(7, 3), (8, 0), (8, 0xff), (9, 0)], (7, 3), 252 + 254, Some((7, 3))),
            (vec![(0, 0xfd), (1, 0)], (0, 0xfd), 2, Some((0, 0xfd))),
            (vec![(0, 0xff), (1, 1)], (0, 0xff), 1, Some((0, 0xff))),
            (vec![(u32::MAX, u32::MAX)], (0, 0), u64::from(u32::MAX) * ((1 << 32) + 1), None),
        ] {
            let most = segments.iter().map(|(_, number)| *number).max().unwrap_or_default();
            assert_eq!(follow(&segments, begin, most), Seen { gaps, last }, "{segments:?}");
        }
    }
}
