//! Parses times in the forms of tools, file names and HTTP, into Unix seconds.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

/// Times before 2000 and after 2999 are errors.
const SENSIBLE: std::ops::Range<f64> = 946_684_800.0..32_503_680_000.0;

/// The longest name of a file or an object: a time is searched at each of its characters.
const LONGEST_NAME: usize = 1024;

/// The time, unless it is an error.
pub fn sensible(seconds: f64) -> Option<f64> {
    SENSIBLE.contains(&seconds).then_some(seconds)
}

/// `2026-11-21T12:54:20.44Z`, `2026-11-21 12:54:20.44+00:00`; without an offset, UTC.
pub fn parse(text: &str) -> Option<f64> {
    // Some tools write a space before the offset.
    let text = text.trim_end().replace(" +", "+").replace(" -", "-");
    // The parser also accepts a time without seconds, and one with the name of a time zone, whose rules are not
    // included here.
    let has_seconds = text.as_bytes().get(16) == Some(&b':');
    let pieces = Pieces::parse(&text).ok().filter(|pieces| has_seconds && pieces.time_zone_annotation().is_none())?;
    unix(DateTime::from_parts(pieces.date(), pieces.time()?), pieces.to_numeric_offset().unwrap_or(Offset::UTC))
}

/// `Mon Nov 23 02:00:01 2026`, a local time in the format of `ctime`; read as UTC.
pub fn parse_local(text: &str) -> Option<f64> {
    unix(DateTime::strptime("%a %b %e %H:%M:%S %Y", text).ok()?, Offset::UTC)
}

/// `Sat, 21 Nov 2026 12:54:20 GMT`, as in HTTP headers.
#[cfg(feature = "s3")]
pub fn parse_http_date(text: &str) -> Option<f64> {
    seconds(jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?)
}

/// Finds a time in a name by a pattern: `%Y %m %d %H %M %S` are its parts, `%s` are Unix seconds, `%%` is a percent
/// sign, other characters stand for themselves. The time is read as UTC. An omitted part has its first value: 1, or 0.
pub fn find_in_name(name: &str, pattern: &str) -> Option<f64> {
    let literal = pattern.split('%').next().unwrap_or_default();
    // Checking the next character first saves most attempts.
    let may_begin = |rest: &&str| {
        let next = rest.strip_prefix(literal).unwrap_or_default();
        matches!(next.as_bytes().first(), Some(b'0'..=b'9' | b'%'))
    };
    let mut rests = name.char_indices().take(LONGEST_NAME).map(|(at, _)| &name[at..]).filter(may_begin);
    rests.find_map(|rest| parse_prefix(rest, pattern))
}

fn parse_prefix(name: &str, pattern: &str) -> Option<f64> {
    let (mut time, length) = BrokenDownTime::parse_prefix(pattern, name).ok()?;
    // The parser accepts a sign, white space, or fewer digits: 202611 could be November of a year, or the first of
    // January.
    if time.to_string(pattern).ok()? != name.get(..length)? {
        return None;
    }
    if let Some(timestamp) = time.timestamp() {
        return seconds(timestamp);
    }
    time.set_month(time.month().or(Some(1))).ok()?;
    time.set_day(time.day().or(Some(1))).ok()?;
    time.set_hour(time.hour().or(Some(0))).ok()?;
    time.set_minute(time.minute().or(Some(0))).ok()?;
    unix(time.to_datetime().ok()?, Offset::UTC)
}

fn unix(time: DateTime, offset: Offset) -> Option<f64> {
    seconds(offset.to_timestamp(time).ok()?)
}

fn seconds(time: Timestamp) -> Option<f64> {
    sensible(time.as_second() as f64 + f64::from(time.subsec_nanosecond()) / 1e9)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_of_tools() {
        for (text, expected) in [
            ("2026-11-21T12:54:20Z", Some(1795265660.0)),
            ("2026-11-21T12:54:20.500Z", Some(1795265660.5)),
            ("2026-11-21 14:54:20.442491+02:00", Some(1795265660.442491)),
            ("2026-11-21 07:24:20-0530", Some(1795265660.0)),
            ("2026-11-21 14:54:20+02", Some(1795265660.0)),
            ("2026-11-21 14:54:20 +02:00", Some(1795265660.0)),
            ("2026-11-21 14:54:20 +0200", Some(1795265660.0)),
            ("2026-11-21T12:54:20", Some(1795265660.0)),
            // Kathmandu and Chatham, whose offsets are not whole hours; the largest offsets.
            ("2026-11-21 18:39:20+05:45", Some(1795265660.0)),
            ("2026-11-22 02:39:20+13:45", Some(1795265660.0)),
            ("2026-11-22 02:54:20+14:00", Some(1795265660.0)),
            ("2026-11-21 00:54:20-12:00", Some(1795265660.0)),
            // Go, with all digits, and without trailing zeros.
            ("2026-11-21T12:54:20.123456789Z", Some(1795265660.1234567)),
            ("2026-11-21T12:54:20.5Z", Some(1795265660.5)),
            ("2024-02-29 00:00:00", Some(1709164800.0)),
            ("2024-02-29 23:59:59.999-00:30", Some(1709253000.0 - 0.001)),
            ("2023-02-29 00:00:00", None),
            ("2100-02-29 00:00:00", None),
            ("2000-02-29 00:00:00", Some(951782400.0)),
            // The first and the last valid times.
            ("1999-12-31T23:59:59Z", None),
            ("2000-01-01T00:00:00Z", Some(946684800.0)),
            ("2999-12-31T23:59:59Z", Some(32503679999.0)),
            ("3000-01-01T00:00:00Z", None),
            ("9999-12-31T23:59:59Z", None),
            ("+012026-11-21T12:54:20Z", None),
            ("-002026-11-21T12:54:20Z", None),
            ("2026-11-21T24:00:00Z", None),
            ("2026-11-21T12:60:20Z", None),
            ("2026-11-21T12:54:20+99:00", None),
            ("2026-11-21T12:54:20+", None),
            ("2026-11-21T12:54:20 UTC", None),
            ("2026-11-21T12:54:20ZZ", None),
            ("2026-11-21T12:54:20[Europe/Berlin]", None),
            ("2026-11-21T12:54:20+01:00[Europe/Berlin]", None),
            ("20261121T125420Z", None),
            ("1795265660", None),
            ("2026-11-21T12:54:20Zä", None),
            ("ääääääääääääääää", None),
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
            ("Thu Feb 29 00:00:00 2024", Some(1709164800.0)),
            ("Wed Feb 29 00:00:00 2023", None),
            ("Mon Nov 21 12:54:20 2026", None),
            ("Sat Nov 21 12:54:20 1970", None),
            ("Sat Nov 21 12:54:20 99999", None),
            ("Sat Nov 21 12:54 2026", None),
            ("Sat Nov 31 12:54:20 2026", None),
            ("Sa Okt 31 12:54:20 2026", None),
            ("Sat Nov 21 12:54:20 2026 CET", None),
            ("2026-11-21T12:54:20Z", None),
            ("", None),
        ] {
            assert_eq!(parse_local(text), expected, "{text}");
        }
    }

    #[test]
    fn times_in_names() {
        for (name, pattern, expected) in [
            ("shop-20261121-125420.dump", "%Y%m%d-%H%M%S", Some(1795265660.0)),
            ("shop-2026-11-21.sql.gz", "%Y-%m-%d", Some(1795219200.0)),
            ("shop_1795265660.tar", "_%s.", Some(1795265660.0)),
            ("20261121T125420", "%Y%m%dT%H%M", Some(1795265640.0)),
            ("shop-20240229.dump", "%Y%m%d", Some(1709164800.0)),
            ("shop-20230229.dump", "%Y%m%d", None),
            ("shop-2026-11.dump", "%Y-%m", Some(1793491200.0)),
            ("shop-2026115.dump", "%Y%m%d", None),
            ("shop-2026- 1-05.dump", "%Y-%m-%d", None),
            ("shop-1121.dump", "%m%d", None),
            ("shop-20261121-12.dump", "%Y%m%d-%H", Some(1795262400.0)),
            // pgBackRest's, Barman's and WAL-G's names.
            ("20261121-125420F_20261122-020000I", "%Y%m%d-%H%M%SF", Some(1795265660.0)),
            ("20261121T125420", "%Y%m%dT%H%M%S", Some(1795265660.0)),
            ("base_000000010000000000000002", "_%s", None),
            ("shop-99999999999999999999.dump", "-%s", None),
            ("shop-1795265660-x.dump", "shop-%s-", Some(1795265660.0)),
            ("größe-20261121.dump", "e-%Y%m%d", Some(1795219200.0)),
            ("größe-20261121.dump", "ß%Y", None),
            ("shop-2026.dump", "%", None),
            ("shop-2026.dump", "%!", None),
            ("shop-2026.dump", "", None),
            ("", "%Y", None),
            ("shop-2026-13-21.sql.gz", "%Y-%m-%d", None),
            ("shop.dump", "%Y", None),
            ("shop.dump", "%s", None),
            ("100%2026", "%%%Y", Some(1767225600.0)),
        ] {
            assert_eq!(find_in_name(name, pattern), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text(name in "([0-9]{1,20}|[-+:.,TZ ä%\\[\\]]|[A-Z][a-z]{2}){0,12}", pattern in "(%[a-zA-Z%]?|%[0-9:._#^-]{1,3}[a-zA-Z]|[-_ ä.]){0,8}") {
            _ = parse(&name);
            _ = parse_local(&name);
            _ = find_in_name(&name, &pattern);
        }
    }
}
