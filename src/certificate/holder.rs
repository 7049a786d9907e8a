//! Verifies that a peer holds the key of the certificate it shows, of whatever version; and loads our own certificate
//! and key.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, Error, InconsistentKeys};
use x509_cert::der::Encode;

use crate::certificate::Certificate;

/// Verifies the signature of a handshake of TLS 1.2.
///
/// # Errors
/// The key of the certificate has not made it.
pub fn verify_tls12(
    algorithms: &WebPkiSupportedAlgorithms,
    message: &[u8],
    der: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let Some(certificate) = unknown_to_rustls(der) else {
        return verify_tls12_signature(message, der, signed, algorithms);
    };
    let (algorithm, key) = certificate.key();
    let fitting = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme).flat_map(|(_, all)| *all);
    let mut fitting = fitting.filter(|one| *one.public_key_alg_id() == *algorithm);
    if fitting.any(|one| one.verify_signature(key, message, signed.signature()).is_ok()) {
        return Ok(HandshakeSignatureValid::assertion());
    }
    Err(CertificateError::BadSignature.into())
}

/// Verifies the signature of a handshake of TLS 1.3.
///
/// # Errors
/// The key of the certificate has not made it.
pub fn verify_tls13(
    algorithms: &WebPkiSupportedAlgorithms,
    message: &[u8],
    der: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let Some(certificate) = unknown_to_rustls(der) else {
        return verify_tls13_signature(message, der, signed, algorithms);
    };
    let key = SubjectPublicKeyInfoDer::from(public_key(&certificate));
    verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
}

/// A certificate that rustls cannot read, such as one of version 1. Only its key is needed here.
fn unknown_to_rustls<'a>(der: &'a CertificateDer<'_>) -> Option<Certificate<'a>> {
    Certificate::read(der).filter(|_| ParsedCertificate::try_from(der).is_err())
}

fn public_key(certificate: &Certificate<'_>) -> Vec<u8> {
    certificate.inner.tbs_certificate().subject_public_key_info().to_der().unwrap_or_default()
}

/// The certificate that we show: a chain, and the key of its first certificate.
///
/// # Errors
/// The key cannot be used, or belongs to another certificate.
pub fn ours(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<SingleCertAndKey, Error> {
    let Some(certificate) = chain.first().and_then(|first| unknown_to_rustls(first)) else {
        return CertifiedKey::from_der(chain, key, provider).map(SingleCertAndKey::from);
    };
    let key = provider.key_provider.load_private_key(key)?;
    if key.public_key().is_some_and(|public| public.as_ref() != public_key(&certificate)) {
        return Err(InconsistentKeys::KeyMismatch.into());
    }
    Ok(CertifiedKey::new(chain, key).into())
}
