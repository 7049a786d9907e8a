//! The web configuration: how the pages are served, and to whom. It has the format of Prometheus exporters (`--web.config.file`).
//! `access` checks what needs a TLS library.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bcrypt::HashParts;
use strum::{EnumString, VariantNames};

use crate::declare;
use crate::schema::form::Form;
use crate::schema::problem::{Place, Problems};
use crate::schema::reader::{Entry, Reader, Schema};
use crate::schema::values::{duration, entries, flag, list, map, one_of, text, whole, word};
use crate::schema::yaml::Node;
use crate::schema::{files, yaml};
use crate::secret::Secret;

declare! {
    /// The content of the file.
    #[derive(Debug, Default)]
    pub struct WebSettings: "the web configuration" {
        /// TLS towards those who ask; plain HTTP if left out.
        tls as "tls_server_config": Option<WebTls> = map().then(TlsKeys::tls).optional(),
        /// What answers carry.
        headers as "http_server_config": Vec<Header> = map().map(|keys: HttpKeys| keys.headers).or(Vec::new()),
        /// Users and their passwords' bcrypt hashes; anyone may ask if there are none.
        users as "basic_auth_users": Vec<Entry<Secret>> = entries("^[^:]+$", user_name, hash()).or(Vec::new()),
        /// How many requests are answered; the others get a 429.
        rate as "rate_limit": Option<Rate> = map().map(|rate: Rate| Some(rate).filter(|rate| !rate.interval.is_zero())).or(None),
        /// The names by which this server may be asked, without ports; the others get a 421. Any name if left out.
        hosts as "allowed_hosts": Vec<String> = list(host()).or(Vec::new()),
    }
}

/// TLS towards clients.
#[derive(Debug)]
pub struct WebTls {
    pub cert: Pem,
    pub key: Pem,
    pub client_ca: Option<Pem>,
    pub options: TlsOptions,
}

declare! {
    pub struct TlsKeys: "`tls_server_config`" {
        /// Our certificate and those between it and its authority, PEM.
        cert_file: Option<Pem> = pem_in_file().instead_of("cert").optional(),
        /// The same, written here.
        cert: Option<Pem> = pem().optional(),
        /// Its key, PEM.
        key_file: Option<Pem> = pem_in_file().instead_of("key").optional(),
        /// The same, written here.
        key: Option<Pem> = pem().optional(),
        /// The authorities of clients' certificates, PEM.
        client_ca_file: Option<Pem> = pem_in_file().instead_of("client_ca").optional(),
        /// The same, written here.
        client_ca: Option<Pem> = pem().optional(),
        ..options: TlsOptions,
    }
}

declare! {
    /// The options of TLS.
    #[derive(Debug)]
    pub struct TlsOptions: "TLS" {
        /// Which certificate a client must have; only `RequireAndVerifyClientCert` keeps strangers out.
        client_auth_type: Client = word().or(Client::NoClientCert),
        /// The client's certificate must have one of these as an alternative name: host, address, e-mail or URI.
        client_allowed_sans: Vec<String> = list(text()).or(Vec::new()),
        /// TLS12 if left out.
        min_version: Version = word().or(Version::Tls12),
        /// TLS13 if left out.
        max_version: Version = word().or(Version::Tls13),
        /// Of TLS 1.2 only these; all if left out.
        cipher_suites: Vec<String> = list(one_of(&SUITES)).or(Vec::new()),
        /// Our order of cipher suites counts (if left out), or the client's.
        prefer_server_cipher_suites: bool = flag().or(true),
        /// Only these, the first first; all if left out.
        curve_preferences: Vec<String> = list(one_of(&CURVES)).or(Vec::new()),
    }
}

declare! {
    pub struct HttpKeys: "`http_server_config`" {
        /// Read, and without effect: HTTP/1.1 is spoken.
        http2: Option<bool> = flag().optional(),
        /// More headers for every answer.
        headers: Vec<Header> = map().map(HeaderKeys::given).or(Vec::new()),
    }
}

declare! {
    /// A limit on requests: `burst` at once, and another one each `interval`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Rate: "`rate_limit`" {
        /// The time between two requests, on average; 0s: there is no limit.
        interval: Duration = duration().or(Duration::ZERO),
        /// How many may come at once; 1 if left out.
        burst: u32 = whole(1..=1_000_000).or(1),
    }
}

declare! {
    pub struct HeaderKeys: "`headers`" {
        /// For how long browsers ask by TLS only.
        transport_security as "Strict-Transport-Security": String = header().or(String::new()),
        /// `nosniff`.
        content_type_options as "X-Content-Type-Options": String = text()
            .matching("^(nosniff)?$", "nosniff", |value| matches!(value.as_str(), "" | "nosniff"))
            .or(String::new()),
        /// `deny` or `sameorigin`.
        frame_options as "X-Frame-Options": String = text()
            .matching("^(deny|sameorigin)?$", "deny or sameorigin", |value| {
                matches!(value.as_str(), "" | "deny" | "sameorigin")
            })
            .or(String::new()),
        /// For old browsers.
        xss_protection as "X-XSS-Protection": String = header().or(String::new()),
        /// What a browser may load for the page `/`.
        content_security_policy as "Content-Security-Policy": String = header().or(String::new()),
    }
}

/// A header's name and value.
pub type Header = (&'static str, String);

fn header() -> Schema<String> {
    let is_good = |value: &String| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    text().matching("^[ -~]*$", "of ASCII characters, without line breaks", is_good)
}

impl HeaderKeys {
    /// The headers that are present and not empty.
    fn given(self) -> Vec<Header> {
        let headers = [
            ("Strict-Transport-Security", self.transport_security),
            ("X-Content-Type-Options", self.content_type_options),
            ("X-Frame-Options", self.frame_options),
            ("X-XSS-Protection", self.xss_protection),
            ("Content-Security-Policy", self.content_security_policy),
        ];
        headers.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// A text in PEM, with its place in the configuration.
#[derive(Debug)]
pub struct Pem {
    pub place: Place,
    /// Its name in messages: the key, and the file if the text is in one.
    pub what: String,
    pub text: Secret,
}

/// Which certificate a client must have, in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, VariantNames)]
pub enum Client {
    NoClientCert,
    /// It is asked for one, which is not verified.
    RequestClientCert,
    /// The older name of the next.
    RequireClientCert,
    /// Any, signed by anyone.
    RequireAnyClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumString, VariantNames)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Version {
    Tls12,
    Tls13,
}

/// The cipher suites, by Go's names. Those of TLS 1.3 are always enabled, as in Go.
pub const SUITES: [&str; 9] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

pub const CURVES: [&str; 3] = ["X25519", "CurveP256", "CurveP384"];

/// The message about something else in place of a hash.
const NO_HASH: &str = "this is not a bcrypt hash: `htpasswd -nBC 10 NAME` makes one, which begins with $2y$10$";

/// A comparison with a hash of this cost takes about a second; each further step doubles that.
const MOST_COST: u32 = 14;

/// The keys that name files, whose content belongs to the configuration.
pub const FILES: [&str; 3] = ["cert_file", "key_file", "client_ca_file"];

impl WebSettings {
    /// Reads the file and the files that it names.
    ///
    /// # Errors
    /// Everything that is wrong. No message repeats a hash or a key.
    pub fn load(path: &Path) -> Result<WebSettings, Problems> {
        WebSettings::parse(path, &files::read(path)?)
    }

    /// Reads the text of a file; the files it names are looked for beside it.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<WebSettings, Problems> {
        let mut problems = Problems::default();
        let root = yaml::parse(&path.to_string_lossy(), text, &mut problems);
        let folder = path.parent().unwrap_or(Path::new(""));
        let reader = &mut Reader { folder, ..Reader::of_settings(&|_| None, &mut problems) };
        let web = root.and_then(|root| map().read(&root, "the file", reader));
        problems.unless_any(web.unwrap_or_default())
    }
}

/// HTTP ends a user's name at the first colon.
fn user_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(':') {
        return Err("a user's name is not empty, and has no colon".to_owned());
    }
    Ok(())
}

/// The bcrypt hash of a password.
fn hash() -> Schema<Secret> {
    let hash = text().check(|hash| match hash.parse::<HashParts>().map(|parts| parts.get_cost()) {
        Ok(4..=MOST_COST) => Ok(()),
        Ok(cost) => {
            Err(format!("the hash has a cost of {cost}: make one with a cost from 4 to {MOST_COST}; 10 is usual"))
        }
        Err(_) => Err(NO_HASH.to_owned()),
    });
    hash.shown_as(Form::Pattern(HASH)).map(Secret::from)
}

/// A hash with a cost from 4 to [`MOST_COST`]: `$2y$10$`, then 22 characters of salt and 31 of hash.
const HASH: &str = r"^\$2[abxy]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$";

impl TlsKeys {
    fn tls(self, map: &Node, reader: &mut Reader<'_>) -> Option<WebTls> {
        for (one, two) in [("cert", "cert_file"), ("key", "key_file")] {
            if !map.has(one) && !map.has(two) {
                reader.problems.add(&map.place, format!("`tls_server_config` needs `{two}` (or `{one}`)"));
            }
        }
        self.options.check(map, reader);
        let (cert, key) = (self.cert.or(self.cert_file), self.key.or(self.key_file));
        Some(WebTls {
            cert: cert?,
            key: key?,
            client_ca: self.client_ca.or(self.client_ca_file),
            options: self.options,
        })
    }
}

impl TlsOptions {
    /// Reports options that do not fit together.
    fn check(&self, map: &Node, reader: &mut Reader<'_>) {
        let client = self.client_auth_type;
        let authority = ["client_ca", "client_ca_file"].into_iter().find(|key| map.has(key));
        match (client, authority) {
            (Client::NoClientCert, Some(key)) => {
                let message = match map.has("client_auth_type") {
                    true => "with `NoClientCert` no client is asked for a certificate",
                    false => "no client is asked for a certificate: add `client_auth_type: RequireAndVerifyClientCert`",
                };
                reader.refuse(map, key, message);
            }
            (Client::RequireAndVerifyClientCert | Client::VerifyClientCertIfGiven, None) => {
                reader.refuse(map, "client_auth_type", "it needs `client_ca_file`: whose certificates are believed");
            }
            _ => {}
        }
        if !self.client_allowed_sans.is_empty() && client != Client::RequireAndVerifyClientCert {
            let may = match client {
                Client::RequireClientCert | Client::RequireAnyClientCert => {
                    "anybody can make a certificate with such a name"
                }
                _ => "a client may come without a certificate",
            };
            let message = format!("{may}: `client_auth_type` must be RequireAndVerifyClientCert");
            reader.refuse(map, "client_allowed_sans", message);
        }
        if self.max_version < self.min_version {
            reader.refuse(map, "max_version", "`max_version` is below `min_version`");
        }
    }
}

/// A text in PEM, written in the configuration itself.
fn pem() -> Schema<Pem> {
    text().make(|text, node, subject, _| {
        Some(Pem { place: node.place.clone(), what: subject.to_owned(), text: Secret::from(text) })
    })
}

/// A text in PEM in a file, whose path is relative to the configuration.
fn pem_in_file() -> Schema<Pem> {
    text().make(|path, node, subject, reader| {
        let path = reader.folder.join(path);
        let what = format!("{subject}: {}", path.display());
        match files::read(&path) {
            Ok(mut text) => {
                Some(Pem { place: node.place.clone(), what, text: Secret::from(std::mem::take(&mut *text)) })
            }
            Err(problem) => {
                reader.problems.add(&node.place, format!("{what}: {}", problem.message));
                None
            }
        }
    })
}

/// A host name without a port, in lower case.
fn host() -> Schema<String> {
    let check = |name: &String| {
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
            return Ok(());
        }
        Err(format!("`{name}` is not a host name: write it without scheme and port, such as pgvigil.monitoring.svc"))
    };
    text().check(check).map(|name| name.to_ascii_lowercase())
}

/// The files that the configuration names, as far as it can be read.
pub fn named_files(path: &Path, text: &str) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    files::named(text, &FILES).into_iter().map(|named| folder.join(named)).collect()
}
