//! The web configuration: TLS, users, headers and limits of our own pages, as other exporters have them.

// They wait for real processes, on threads of their own.
#![allow(clippy::disallowed_methods)]

mod dawdlers;
mod hosts;
mod reread;
mod tls;
mod users;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::support::{Folder, Pgvigil};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// Nobody is there.
const NOWHERE: [(&str, &str); 1] = [("PGVIGIL_POSTGRES_URL", "postgresql://pgvigil@127.0.0.1:1/postgres")];

/// TLS with the certificates of `crate::tls`.
const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

/// pgvigil with this web configuration, written into the folder.
fn closed(folder: &Folder, web: &str) -> Pgvigil {
    let file = folder.write("web.yaml", web).display().to_string();
    Pgvigil::start_closed(BINARY, &["--web.config.file", &file, "--web.enable-lifecycle"], &NOWHERE)
}

/// `basic_auth_users` with these passwords, cheaply hashed.
fn users(users: &[(&str, &str)]) -> String {
    let user = |(name, password): &(&str, &str)| format!("  {name}: {}\n", bcrypt::hash(password, 4).expect("a hash"));
    format!("basic_auth_users:\n{}", users.iter().map(user).collect::<String>())
}

/// The header's value.
fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}
