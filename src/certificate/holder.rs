//! That a peer holds the key of the certificate it shows, whatever the version of that; and what we show of our own.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, Error, InconsistentKeys, SignatureScheme};
use x509_cert::der::Encode;

use crate::certificate::Certificate;

/// The signatures of a handshake.
#[derive(Clone, Copy, Debug)]
pub struct Signatures(pub WebPkiSupportedAlgorithms);

impl Signatures {
    pub fn new(provider: &CryptoProvider) -> Self {
        Signatures(provider.signature_verification_algorithms)
    }

    /// What we ask for.
    pub fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }

    /// That of TLS 1.2.
    ///
    /// # Errors
    /// It is not by the key of the certificate.
    pub fn verify_tls12(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(certificate) = strange(der) else { return verify_tls12_signature(message, der, signed, &self.0) };
        let (algorithm, key) = certificate.key();
        let fitting = self.0.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme).flat_map(|(_, all)| *all);
        let mut fitting = fitting.filter(|one| *one.public_key_alg_id() == *algorithm);
        match fitting.any(|one| one.verify_signature(key, message, signed.signature()).is_ok()) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    /// That of TLS 1.3.
    ///
    /// # Errors
    /// It is not by the key of the certificate.
    pub fn verify_tls13(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(certificate) = strange(der) else { return verify_tls13_signature(message, der, signed, &self.0) };
        let key = SubjectPublicKeyInfoDer::from(public_key(&certificate));
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.0)
    }
}

/// One that rustls does not read, such as one of version 1: its key is all that is asked for here.
fn strange<'a>(der: &'a CertificateDer<'_>) -> Option<Certificate<'a>> {
    Certificate::read(der).filter(|_| ParsedCertificate::try_from(der).is_err())
}

fn public_key(certificate: &Certificate<'_>) -> Vec<u8> {
    certificate.inner.tbs_certificate().subject_public_key_info().to_der().unwrap_or_default()
}

/// What we show as ours: a chain, and the key of its first certificate.
///
/// # Errors
/// The key cannot be used, or is not that of the certificate.
pub fn ours(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<SingleCertAndKey, Error> {
    let key = provider.key_provider.load_private_key(key)?;
    let (certificate, public) = (chain.first().and_then(|first| strange(first)), key.public_key());
    let fits = certificate.zip(public).map(|(certificate, public)| public.as_ref() == public_key(&certificate));
    let pair = CertifiedKey::new(chain, key);
    match fits
        .map_or_else(|| pair.keys_match(), |fits| if fits { Ok(()) } else { Err(InconsistentKeys::KeyMismatch.into()) })
    {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair.into()),
        Err(error) => Err(error),
    }
}
