//! What makes a certificate unacceptable, and how we say so.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, OtherError};
use thiserror::Error;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};

use crate::certificate::{ALGORITHMS, Certificate};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The lengths of RSA keys that pgvigil's TLS takes, in bits.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// Why a certificate is not trusted.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct CertificateProblem(String);

impl CertificateProblem {
    /// An error that ends the handshake; [`describe`] gives the message back.
    pub fn error(message: impl Into<String>) -> rustls::Error {
        let problem = CertificateProblem(message.into());
        CertificateError::Other(OtherError(Arc::new(problem))).into()
    }

    /// The same, about this certificate, whose subject and issuer the message names.
    pub fn of(certificate: &Certificate<'_>, problem: &str) -> rustls::Error {
        let signed = certificate.inner.tbs_certificate();
        let issuer = if certificate.is_its_own_issuer() {
            "which is signed by itself".to_owned()
        } else {
            format!("issued by {}", shown(signed.issuer()))
        };
        CertificateProblem::error(format!("the certificate of {}, {issuer}, {problem}", shown(signed.subject())))
    }
}

fn shown(name: &impl Display) -> String {
    let text: String = name.to_string().escape_debug().take(200).collect();
    if text.is_empty() { "(no name)".to_owned() } else { text }
}

/// An error of TLS as a message: ours, if the error is ours.
pub fn describe(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.to_string(),
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the peer does not hold the key of the certificate it shows, or the authority that the certificate names did not sign it"
                .to_owned()
        }
        error => error.to_string(),
    }
}

/// Why our TLS cannot use a certificate's key or signature; `None` if it can.
pub fn unsupported(
    certificate: &Certificate<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
    is_root: bool,
) -> Option<String> {
    let of_key = certificate.inner.tbs_certificate().subject_public_key_info();
    let (key, bits) = certificate.key();
    if !algorithms.all.iter().any(|known| *known.public_key_alg_id() == *key) {
        let parameter = of_key.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        let key = algorithm(parameter.unwrap_or(of_key.algorithm.oid));
        return Some(format!(
            "has a key of {key}, which pgvigil's TLS does not take: it takes RSA, P-256, P-384 and Ed25519"
        ));
    }
    if of_key.algorithm.oid == RSA
        && let Some(bits) = modulus_bits(bits).filter(|bits| !RSA_BITS.contains(bits))
    {
        return Some(format!(
            "has an RSA key of {bits} bits, which pgvigil's TLS does not take: 2048 to 8192 are taken"
        ));
    }
    let (_, signature, _) = certificate.signature();
    // The signature of a root is not verified.
    if is_root || algorithms.all.iter().any(|known| *known.signature_alg_id() == *signature) {
        return None;
    }
    let with = algorithm(certificate.inner.signature_algorithm().oid);
    Some(format!("is signed with {with}, which pgvigil's TLS does not take: issue it anew with SHA-256"))
}

fn algorithm(id: ObjectIdentifier) -> String {
    let id = id.to_string();
    ALGORITHMS.iter().find(|(known, ..)| *known == id).map_or(id.clone(), |(_, name, _)| (*name).to_owned())
}

/// The length of the first number of an `RSAPublicKey`.
fn modulus_bits(key: &[u8]) -> Option<usize> {
    let numbers = Vec::<UintRef<'_>>::from_der(key).ok()?;
    let modulus = numbers.first()?.as_bytes();
    Some(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize)
}

/// Why a certificate is not valid at `now`, a time since 1970.
pub fn outside_validity(certificate: &Certificate<'_>, now: Duration) -> Option<String> {
    let (from, to) = certificate.validity();
    let written = |since: Duration| humantime::format_rfc3339_seconds(UNIX_EPOCH + since);
    if now < from {
        return Some(format!("is not valid before {}", written(from)));
    }
    (now > to).then(|| format!("expired at {}", written(to)))
}
