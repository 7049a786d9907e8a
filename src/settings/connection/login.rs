//! Reads which login methods are allowed, as libpq does: `require_auth` and `channel_binding`.

use strum::{EnumIter, EnumString, IntoEnumIterator, IntoStaticStr, VariantNames};

use crate::schema::words;
use crate::settings::connection::problem::ConnectionProblem;

/// How a server authenticates a client, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum LoginMethod {
    /// It asks for the password in clear.
    Password,
    Md5,
    Gss,
    Sspi,
    #[strum(serialize = "scram-sha-256")]
    Scram,
    /// It asks for nothing, or nothing but a client's certificate.
    None,
}

/// Which methods a server may ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoginMethods {
    /// `None`: all.
    only: Option<Vec<LoginMethod>>,
    /// `password` was named: the password may go in clear to a server that has not been verified.
    names_password: bool,
}

/// Whether a login with SCRAM is bound to the connection it is made on, in libpq's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum ChannelBinding {
    Disable,
    #[default]
    Prefer,
    Require,
}

impl LoginMethods {
    /// Reads words separated by commas: those that are allowed, or each with `!` before it those that are not.
    ///
    /// # Errors
    /// A word is unknown or comes twice, or both kinds are mixed.
    pub fn parse(text: &str) -> Result<LoginMethods, ConnectionProblem> {
        let forbids = text.trim_start().starts_with('!');
        let mut named = Vec::new();
        for word in text.split(',').map(str::trim) {
            let word = match (forbids, word.strip_prefix('!')) {
                (true, Some(word)) => word,
                (false, None) => word,
                _ => return Err(ConnectionProblem::RequireAuth),
            };
            let method = word.parse().map_err(|_| ConnectionProblem::RequireAuth)?;
            if named.contains(&method) {
                return Err(ConnectionProblem::RequireAuth);
            }
            named.push(method);
        }
        let only = LoginMethod::iter().filter(|method| named.contains(method) != forbids).collect();
        Ok(LoginMethods { only: Some(only), names_password: !forbids && named.contains(&LoginMethod::Password) })
    }

    /// The settings allow this method.
    pub fn allow(&self, method: LoginMethod) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&method))
    }

    /// The settings allow passwords in clear for any server.
    pub fn name_password(&self) -> bool {
        self.names_password
    }

    /// The allowed methods, for messages.
    pub fn listed(&self) -> String {
        words::listed(LoginMethod::iter().filter(|method| self.allow(*method)).map(LoginMethod::into))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_libpq_reads_them() {
        for (text, allowed, names_password) in [
            ("scram-sha-256", "`scram-sha-256`", false),
            ("password, md5", "`password` and `md5`", true),
            ("!password", "", false),
            ("!md5,!none", "", false),
        ] {
            let methods = LoginMethods::parse(text).unwrap();
            assert_eq!(methods.name_password(), names_password, "{text}");
            if !allowed.is_empty() {
                assert_eq!(methods.listed().replace("`, `", "` and `"), allowed, "{text}");
            }
        }
        assert!(!LoginMethods::parse("!password").unwrap().allow(LoginMethod::Password));
        assert!(LoginMethods::parse("!md5").unwrap().allow(LoginMethod::Password));
        for text in ["", "scram", "md5,md5", "md5,!none", "!md5,none", "md5,", "MD5"] {
            assert_eq!(LoginMethods::parse(text), Err(ConnectionProblem::RequireAuth), "{text}");
        }
    }
}
