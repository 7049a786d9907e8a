//! Takes the URLs of servers apart strictly: `[user[:password]@][host[:port]][/path][?parameter=value&...]`.

use percent_encoding::percent_decode_str;

use crate::settings::connection::problem::ConnectionProblem;

/// The parts that follow a URL's scheme, still percent-encoded.
pub struct UrlParts<'a> {
    pub user: &'a str,
    pub password: &'a str,
    /// With its port.
    pub host: &'a str,
    /// Without the slash before it.
    pub path: &'a str,
    query: &'a str,
}

impl<'a> UrlParts<'a> {
    /// An unescaped `@`, `/` or `#` of a password would shift the boundaries, and part of it would be taken for a host.
    /// So special characters are refused except at their boundaries. The caller checks the path.
    pub fn of(rest: &'a str) -> Result<Self, ConnectionProblem> {
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(ConnectionProblem::Space);
        }
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before.split_once('/').unwrap_or((before, ""));
        let (login, host) = authority.split_once('@').unwrap_or(("", authority));
        if [host, path, query].iter().any(|part| part.contains('@')) || rest.contains('#') {
            return Err(ConnectionProblem::Special);
        }
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        Ok(UrlParts { user, password, host, path, query })
    }

    /// The host, without the brackets of an address, and the port.
    pub fn host_and_port(&self) -> Result<(&'a str, &'a str), ConnectionProblem> {
        if self.host.contains(',') {
            return Err(ConnectionProblem::SeveralHosts);
        }
        let Some(rest) = self.host.strip_prefix('[') else {
            return Ok(self.host.split_once(':').unwrap_or((self.host, "")));
        };
        match rest.split_once(']').ok_or(ConnectionProblem::Host)? {
            (host, "") => Ok((host, "")),
            (host, port) => Ok((host, port.strip_prefix(':').ok_or(ConnectionProblem::Host)?)),
        }
    }

    /// The parameters, decoded.
    pub fn parameters(&self) -> Result<Vec<(String, String)>, ConnectionProblem> {
        let mut parameters = Vec::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or(ConnectionProblem::Equals)?;
            parameters.push((decoded(key)?, decoded(value)?));
        }
        Ok(parameters)
    }
}

/// Text without its percent-encoding.
pub fn decoded(text: &str) -> Result<String, ConnectionProblem> {
    // The crate would leave malformed escapes as they are.
    let is_escape = |piece: &str| piece.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(is_escape) {
        return Err(ConnectionProblem::Percent);
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if text.contains('\0') => Err(ConnectionProblem::Nul),
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(ConnectionProblem::Utf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_or_refused() {
        for (text, expected) in [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("a+b", Ok("a+b")),
            ("a%20b%2Fc%2f", Ok("a b/c/")),
            ("%C3%A4%25", Ok("ä%")),
            ("ä%41", Ok("äA")),
            ("%2541", Ok("%41")),
            ("%", Err(ConnectionProblem::Percent)),
            ("a%", Err(ConnectionProblem::Percent)),
            ("a%4", Err(ConnectionProblem::Percent)),
            ("a%%41", Err(ConnectionProblem::Percent)),
            ("%+1", Err(ConnectionProblem::Percent)),
            ("% 1", Err(ConnectionProblem::Percent)),
            ("%g1", Err(ConnectionProblem::Percent)),
            ("%4ä", Err(ConnectionProblem::Percent)),
            ("%ä", Err(ConnectionProblem::Percent)),
            ("%41%4", Err(ConnectionProblem::Percent)),
            ("%00", Err(ConnectionProblem::Nul)),
            ("%ff", Err(ConnectionProblem::Utf8)),
            ("%C3", Err(ConnectionProblem::Utf8)),
        ] {
            assert_eq!(decoded(text).as_deref(), expected.as_ref().map(|text| *text), "{text}");
        }
    }
}
