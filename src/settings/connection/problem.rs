//! The reasons why a connection string, or a value in it, is refused; no message can repeat a part of it.

use thiserror::Error;

use crate::schema::words;

/// Why a connection string, or a value in it, is refused. It never holds a part of the string.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ConnectionProblem {
    #[error("neither a URL (`postgresql://user@host/dbname`) nor `keyword=value` pairs")]
    Form,
    #[error("the URL must start with `postgresql://` or `postgres://`")]
    Scheme,
    #[error(
        "percent-encode special characters in the user and the password of a URL (`@` is %40, `/` is %2F, `?` is %3F, \
         `#` is %23), or give the password in the key `password`"
    )]
    Special,
    #[error("white space and control characters in a URL must be percent-encoded")]
    Space,
    #[error("`%` in a URL must be followed by two hexadecimal digits; a percent sign itself is %25")]
    Percent,
    #[error("the percent-encoded bytes are not UTF-8 text")]
    Utf8,
    #[error("a NUL character cannot be sent to a server: remove it")]
    Nul,
    #[error("a quote `'` is not closed; inside quotes write `\\'` for a quote")]
    Quote,
    #[error("a parameter lacks its `=`; between pairs of a keyword string, quote values that contain spaces")]
    Equals,
    #[error("the parameter `{0}` is there twice: keep one")]
    Twice(&'static str),
    #[error("an unknown parameter: did you mean `{0}`?")]
    Misspelt(&'static str),
    #[error("its parameter number {number} is unknown; there are {}", words::listed(known.iter().copied()))]
    Unknown { number: usize, known: &'static [&'static str] },
    #[error("the parameter `{0}` is not used by pgvigil: {1}")]
    Foreign(&'static str, &'static str),
    #[error("several hosts: list each server as a target of its own")]
    SeveralHosts,
    #[error("`hostaddr` is not used: put the address into `host`")]
    HostAddr,
    #[error("`options` is not used, because pgvigil sets the session's settings itself: remove it")]
    Options,
    #[error(
        "`require_auth` must be a list of password, md5, gss, sspi, scram-sha-256 and none, separated by commas, each once; \
         or of what is not allowed, all with `!` before them"
    )]
    RequireAuth,
    #[error("`channel_binding` must be disable, prefer or require")]
    ChannelBinding,
    #[error("`channel_binding=require` needs TLS, which `sslmode=disable` turns off: use another `sslmode`")]
    BindingWithoutTls,
    #[error("`gssencmode=require` cannot be kept: remove it, and use `sslmode=verify-full`")]
    GssEncryption,
    #[error("`host` must be a host name, an IP address (in a URL, IPv6 in brackets) or the absolute path of a folder")]
    Host,
    #[error("`port` must be a whole number from 1 to 65535")]
    Port,
    #[error("no user is given: add `user` (there is no default)")]
    User,
    #[error("`sslmode` must be disable, prefer, require, verify-ca or verify-full")]
    SslMode,
    #[error("`sslrootcert=system` is checked only with `sslmode=verify-full`: use that")]
    WeakSystemRoots,
    #[error(
        "`sslmode=verify-ca` with the system's authorities accepts any public certificate, whatever its host: use \
         verify-full, or name your own authority's file in `sslrootcert`"
    )]
    AnyHost,
    #[error("the URL must start with `redis://`, `rediss://` or `unix://`")]
    RedisScheme,
    #[error(
        "`host` must be a host name, an IP address (in a URL, IPv6 in brackets) or the absolute path of the socket"
    )]
    RedisHost,
    #[error("`db` must be the number of a database: 0, 1 and so on")]
    Db,
    #[error("a `unix://` URL holds the absolute path of the socket and no host: `unix:///run/redis/redis.sock?db=0`")]
    Socket,
    #[error(
        "`sslmode=prefer` is not for Redis, whose TLS is not negotiated: use disable, require, verify-ca or verify-full"
    )]
    Prefer,
    #[error("`sslcert` needs `sslkey` beside it")]
    NoKey,
    #[error("`sslkey` needs `sslcert` beside it")]
    NoCert,
}

impl ConnectionProblem {
    /// The settings key this is about, if it is about one.
    pub fn key(self) -> Option<&'static str> {
        Some(match self {
            ConnectionProblem::Host | ConnectionProblem::RedisHost | ConnectionProblem::SeveralHosts => "host",
            ConnectionProblem::Port => "port",
            ConnectionProblem::User => "user",
            ConnectionProblem::Db => "db",
            ConnectionProblem::SslMode | ConnectionProblem::AnyHost | ConnectionProblem::Prefer => "sslmode",
            ConnectionProblem::WeakSystemRoots => "sslrootcert",
            ConnectionProblem::RequireAuth => "require_auth",
            ConnectionProblem::ChannelBinding | ConnectionProblem::BindingWithoutTls => "channel_binding",
            ConnectionProblem::NoKey => "sslcert",
            ConnectionProblem::NoCert => "sslkey",
            _ => return None,
        })
    }
}
