//! Reads the `ssl...` parameters: how much TLS, which authorities are trusted, and the client's own certificate.

use crate::settings::connection::dsn::{Dsn, text};
use crate::settings::connection::model::{Roots, TlsMode, TlsSettings};
use crate::settings::connection::problem::ConnectionProblem;

/// As libpq does: without `sslmode`, `prefer`, but with `sslrootcert=system` `verify-full`; and `require` beside a
/// file of authorities verifies against it. `verify-ca` with the system's authorities is refused: anyone can get
/// a certificate from these, for a host of their own.
pub fn tls(dsn: &Dsn) -> Result<TlsSettings, ConnectionProblem> {
    let roots = match text(&dsn.sslrootcert) {
        None | Some("system") => Roots::System,
        Some(path) => Roots::File(path.into()),
    };
    let system = text(&dsn.sslrootcert) == Some("system");
    let mode = match text(&dsn.sslmode) {
        None if system => TlsMode::VerifyFull,
        None => TlsMode::Prefer,
        Some(word) => word.parse().map_err(|_| ConnectionProblem::SslMode)?,
    };
    let mode = match mode {
        TlsMode::VerifyCa if roots == Roots::System => return Err(ConnectionProblem::AnyHost),
        TlsMode::VerifyCa | TlsMode::VerifyFull => mode,
        _ if system => return Err(ConnectionProblem::WeakSystemRoots),
        TlsMode::Require if matches!(roots, Roots::File(_)) => TlsMode::VerifyCa,
        _ => mode,
    };
    let client = match (text(&dsn.sslcert), text(&dsn.sslkey)) {
        (Some(cert), Some(key)) => Some((cert.into(), key.into())),
        (Some(_), None) => return Err(ConnectionProblem::NoKey),
        (None, Some(_)) => return Err(ConnectionProblem::NoCert),
        (None, None) => None,
    };
    Ok(TlsSettings { mode, roots, client })
}
