//! URLs of servers, taken apart strictly: `[user[:password]@][host[:port]][/path][?parameter=value&...]`.

use super::dsn::{Dsn, Wrong};

/// What follows a URL's scheme; still percent-encoded.
pub struct Pieces<'a> {
    user: &'a str,
    password: &'a str,
    /// With its port.
    pub host: &'a str,
    /// Without the slash before it.
    pub path: &'a str,
    query: &'a str,
}

impl<'a> Pieces<'a> {
    /// An unescaped `@`, `/` or `#` of a password would shift the boundaries, and part of it would be taken for a host.
    /// Hence a special character anywhere else than at its boundary is refused. What a path may hold is for the caller.
    pub fn of(rest: &'a str) -> Result<Self, Wrong> {
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Wrong::Space);
        }
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before.split_once('/').unwrap_or((before, ""));
        let (login, host) = authority.split_once('@').unwrap_or(("", authority));
        if [host, path, query].iter().any(|part| part.contains('@')) || rest.contains('#') {
            return Err(Wrong::Special);
        }
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        Ok(Pieces { user, password, host, path, query })
    }

    pub fn set_login(&self, dsn: &mut Dsn) -> Result<(), Wrong> {
        dsn.set("user", decoded(self.user)?);
        dsn.set("password", decoded(self.password)?);
        Ok(())
    }

    pub fn set_host(&self, dsn: &mut Dsn) -> Result<(), Wrong> {
        let (host, port) = host_and_port(self.host)?;
        dsn.set("host", decoded(host)?);
        dsn.set("port", decoded(port)?);
        Ok(())
    }

    /// The parameters, decoded.
    pub fn parameters(&self) -> Result<Vec<(String, String)>, Wrong> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        let parameter = |pair: &str| {
            let (key, value) = pair.split_once('=').ok_or(Wrong::Equals)?;
            Ok((decoded(key)?, decoded(value)?))
        };
        pairs.map(parameter).collect()
    }
}

fn host_and_port(text: &str) -> Result<(&str, &str), Wrong> {
    if text.contains(',') {
        return Err(Wrong::SeveralHosts);
    }
    let Some(rest) = text.strip_prefix('[') else {
        return Ok(text.split_once(':').unwrap_or((text, "")));
    };
    let (host, port) = rest.split_once(']').ok_or(Wrong::Host)?;
    match port.strip_prefix(':') {
        Some(port) => Ok((host, port)),
        None if port.is_empty() => Ok((host, port)),
        None => Err(Wrong::Host),
    }
}

/// Text without its percent-encoding.
pub fn decoded(text: &str) -> Result<String, Wrong> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(Wrong::Percent)?;
        // from_str_radix alone would take a sign for a digit.
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or(Wrong::Percent)?;
        bytes.push(byte);
        bytes.extend(rest.bytes());
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err(Wrong::Nul),
        Ok(text) => Ok(text),
        Err(_) => Err(Wrong::Utf8),
    }
}
