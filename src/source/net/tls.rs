//! TLS with servers as libpq's `sslmode` defines it, by rustls.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use ring::digest::{self, digest};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, Error};
use tokio_rustls::TlsConnector;

use crate::certificate;
use crate::certificate::chain::Authorities;
use crate::certificate::verifier::ServerVerifier;
use crate::certificate::{Hash, holder, problem};
use crate::settings::connection::model::{Address, Roots, TlsMode, TlsSettings};
use crate::source::blocking_pool::BlockingPool;
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::login_guard::{Encryption, TransportSecurity};
use crate::source::net::socket::PeerSocket;

/// How long reading certificates and keys may take: their filesystem may hang.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// Makes the handshake on a socket whose server has agreed to TLS. Files are read for each handshake, in `files`, so
/// that the next connection uses a renewed certificate.
pub async fn handshake(
    peer: PeerSocket,
    address: &Address,
    tls: &TlsSettings,
    files: &BlockingPool,
) -> Result<PeerSocket, FetchError> {
    let config = read_config(tls, files).await?;
    let host = match address {
        Address::Tcp { host, .. } => host.trim_matches(['[', ']']).to_owned(),
        Address::Unix(_) => "localhost".to_owned(),
    };
    let name = ServerName::try_from(host).map_err(|_| failed("the host is not a name that a certificate can hold"))?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, peer.socket).await;
    let stream = connected.map_err(|error| failed(handshake_problem(&error)))?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let encryption = if tls.mode.verifies_chain() { Encryption::Verified } else { Encryption::Unverified };
    Ok(PeerSocket {
        security: TransportSecurity { encryption, ..peer.security },
        end_point: certificate.and_then(|der| end_point(der)),
        expires: certificate.and_then(|der| certificate::not_after(der)),
        socket: Box::new(stream),
        ..peer
    })
}

async fn read_config(tls: &TlsSettings, files: &BlockingPool) -> Result<ClientConfig, FetchError> {
    if tls.client.is_none() && !tls.mode.verifies_chain() {
        return client_config(tls);
    }
    let settings = tls.clone();
    let config = files.call(READ_LIMIT, move || client_config(&settings)).await;
    config.unwrap_or_else(|| {
        let files = "its certificates, or the authorities', could not be read";
        Err(failed(format!("{files} within {READ_LIMIT:?}: does their filesystem hang?")))
    })
}

/// The server's end of a connection (RFC 5929, 4.1: `tls-server-end-point`), to which SCRAM binds a login; `None` if
/// the signature of its certificate has no hash of its own.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match certificate::hash(certificate)? {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
    };
    Some(digest(algorithm, certificate).as_ref().to_vec())
}

fn failed(what: impl Display) -> FetchError {
    FetchError::new(Reason::Tls, format!("TLS: {what}"))
}

/// Why a handshake failed. A server that has nothing in common with us sends an alert that does not say so.
fn handshake_problem(error: &io::Error) -> String {
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
        inner => problem::describe(inner),
    }
}

/// The TLS configuration of a target; an error names the file that cannot be used. Reads files.
fn client_config(tls: &TlsSettings) -> Result<ClientConfig, FetchError> {
    let provider = Arc::new(provider::default_provider());
    let authorities = if tls.mode.verifies_chain() { Some(authorities(&tls.roots, &provider)?) } else { None };
    let verifies_name = tls.mode == TlsMode::VerifyFull;
    let algorithms = provider.signature_verification_algorithms;
    let verifier = ServerVerifier { authorities, verifies_name, algorithms };
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some((cert, key)) = &tls.client else { return Ok(config.with_no_client_auth()) };
    let ours = holder::ours(certificates(cert)?, private_key(key)?, &provider);
    let ours =
        ours.map_err(|error| failed(format!("{}, {}: {}", cert.display(), key.display(), problem::describe(&error))))?;
    Ok(config.with_client_cert_resolver(Arc::new(ours)))
}

fn authorities(roots: &Roots, provider: &Arc<CryptoProvider>) -> Result<Authorities, FetchError> {
    let Roots::File(path) = roots else {
        let list = rustls_native_certs::load_native_certs().certs;
        let system = Authorities::new(list, true, "the system's authorities".to_owned(), provider.clone());
        if system.is_empty() {
            return Err(failed("no certificate authority to verify with; set sslrootcert to a PEM file"));
        }
        return Ok(system);
    };
    let (list, file) = (certificates(path)?, path.display());
    if list.is_empty() {
        return Err(failed(format!("{file}: no certificates in PEM are in it")));
    }
    let authorities = Authorities::new(list, false, file.to_string(), provider.clone());
    if authorities.is_empty() {
        let problem = "none of its certificates has signed itself: the root of the chain must be in it too";
        return Err(failed(format!("{file}: {problem}")));
    }
    Ok(authorities)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FetchError> {
    let certificates: Result<_, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    certificates.map_err(|error| failed(format!("{}: not PEM certificates: {error}", path.display())))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FetchError> {
    let key = PrivateKeyDer::from_pem_slice(&read(path)?);
    key.map_err(|error| failed(format!("{}: not a PEM private key: {error}", path.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, FetchError> {
    fs::read(path).map_err(|error| failed(format!("{}: {error}", path.display())))
}
