//! TLS towards those who ask: what the web configuration says, on rustls.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedCipherSuite, SupportedProtocolVersion,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, ring},
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
    certificate::{Usage, chain::Authorities, holder, holder::Signatures},
    schema::problem::Problems,
    settings::web::{Client, Pem, Version, WebTls},
};

/// What new connections speak; `None`: what is wrong has been told.
pub fn config(written: &WebTls, problems: &mut Problems) -> Option<TlsAcceptor> {
    let certs = certificates(&written.cert, problems);
    let key = PrivateKeyDer::from_pem_slice(written.key.text.expose().as_bytes());
    let key = key.map_err(|_| tell(&written.key, "no private key in PEM is in it", problems)).ok();
    let provider = Arc::new(provider(written));
    let verifier = verifier(written, &provider, problems);
    let (certs, key, verifier) = (certs?, key?, verifier?);
    let ours = holder::ours(certs, key, &provider).map_err(|error| match error {
        Error::InconsistentKeys(_) => tell(&written.key, "it is not the key of the certificate", problems),
        error => tell(&written.cert, &error.to_string(), problems),
    });
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions(written));
    let none_left =
        |_| tell(&written.cert, "the versions of TLS and the cipher suites leave nothing to speak", problems);
    let builder = builder.map_err(none_left).ok()?;
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(ours.ok()?));
    config.ignore_client_order = written.options.prefer_server_cipher_suites;
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

fn provider(written: &WebTls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !written.options.cipher_suites.is_empty() {
        // As in Go, the list is of TLS 1.2: the suites of 1.3 are all good.
        let place = |suite: &SupportedCipherSuite| {
            written.options.cipher_suites.iter().position(|wanted| suite.suite().as_str() == Some(wanted.as_str()))
        };
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || place(suite).is_some());
        provider.cipher_suites.sort_by_key(place);
    }
    if !written.options.curve_preferences.is_empty() {
        let named = |curve: &String| match curve.as_str() {
            "X25519" => ring::kx_group::X25519,
            "CurveP384" => ring::kx_group::SECP384R1,
            _ => ring::kx_group::SECP256R1,
        };
        provider.kx_groups = written.options.curve_preferences.iter().map(named).collect();
    }
    provider
}

fn versions(written: &WebTls) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(Version::V12, &TLS12), (Version::V13, &TLS13)];
    all.into_iter()
        .filter(|(version, _)| (written.options.min_version..=written.options.max_version).contains(version))
        .map(|(_, is)| is)
        .collect()
}

fn verifier(
    written: &WebTls,
    provider: &Arc<CryptoProvider>,
    problems: &mut Problems,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let authorities = match (&written.client_ca, written.options.client_auth_type) {
        (_, Client::None) => return Some(WebPkiClientVerifier::no_client_auth()),
        (Some(pem), Client::Verify | Client::VerifyIfGiven) => {
            // Each is believed, as in Go, from which the format of this configuration comes.
            let all = Authorities::new(certificates(pem, problems)?, true, pem.what.clone(), provider.clone());
            if all.is_empty() {
                tell(pem, "none of its certificates can be used as an authority's", problems);
                return None;
            }
            Some(all)
        }
        _ => None,
    };
    let must = matches!(written.options.client_auth_type, Client::Any | Client::Verify);
    let (hints, signatures) =
        (authorities.as_ref().map(Authorities::subjects).unwrap_or_default(), Signatures::new(provider));
    Some(Arc::new(ClientVerifier {
        must,
        authorities,
        hints,
        allowed: written.options.client_allowed_sans.clone(),
        signatures,
    }))
}

/// Looks at a client's certificate as far as `client_auth_type` asks. That it is the client's own is always verified.
#[derive(Debug)]
struct ClientVerifier {
    /// There must be one.
    must: bool,
    /// It must be of these authorities.
    authorities: Option<Authorities>,
    /// The names of these.
    hints: Vec<DistinguishedName>,
    /// It must have one of these names, if there are any.
    allowed: Vec<String>,
    signatures: Signatures,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.must
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(authorities) = &self.authorities {
            authorities.verify(end_entity, intermediates, now, Usage::Client)?;
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
        self.signatures.verify_tls12(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls13(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}
