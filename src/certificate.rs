//! When a certificate ends and whom it names: what we read in it ourselves. DER, as far as that takes.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The `subjectAltName` among a certificate's extensions: 2.5.29.17.
const ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];

/// In the signed part of a certificate, the extensions; and in a list of names, those that are read.
const EXTENSIONS: u8 = 0xa3;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;

/// The end of a certificate's validity; `None` if that cannot be read. (RFC 5280, 4.1: of the signed part, after version,
/// serial number, signature and issuer.)
pub fn not_after(der: &[u8]) -> Option<SystemTime> {
    // The version may be left out.
    let mut parts = signed(der)?.filter(|(tag, _)| *tag != VERSION);
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        parts.next().filter(|(found, _)| *found == tag)?;
    }
    let (_, validity) = parts.next()?;
    let (tag, text) = elements(validity).nth(1)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// The alternative names of a certificate's subject, as people write them: host names, addresses, e-mail, URIs.
pub fn names(der: &[u8]) -> Vec<String> {
    let extensions = signed(der).and_then(|mut parts| parts.find(|(tag, _)| *tag == EXTENSIONS));
    let extensions = extensions.and_then(|(_, all)| elements(all).next()).map_or(&[][..], |(_, all)| all);
    let listed = elements(extensions).filter_map(|(_, extension)| {
        let mut parts = elements(extension);
        parts.next().filter(|part| *part == (OBJECT, &ALTERNATIVE_NAMES[..]))?;
        let (_, names) = parts.find(|(tag, _)| *tag == OCTET_STRING)?;
        Some(elements(names).next()?.1)
    });
    listed.flat_map(elements).filter_map(|(tag, name)| alternative(tag, name)).collect()
}

fn alternative(tag: u8, name: &[u8]) -> Option<String> {
    match tag {
        EMAIL | DNS | URI => String::from_utf8(name.to_vec()).ok(),
        IP => {
            let four = <[u8; 4]>::try_from(name).map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
            let address = four.or_else(|_| <[u8; 16]>::try_from(name).map(|bytes| Ipv6Addr::from(bytes).into()));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// The parts of what is signed of a certificate.
fn signed(der: &[u8]) -> Option<impl Iterator<Item = (u8, &[u8])>> {
    let (_, certificate) = elements(der).next()?;
    Some(elements(elements(certificate).next()?.1))
}

/// The elements that follow each other, each a tag and its content, up to the end or to what is none.
fn elements(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, after) = element(der)?;
        der = after;
        Some((tag, content))
    })
}

/// The first element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

/// `YYMMDDHHMMSSZ` (from 1950 on) or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &str) -> Option<SystemTime> {
    let (year, rest) = text.split_at_checked(match tag {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    })?;
    let year: u64 = year.parse().ok()?;
    let year = match (tag, year) {
        (UTC_TIME, 0..50) => 2000 + year,
        (UTC_TIME, _) => 1900 + year,
        _ => year,
    };
    let digits = rest.strip_suffix('Z').filter(|digits| digits.len() == 10)?;
    let part = |at: usize| digits.get(at..at + 2)?.parse::<u64>().ok();
    let days = days_since_1970(year, part(0)?, part(2)?)?;
    let seconds = days * 86_400 + part(4)? * 3600 + part(6)? * 60 + part(8)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Of the Gregorian calendar, with years that begin in March, so that leap days come last.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // The months from March on have 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31 days.
    (year * 365 + leap_days + (month * 153 + 2) / 5 + day).checked_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_unix_seconds() {
        for (tag, text, seconds) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "240229235959Z", Some(1_709_251_199)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "500101000000Z", None),
            (UTC_TIME, "7001010000Z", None),
            (INTEGER, "700101000000Z", None),
        ] {
            let found = time(tag, text).and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            assert_eq!(found.map(|since| since.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn nothing_is_read_beyond_the_end() {
        for der in [&[][..], &[0x30], &[0x30, 0x82, 0xff], &[0x30, 0x05, 0x30, 0x03, 0xa0, 0x01], &[0x30, 0x80, 0, 0]] {
            assert_eq!(not_after(der), None);
            assert!(names(der).is_empty());
        }
    }
}
