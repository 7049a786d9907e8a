//! What a certificate lacks, for people.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use std::{error, fmt};

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, Error, OtherError};
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{self, AnyRef, Decode, Reader};

use crate::certificate::Certificate;

/// What is signed with, and keys, by their identifiers: those that are still met.
const ALGORITHMS: [(&str, &str); 12] = [
    ("1.2.840.113549.1.1.1", "RSA"),
    ("1.2.840.113549.1.1.4", "RSA with MD5"),
    ("1.2.840.113549.1.1.5", "RSA with SHA-1"),
    ("1.2.840.113549.1.1.10", "RSA-PSS"),
    ("1.2.840.113549.1.1.14", "RSA with SHA-224"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.10040.4.3", "DSA with SHA-1"),
    ("2.16.840.1.101.3.4.3.2", "DSA with SHA-256"),
    ("1.2.840.10045.4.1", "ECDSA with SHA-1"),
    ("1.2.840.10045.4.3.4", "ECDSA with SHA-512"),
    ("1.3.132.0.35", "the curve P-521"),
    ("1.3.132.0.10", "the curve secp256k1"),
];

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// What pgvigil's TLS takes of RSA, in bits.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// Why a certificate is not believed.
#[derive(Debug)]
pub struct Untrusted(String);

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for Untrusted {}

impl Untrusted {
    /// As the library takes it: the handshake ends, and [`told`] gives the words back.
    pub fn error(words: impl Into<String>) -> Error {
        let unbelieved = Untrusted(words.into());
        CertificateError::Other(OtherError(Arc::new(unbelieved))).into()
    }
}

/// An error of TLS in words: ours, where they are ours.
pub fn told(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.to_string(),
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the peer does not hold the key of the certificate it shows, or that was signed by another than it says"
                .to_owned()
        }
        error => error.to_string(),
    }
}

/// Its subject and its issuer.
pub fn of_whom(certificate: &Certificate<'_>) -> String {
    let signed = certificate.inner.tbs_certificate();
    match certificate.is_its_own_issuer() {
        true => format!("the certificate of {}, which is signed by itself,", shown(signed.subject())),
        false => format!("the certificate of {}, issued by {},", shown(signed.subject()), shown(signed.issuer())),
    }
}

fn shown(name: &impl fmt::Display) -> String {
    let text: String = name.to_string().escape_debug().take(200).collect();
    if text.is_empty() { "nobody named".to_owned() } else { text }
}

/// What of its key or signature our TLS cannot do, if there is something.
pub fn lacks(certificate: &Certificate<'_>, algorithms: &WebPkiSupportedAlgorithms, is_root: bool) -> Option<String> {
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
    // Nobody looks at the signature of what is believed by itself.
    match is_root || algorithms.all.iter().any(|known| *known.signature_alg_id() == *signature) {
        true => None,
        false => {
            let with = algorithm(certificate.signature_algorithm().oid);
            Some(format!("is signed with {with}, which pgvigil's TLS does not take: issue it anew with SHA-256"))
        }
    }
}

fn algorithm(id: ObjectIdentifier) -> String {
    let text = id.to_string();
    ALGORITHMS.iter().find(|(known, _)| *known == text).map_or(text.clone(), |(_, name)| (*name).to_owned())
}

/// Of `RSAPublicKey`: the length of its first number.
fn modulus_bits(key: &[u8]) -> Option<usize> {
    let numbers = AnyRef::from_der(key).ok()?;
    let modulus = numbers.sequence(|reader| {
        let modulus = UintRef::decode(reader)?;
        reader.drain(reader.remaining_len())?;
        Ok::<_, der::Error>(modulus)
    });
    let bytes = modulus.ok()?;
    let first = bytes.as_bytes().first()?;
    Some(bytes.as_bytes().len() * 8 - first.leading_zeros() as usize)
}

/// It does not hold at this time since 1970; when it does.
pub fn out_of_time(certificate: &Certificate<'_>, now: Duration) -> Option<String> {
    let (from, to) = certificate.validity();
    let written = |since: Duration| humantime::format_rfc3339_seconds(UNIX_EPOCH + since);
    match (now < from, now > to) {
        (true, _) => Some(format!("is not valid before {}", written(from))),
        (_, true) => Some(format!("expired at {}", written(to))),
        _ => None,
    }
}
