//! Settings of a connection: where the server listens, who logs in, and how its certificate is verified.

use std::fmt;
use std::path::PathBuf;

use strum::{EnumString, VariantNames};

use crate::declare;
use crate::schema::values::{list, text};
use crate::secret::Secret;
use crate::settings::connection::login::{ChannelBinding, LoginMethods};

/// A PostgreSQL server (or a pooler in front of one).
#[derive(Clone, Debug, PartialEq)]
pub struct PostgresSettings {
    pub address: Address,
    pub user: String,
    pub password: Option<Secret>,
    pub database: String,
    pub tls: TlsSettings,
    /// What the server may ask for at a login.
    pub methods: LoginMethods,
    pub binding: ChannelBinding,
    pub databases: DatabasePatterns,
}

/// A Redis or Valkey server.
#[derive(Clone, Debug, PartialEq)]
pub struct RedisSettings {
    pub address: Address,
    /// The user of its access control list; `default` if there is none.
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub database: u32,
    pub tls: TlsSettings,
}

declare! {
    /// Which databases are visited by collectors of `scope: database`, by patterns with `*` and `?`.
    #[derive(Clone, Debug, PartialEq)]
    pub struct DatabasePatterns: "`databases`" {
        /// Only those that match one of these; `*` and `?` stand for any characters.
        include: Vec<String> = list(text()).or(vec!["*".to_owned()]),
        /// None of those that match one of these.
        exclude: Vec<String> = list(text()).or(Vec::new()),
    }
}

impl Default for DatabasePatterns {
    fn default() -> Self {
        DatabasePatterns { include: vec!["*".to_owned()], exclude: Vec::new() }
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    Tcp {
        host: String,
        port: u16,
    },
    /// The socket file itself.
    Unix(PathBuf),
}

/// As messages name it: `db1:5432`, `[::1]:5432`, `/run/postgresql/.s.PGSQL.5432`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How much TLS, and how the server's certificate is verified. Without `sslrootcert` the operating system's
/// authorities are trusted, but never by `verify-ca`.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsSettings {
    pub mode: TlsMode,
    pub roots: Roots,
    /// The client's certificate chain and its key, both PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// libpq's `sslmode`; its `require` with a root certificate at hand has become `verify-ca`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl TlsMode {
    /// The server's certificate must be signed by an authority that we trust.
    pub fn verifies_chain(self) -> bool {
        matches!(self, TlsMode::VerifyCa | TlsMode::VerifyFull)
    }
}

/// The certificate authorities that are trusted.
#[derive(Clone, Debug, PartialEq)]
pub enum Roots {
    /// The operating system's (`sslrootcert: system`).
    System,
    /// A PEM file.
    File(PathBuf),
}
