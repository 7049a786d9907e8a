//! TLS towards those who ask: what the web configuration says, on rustls.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    SupportedCipherSuite, SupportedProtocolVersion,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    certificate,
    config::{
        problem::Problems,
        web::{Client, Pem, Tls, Version},
    },
};

/// What new connections speak; `None`: what is wrong has been told.
pub fn config(written: &Tls, problems: &mut Problems) -> Option<TlsAcceptor> {
    let certs = certificates(&written.cert, problems);
    let key = PrivateKeyDer::from_pem_slice(written.key.text.expose().as_bytes());
    let key = key.map_err(|_| tell(&written.key, "no private key in PEM is in it", problems)).ok();
    let provider = Arc::new(provider(written));
    let verifier = verifier(written, &provider, problems);
    let (certs, key, verifier) = (certs?, key?, verifier?);
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions(written));
    let none_left =
        |_| tell(&written.cert, "the versions of TLS and the cipher suites leave nothing to speak", problems);
    let builder = builder.map_err(none_left).ok()?;
    let made = builder.with_client_cert_verifier(verifier).with_single_cert(certs, key).map_err(|error| match error {
        Error::InconsistentKeys(_) => tell(&written.key, "it is not the key of the certificate", problems),
        error => tell(&written.cert, &error.to_string(), problems),
    });
    let mut config = made.ok()?;
    config.ignore_client_order = written.our_order;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config).into())
}

fn tell(pem: &Pem, what: &str, problems: &mut Problems) {
    problems.add(&pem.place, format!("{}: {what}", pem.what));
}

fn certificates(pem: &Pem, problems: &mut Problems) -> Option<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.text.expose().as_bytes()).collect();
    let read = read.ok().filter(|certificates| !certificates.is_empty());
    if read.is_none() {
        tell(pem, "no certificates in PEM are in it", problems);
    }
    read
}

fn provider(written: &Tls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !written.suites.is_empty() {
        // As in Go, the list is of TLS 1.2: the suites of 1.3 are all good.
        let place = |suite: &SupportedCipherSuite| {
            written.suites.iter().position(|wanted| suite.suite().as_str() == Some(wanted.as_str()))
        };
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || place(suite).is_some());
        provider.cipher_suites.sort_by_key(place);
    }
    if !written.curves.is_empty() {
        let named = |curve: &String| match curve.as_str() {
            "X25519" => ring::kx_group::X25519,
            "CurveP384" => ring::kx_group::SECP384R1,
            _ => ring::kx_group::SECP256R1,
        };
        provider.kx_groups = written.curves.iter().map(named).collect();
    }
    provider
}

fn versions(written: &Tls) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(Version::V12, &TLS12), (Version::V13, &TLS13)];
    all.into_iter().filter(|(version, _)| (written.min..=written.max).contains(version)).map(|(_, is)| is).collect()
}

fn verifier(
    written: &Tls,
    provider: &Arc<CryptoProvider>,
    problems: &mut Problems,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let chain = match (&written.client_ca, written.client) {
        (_, Client::None) => return Some(WebPkiClientVerifier::no_client_auth()),
        (Some(authorities), Client::Verify | Client::VerifyIfGiven) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(authorities, problems)?);
            let chain = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build();
            Some(chain.map_err(|error| tell(authorities, &error.to_string(), problems)).ok()?)
        }
        _ => None,
    };
    let must = matches!(written.client, Client::Any | Client::Verify);
    Some(Arc::new(Verifier { must, chain, allowed: written.allowed.clone(), provider: provider.clone() }))
}

/// Looks at a client's certificate as far as `client_auth_type` asks. That it is the client's own is always verified.
#[derive(Debug)]
struct Verifier {
    /// There must be one.
    must: bool,
    /// It must be of these authorities.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// It must have one of these names, if there are any.
    allowed: Vec<String>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.must
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(end_entity, intermediates, now)?;
        }
        let is_allowed = |name: &String| self.allowed.contains(name);
        match self.allowed.is_empty() || certificate::names(end_entity).iter().any(is_allowed) {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
