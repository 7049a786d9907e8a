//! Which certificates are believed, as OpenSSL (and by it libpq) decides. Most are left to rustls; what it refuses and OpenSSL
//! takes is followed here: version 1, as PostgreSQL's manual makes them, an authority's own that a server shows, and one that
//! is believed by itself.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DistinguishedName, Error, RootCertStore};

use crate::certificate::holder::Signatures;
pub use crate::certificate::words::told;
use crate::certificate::words::{Untrusted, lacks, of_whom, out_of_time};
use crate::certificate::{Certificate, Usage, name};

/// How many certificates may stand between the first of a chain and its root, and how many signatures are verified to find a way.
const DEEPEST: usize = 8;
const MOST_SIGNATURES: usize = 64;

/// Whose signatures are believed.
#[derive(Debug)]
pub struct Authorities {
    /// What each is to rustls, and the certificate itself, side by side.
    anchors: RootCertStore,
    roots: Vec<CertificateDer<'static>>,
    /// They are believed only if a root has signed them; as if every peer had sent them.
    others: Vec<CertificateDer<'static>>,
    /// For messages: the file, or `the system's authorities`.
    what: String,
    provider: Arc<CryptoProvider>,
}

impl Authorities {
    /// Those of a list that have signed themselves, as in OpenSSL, or (`each`) all of them, as in Go.
    pub fn new(list: Vec<CertificateDer<'static>>, each: bool, what: String, provider: Arc<CryptoProvider>) -> Self {
        let mut all =
            Authorities { anchors: RootCertStore::empty(), roots: Vec::new(), others: Vec::new(), what, provider };
        for certificate in list {
            // What is not read here may still be a root to rustls.
            let is_root = each || Certificate::read(&certificate).is_none_or(|read| read.is_its_own_issuer());
            if !is_root {
                all.others.push(certificate);
            } else if all.anchors.add(certificate.clone()).is_ok() {
                all.roots.push(certificate);
            }
        }
        all
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Their names, which are told to clients that are asked for a certificate.
    pub fn subjects(&self) -> Vec<DistinguishedName> {
        self.anchors.subjects()
    }

    /// Believes a certificate, shown with these others.
    ///
    /// # Errors
    /// In words (see [`told`]): what it lacks.
    pub fn verify(
        &self,
        shown: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
        usage: Usage,
    ) -> Result<(), Error> {
        let now = Duration::from_secs(now.as_secs());
        let Some(first) = Certificate::read(shown) else {
            return Err(Untrusted::error("the certificate cannot be read"));
        };
        let told = |lacks: String| Untrusted::error(format!("{} {lacks}", of_whom(&first)));
        let of_itself = lacks(&first, self.algorithms(), self.is_root(shown));
        if let Some(lacks) = out_of_time(&first, now).or(of_itself) {
            return Err(told(lacks));
        }
        if !first.may_be_shown_by(usage) {
            let whose = if usage == Usage::Server { "servers" } else { "clients" };
            return Err(told(format!("is not for {whose}: its usage (keyUsage, extendedKeyUsage) says so")));
        }
        let others: Vec<_> = sent.iter().chain(&self.others).cloned().collect();
        let is_believed = match first.is_old() || first.is_authority() || self.is_root(shown) {
            true => self.search(&first, &others, now, usage, false),
            false => self.leave_to_rustls(shown, &first, &others, now, usage),
        };
        is_believed.map_err(|error| self.in_words(error, &first, &others, now))
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }

    fn is_root(&self, der: &[u8]) -> bool {
        self.roots.iter().any(|root| **root == *der)
    }

    /// Looks for a way to a root by ourselves; `names_are_checked`: rustls has found that limits on names allow this one.
    fn search(
        &self,
        first: &Certificate<'_>,
        others: &[CertificateDer<'_>],
        now: Duration,
        usage: Usage,
        names_are_checked: bool,
    ) -> Result<(), Error> {
        let unknown = CertificateError::UnknownIssuer;
        if first.forbids_its_use(names_are_checked) {
            return Err(unknown.into());
        }
        if self.is_root(first.der) {
            return Ok(());
        }
        let roots: Vec<_> = self.roots.iter().filter_map(|der| Certificate::read(der)).collect();
        let others: Vec<_> = others.iter().filter_map(|der| Certificate::read(der)).collect();
        let algorithms = self.algorithms();
        let (roots, others, left) = (&*roots, &*others, MOST_SIGNATURES);
        let mut search = Search { roots, others, algorithms, now, usage, names_are_checked, left };
        if search.leads_on_from(first, 0) { Ok(()) } else { Err(unknown.into()) }
    }

    fn leave_to_rustls(
        &self,
        shown: &CertificateDer<'_>,
        first: &Certificate<'_>,
        others: &[CertificateDer<'_>],
        now: Duration,
        usage: Usage,
    ) -> Result<(), Error> {
        let anchors = self.anchors_that_hold(first, others, now, usage);
        if anchors.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let time = UnixTime::since_unix_epoch(now);
        match usage {
            Usage::Server => {
                let parsed = ParsedCertificate::try_from(shown)?;
                verify_server_cert_signed_by_trust_anchor(&parsed, &anchors, others, time, self.algorithms().all)?;
            }
            Usage::Client => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(anchors.into(), self.provider.clone()).build();
                let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
                verifier.verify_client_cert(shown, others, time)?;
            }
        }
        // How long a chain a root allows is not asked there.
        match self.roots.iter().filter_map(|der| Certificate::read(der)).any(|root| root.limits_its_chain()) {
            true => self.search(first, others, now, usage, true),
            false => Ok(()),
        }
    }

    /// Roots that may have signed one of these, hold now and may sign: rustls looks at nothing of a root but its name and key.
    fn anchors_that_hold(
        &self,
        first: &Certificate<'_>,
        others: &[CertificateDer<'_>],
        now: Duration,
        usage: Usage,
    ) -> RootCertStore {
        let mut issuers = vec![first.issuer()];
        issuers.extend(others.iter().filter_map(|der| Some(Certificate::read(der)?.issuer())));
        let may = |der: &CertificateDer<'_>| {
            let holds = |root: Certificate<'_>| {
                out_of_time(&root, now).is_none() && root.may_sign(0, true) && root.is_meant_for(usage)
            };
            Certificate::read(der).is_none_or(holds)
        };
        let pairs = self.anchors.roots.iter().zip(&self.roots);
        let found = pairs.filter(|(anchor, der)| issuers.iter().any(|issuer| **issuer == *anchor.subject) && may(der));
        RootCertStore { roots: found.map(|(anchor, _)| anchor.clone()).collect() }
    }

    /// What a chain lacks: of those that were sent, of the roots that have the names of issuers, or that there is none.
    fn in_words(&self, error: Error, first: &Certificate<'_>, others: &[CertificateDer<'_>], now: Duration) -> Error {
        let all = others.iter().map(|der| (der, false)).chain(self.roots.iter().map(|der| (der, true)));
        let all: Vec<_> = all.filter_map(|(der, is_root)| Some((Certificate::read(der)?, is_root))).collect();
        let issuer = all.iter().find(|(certificate, _)| first.is_issued_under_the_name_of(certificate));
        if let Some((issuer, is_root)) = issuer
            && let Some(lacks) =
                out_of_time(issuer, now).or_else(|| lacks(issuer, self.algorithms(), *is_root)).or_else(|| {
                    (!issuer.may_sign(0, *is_root)).then(|| "may not sign others: it is not an authority's".to_owned())
                })
        {
            return Untrusted::error(format!("{} {lacks}", of_whom(issuer)));
        }
        match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => Untrusted::error(format!(
                "{} leads to none of {}: name its authority's own certificate in there",
                of_whom(first),
                self.what
            )),
            error => Untrusted::error(format!("{} {}", of_whom(first), refused(&error))),
        }
    }
}

/// What rustls says of a chain.
fn refused(error: &Error) -> String {
    match (error, &*told(error)) {
        (Error::InvalidCertificate(CertificateError::BadSignature), _) => {
            "was not signed by the authority that it names, but maybe by another of the same name".to_owned()
        }
        (_, "UnsupportedCriticalExtension") => "has an extension that must be obeyed, and is not known here".to_owned(),
        (_, "NameConstraintViolation") => "is for names that its authority may not sign for".to_owned(),
        (_, said) => format!("is not believed: {said}"),
    }
}

/// A search for a way to a root, from each certificate to those that may have signed it.
struct Search<'a> {
    roots: &'a [Certificate<'a>],
    others: &'a [Certificate<'a>],
    algorithms: &'a WebPkiSupportedAlgorithms,
    now: Duration,
    usage: Usage,
    names_are_checked: bool,
    /// Signatures that may still be verified.
    left: usize,
}

impl<'a> Search<'a> {
    /// Whether there is a way from this certificate, with so many between it and the first.
    fn leads_on_from(&mut self, certificate: &Certificate<'_>, between: usize) -> bool {
        let (roots, others) = (self.roots, self.others);
        if between > DEEPEST {
            return false;
        }
        roots.iter().any(|root| self.may_have_signed(root, certificate, between, true))
            || others.iter().any(|other| {
                self.may_have_signed(other, certificate, between, false) && self.leads_on_from(other, between + 1)
            })
    }

    fn may_have_signed(
        &mut self,
        issuer: &Certificate<'a>,
        of: &Certificate<'_>,
        between: usize,
        is_root: bool,
    ) -> bool {
        let may = of.is_issued_under_the_name_of(issuer)
            && issuer.may_sign(between, is_root)
            && out_of_time(issuer, self.now).is_none()
            && !issuer.forbids_its_use(self.names_are_checked)
            && issuer.is_meant_for(self.usage)
            && self.left > 0;
        if may {
            self.left -= 1;
        }
        may && is_signed_by(of, issuer, self.algorithms)
    }
}

fn is_signed_by(
    certificate: &Certificate<'_>,
    issuer: &Certificate<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    if !certificate.is_of_one_mind() {
        return false;
    }
    let (signed, with, signature) = certificate.signature();
    let (of_key, key) = issuer.key();
    let mut fitting =
        algorithms.all.iter().filter(|one| *one.signature_alg_id() == *with && *one.public_key_alg_id() == *of_key);
    fitting.any(|one| one.verify_signature(key, signed, signature).is_ok())
}

/// Believes a name: that a certificate, whose chain is right, is for this host.
///
/// # Errors
/// In words: whom it is for.
pub fn verify_name(shown: &CertificateDer<'_>, host: &str) -> Result<(), Error> {
    let certificate = Certificate::read(shown).ok_or_else(|| Untrusted::error("the certificate cannot be read"))?;
    name::check(&certificate, host).map_err(Untrusted::error)
}

/// What makes a certificate of no use to us, whoever has signed it: its key is of a kind that we cannot verify with.
///
/// # Errors
/// In words.
pub fn verify_key(shown: &CertificateDer<'_>, signatures: &Signatures) -> Result<(), Error> {
    let Some(certificate) = Certificate::read(shown) else { return Ok(()) };
    match lacks(&certificate, &signatures.0, true) {
        Some(lacks) => Err(Untrusted::error(format!("{} {lacks}", of_whom(&certificate)))),
        None => Ok(()),
    }
}
