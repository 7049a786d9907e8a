//! Whether a certificate is for a host, as libpq decides: alternative names first, the common name where there is none of the
//! host's kind.

use std::net::IpAddr;

use crate::certificate::{Alternative, Certificate};

/// Nothing, if it is for this host (a name or an address); else whom it is for.
///
/// # Errors
/// In words: whom it names instead.
pub fn check(certificate: &Certificate<'_>, host: &str) -> Result<(), String> {
    let unreadable = || "its alternative names cannot be read, so that nobody knows whom it is for".to_owned();
    let names = certificate.alternatives().ok_or_else(unreadable)?;
    let address = host.parse::<IpAddr>().ok();
    let matches = |name: &Alternative| match (name, address) {
        (Alternative::Host(pattern), _) => is_host(pattern, host),
        (Alternative::Address(named), Some(address)) => *named == address,
        _ => false,
    };
    // A name of the host's own kind, though another host's, forbids to look at the common name.
    let of_kind = |name: &Alternative| match name {
        Alternative::Host(_) => address.is_none(),
        Alternative::Address(_) => address.is_some(),
        Alternative::Other(_) => false,
    };
    let common = certificate.common_name().filter(|_| !names.iter().any(of_kind));
    match names.iter().any(matches) || common.as_ref().is_some_and(|name| is_host(name, host)) {
        true => Ok(()),
        false => Err(for_others(&names, common, host)),
    }
}

fn for_others(names: &[Alternative], common: Option<String>, host: &str) -> String {
    let named = names.iter().map(|name| match name {
        Alternative::Host(name) | Alternative::Other(name) => name.clone(),
        Alternative::Address(address) => address.to_string(),
    });
    // The common name often is one of the others.
    let common = common.filter(|common| !named.clone().any(|name| name == *common));
    let named: Vec<_> = named.chain(common).map(|name| name.escape_debug().collect::<String>()).take(8).collect();
    match named.is_empty() {
        true => format!("the certificate names no host, so it is not for {host}"),
        false => format!("the certificate is for {}, not for {host}", named.join(", ")),
    }
}

/// `*.example.com` stands for one label more, and for no address.
fn is_host(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(end) = pattern.strip_prefix('*').filter(|end| end.len() > 1 && end.starts_with('.')) else { return false };
    let Some((first, _)) = host.split_once('.').filter(|_| host.parse::<IpAddr>().is_err()) else { return false };
    !first.is_empty() && host[first.len()..].eq_ignore_ascii_case(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_it_is_for_is_said_once() {
        let names = |names: &[&str]| names.iter().map(|name| Alternative::Host((*name).to_owned())).collect::<Vec<_>>();
        for (named, common, expected) in [
            (&["a", "b"][..], Some("a"), "the certificate is for a, b, not for c"),
            (&["a"], Some("b"), "the certificate is for a, b, not for c"),
            (&["a"], None, "the certificate is for a, not for c"),
            (&[], None, "the certificate names no host, so it is not for c"),
        ] {
            assert_eq!(for_others(&names(named), common.map(str::to_owned), "c"), expected);
        }
    }

    #[test]
    fn a_star_is_one_label() {
        for (pattern, host, expected) in [
            ("db.example.com", "DB.example.com", true),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*", "localhost", false),
            ("*.", "a.", false),
            ("d*.example.com", "db.example.com", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("*.0.0.1", "127.0.0.1", false),
        ] {
            assert_eq!(is_host(pattern, host), expected, "{pattern} {host}");
        }
    }
}
