//! TLS for clients: the web configuration on rustls.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use crate::certificate::chain::Authorities;
use crate::certificate::holder;
use crate::certificate::verifier::ClientVerifier;
use crate::schema::problem::Problems;
use crate::settings::web::{Client, Pem, TlsOptions, Version, WebTls};

/// For new connections; `None` if it cannot be used, for reasons that are among the problems then.
pub fn acceptor(settings: &WebTls, problems: &mut Problems) -> Option<TlsAcceptor> {
    let certs = certificates(&settings.cert, problems);
    let key = PrivateKeyDer::from_pem_slice(settings.key.text.expose().as_bytes());
    let key = key.map_err(|_| report(&settings.key, "no private key in PEM is in it", problems)).ok();
    let options = &settings.options;
    let provider = Arc::new(provider(options));
    let verifier = verifier(settings, &provider, problems);
    let (certs, key, verifier) = (certs?, key?, verifier?);
    let ours = holder::ours(certs, key, &provider).map_err(|error| match error {
        Error::InconsistentKeys(_) => report(&settings.key, "it is not the key of the certificate", problems),
        error => report(&settings.cert, &error.to_string(), problems),
    });
    let Ok(builder) = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions(options)) else {
        let nothing = "the versions of TLS and the cipher suites leave nothing to speak";
        report(&settings.cert, nothing, problems);
        return None;
    };
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(ours.ok()?));
    config.ignore_client_order = options.prefer_server_cipher_suites;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config).into())
}

fn report(pem: &Pem, what: &str, problems: &mut Problems) {
    problems.add(&pem.place, format!("{}: {what}", pem.what));
}

fn certificates(pem: &Pem, problems: &mut Problems) -> Option<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.text.expose().as_bytes()).collect();
    let read = read.ok().filter(|certificates| !certificates.is_empty());
    if read.is_none() {
        report(pem, "no certificates in PEM are in it", problems);
    }
    read
}

fn provider(options: &TlsOptions) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !options.cipher_suites.is_empty() {
        // As in Go, the list is for TLS 1.2: all suites of 1.3 are good.
        let place = |suite: &SupportedCipherSuite| {
            options.cipher_suites.iter().position(|wanted| suite.suite().as_str() == Some(wanted.as_str()))
        };
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || place(suite).is_some());
        provider.cipher_suites.sort_by_key(place);
    }
    if !options.curve_preferences.is_empty() {
        let named = |curve: &String| match curve.as_str() {
            "X25519" => ring::kx_group::X25519,
            "CurveP384" => ring::kx_group::SECP384R1,
            _ => ring::kx_group::SECP256R1,
        };
        provider.kx_groups = options.curve_preferences.iter().map(named).collect();
    }
    provider
}

fn versions(options: &TlsOptions) -> Vec<&'static SupportedProtocolVersion> {
    let wanted = options.min_version..=options.max_version;
    let all = [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)].into_iter();
    all.filter(|(version, _)| wanted.contains(version)).map(|(_, protocol)| protocol).collect()
}

fn verifier(
    settings: &WebTls,
    provider: &Arc<CryptoProvider>,
    problems: &mut Problems,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let options = &settings.options;
    let authorities = match (&settings.client_ca, options.client_auth_type) {
        (_, Client::NoClientCert) => return Some(WebPkiClientVerifier::no_client_auth()),
        (Some(pem), Client::RequireAndVerifyClientCert | Client::VerifyClientCertIfGiven) => {
            // Each is trusted, as in Go, from which the format of this configuration comes.
            let all = Authorities::new(certificates(pem, problems)?, true, pem.what.clone(), provider.clone());
            if all.is_empty() {
                report(pem, "none of its certificates can be used as an authority's", problems);
                return None;
            }
            Some(all)
        }
        _ => None,
    };
    let is_mandatory = matches!(
        options.client_auth_type,
        Client::RequireClientCert | Client::RequireAnyClientCert | Client::RequireAndVerifyClientCert
    );
    let hints = authorities.as_ref().map(Authorities::subjects).unwrap_or_default();
    let (allowed_names, algorithms) = (options.client_allowed_sans.clone(), provider.signature_verification_algorithms);
    Some(Arc::new(ClientVerifier { is_mandatory, authorities, hints, allowed_names, algorithms }))
}
