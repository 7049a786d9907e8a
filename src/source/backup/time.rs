//! Times as tools and file names write them, as Unix seconds.

/// Times before this (2000) and after (3000) are mistakes.
const SENSIBLE: std::ops::Range<f64> = 946_684_800.0..32_503_680_000.0;

/// The time, if it can be one.
pub fn sensible(seconds: f64) -> Option<f64> {
    SENSIBLE.contains(&seconds).then_some(seconds)
}

/// `2026-11-21T12:54:20.44Z`, `2026-11-21 12:54:20.44+00:00`; without a zone, UTC.
pub fn parse(text: &str) -> Option<f64> {
    let (date, rest) = text.split_at_checked(10)?;
    let clock = rest.strip_prefix(['T', ' '])?;
    let end = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(end);
    let mut date = date.split('-').map(digits);
    let mut clock = clock.trim_end().splitn(2, '.');
    let mut hms = clock.next()?.split(':').map(digits);
    let fraction: f64 = match clock.next() {
        Some(part) if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) => {
            format!("0.{part}").parse().ok()?
        }
        Some(_) => return None,
        None => 0.0,
    };
    let take = |parts: &mut dyn Iterator<Item = Option<i64>>| parts.next().flatten();
    let date = [take(&mut date)?, take(&mut date)?, take(&mut date)?];
    let hms = [take(&mut hms)?, take(&mut hms)?, take(&mut hms)?];
    sensible(unix(date, hms)? as f64 + fraction - offset(zone)?)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Mon Nov 23 02:00:01 2026`, as `ctime` writes it everywhere, in the zone of somebody's clock: as if it were UTC.
pub fn on_the_wall(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [_, month, day, clock, year] = parts.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name == month)? as i64 + 1;
    let clock: Option<Vec<i64>> = clock.split(':').map(digits).collect();
    sensible(unix([digits(year)?, month, digits(day)?], clock?.try_into().ok()?)? as f64)
}

/// Finds a time in a name by a pattern: `%Y %m %d %H %M %S` are parts of it, `%s` are Unix seconds, `%%` is a percent
/// sign, all else stands for itself. It is taken as UTC. What the pattern leaves out is the beginning: 1, or 0 o'clock.
pub fn find(name: &str, pattern: &str) -> Option<f64> {
    name.char_indices().find_map(|(at, _)| begins(&name[at..], pattern))
}

fn begins(mut name: &str, pattern: &str) -> Option<f64> {
    let (mut date, mut hms, mut seconds) = ([1970, 1, 1], [0, 0, 0], None);
    let mut pattern = pattern.chars();
    while let Some(wanted) = pattern.next() {
        let slot = match (wanted, if wanted == '%' { pattern.next() } else { None }) {
            ('%', Some('Y')) => (&mut date[0], 4),
            ('%', Some('m')) => (&mut date[1], 2),
            ('%', Some('d')) => (&mut date[2], 2),
            ('%', Some('H')) => (&mut hms[0], 2),
            ('%', Some('M')) => (&mut hms[1], 2),
            ('%', Some('S')) => (&mut hms[2], 2),
            ('%', Some('s')) => (seconds.insert(0), name.bytes().take_while(u8::is_ascii_digit).count().min(12)),
            (literal, _) => {
                name = name.strip_prefix(literal)?;
                continue;
            }
        };
        let (number, rest) = name.split_at_checked(slot.1)?;
        *slot.0 = digits(number)?;
        name = rest;
    }
    sensible(seconds.map_or_else(|| unix(date, hms), Some)? as f64)
}

/// Days are counted as in the civil calendar: a year of 365 days, a leap day each fourth, but not each hundredth, but
/// each four hundredth year.
fn unix([year, month, day]: [i64; 3], [hour, minute, second]: [i64; 3]) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let length = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::try_from(month - 1).ok().filter(|index| *index < 12)?;
    let valid = (1970..10_000).contains(&year)
        && (1..=length[index]).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !valid {
        return None;
    }
    let past = year - 1;
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let days = (year - 1970) * 365 + leaps(past) - leaps(1969) + before[index] + i64::from(leap && month > 2) + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// `20261121T125420Z`, as signatures have it.
#[cfg(feature = "s3")]
pub fn stamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let date = |days: u64| {
        // Years of the calendar that begins with March: its leap day is the last.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
        (era * 400 + year + u64::from(month <= 2), month, day)
    };
    let (year, month, day) = date(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// `Z`, `+02:00`, `-0530`, `+02`, in seconds.
fn offset(zone: &str) -> Option<f64> {
    let Some(sign) = zone.chars().next().filter(|sign| *sign != 'Z') else {
        return (zone.len() <= 1).then_some(0.0);
    };
    let written: String = zone[1..].chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = written.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { digits(minutes)? };
    let seconds = (digits(hours)? * 60 + minutes) as f64 * 60.0;
    Some(if sign == '-' { -seconds } else { seconds })
}

fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_tools() {
        for (text, expected) in [
            ("2026-11-21T12:54:20Z", Some(1795265660.0)),
            ("2026-11-21T12:54:20.500Z", Some(1795265660.5)),
            ("2026-11-21 14:54:20.442491+02:00", Some(1795265660.442491)),
            ("2026-11-21 07:24:20-0530", Some(1795265660.0)),
            ("2024-02-29 00:00:00", Some(1709164800.0)),
            ("2023-02-29 00:00:00", None),
            ("0001-01-01T00:00:00Z", None),
            ("2026-11-21", None),
            ("2026-11-21T12:54Z", None),
            ("2026-11-21T12:54:20.Z", None),
            ("Sat Nov 21 12:54:20 2026", None),
            ("ä", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn times_without_a_zone() {
        for (text, expected) in [
            ("Sat Nov 21 12:54:20 2026", Some(1795265660.0)),
            ("Sun Nov  1 02:00:01 2026", Some(1793498401.0)),
            ("Sat Nov 21 12:54 2026", None),
            ("Sat Nov 31 12:54:20 2026", None),
            ("Sa Okt 31 12:54:20 2026", None),
            ("Sat Nov 21 12:54:20 2026 CET", None),
            ("2026-11-21T12:54:20Z", None),
            ("", None),
        ] {
            assert_eq!(on_the_wall(text), expected, "{text}");
        }
    }

    #[cfg(feature = "s3")]
    #[test]
    fn stamps_are_read_back() {
        for seconds in (946_684_800..7_000_000_000).step_by(8_640_011) {
            assert_eq!(find(&stamp(seconds), "%Y%m%dT%H%M%SZ"), Some(seconds as f64));
        }
    }

    #[test]
    fn times_in_names() {
        for (name, pattern, expected) in [
            ("shop-20261121-125420.dump", "%Y%m%d-%H%M%S", Some(1795265660.0)),
            ("shop-2026-11-21.sql.gz", "%Y-%m-%d", Some(1795219200.0)),
            ("shop_1795265660.tar", "_%s.", Some(1795265660.0)),
            ("20261121T125420", "%Y%m%dT%H%M", Some(1795265640.0)),
            ("shop-2026-13-21.sql.gz", "%Y-%m-%d", None),
            ("shop.dump", "%Y", None),
            ("shop.dump", "%s", None),
            ("100%2026", "%%%Y", Some(1767225600.0)),
        ] {
            assert_eq!(find(name, pattern), expected, "{name}");
        }
    }
}
