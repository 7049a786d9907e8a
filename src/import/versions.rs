//! A range of versions, such as `>=13.0.0 <17.0.0`, as major versions of PostgreSQL.

/// Major versions from `since` on, below `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Majors {
    pub since: u32,
    pub until: Option<u32>,
}

/// All that pgvigil supports.
pub const ALL: Majors = Majors { since: 13, until: None };

/// A collector file takes no later version.
const NEWEST: u32 = 99;

/// The supported major versions of a range; one of which only some minor versions are in it counts as a whole. `None` if it is not such a range.
pub fn majors(range: &str) -> Option<Majors> {
    let mut majors = ALL;
    for part in range.replace("> ", ">").replace("< ", "<").replace("= ", "=").split_whitespace() {
        let (sign, version) = part.split_at(part.find(|c: char| !"<>=".contains(c))?);
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        let major = major.parse().ok().filter(|major| *major < NEWEST)?;
        let (since, until) = match sign {
            ">=" => (major, None),
            ">" => (if minor == "x" { major + 1 } else { major }, None),
            "<" if minor.chars().all(|c| "0.x".contains(c)) => (ALL.since, Some(major)),
            "<" | "<=" => (ALL.since, Some(major + 1)),
            "" | "=" | "==" => (major, Some(major + 1)),
            _ => return None,
        };
        majors.since = majors.since.max(since);
        majors.until = majors.until.into_iter().chain(until).min();
    }
    Some(majors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        for (range, expected) in [
            ("", Some((13, None))),
            (">=9.4.0", Some((13, None))),
            ("<17.0.0", Some((13, Some(17)))),
            (">=14.0.0 <17.0.0", Some((14, Some(17)))),
            (">= 14 < 17", Some((14, Some(17)))),
            (">=14.2.0 <=15.4.0", Some((14, Some(16)))),
            (">13.x", Some((14, None))),
            ("16.x", Some((16, Some(17)))),
            ("<10.0.0", Some((13, Some(10)))),
            ("<14.0.0 || >=17.0.0", None),
            ("new", None),
            (">=", None),
        ] {
            let found = majors(range).map(|majors| (majors.since, majors.until));
            assert_eq!(found, expected, "{range}");
        }
    }
}
