//! Who gets the password: what a server may ask for at a login, by the way it is reached. Nobody gets it in clear who is neither
//! verified nor on this machine, unless the settings name that.

use std::sync::Arc;
use std::{error, fmt, io};

use crate::settings::connection::login::{LoginMethod, LoginMethods};

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// By a unix socket or a loopback address.
    pub is_local: bool,
    pub encryption: Encryption,
}

/// What keeps others from reading along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encryption {
    None,
    /// TLS with whoever it is.
    Unverified,
    /// TLS with a server whose certificate an authority has signed.
    Verified,
}

/// How a login went.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoginInfo {
    pub method: LoginMethod,
    pub way: Way,
    /// Why it is not encrypted though that was preferred.
    pub fallback: Option<Arc<str>>,
}

/// Stands between a server and the client that would answer it; until the server has let us in.
#[derive(Debug)]
pub struct LoginGuard {
    methods: LoginMethods,
    way: Way,
    asked: LoginMethod,
}

/// What the server asked for, and does not get.
#[derive(Debug)]
pub struct LoginRefused(String);

impl fmt::Display for LoginRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for LoginRefused {}

impl Way {
    /// Who answers there is known.
    pub fn is_trusted(self) -> bool {
        self.is_local || self.encryption == Encryption::Verified
    }

    /// The words of its labels: of the encryption, of the peer.
    pub fn words(self) -> [&'static str; 2] {
        let encryption = match self.encryption {
            Encryption::None => "none",
            Encryption::Unverified => "unverified",
            Encryption::Verified => "verified",
        };
        [encryption, if self.is_local { "local" } else { "remote" }]
    }
}

impl LoginInfo {
    /// What people should know of it, each kind once: a word for it, and the words of this login.
    pub fn warnings(&self) -> impl Iterator<Item = (&'static str, String)> {
        let clear = self.method == LoginMethod::Password && !self.way.is_trusted();
        let clear = clear.then(|| {
            "the password goes to a server that is neither verified nor local: who stands between can read or keep it; use TLS with \
             sslmode=verify-full"
                .to_owned()
        });
        let md5 = (self.method == LoginMethod::Md5).then(|| {
            "the server asks for the password as an MD5 hash, from which whoever reads along can guess it: let the server use \
             scram-sha-256; require_auth=scram-sha-256 forbids the other here"
                .to_owned()
        });
        let fallback = self.fallback.as_ref().filter(|_| !self.way.is_local);
        let fallback = fallback.map(|why| format!("sslmode=prefer, and not encrypted: {why}"));
        let all = [("clear", clear), ("md5", md5), ("fallback", fallback)];
        all.into_iter().filter_map(|(kind, words)| Some((kind, words?)))
    }
}

impl LoginGuard {
    pub fn new(methods: LoginMethods, way: Way) -> Self {
        LoginGuard { methods, way, asked: LoginMethod::None }
    }

    /// A message about the login, by its code (`AuthenticationOk` and its siblings of the protocol). The method, once we are in.
    ///
    /// # Errors
    /// [`LoginRefused`]: the client must not see this message, since it would answer it.
    pub fn heard(&mut self, code: u32) -> io::Result<Option<LoginMethod>> {
        let asked = match code {
            0 => self.asked,
            3 => LoginMethod::Password,
            5 => LoginMethod::Md5,
            9 => LoginMethod::Sspi,
            10 => LoginMethod::Scram,
            // What GSS and SCRAM go on with.
            8 | 11 | 12 => return Ok(None),
            _ => LoginMethod::Gss,
        };
        self.asked = asked;
        match self.refusal(asked) {
            Some(words) => Err(io::Error::new(io::ErrorKind::PermissionDenied, LoginRefused(words))),
            None => Ok((code == 0).then_some(asked)),
        }
    }

    fn refusal(&self, asked: LoginMethod) -> Option<String> {
        let wants = match asked {
            LoginMethod::None => "lets us in without asking for anything",
            LoginMethod::Password => "asks for the password in clear",
            LoginMethod::Md5 => "asks for the password as MD5",
            LoginMethod::Scram => "asks for SCRAM-SHA-256",
            LoginMethod::Gss => "asks for GSSAPI or Kerberos",
            LoginMethod::Sspi => "asks for SSPI",
        };
        if !self.methods.allow(asked) {
            let only = self.methods.listed();
            return Some(format!("the server {wants}, and require_auth allows only {only}: nothing was sent"));
        }
        if asked != LoginMethod::Password || self.way.is_trusted() || self.methods.name_password() {
            return None;
        }
        let who = match self.way.encryption {
            Encryption::None => "the connection is not encrypted, and nobody knows who answers",
            _ => "nobody has verified who answers",
        };
        Some(format!(
            "the server {wants}, and {who}: it was not sent; use sslmode=verify-full, let the server use scram-sha-256, or allow \
             it by require_auth=password"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or a server would fill the log: why TLS failed is in words of its own, and others each time.
    #[test]
    fn whatever_the_words_are_the_kinds_are_few() {
        let way = Way { is_local: false, encryption: Encryption::None };
        let kinds = |method, why: &str| -> Vec<_> {
            let entry = LoginInfo { method, way, fallback: Some(why.into()) };
            entry.warnings().map(|(kind, _)| kind).collect()
        };
        assert_eq!(kinds(LoginMethod::Md5, "an alert"), ["md5", "fallback"]);
        assert_eq!(kinds(LoginMethod::Password, "another alert"), ["clear", "fallback"]);
    }

    #[test]
    fn who_is_asked_for_what() {
        let way = |is_local, encryption| Way { is_local, encryption };
        let remote = way(false, Encryption::Unverified);
        for (settings, way, code, is_allowed) in [
            ("", way(false, Encryption::None), 3, false),
            ("", remote, 3, false),
            ("!md5", remote, 3, false),
            ("", way(false, Encryption::Verified), 3, true),
            ("", way(true, Encryption::None), 3, true),
            ("password", remote, 3, true),
            ("!password", way(true, Encryption::None), 3, false),
            ("", remote, 5, true),
            ("scram-sha-256", remote, 5, false),
            ("scram-sha-256", remote, 10, true),
            ("scram-sha-256", remote, 12, true),
            ("scram-sha-256", remote, 0, false),
            ("none", remote, 0, true),
            ("!none", remote, 0, false),
            ("!gss", remote, 7, false),
            ("!gss", remote, 2, false),
        ] {
            let methods =
                if settings.is_empty() { LoginMethods::default() } else { LoginMethods::parse(settings).unwrap() };
            let heard = LoginGuard::new(methods, way).heard(code);
            assert_eq!(heard.is_ok(), is_allowed, "{settings} {way:?} {code}: {heard:?}");
        }
    }
}
