//! Checks whether a certificate is for a host, as libpq does: by its alternative names, or by its common name if they
//! have none of the host's kind.

use std::net::IpAddr;

use crate::certificate::{Alternative, Certificate};

/// Checks that the certificate is for this host (a name or an address).
///
/// # Errors
/// A message that says which hosts it is for.
pub fn check(certificate: &Certificate<'_>, host: &str) -> Result<(), String> {
    let Some(names) = certificate.alternatives() else {
        return Err("its alternative names cannot be read, so it is not known which hosts it is for".to_owned());
    };
    let address = host.parse::<IpAddr>().ok();
    let is_match = |name: &Alternative| match name {
        Alternative::Host(pattern) => is_host(pattern, host),
        Alternative::Address(named) => address == Some(*named),
        Alternative::Other(_) => false,
    };
    // A name of the host's own kind, though another host's, forbids to look at the common name.
    let is_of_kind = |name: &Alternative| match address {
        None => matches!(name, Alternative::Host(_)),
        Some(_) => matches!(name, Alternative::Address(_)),
    };
    let common = certificate.common_name().filter(|_| !names.iter().any(is_of_kind));
    if names.iter().any(is_match) || common.as_ref().is_some_and(|name| is_host(name, host)) {
        return Ok(());
    }
    Err(for_others(&names, common, host))
}

fn for_others(names: &[Alternative], common: Option<String>, host: &str) -> String {
    let mut named: Vec<_> = names.iter().map(Alternative::text).collect();
    // The common name often is one of the others.
    named.extend(common.filter(|common| !named.contains(common)));
    if named.is_empty() {
        return format!("the certificate names no host, so it is not for {host}");
    }
    let shown: Vec<_> = named.iter().take(8).map(|name| name.escape_debug().to_string()).collect();
    format!("the certificate is for {}, not for {host}", shown.join(", "))
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
