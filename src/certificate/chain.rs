//! Decides which certificates are trusted, as OpenSSL (and with it libpq) does. rustls verifies most of them. Those
//! that it refuses and OpenSSL accepts are verified here: version 1, as PostgreSQL's manual makes them, an authority's
//! own that a server shows, and one that is itself a root.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DistinguishedName, Error, RootCertStore};

use crate::certificate::problem::{CertificateProblem, describe, outside_validity, unsupported};
use crate::certificate::{Certificate, Purpose, name};

/// How many certificates may stand between the leaf of a chain and its root, and how many signatures are verified to
/// find a path.
const DEEPEST: usize = 8;
const MOST_SIGNATURES: usize = 64;

/// The authorities whose signatures are trusted.
#[derive(Debug)]
pub struct Authorities {
    /// Each root as rustls keeps it, and at the same index its certificate.
    anchors: RootCertStore,
    roots: Vec<CertificateDer<'static>>,
    /// Trusted only if a root has signed them, as if every peer had sent them.
    others: Vec<CertificateDer<'static>>,
    /// For messages: the file, or `the system's authorities`.
    what: String,
    provider: Arc<CryptoProvider>,
}

impl Authorities {
    /// Trusts the certificates of a list that have signed themselves, as OpenSSL does, or (`each`) all of them, as Go
    /// does.
    pub fn new(list: Vec<CertificateDer<'static>>, each: bool, what: String, provider: Arc<CryptoProvider>) -> Self {
        let mut all =
            Authorities { anchors: RootCertStore::empty(), roots: Vec::new(), others: Vec::new(), what, provider };
        for certificate in list {
            // rustls may take a root that cannot be read here.
            let is_root = each || Certificate::read(&certificate).is_none_or(|read| read.is_its_own_issuer());
            if !is_root {
                all.others.push(certificate);
            } else if all.anchors.add(certificate.clone()).is_ok() {
                all.roots.push(certificate);
            }
        }
        all
    }

    /// There are no roots.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Their names, which are sent to clients that are asked for a certificate.
    pub fn subjects(&self) -> Vec<DistinguishedName> {
        self.anchors.subjects()
    }

    /// Verifies a certificate that a peer shows together with these others.
    ///
    /// # Errors
    /// What is wrong with it, as a message (see [`describe`](crate::certificate::problem::describe)).
    pub fn verify(
        &self,
        shown: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
        purpose: Purpose,
    ) -> Result<(), Error> {
        let (leaf, now) = (read(shown)?, Duration::from_secs(now.as_secs()));
        let is_root = self.is_root(shown);
        let mut problem = outside_validity(&leaf, now).or_else(|| unsupported(&leaf, self.algorithms(), is_root));
        if problem.is_none() && !leaf.may_be_shown_for(purpose) {
            let whose = if purpose == Purpose::Server { "servers" } else { "clients" };
            problem = Some(format!("is not for {whose}: its usage (keyUsage, extendedKeyUsage) says so"));
        }
        if let Some(problem) = problem {
            return Err(CertificateProblem::of(&leaf, &problem));
        }
        let is_left_to_rustls = !leaf.is_old() && !leaf.is_authority() && !is_root;
        let others = sent.iter().chain(&self.others).cloned().collect();
        let chain = ShownChain { der: shown, leaf, others, now, purpose };
        let verified = if is_left_to_rustls { self.ask_rustls(&chain) } else { self.search(&chain, false) };
        verified.map_err(|error| self.explain(error, &chain))
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }

    fn is_root(&self, der: &[u8]) -> bool {
        self.roots.iter().any(|root| **root == *der)
    }

    /// Searches for a path to a root ourselves; `names_are_checked`: rustls has found that the limits on names allow
    /// this chain.
    fn search(&self, chain: &ShownChain<'_>, names_are_checked: bool) -> Result<(), Error> {
        let (roots, others) = (read_all(&self.roots), read_all(&chain.others));
        let (algorithms, left) = (self.algorithms(), Cell::new(MOST_SIGNATURES));
        let search = Search { chain, roots, others, algorithms, names_are_checked, left };
        let may_be_used = !chain.leaf.forbids_its_use(names_are_checked);
        if may_be_used && (self.is_root(chain.der) || search.reaches_root(&chain.leaf, 0)) {
            return Ok(());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    fn ask_rustls(&self, chain: &ShownChain<'_>) -> Result<(), Error> {
        let anchors = self.possible_anchors(chain);
        if anchors.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let time = UnixTime::since_unix_epoch(chain.now);
        match chain.purpose {
            Purpose::Server => {
                let (leaf, algorithms) = (ParsedCertificate::try_from(chain.der)?, self.algorithms().all);
                verify_server_cert_signed_by_trust_anchor(&leaf, &anchors, &chain.others, time, algorithms)?;
            }
            Purpose::Client => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(anchors.into(), self.provider.clone()).build();
                let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
                verifier.verify_client_cert(chain.der, &chain.others, time)?;
            }
        }
        // rustls does not check how long a chain the root allows.
        if read_all(&self.roots).iter().any(Certificate::limits_its_chain) {
            return self.search(chain, true);
        }
        Ok(())
    }

    /// The roots that may have signed a certificate of the chain, and may sign at this time: of a root, rustls checks
    /// only name and key.
    fn possible_anchors(&self, chain: &ShownChain<'_>) -> RootCertStore {
        let mut issuers = vec![chain.leaf.issuer()];
        issuers.extend(read_all(&chain.others).iter().map(Certificate::issuer));
        let may_sign = |root: Certificate<'_>| {
            let is_valid = outside_validity(&root, chain.now).is_none();
            is_valid && root.may_sign(0, true) && root.is_meant_for(chain.purpose)
        };
        let mut anchors = RootCertStore::empty();
        for (anchor, der) in self.anchors.roots.iter().zip(&self.roots) {
            let is_issuer = issuers.iter().any(|issuer| **issuer == *anchor.subject);
            if is_issuer && Certificate::read(der).is_none_or(may_sign) {
                anchors.roots.push(anchor.clone());
            }
        }
        anchors
    }

    /// Explains why a chain is refused: by a problem of its issuer, sent by the peer or among the roots; without an
    /// issuer; or by rustls.
    fn explain(&self, error: Error, chain: &ShownChain<'_>) -> Error {
        let others = read_all(&chain.others).into_iter().map(|other| (other, false));
        let roots = read_all(&self.roots).into_iter().map(|root| (root, true));
        let issuer = others.chain(roots).find(|(issuer, _)| chain.leaf.is_issued_under_the_name_of(issuer));
        if let Some((issuer, is_root)) = issuer {
            let mut problem = outside_validity(&issuer, chain.now);
            problem = problem.or_else(|| unsupported(&issuer, self.algorithms(), is_root));
            if problem.is_none() && !issuer.may_sign(0, is_root) {
                problem = Some("may not sign others: it is not an authority's".to_owned());
            }
            if let Some(problem) = problem {
                return CertificateProblem::of(&issuer, &problem);
            }
        }
        let problem = match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                format!("leads to none of {}: name its authority's own certificate in there", self.what)
            }
            error => refusal_by_rustls(&error),
        };
        CertificateProblem::of(&chain.leaf, &problem)
    }
}

fn refusal_by_rustls(error: &Error) -> String {
    if matches!(error, Error::InvalidCertificate(CertificateError::BadSignature)) {
        return "was not signed by the authority that it names, but maybe by another of the same name".to_owned();
    }
    match describe(error).as_str() {
        "UnsupportedCriticalExtension" => "has an extension that must be obeyed, and is not known here".to_owned(),
        "NameConstraintViolation" => "is for names that its authority may not sign for".to_owned(),
        message => format!("is not trusted: {message}"),
    }
}

fn read<'a>(der: &'a CertificateDer<'_>) -> Result<Certificate<'a>, Error> {
    Certificate::read(der).ok_or_else(|| CertificateProblem::error("the certificate cannot be read"))
}

/// Those that can be read.
fn read_all<'a>(list: &'a [CertificateDer<'_>]) -> Vec<Certificate<'a>> {
    list.iter().filter_map(|der| Certificate::read(der)).collect()
}

/// What a peer shows: its certificate, and others that may lead from there to a root.
struct ShownChain<'a> {
    der: &'a CertificateDer<'a>,
    leaf: Certificate<'a>,
    others: Vec<CertificateDer<'a>>,
    now: Duration,
    purpose: Purpose,
}

/// A search for a path to a root, from each certificate to those that may have signed it.
struct Search<'a> {
    chain: &'a ShownChain<'a>,
    roots: Vec<Certificate<'a>>,
    others: Vec<Certificate<'a>>,
    algorithms: &'a WebPkiSupportedAlgorithms,
    names_are_checked: bool,
    /// Signatures that may still be verified.
    left: Cell<usize>,
}

impl Search<'_> {
    /// Whether there is a path from this certificate, with so many between it and the leaf.
    fn reaches_root(&self, certificate: &Certificate<'_>, between: usize) -> bool {
        if between > DEEPEST {
            return false;
        }
        let is_signed_by = |issuer, is_root| self.is_signed_by(certificate, issuer, between, is_root);
        self.roots.iter().any(|root| is_signed_by(root, true))
            || self.others.iter().any(|other| is_signed_by(other, false) && self.reaches_root(other, between + 1))
    }

    fn is_signed_by(&self, of: &Certificate<'_>, issuer: &Certificate<'_>, between: usize, is_root: bool) -> bool {
        let may_have_signed = of.is_issued_under_the_name_of(issuer)
            && of.names_one_algorithm()
            && issuer.may_sign(between, is_root)
            && outside_validity(issuer, self.chain.now).is_none()
            && !issuer.forbids_its_use(self.names_are_checked)
            && issuer.is_meant_for(self.chain.purpose)
            && self.left.get() > 0;
        if !may_have_signed {
            return false;
        }
        self.left.update(|left| left - 1);
        let (signed, with, signature) = of.signature();
        let (of_key, key) = issuer.key();
        let fitting = self.algorithms.all.iter().filter(|one| *one.signature_alg_id() == *with);
        let mut fitting = fitting.filter(|one| *one.public_key_alg_id() == *of_key);
        fitting.any(|one| one.verify_signature(key, signed, signature).is_ok())
    }
}

/// Verifies that a certificate, whose chain is right, is for this host.
///
/// # Errors
/// A message that says which hosts it is for.
pub fn verify_name(shown: &CertificateDer<'_>, host: &str) -> Result<(), Error> {
    name::check(&read(shown)?, host).map_err(CertificateProblem::error)
}

/// Verifies that our TLS supports the certificate's key, without which no signature can be verified.
///
/// # Errors
/// A message.
pub fn verify_key(shown: &CertificateDer<'_>, algorithms: &WebPkiSupportedAlgorithms) -> Result<(), Error> {
    let Some(certificate) = Certificate::read(shown) else { return Ok(()) };
    let problem = unsupported(&certificate, algorithms, true);
    problem.map_or(Ok(()), |problem| Err(CertificateProblem::of(&certificate, &problem)))
}
