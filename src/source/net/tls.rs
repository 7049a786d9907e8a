//! TLS towards the servers: libpq's `sslmode` on rustls.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ring::digest::{self, digest};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, Error};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificate;
use crate::certificate::chain::Authorities;
use crate::certificate::holder::Signatures;
use crate::certificate::verifier::ServerVerifier;
use crate::certificate::{Hash, chain, holder};
use crate::settings::connection::model::{Address, Roots, TlsMode, TlsSettings};
use crate::source::blocking_pool::BlockingPool;
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::socket::Socket;

/// How long reading certificates and keys may take: their filesystem may hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shakes hands on a socket whose server has agreed to TLS. Files are read anew each time, so a renewed
/// certificate is used from the next connection on; `files` is where they are read.
pub async fn handshake(
    socket: Socket,
    address: &Address,
    tls: &TlsSettings,
    files: &BlockingPool,
) -> Result<TlsStream<Socket>, FetchError> {
    let config = read_config(tls, files).await?;
    let name = match address {
        Address::Tcp { host, .. } => ServerName::try_from(host.trim_matches(['[', ']']).to_owned()),
        Address::Unix(_) => ServerName::try_from("localhost".to_owned()),
    };
    let name = name.map_err(|_| failed("the host is not a name that a certificate can hold"))?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.map_err(|error| failed(&in_words(&error)))
}

async fn read_config(tls: &TlsSettings, files: &BlockingPool) -> Result<ClientConfig, FetchError> {
    if tls.client.is_none() && check(tls) == TlsCheck::Nothing {
        return client_config(tls);
    }
    let late = || {
        failed(&format!(
            "its certificates, or the authorities', could not be read within {PATIENCE:?}: does their filesystem hang?"
        ))
    };
    let tls = tls.clone();
    files.call(PATIENCE, move || client_config(&tls)).await.unwrap_or_else(|| Err(late()))
}

/// When the server's certificate ends.
pub fn expires(stream: &TlsStream<Socket>) -> Option<SystemTime> {
    certificate::not_after(stream.get_ref().1.peer_certificates()?.first()?)
}

/// The server's end of this connection (RFC 5929, 4.1: `tls-server-end-point`), which SCRAM binds a login to; `None` where the
/// way its certificate is signed has no hash of its own.
pub fn end_point(stream: &TlsStream<Socket>) -> Option<Vec<u8>> {
    let der = stream.get_ref().1.peer_certificates()?.first()?;
    let algorithm = match certificate::hash(der)? {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
    };
    Some(digest(algorithm, der).as_ref().to_vec())
}

fn failed(what: &str) -> FetchError {
    FetchError::new(Reason::Tls, format!("TLS: {what}"))
}

/// What ended a handshake. A server that has none of what we offer says no more than that it failed.
fn in_words(error: &io::Error) -> String {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return error.to_string() };
    match inner {
        Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => format!(
            "{inner}: the server may have nothing that pgvigil speaks, which is TLS 1.3, and TLS 1.2 with an ECDHE key exchange and \
             AES-GCM or ChaCha20, with keys of RSA (2048 bits and more), P-256, P-384 or Ed25519"
        ),
        inner => chain::told(inner),
    }
}

/// As libpq: `require` with a root certificate at hand verifies the chain.
fn check(tls: &TlsSettings) -> TlsCheck {
    match (tls.mode, &tls.roots) {
        (TlsMode::VerifyFull, _) => TlsCheck::Full,
        (TlsMode::VerifyCa, _) | (TlsMode::Require, Roots::File(_)) => TlsCheck::Chain,
        _ => TlsCheck::Nothing,
    }
}

/// Whether a server that was reached with these settings is the one that is meant: its certificate was verified.
pub fn is_verified(tls: &TlsSettings) -> bool {
    check(tls) != TlsCheck::Nothing
}

/// The TLS configuration of a target; an error names the file that cannot be used. Reads files.
pub fn client_config(tls: &TlsSettings) -> Result<ClientConfig, FetchError> {
    let provider = Arc::new(provider::default_provider());
    let check = check(tls);
    let authorities = match check {
        TlsCheck::Nothing => None,
        _ => Some(authorities(&tls.roots, &provider)?),
    };
    let signatures = Signatures::new(&provider);
    let verifier = ServerVerifier { authorities, verifies_name: check == TlsCheck::Full, signatures };
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some((cert, key)) = &tls.client else { return Ok(config.with_no_client_auth()) };
    let ours = holder::ours(certificates(cert)?, private_key(key)?, &provider);
    let ours =
        ours.map_err(|error| failed(&format!("{}, {}: {}", cert.display(), key.display(), chain::told(&error))))?;
    Ok(config.with_client_cert_resolver(Arc::new(ours)))
}

fn authorities(roots: &Roots, provider: &Arc<CryptoProvider>) -> Result<Authorities, FetchError> {
    let (list, each, what) = match roots {
        Roots::File(path) => (certificates(path)?, false, path.display().to_string()),
        Roots::System => (rustls_native_certs::load_native_certs().certs, true, "the system's authorities".to_owned()),
    };
    let none = match (roots, list.is_empty()) {
        (Roots::System, _) => "no certificate authority to verify with; set sslrootcert to a PEM file".to_owned(),
        (Roots::File(_), true) => format!("{what}: no certificates in PEM are in it"),
        (Roots::File(_), false) => {
            format!("{what}: none of its certificates has signed itself: the root of the chain must be in it too")
        }
    };
    let authorities = Authorities::new(list, each, what, provider.clone());
    if authorities.is_empty() { Err(failed(&none)) } else { Ok(authorities) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FetchError> {
    let read = open(path)?;
    CertificateDer::pem_reader_iter(read)
        .collect::<Result<_, _>>()
        .map_err(|error| failed(&format!("{}: not PEM certificates: {error}", path.display())))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FetchError> {
    let read = open(path)?;
    PrivateKeyDer::from_pem_reader(read)
        .map_err(|error| failed(&format!("{}: not a PEM private key: {error}", path.display())))
}

fn open(path: &Path) -> Result<io::BufReader<File>, FetchError> {
    File::open(path).map(io::BufReader::new).map_err(|error| failed(&format!("{}: {error}", path.display())))
}

/// How far the server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TlsCheck {
    Nothing,
    Chain,
    Full,
}
