//! Decides what a server may ask for at a login: the password in clear goes only to a server that is verified or local,
//! unless the settings allow it by name.

use std::io;
use std::sync::Arc;

use strum::IntoStaticStr;
use thiserror::Error;

use crate::settings::connection::login::{LoginMethod, LoginMethods};

/// How the connection to a server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransportSecurity {
    /// By a unix socket or a loopback address.
    pub is_local: bool,
    pub encryption: Encryption,
}

/// What keeps others from reading the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Encryption {
    None,
    /// TLS with a server that has not been verified.
    Unverified,
    /// TLS with a server whose certificate a trusted authority has signed.
    Verified,
}

/// How a login went.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoginInfo {
    pub method: LoginMethod,
    pub security: TransportSecurity,
    /// Why it is not encrypted although encryption was preferred.
    pub fallback: Option<Arc<str>>,
}

/// Judges each message of the server about the login before the driver, which would answer it.
#[derive(Debug)]
pub struct LoginGuard {
    methods: LoginMethods,
    security: TransportSecurity,
    asked: LoginMethod,
}

/// Why the server does not get what it asked for.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct LoginRefused(String);

impl TransportSecurity {
    /// We know which server answers.
    pub fn is_trusted(self) -> bool {
        self.is_local || self.encryption == Encryption::Verified
    }

    /// The values of two labels: the encryption, and where the peer is.
    pub fn words(self) -> [&'static str; 2] {
        [self.encryption.into_str(), if self.is_local { "local" } else { "remote" }]
    }
}

impl LoginInfo {
    /// What people should know about this login: for each kind of warning its name and a message.
    pub fn warnings(&self) -> Vec<(&'static str, String)> {
        let mut warnings = Vec::new();
        if self.method == LoginMethod::Password && !self.security.is_trusted() {
            let message = "the password goes to a server that is neither verified nor local: a host in between can read or keep it; \
                           use TLS with sslmode=verify-full";
            warnings.push(("clear", message.to_owned()));
        }
        if self.method == LoginMethod::Md5 {
            let message = "the server asks for the password as an MD5 hash, from which anyone who reads the connection can guess it: \
                           let the server use scram-sha-256; with require_auth=scram-sha-256 pgvigil refuses the hash";
            warnings.push(("md5", message.to_owned()));
        }
        if let Some(why) = self.fallback.as_ref().filter(|_| !self.security.is_local) {
            warnings.push(("fallback", format!("sslmode=prefer, and not encrypted: {why}")));
        }
        warnings
    }
}

impl LoginGuard {
    pub fn new(methods: LoginMethods, security: TransportSecurity) -> Self {
        LoginGuard { methods, security, asked: LoginMethod::None }
    }

    /// Judges a message about the login by its code (`AuthenticationOk` and its siblings in the protocol); returns the
    /// method of a login that has succeeded.
    ///
    /// # Errors
    /// [`LoginRefused`]: the driver must not see this message, since it would answer it.
    pub fn check(&mut self, code: u32) -> io::Result<Option<LoginMethod>> {
        let asked = match code {
            0 => self.asked,
            3 => LoginMethod::Password,
            5 => LoginMethod::Md5,
            9 => LoginMethod::Sspi,
            10 => LoginMethod::Scram,
            // Later messages of GSS and SCRAM.
            8 | 11 | 12 => return Ok(None),
            _ => LoginMethod::Gss,
        };
        self.asked = asked;
        if let Some(message) = self.refusal(asked) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, LoginRefused(message)));
        }
        Ok((code == 0).then_some(asked))
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
        if asked != LoginMethod::Password || self.security.is_trusted() || self.methods.name_password() {
            return None;
        }
        let why = match self.security.encryption {
            Encryption::None => "the connection is neither encrypted nor verified",
            _ => "the server has not been verified",
        };
        Some(format!(
            "the server {wants}, and {why}: it was not sent; use sslmode=verify-full, let the server use scram-sha-256, or allow \
             it by require_auth=password"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind is logged once: why TLS failed can be the server's own text, and another each time.
    #[test]
    fn each_kind_of_warning_has_one_name() {
        let security = TransportSecurity { is_local: false, encryption: Encryption::None };
        let kinds = |method, why: &str| -> Vec<_> {
            let login = LoginInfo { method, security, fallback: Some(why.into()) };
            login.warnings().into_iter().map(|(kind, _)| kind).collect()
        };
        assert_eq!(kinds(LoginMethod::Md5, "an alert"), ["md5", "fallback"]);
        assert_eq!(kinds(LoginMethod::Password, "another alert"), ["clear", "fallback"]);
    }

    #[test]
    fn a_password_in_clear_needs_a_trusted_server_or_the_settings() {
        let protected = |is_local, encryption| TransportSecurity { is_local, encryption };
        let remote = protected(false, Encryption::Unverified);
        for (settings, security, code, is_allowed) in [
            ("", protected(false, Encryption::None), 3, false),
            ("", remote, 3, false),
            ("!md5", remote, 3, false),
            ("", protected(false, Encryption::Verified), 3, true),
            ("", protected(true, Encryption::None), 3, true),
            ("password", remote, 3, true),
            ("!password", protected(true, Encryption::None), 3, false),
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
            let checked = LoginGuard::new(methods, security).check(code);
            assert_eq!(checked.is_ok(), is_allowed, "{settings} {security:?} {code}: {checked:?}");
        }
    }
}
