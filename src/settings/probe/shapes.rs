//! What the maps of a probe hold, key by key.

use crate::{
    schema::{
        shape::{Is, KeySpec, Shape, key},
        words,
    },
    settings::{
        connection::{
            keys::{
                CHANNEL_BINDING, HOST, PASSWORD, PASSWORD_FILE, PORT, REQUIRE_AUTH, SSLCERT, SSLKEY, SSLMODE,
                SSLROOTCERT, URL, URL_FILE, USER,
            },
            redis::REDIS,
        },
        probe::CLASSES,
    },
};

/// What `probe` holds.
pub const PROBE: Shape = Shape {
    what: "`probe`",
    needs: &[
        key("primary", Is::Map(&PRIMARY), "The primary: what a path does not say, it has from here."),
        key("paths", Is::List(1, &Is::OneOf(&PATH, &KIND_WORDS)), "The ways an application may take."),
    ],
    may: &[
        key("interval", Is::Duration, "Each query goes over each path once in this time; 5s if left out."),
        key("timeout", Is::Duration, "The longest that one attempt may take; 6s if left out."),
        key(
            "objectives",
            Is::Entries(0, CLASS, &Is::Duration),
            "How quick the probe's own queries should be, where it differs: `point: 10ms`.",
        ),
        key("queries", Is::List(0, &Is::Map(&QUERY)), "Queries of your own; they can only read."),
        key("write", Is::Flag, "`true`: a token is written on the primary and looked for elsewhere."),
    ],
    quiet: true,
};

/// The classes with an objective, as a form.
const CLASS: &str = "^(round_trip|point|join|aggregate|complex)$";

const _: () = assert!(CLASSES.len() == 5, "the form above names them");

pub const QUERY: Shape = Shape {
    what: "a query",
    needs: &[
        key("name", Is::Form(words::SNAKE), "The label `query`; no two have the same."),
        key(
            "sql",
            Is::Form(r"^\s*([Ss][Ee][Ll][Ee][Cc][Tt]|[Ww][Ii][Tt][Hh]|[Vv][Aa][Ll][Uu][Ee][Ss]|[Tt][Aa][Bb][Ll][Ee])"),
            "One statement that reads, without `;`. Qualify every name: `public.orders`.",
        ),
        key("objective", Is::Duration, "How quick it should be."),
    ],
    may: &[
        key("parameters", Is::List(0, &Is::Text), "For `$1`, `$2` and so on."),
        key("paths", Is::List(0, &Is::Text), "The names of the paths it is asked on; all if left out."),
    ],
    quiet: true,
};

/// The keys of a server, and perhaps more.
macro_rules! server {
    ($what:literal, $port:literal $(, $more:expr)*) => {
        Shape {
            what: $what,
            needs: &[],
            may: &[
                URL, URL_FILE, HOST, key("port", PORT, $port), USER, PASSWORD, PASSWORD_FILE, DBNAME, SSLMODE,
                SSLROOTCERT, SSLCERT, SSLKEY, REQUIRE_AUTH, CHANNEL_BINDING $(, $more)*
            ],
            quiet: true,
        }
    };
}

const DBNAME: KeySpec = key("dbname", Is::Text, "The database to log in to.");
const SIZE: KeySpec = key(
    "size",
    Is::Whole(1, crate::settings::probe::paths::LARGEST_POOL),
    "The most connections it has; 5 if left out.",
);

pub const PRIMARY: Shape = server!("`primary`", "5432 if left out.");
pub const SERVER: Shape = server!("a path", "The primary's if left out.");
pub const PGBOUNCER: Shape = server!("a path", "6432 if left out.");
pub const POOLED: Shape = server!("`pooled`", "The primary's if left out.", SIZE);

pub const CACHED: Shape = Shape {
    what: "`cached`",
    needs: &[],
    may: &[
        key("through", Is::Text, "The `pooled` path behind it; the only one there is, if left out."),
        key("entries", Is::Whole(1, 1_000_000), "The most entries of the built-in cache; 5000 if left out."),
        key("ttl", Is::Duration, "How long an entry may stay at most; 300s if left out."),
        key(
            "redis",
            Is::Map(&REDIS),
            "A Redis server to keep answers in; the built-in cache if left out, or out of reach.",
        ),
    ],
    quiet: true,
};

pub const PATH: Shape = Shape {
    what: "a path",
    needs: &[],
    may: &[
        key("name", Is::Form("^[A-Za-z0-9_.:-]+$"), "The label `path`; the kind's word if left out."),
        key("direct", Is::Map(&SERVER), "A new connection for each query."),
        key("pooled", Is::Map(&POOLED), "A client-side pool of connections."),
        key("cached", Is::Map(&CACHED), "A look-aside cache in front of a pool."),
        key("pgbouncer", Is::Map(&PGBOUNCER), "A PgBouncer: over a kept connection and over new ones."),
        key("replica", Is::Map(&SERVER), "A replica."),
    ],
    quiet: true,
};

const KIND_WORDS: [&str; crate::settings::probe::paths::KINDS.len()] = words::of(&crate::settings::probe::paths::KINDS);
