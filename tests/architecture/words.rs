//! What names and words the sources may use: one name for one type, crates in their rooms, no input or output in pure rooms, no global state.

use std::collections::BTreeMap;

use syn::{Ident, ItemStatic, Macro, StaticMutability, visit::Visit};

use super::{TypeNames, code, each, mentions, sources};

/// Rooms that read and write nothing but memory; the clock and chance are kept out of them too.
const PURE: &[&str] = &[
    "collector/load/",
    "collector/mod.rs",
    "collector/naming_rules.rs",
    "collector/sections/",
    "docs.rs",
    "exposition/",
    "import/",
    "map/",
    "memory_budget.rs",
    "probe/histogram.rs",
    "schema/declare.rs",
    "schema/form.rs",
    "schema/json.rs",
    "schema/words.rs",
    "source/backup/barman.rs",
    "source/backup/contents.rs",
    "source/backup/json.rs",
    "source/backup/pgbackrest.rs",
    "source/backup/problem.rs",
    "source/backup/s3/list.rs",
    "source/backup/time.rs",
    "source/backup/walg.rs",
    "source/charset.rs",
    "source/net/login_guard.rs",
    "source/pgbouncer/shown/",
    "source/redis/info.rs",
    "source/statements/",
    "table/",
    "tools/board.rs",
    "tools/grafana/",
    "truncate.rs",
];

/// Crates that only these rooms know; to replace one is a change of that room.
const ONLY_IN: &[(&str, &str)] = &[
    ("bcrypt", "access/users.rs settings/web.rs"),
    ("clap", "cli/"),
    ("clap_complete", "cli/export.rs"),
    ("clap_mangen", "cli/export.rs"),
    ("encoding_rs", "source/charset.rs"),
    ("flate2", "shipped/dashboards.rs scrape/coalescer.rs"),
    ("form_urlencoded", "http/"),
    ("listenfd", "http/listen.rs"),
    ("include_dir", "collector/catalogue.rs shipped/alert_rules.rs"),
    ("pgvigil_tools", "tools/main.rs"),
    // A module of ours has that name too.
    ("use redis", "source/redis/"),
    ("rustls_native_certs", "source/net/tls.rs"),
    ("rustls", "certificate/ source/net/tls.rs access/tls.rs"),
    ("saphyr_parser", "schema/yaml.rs"),
    ("ring", "source/net/tls.rs access/"),
    ("rustix", "cli/serve.rs scrape/self_metrics.rs source/backup/run.rs source/disk.rs"),
    ("serde_json", "cli/ schema/json.rs http/ source/backup/ tools/grafana/"),
    ("strsim", "schema/words.rs"),
    ("tokio_postgres", "source/postgres/ source/pgbouncer/ source/net/stream/type_oids.rs probe/"),
    ("tracing_subscriber", "cli/"),
    ("libm", "source/statements/normal.rs"),
    ("percent_encoding", "settings/connection/url.rs"),
    ("rusty_s3", "source/backup/s3/"),
    ("jiff", "source/backup/time.rs"),
    ("prometheus_client", "exposition/protobuf/library.rs"),
    ("x509_cert", "certificate/"),
];

/// One name, one thing.
#[test]
fn type_names_are_unique() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let mut names = TypeNames::default();
        names.visit_file(&source.tree());
        names.0.into_iter().for_each(|name| places.entry(name).or_default().push(source.path.clone()));
    }
    let shared: Vec<_> = places.iter().filter(|(_, paths)| paths.len() > 1).collect();
    assert!(shared.is_empty(), "one name for several types: {shared:#?}");
}

#[test]
fn pure_rooms_do_no_input_or_output() {
    let words = ["fs", "net", "env", "tokio", "spawn", "Command", "Instant", "SystemTime", "File", "Mutex", "println"];
    each(|source, wrong| {
        if PURE.iter().any(|room| source.path.starts_with(room)) {
            let found = words.into_iter().filter(|word| mentions(&code(&source.text), word));
            wrong.extend(found.map(|word| format!("{} is pure, and names {word}", source.path)));
        }
    });
}

#[test]
fn a_crate_is_known_in_its_rooms_only() {
    each(|source, wrong| {
        let strangers =
            ONLY_IN.iter().filter(|(name, rooms)| !source.is_in(rooms) && mentions(&code(&source.text), name));
        wrong.extend(strangers.map(|(name, rooms)| format!("{} names {name}: only {rooms} may", source.path)));
    });
}

/// Optimising compilers lose such an addition where the same comparison is branched on (rust-lang/rust#158206): it is written as
/// `if ... { count += 1 }`, which `scripts/check-compiler` tries before each release.
#[test]
fn no_comparison_is_added_as_a_number() {
    each(|source, wrong| {
        let code = code(&source.text);
        let is_added = |line: &&str| {
            let after = line.split_once("+= ").map_or("", |(_, after)| after);
            let is_converted = after.split_once("::from(").is_some_and(|(number, _)| is_number(number));
            let compares = ["==", "!=", " < ", " > ", "<=", ">=", "is_"].iter().any(|sign| after.contains(sign));
            is_converted || after.contains(" as ") && compares && !after.contains(".filter(")
        };
        wrong.extend(code.lines().filter(is_added).map(|line| format!("{}: {}", source.path, line.trim())));
    });
}

fn is_number(word: &str) -> bool {
    ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f64"].contains(&word)
}

/// Several engines can live in one process: whatever changes belongs to one of them.
#[test]
fn there_is_no_global_state() {
    each(|source, wrong| {
        let mut statics = Statics::default();
        statics.visit_file(&source.tree());
        wrong.extend(statics.0.into_iter().map(|what| format!("{}: {what}", source.path)));
    });
}

/// The statics that can change, or are made while the program runs.
#[derive(Default)]
struct Statics(Vec<String>);

impl<'ast> Visit<'ast> for Statics {
    fn visit_item_static(&mut self, item: &'ast ItemStatic) {
        let mut types = TypesOf::default();
        types.visit_type(&item.ty);
        let changes =
            |name: &String| ["Atomic", "Cell", "Lazy", "Lock", "Mutex", "Once"].iter().any(|word| name.contains(word));
        if matches!(item.mutability, StaticMutability::Mut(_)) || types.0.iter().any(changes) {
            self.0.push(format!("static {}", item.ident));
        }
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        if item.path.segments.last().is_some_and(|name| name.ident == "thread_local" || name.ident == "lazy_static") {
            self.0.push("a macro that makes statics".to_owned());
        }
    }
}

/// All names within a type.
#[derive(Default)]
struct TypesOf(Vec<String>);

impl<'ast> Visit<'ast> for TypesOf {
    fn visit_ident(&mut self, name: &'ast Ident) {
        self.0.push(name.to_string());
    }
}

#[test]
fn statics_that_change_are_found() {
    for (text, count) in [
        ("static A: u8 = 1; const B: u8 = 2;", 0),
        ("static A: Mutex<u8> = Mutex::new(1);", 1),
        ("static mut A: u8 = 1;", 1),
        ("fn f() { static A: std::sync::OnceLock<u8> = OnceLock::new(); }", 1),
        ("thread_local! { static A: u8 = 1; }", 1),
        ("struct A { cell: OnceCell<u8> }", 0),
    ] {
        let mut statics = Statics::default();
        statics.visit_file(&syn::parse_file(text).expect("Rust"));
        assert_eq!(statics.0.len(), count, "{text}");
    }
}

/// No rule is about files that are gone, or allows what nobody does.
#[test]
fn every_rule_about_words_is_needed() {
    let sources = sources();
    let files = |room: &str| sources.iter().filter(|source| source.path.starts_with(room)).collect::<Vec<_>>();
    let mut idle: Vec<_> = PURE.iter().filter(|room| files(room).is_empty()).map(|room| (*room).to_owned()).collect();
    for (name, rooms) in ONLY_IN {
        let knows = |room: &&str| files(room).iter().any(|source| mentions(&code(&source.text), name));
        idle.extend(rooms.split(' ').filter(|room| !knows(room)).map(|room| format!("{room} does not name {name}")));
    }
    assert!(idle.is_empty(), "\n{}", idle.join("\n"));
}
