//! The web configuration as it is written: how the pages are served, and to whom. In the format of Prometheus'
//! exporters (`--web.config.file`); what a TLS library must say of it, `web` says.

mod shapes;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub use crate::settings::web::shapes::WEB;
use crate::{
    schema::{
        fields::Fields,
        files,
        problem::{Place, Problems},
        words, yaml,
        yaml::Node,
    },
    secret::Secret,
    settings::web::shapes::{HEADERS, HTTP, MOST_BURST, RATE, TLS},
};

/// What the file says.
#[derive(Debug, Default)]
pub struct WebSettings {
    pub tls: Option<WebTls>,
    /// Names and values, each fit to be sent.
    pub headers: Vec<(&'static str, String)>,
    pub users: Vec<User>,
    pub rate: Option<Rate>,
    /// The names that a request may call this server, in lower case; any, if there are none.
    pub hosts: Vec<String>,
}

/// TLS towards those who ask.
#[derive(Debug)]
pub struct WebTls {
    pub cert: Pem,
    pub key: Pem,
    pub client_ca: Option<Pem>,
    pub client: Client,
    /// The alternative names that a client's certificate must have one of; any, if there are none.
    pub allowed: Vec<String>,
    pub min: Version,
    pub max: Version,
    /// Of TLS 1.2 only these, by their names in RFC 8446 and before; all if there are none.
    pub suites: Vec<String>,
    /// By Go's names; all if there are none.
    pub curves: Vec<String>,
    pub our_order: bool,
}

/// A text in PEM, and where it was named.
#[derive(Debug)]
pub struct Pem {
    pub place: Place,
    /// For messages: the key, and the file if it is in one.
    pub what: String,
    pub text: Secret,
}

/// Which certificate a client must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    None,
    /// It is asked for one, which nobody looks at.
    Request,
    /// Any, signed by anyone.
    Any,
    VerifyIfGiven,
    Verify,
}

/// Of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V12,
    V13,
}

/// Someone who may ask.
#[derive(Debug)]
pub struct User {
    pub name: String,
    /// Where the hash of the password stands.
    pub place: Place,
    pub hash: Secret,
}

/// So many requests at once, and another each `interval`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub interval: Duration,
    pub burst: usize,
}

const CLIENTS: [(&str, Client); 6] = [
    ("NoClientCert", Client::None),
    ("RequestClientCert", Client::Request),
    // Its older name.
    ("RequireClientCert", Client::Any),
    ("RequireAnyClientCert", Client::Any),
    ("VerifyClientCertIfGiven", Client::VerifyIfGiven),
    ("RequireAndVerifyClientCert", Client::Verify),
];

const VERSIONS: [(&str, Version); 2] = [("TLS12", Version::V12), ("TLS13", Version::V13)];

/// Those of TLS 1.3 are always there, as in Go.
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

/// What to say of a password that is none.
pub const NO_HASH: &str = "this is not a bcrypt hash: `htpasswd -nBC 10 NAME` makes one, which begins with $2y$10$";

/// A comparison with a hash of this cost takes a second or so; each step more doubles it.
const MOST_COST: u32 = 14;

/// The keys that name files whose content is part of this one.
pub const FILES: [&str; 3] = ["cert_file", "key_file", "client_ca_file"];

impl WebSettings {
    /// Reads the file, and those it names.
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
        let web = root.and_then(|root| read(&root, folder, &mut problems)).unwrap_or_default();
        problems.unless_any(web)
    }
}

fn read(root: &Node, folder: &Path, problems: &mut Problems) -> Option<WebSettings> {
    let mut fields = Fields::open(root, &WEB, problems)?;
    let users = fields.entries("basic_auth_users", user);
    let tls = fields.node("tls_server_config").and_then(|node| tls(node, folder, fields.problems));
    let headers = fields.node("http_server_config").map(|node| headers(node, fields.problems)).unwrap_or_default();
    let rate = fields.node("rate_limit").and_then(|node| rate(node, fields.problems));
    let hosts =
        fields.texts("allowed_hosts").into_iter().map(|(name, place)| host(&name, &place, fields.problems)).collect();
    Some(WebSettings { tls, headers, users, rate, hosts })
}

fn user(name: &str, at: &Place, node: &Node, problems: &mut Problems) -> Option<User> {
    if name.is_empty() || name.contains(':') {
        problems.add(at, "a user's name is not empty, and has no colon");
    }
    let Some(hash) = node.text() else {
        problems.add(&node.place, "a user's password is a text: its bcrypt hash");
        return None;
    };
    match cost(hash) {
        Some(4..=MOST_COST) => (),
        Some(cost) => problems.add(
            &node.place,
            format!("the hash has a cost of {cost}: make one with a cost from 4 to {MOST_COST}; 10 is usual"),
        ),
        None => problems.add(&node.place, NO_HASH),
    }
    Some(User { name: name.to_owned(), place: node.place.clone(), hash: Secret::new(hash) })
}

/// The cost of a bcrypt hash: `$2y$10$`, then 22 characters of salt and 31 of hash.
fn cost(hash: &str) -> Option<u32> {
    let (version, rest) = hash.strip_prefix("$2")?.split_once('$')?;
    let (cost, rest) = rest.split_once('$')?;
    let is_good = |c: char| c.is_ascii_alphanumeric() || "./".contains(c);
    let fits = ["a", "b", "x", "y"].contains(&version) && cost.len() == 2 && rest.len() == 53;
    (fits && rest.chars().all(is_good)).then(|| cost.parse().ok())?
}

fn tls(node: &Node, folder: &Path, problems: &mut Problems) -> Option<WebTls> {
    let mut fields = Fields::open(node, &TLS, problems)?;
    let cert = pem(&mut fields, "cert", "cert_file", folder);
    let key = pem(&mut fields, "key", "key_file", folder);
    for (one, two) in [("cert", "cert_file"), ("key", "key_file")] {
        if !fields.has(one) && !fields.has(two) {
            fields.problems.add(&node.place, format!("`tls_server_config` needs `{two}` (or `{one}`)"));
        }
    }
    let client_ca = pem(&mut fields, "client_ca", "client_ca_file", folder);
    let client = fields.word("client_auth_type", &CLIENTS).unwrap_or(Client::None);
    let has_ca = ["client_ca", "client_ca_file"].into_iter().find(|key| fields.has(key));
    match (client, has_ca) {
        (Client::None, Some(key)) if !fields.has("client_auth_type") => {
            fields
                .tell(key, "no client is asked for a certificate: add `client_auth_type: RequireAndVerifyClientCert`");
        }
        (Client::None, Some(key)) => fields.tell(key, "with `NoClientCert` no client is asked for a certificate"),
        (Client::Verify | Client::VerifyIfGiven, None) => {
            fields.tell("client_auth_type", "it needs `client_ca_file`: whose certificates are believed");
        }
        _ => {}
    }
    let allowed: Vec<_> = fields.texts("client_allowed_sans").into_iter().map(|(name, _)| name).collect();
    if !allowed.is_empty() && client != Client::Verify {
        let may = match client {
            Client::Any => "anybody can make a certificate with such a name",
            _ => "a client may come without a certificate",
        };
        let must = "`client_auth_type` must be RequireAndVerifyClientCert";
        fields.tell("client_allowed_sans", format!("{may}: {must}"));
    }
    let min = fields.word("min_version", &VERSIONS).unwrap_or(Version::V12);
    let max = fields.word("max_version", &VERSIONS).unwrap_or(Version::V13);
    if max < min {
        fields.tell("max_version", "`max_version` is below `min_version`");
    }
    let suites = known(&mut fields, "cipher_suites", &SUITES);
    let curves = known(&mut fields, "curve_preferences", &CURVES);
    let our_order = fields.flag("prefer_server_cipher_suites").unwrap_or(true);
    Some(WebTls { cert: cert?, key: key?, client_ca, client, allowed, min, max, suites, curves, our_order })
}

/// A text in PEM, here or in a file.
fn pem(fields: &mut Fields<'_, '_>, key: &'static str, file_key: &'static str, folder: &Path) -> Option<Pem> {
    if fields.has(key) && fields.has(file_key) {
        fields.tell(file_key, format!("`{key}` is given too: keep one of the two"));
        return None;
    }
    if let Some(text) = fields.text(key) {
        return Some(Pem { place: fields.place(key), what: format!("`{key}`"), text: Secret::new(text) });
    }
    let path = folder.join(fields.text(file_key)?);
    let what = format!("`{file_key}`: {}", path.display());
    match files::read(&path) {
        Ok(mut text) => {
            Some(Pem { place: fields.place(file_key), what, text: Secret::new(std::mem::take(&mut *text)) })
        }
        Err(problem) => {
            fields.tell(file_key, format!("{what}: {}", problem.message));
            None
        }
    }
}

/// A list of words that we know.
fn known(fields: &mut Fields<'_, '_>, key: &str, words: &[&str]) -> Vec<String> {
    let named = fields.texts(key);
    for (word, place) in named.iter().filter(|(word, _)| !words.contains(&word.as_str())) {
        let there_are = words::listed(words.iter().copied());
        fields.problems.add(place, format!("`{word}` is not spoken here; there are {there_are}"));
    }
    named.into_iter().map(|(word, _)| word).collect()
}

/// Headers that are there and not blank.
fn headers(node: &Node, problems: &mut Problems) -> Vec<(&'static str, String)> {
    let Some(mut fields) = Fields::open(node, &HTTP, problems) else { return Vec::new() };
    fields.flag("http2");
    let Some(node) = fields.node("headers") else { return Vec::new() };
    let Some(mut fields) = Fields::open(node, &HEADERS, fields.problems) else { return Vec::new() };
    let mut given = Vec::new();
    for name in HEADERS.keys() {
        let wanted: &[&str] = match name {
            "X-Content-Type-Options" => &["nosniff"],
            "X-Frame-Options" => &["deny", "sameorigin"],
            _ => &[],
        };
        let Some(value) = fields.text(name).filter(|value| !value.is_empty()) else { continue };
        if !wanted.is_empty() && !wanted.contains(&value.as_str()) {
            fields.tell(name, format!("`{name}` must be {}", words::either(wanted.iter().copied())));
        } else if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            fields.tell(name, format!("`{name}` must be of ASCII characters, without line breaks"));
        }
        given.push((name, value));
    }
    given
}

/// A name to be called by, without a port.
fn host(name: &str, place: &Place, problems: &mut Problems) -> String {
    let is_good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(is_good) {
        let message =
            format!("`{name}` is not a host name: write it without scheme and port, such as pgvigil.monitoring.svc");
        problems.add(place, message);
    }
    name.to_ascii_lowercase()
}

fn rate(node: &Node, problems: &mut Problems) -> Option<Rate> {
    let mut fields = Fields::open(node, &RATE, problems)?;
    let burst = fields.whole("burst", 1..=MOST_BURST).unwrap_or(1);
    let interval = fields.duration("interval").filter(|interval| !interval.is_zero())?;
    Some(Rate { interval, burst })
}

/// The files whose content is part of this one, as far as it can be read.
pub fn named_files(path: &Path, text: &str) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    files::named(text, &FILES).into_iter().map(|named| folder.join(named)).collect()
}
