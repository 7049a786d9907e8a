//! Reads X.509 certificates; `chain` decides which are trusted, `name` for which hosts, and `holder` whether the peer
//! has the key.

pub mod chain;
pub mod holder;
pub mod name;
pub mod problem;
pub mod verifier;

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_cert::Version;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{AnyRef, Decode, Encode, Reader, SliceReader, TagMode, TagNumber};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};
use x509_cert::spki::AlgorithmIdentifierOwned;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

const PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const SHA_1: &str = "1.3.14.3.2.26";

/// Algorithms by their identifiers: the name of each, and with which hash it signs, or the stronger one that stands for
/// it (RFC 5929, 4.1).
const ALGORITHMS: [(&str, &str, Option<Hash>); 22] = [
    ("1.2.840.113549.1.1.1", "RSA", None),
    ("1.2.840.113549.1.1.10", "RSA-PSS", None),
    ("1.2.840.113549.1.1.4", "RSA with MD5", Some(Hash::Sha256)),
    ("1.2.840.113549.1.1.5", "RSA with SHA-1", Some(Hash::Sha256)),
    ("1.2.840.113549.1.1.14", "RSA with SHA-224", None),
    ("1.2.840.113549.1.1.11", "RSA with SHA-256", Some(Hash::Sha256)),
    ("1.2.840.113549.1.1.12", "RSA with SHA-384", Some(Hash::Sha384)),
    ("1.2.840.113549.1.1.13", "RSA with SHA-512", Some(Hash::Sha512)),
    ("1.2.840.10045.4.1", "ECDSA with SHA-1", Some(Hash::Sha256)),
    ("1.2.840.10045.4.3.2", "ECDSA with SHA-256", Some(Hash::Sha256)),
    ("1.2.840.10045.4.3.3", "ECDSA with SHA-384", Some(Hash::Sha384)),
    ("1.2.840.10045.4.3.4", "ECDSA with SHA-512", Some(Hash::Sha512)),
    ("1.3.132.0.35", "the curve P-521", None),
    ("1.3.132.0.10", "the curve secp256k1", None),
    ("1.2.840.10040.4.1", "DSA", None),
    ("1.2.840.10040.4.3", "DSA with SHA-1", Some(Hash::Sha256)),
    ("2.16.840.1.101.3.4.3.2", "DSA with SHA-256", Some(Hash::Sha256)),
    ("1.2.840.113549.2.5", "MD5", Some(Hash::Sha256)),
    (SHA_1, "SHA-1", Some(Hash::Sha256)),
    ("2.16.840.1.101.3.4.2.1", "SHA-256", Some(Hash::Sha256)),
    ("2.16.840.1.101.3.4.2.2", "SHA-384", Some(Hash::Sha384)),
    ("2.16.840.1.101.3.4.2.3", "SHA-512", Some(Hash::Sha512)),
];

/// Extensions that we obey (RFC 5280, 4.2.1): subject's key, key usage, alternative names, basic constraints, policies,
/// authority's key, extended key usage. A certificate with another one that is marked as critical must not be used.
const OBEYED: [&str; 7] = ["2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.32", "2.5.29.35", "2.5.29.37"];

/// A certificate that has been read.
pub struct Certificate<'a> {
    /// The part that its issuer has signed.
    signed: &'a [u8],
    inner: x509_cert::Certificate,
}

/// The role in which a peer shows its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Server,
    Client,
}

/// An alternative name of a certificate's subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// Its first label may be `*`.
    Host(String),
    Address(IpAddr),
    /// E-mail, URI.
    Other(String),
}

impl Alternative {
    /// As people write it.
    pub fn text(&self) -> String {
        match self {
            Alternative::Host(name) | Alternative::Other(name) => name.clone(),
            Alternative::Address(address) => address.to_string(),
        }
    }
}

/// The end of a certificate's validity; `None` if that cannot be read.
pub fn not_after(der: &[u8]) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Certificate::read(der)?.validity().1)
}

/// The alternative names of a certificate's subject: host names, addresses, e-mail, URIs.
pub fn names(der: &[u8]) -> Vec<String> {
    let names = Certificate::read(der).and_then(|certificate| certificate.alternatives()).unwrap_or_default();
    names.iter().map(Alternative::text).collect()
}

/// A hash that certificates are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// The hash by which a login is bound to a certificate (RFC 5929, 4.1): that of its signature, but SHA-256 instead of
/// MD5 and SHA-1. `None` if its signature has no hash of its own (Ed25519), or an unknown one.
pub fn hash(der: &[u8]) -> Option<Hash> {
    let certificate = Certificate::read(der)?;
    let algorithm = certificate.inner.signature_algorithm();
    let id = match algorithm.oid {
        PSS => {
            // Its parameters begin with the hash, under the tag 0; SHA-1 if it is left out.
            let mut parameters = SliceReader::new(algorithm.parameters.as_ref()?.value()).ok()?;
            let named = parameters.context_specific::<AlgorithmIdentifierOwned>(TagNumber(0), TagMode::Explicit);
            named.ok()?.map_or(SHA_1.to_owned(), |named| named.oid.to_string())
        }
        id => id.to_string(),
    };
    ALGORITHMS.iter().find(|(known, ..)| *known == id).and_then(|(.., hash)| *hash)
}

impl<'a> Certificate<'a> {
    /// Reads DER of any version of X.509; `None`: it is not a certificate.
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let inner = x509_cert::Certificate::from_der(der).ok()?;
        let content = AnyRef::from_der(der).ok()?.value();
        let signed = SliceReader::new(content).ok()?.tlv_bytes().ok()?;
        Some(Certificate { signed, inner })
    }

    /// When its validity begins and ends, since 1970.
    pub fn validity(&self) -> (Duration, Duration) {
        let validity = self.inner.tbs_certificate().validity();
        (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration())
    }

    /// Version 1 or 2, which have no extensions, and so do not say what the certificate may be used for.
    pub fn is_old(&self) -> bool {
        self.inner.tbs_certificate().version() != Version::V3
    }

    /// Its issuer and its subject have the same name.
    pub fn is_its_own_issuer(&self) -> bool {
        let signed = self.inner.tbs_certificate();
        signed.issuer() == signed.subject()
    }

    /// The subject of the other certificate has the name of its issuer.
    fn is_issued_under_the_name_of(&self, other: &Certificate<'_>) -> bool {
        self.inner.tbs_certificate().issuer() == other.inner.tbs_certificate().subject()
    }

    /// Its issuer's name, in DER without the outermost header, as anchors have it.
    fn issuer(&self) -> Vec<u8> {
        content(self.inner.tbs_certificate().issuer())
    }

    /// The alternative names of its subject, or no names without such an extension; `None`: they cannot be read.
    pub fn alternatives(&self) -> Option<Vec<Alternative>> {
        let found = self.inner.tbs_certificate().get_extension::<SubjectAltName>().ok()?;
        let names = found.map(|(_, SubjectAltName(names))| names).unwrap_or_default();
        Some(names.iter().filter_map(alternative).collect())
    }

    /// The first common name of its subject.
    pub fn common_name(&self) -> Option<String> {
        let subject = self.inner.tbs_certificate().subject();
        let part = subject.iter().find(|part| part.oid == COMMON_NAME)?;
        // In all encodings but UTF-16 and UTF-32 its bytes are what is meant.
        String::from_utf8(part.value.value().to_vec()).ok()
    }

    /// Its subject is an authority (RFC 5280, 4.2.1.9).
    pub fn is_authority(&self) -> bool {
        self.constraints().is_some_and(|constraints| constraints.ca)
    }

    fn constraints(&self) -> Option<BasicConstraints> {
        self.inner.tbs_certificate().get_extension().ok().flatten().map(|(_, constraints)| constraints)
    }

    /// Its key may sign certificates, with so many others between it and the last of the chain. An old one may only as
    /// a root.
    fn may_sign(&self, between: usize, is_root: bool) -> bool {
        if self.is_old() {
            return is_root;
        }
        let usage = self.usage();
        let is_authority = match self.constraints() {
            // As in OpenSSL, the usage `keyCertSign` is enough for a root.
            None => is_root && usage.is_some(),
            Some(found) => found.ca && found.path_len_constraint.is_none_or(|limit| usize::from(limit) >= between),
        };
        is_authority && usage.is_none_or(|usage| usage.key_cert_sign())
    }

    fn usage(&self) -> Option<KeyUsage> {
        self.inner.tbs_certificate().get_extension().ok().flatten().map(|(_, usage)| usage)
    }

    /// It limits how many certificates may stand between it and the last of a chain.
    fn limits_its_chain(&self) -> bool {
        self.constraints().is_some_and(|constraints| constraints.path_len_constraint.is_some())
    }

    /// It does not limit the purposes of itself and of those it signs (extendedKeyUsage), or it allows this one.
    fn is_meant_for(&self, purpose: Purpose) -> bool {
        let wanted = if purpose == Purpose::Server { SERVER } else { CLIENT };
        let is_wanted = |id: &ObjectIdentifier| [wanted, ANY_USAGE].contains(id);
        let found = self.inner.tbs_certificate().get_extension::<ExtendedKeyUsage>();
        found.is_ok_and(|found| found.is_none_or(|(_, ExtendedKeyUsage(ids))| ids.iter().any(is_wanted)))
    }

    /// A peer may show it for this purpose.
    fn may_be_shown_for(&self, purpose: Purpose) -> bool {
        // The key usage is checked of servers, as OpenSSL does, but not of clients, as in Go.
        let fits = |key: KeyUsage| key.digital_signature() || key.key_encipherment() || key.key_agreement();
        self.is_meant_for(purpose) && (purpose == Purpose::Client || self.usage().is_none_or(fits))
    }

    /// It has critical extensions that we do not obey; limits on names are left to rustls.
    fn forbids_its_use(&self, names_are_checked: bool) -> bool {
        let extensions = self.inner.tbs_certificate().extensions().map_or(&[][..], Vec::as_slice);
        let is_obeyed = |id: &ObjectIdentifier| OBEYED.contains(&id.to_string().as_str());
        extensions.iter().any(|extension| match extension.extn_id {
            NAME_CONSTRAINTS => !names_are_checked,
            id => extension.critical && !is_obeyed(&id),
        })
    }

    /// The algorithm of its subject's key, as `AlgorithmIdentifier` without the outermost header, and the key.
    fn key(&self) -> (Vec<u8>, &[u8]) {
        let key = self.inner.tbs_certificate().subject_public_key_info();
        (content(&key.algorithm), key.subject_public_key.raw_bytes())
    }

    /// What was signed, with which algorithm (written as that of the key), and the signature.
    fn signature(&self) -> (&[u8], Vec<u8>, &[u8]) {
        (self.signed, content(self.inner.signature_algorithm()), self.inner.signature().raw_bytes())
    }

    /// The signed part names the same algorithm as the unsigned one.
    fn names_one_algorithm(&self) -> bool {
        self.inner.tbs_certificate().signature() == self.inner.signature_algorithm()
    }
}

/// The encoding of a value without its outermost header.
fn content(value: &impl Encode) -> Vec<u8> {
    let der = value.to_der().unwrap_or_default();
    AnyRef::from_der(&der).map(|any| any.value().to_vec()).unwrap_or_default()
}

fn alternative(name: &GeneralName) -> Option<Alternative> {
    match name {
        GeneralName::DnsName(name) => Some(Alternative::Host(name.as_str().to_owned())),
        GeneralName::Rfc822Name(name) | GeneralName::UniformResourceIdentifier(name) => {
            Some(Alternative::Other(name.as_str().to_owned()))
        }
        GeneralName::IpAddress(bytes) => address(bytes.as_bytes()).map(Alternative::Address),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_beyond_the_end() {
        for der in [&[][..], &[0x30], &[0x30, 0x82, 0xff], &[0x30, 0x05, 0x30, 0x03, 0xa0, 0x01], &[0x30, 0x80, 0, 0]] {
            assert_eq!(not_after(der), None);
            assert!(names(der).is_empty());
        }
    }
}
