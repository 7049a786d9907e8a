//! The keys of the web configuration: those of Prometheus' exporters, so that one file serves them all.

use crate::{
    schema::{
        shape::{Is, Shape, key},
        words,
    },
    settings::web::{CLIENTS, CURVES, SUITES, VERSIONS},
};

const CLIENT_WORDS: [&str; CLIENTS.len()] = words::of(&CLIENTS);
const VERSION_WORDS: [&str; VERSIONS.len()] = words::of(&VERSIONS);

/// The whole file.
pub const WEB: Shape = Shape {
    what: "the web configuration",
    needs: &[],
    may: &[
        key("tls_server_config", Is::Map(&TLS), "TLS towards those who ask; plain HTTP if left out."),
        key("http_server_config", Is::Map(&HTTP), "What answers carry."),
        key(
            "basic_auth_users",
            Is::Entries(0, USER, &Is::Form(HASH)),
            "Users and their passwords' bcrypt hashes; anyone may ask if there are none.",
        ),
        key("rate_limit", Is::Map(&RATE), "How many requests are answered; the others get a 429."),
        key(
            "allowed_hosts",
            Is::List(0, &Is::Text),
            "The names by which this server may be asked, without ports; the others get a 421. Any name if left out.",
        ),
    ],
    quiet: true,
};

pub const TLS: Shape = Shape {
    what: "`tls_server_config`",
    needs: &[],
    may: &[
        key("cert_file", Is::Text, "Our certificate and those between it and its authority, PEM."),
        key("cert", Is::Text, "The same, written here."),
        key("key_file", Is::Text, "Its key, PEM."),
        key("key", Is::Text, "The same, written here."),
        key("client_ca_file", Is::Text, "The authorities of clients' certificates, PEM."),
        key("client_ca", Is::Text, "The same, written here."),
        key(
            "client_auth_type",
            Is::Word(&CLIENT_WORDS),
            "Which certificate a client must have; only `RequireAndVerifyClientCert` keeps strangers out.",
        ),
        key(
            "client_allowed_sans",
            Is::List(0, &Is::Text),
            "The client's certificate must have one of these as an alternative name: host, address, e-mail or URI.",
        ),
        key("min_version", Is::Word(&VERSION_WORDS), "TLS12 if left out."),
        key("max_version", Is::Word(&VERSION_WORDS), "TLS13 if left out."),
        key("cipher_suites", Is::List(0, &Is::Word(&SUITES)), "Of TLS 1.2 only these; all if left out."),
        key(
            "prefer_server_cipher_suites",
            Is::Flag,
            "Our order of cipher suites counts (if left out), or the client's.",
        ),
        key("curve_preferences", Is::List(0, &Is::Word(&CURVES)), "Only these, the first first; all if left out."),
    ],
    quiet: true,
};

pub const HTTP: Shape = Shape {
    what: "`http_server_config`",
    needs: &[],
    may: &[
        key("http2", Is::Flag, "Read, and without effect: HTTP/1.1 is spoken."),
        key("headers", Is::Map(&HEADERS), "More headers for every answer."),
    ],
    quiet: true,
};

pub const HEADERS: Shape = Shape {
    what: "`headers`",
    needs: &[],
    may: &[
        key("Strict-Transport-Security", Is::Form(HEADER), "For how long browsers ask by TLS only."),
        key("X-Content-Type-Options", Is::Form("^(nosniff)?$"), "`nosniff`."),
        key("X-Frame-Options", Is::Form("^(deny|sameorigin)?$"), "`deny` or `sameorigin`."),
        key("X-XSS-Protection", Is::Form(HEADER), "For old browsers."),
        key("Content-Security-Policy", Is::Form(HEADER), "What a browser may load for the page `/`."),
    ],
    quiet: true,
};

pub const RATE: Shape = Shape {
    what: "`rate_limit`",
    needs: &[],
    may: &[
        key("interval", Is::Duration, "The time between two requests, on average; 0s: there is no limit."),
        key("burst", Is::Whole(1, MOST_BURST), "How many may come at once; 1 if left out."),
    ],
    quiet: true,
};

pub const MOST_BURST: usize = 1_000_000;

/// A name that HTTP can carry: a colon ends it.
const USER: &str = "^[^:]+$";

/// What [`crate::settings::web::cost`] takes, with a cost from 4 to [`crate::settings::web::MOST_COST`].
const HASH: &str = r"^\$2[abxy]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$";
const HEADER: &str = "^[ -~]*$";
