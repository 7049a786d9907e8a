//! TLS towards the servers: libpq's `sslmode` on rustls.

use std::{fs::File, io, path::Path, sync::Arc, time::SystemTime};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{FetchError, Reason, socket::Socket};
use crate::{
    certificate,
    config::settings::{Address, Roots, Tls, TlsMode},
};

/// Shakes hands on a socket whose server has agreed to TLS. Files are read anew each time, so a renewed
/// certificate is used from the next connection on.
pub async fn handshake(socket: Socket, address: &Address, tls: &Tls) -> Result<TlsStream<Socket>, FetchError> {
    let config = client_config(tls)?;
    let name = match address {
        Address::Tcp { host, .. } => ServerName::try_from(host.trim_matches(['[', ']']).to_owned()),
        Address::Unix(_) => ServerName::try_from("localhost".to_owned()),
    };
    let name = name.map_err(|_| failed("the host is no name a certificate can hold"))?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.map_err(|error| failed(&error.to_string()))
}

/// When the server's certificate ends.
pub fn expires(stream: &TlsStream<Socket>) -> Option<SystemTime> {
    certificate::not_after(stream.get_ref().1.peer_certificates()?.first()?)
}

fn failed(what: &str) -> FetchError {
    FetchError::new(Reason::Tls, format!("TLS: {what}"))
}

/// The TLS configuration of a target; an error names the file that cannot be used.
pub fn client_config(tls: &Tls) -> Result<ClientConfig, FetchError> {
    let provider = Arc::new(ring::default_provider());
    let check = match (tls.mode, &tls.roots) {
        (TlsMode::VerifyFull, _) => Check::Full,
        // As libpq: `require` with a root certificate at hand verifies the chain.
        (TlsMode::VerifyCa, _) | (TlsMode::Require, Roots::File(_)) => Check::Chain,
        _ => Check::Nothing,
    };
    let chain = match check {
        Check::Nothing => None,
        _ => Some(
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots(&tls.roots)?), provider.clone())
                .build()
                .map_err(|error| failed(&error.to_string()))?,
        ),
    };
    let verifier = Verifier { check, chain, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match &tls.client {
        None => Ok(config.with_no_client_auth()),
        Some((cert, key)) => config
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|error| failed(&format!("{}: {error}", cert.display()))),
    }
}

fn roots(roots: &Roots) -> Result<RootCertStore, FetchError> {
    let certificates = match roots {
        Roots::File(path) => certificates(path)?,
        Roots::System => rustls_native_certs::load_native_certs().certs,
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    match store.is_empty() {
        true => Err(failed("no certificate authority to verify with; set sslrootcert to a PEM file")),
        false => Ok(store),
    }
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
enum Check {
    Nothing,
    Chain,
    Full,
}

/// Verifies as much as `sslmode` asks. The handshake's signature is always verified.
#[derive(Debug)]
struct Verifier {
    check: Check,
    /// There unless nothing is checked.
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // The chain is verified before the name, so a wrong name means that the chain is right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Chain => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
