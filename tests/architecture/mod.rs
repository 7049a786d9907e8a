//! The invariants of ARCHITECTURE.md, held by reading the sources as text.

mod crates;
mod ignored;
mod metrics;
mod size;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A file of the program, under src/, or of what is only for its development, under tools/src/.
struct Source {
    /// Without `src/`: `map/layout.rs`, `tools/board.rs`.
    path: String,
    text: String,
}

impl Source {
    /// Files that exist for tests only; what is said of the program need not hold for them.
    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path == "source/fixture.rs"
    }

    /// Its room among those below, and what that may take.
    fn room(&self) -> Option<(&'static str, &'static str)> {
        let rooms = MAY_IMPORT.into_iter().filter(|(room, _)| self.path.starts_with(room) && !self.is_test());
        rooms.max_by_key(|(room, _)| room.len())
    }
}

/// What each room may take from the others, itself aside: the longest beginning of a file's path counts. Rooms without
/// a line here are at the top and take what they like. Of the rooms of tools/ it is also what they may take from the library; that this takes
/// nothing from them, the crates say below.
const MAY_IMPORT: [(&str, &str); 27] = [
    ("breaker.rs", ""),
    ("metric.rs", ""),
    ("secret.rs", ""),
    ("config/", "metric native secret table"),
    ("source/", "certificate config cut native room secret table told"),
    ("probe/", "config cut native secret source table"),
    ("map", "config cut metric native table"),
    ("docs.rs", "config exposition map"),
    ("slot", "config map source"),
    ("target", "breaker config exposition map probe room slot source told"),
    ("own.rs", "config source table target"),
    ("engine.rs", "config exposition map own target"),
    ("page.rs", "engine exposition"),
    ("web/", "certificate config secret"),
    ("live.rs", "config engine own web"),
    ("http/", "engine exposition live page target told web"),
    ("main.rs", "cli"),
    ("tools/board.rs", ""),
    ("tools/boards/", "board config metric"),
    ("tools/grafana/", "board boards"),
    ("exposition/", "config map metric native table"),
    ("native.rs", ""),
    // Its file and its folder.
    ("certificate", ""),
    ("cut.rs", ""),
    ("room.rs", ""),
    ("told.rs", ""),
    ("table", "cut room"),
];

/// Rooms that read and write nothing but memory; the clock and chance are kept out of them too.
const PURE: [&str; 31] = [
    "breaker.rs",
    "config/collector.rs",
    "config/load/",
    "config/rules.rs",
    "config/schema.rs",
    "config/sections/",
    "config/shape.rs",
    "config/words.rs",
    "docs.rs",
    "map",
    "source/backup/barman.rs",
    "source/backup/found.rs",
    "source/backup/json.rs",
    "source/backup/problem.rs",
    "source/backup/s3/list.rs",
    "source/backup/time.rs",
    "source/backup/walg.rs",
    "source/charset.rs",
    "source/pgbouncer/shown",
    "source/redis/info.rs",
    "probe/histogram.rs",
    "source/statements",
    "tools/board.rs",
    "tools/grafana/",
    "source/backup/pgbackrest",
    "exposition/",
    "native.rs",
    "source/guard.rs",
    "cut.rs",
    "room.rs",
    "table",
];

/// Crates that only these rooms know; another implementation is a change of that room.
const ONLY_IN: [(&str, &str); 26] = [
    ("bcrypt", "web/users.rs config/web/"),
    ("clap", "cli/"),
    ("clap_complete", "cli/export.rs"),
    ("clap_mangen", "cli/export.rs"),
    ("encoding_rs", "source/charset.rs"),
    ("flate2", "config/dashboards.rs page.rs"),
    ("form_urlencoded", "http/"),
    ("listenfd", "http/listen.rs"),
    ("include_dir", "config/catalogue.rs config/alert_rules.rs"),
    ("pgvigil_tools", "tools/main.rs"),
    // Modules of ours have that name too.
    ("use redis", "source/redis/"),
    ("rustls_native_certs", "source/tls.rs"),
    ("rustls", "certificate/ source/tls.rs web/tls.rs"),
    ("saphyr_parser", "config/yaml.rs"),
    ("ring", "source/tls.rs web/"),
    ("rustix", "cli/serve.rs own.rs source/backup/run.rs source/disk.rs"),
    ("serde_json", "cli/ config/schema.rs http/ source/backup/ tools/grafana/"),
    ("strsim", "config/words.rs"),
    ("tokio_postgres", "source/postgres/ source/pgbouncer.rs probe/"),
    ("tracing_subscriber", "cli/"),
    ("libm", "source/statements/spread.rs"),
    ("percent_encoding", "config/url.rs"),
    ("rusty_s3", "source/backup/s3/"),
    ("jiff", "source/backup/time.rs"),
    ("prometheus_client", "exposition/protobuf/library.rs"),
    ("x509_cert", "certificate"),
];

#[test]
fn rooms_take_only_from_the_rooms_below_them() {
    each(|source, wrong| {
        let Some((room, may)) = source.room() else { return };
        let may: Vec<_> = may.split(' ').chain([room.trim_end_matches(".rs").trim_end_matches('/')]).collect();
        for taken in imports(&source.text).iter().filter(|taken| !may.contains(&taken.as_str())) {
            wrong.push(format!("{} takes from {taken}: only {may:?} are below it", source.path));
        }
    });
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

/// Compilers that optimise lose such an addition where the same comparison is branched on (rust-lang/rust#158206): it is written as
/// `if ... { count += 1 }`, which `scripts/check-compiler` tries before each release.
#[test]
fn no_comparison_is_added_as_a_number() {
    each(|source, wrong| {
        let code = code(&source.text);
        let added = |line: &&str| {
            let after = line.split_once("+= ").map_or("", |(_, after)| after);
            let converted = after.split_once("::from(").is_some_and(|(number, _)| is_number(number));
            let cast = after.contains(" as ")
                && ["==", "!=", " < ", " > ", "<=", ">=", "is_"].iter().any(|c| after.contains(c));
            converted || cast && !after.contains(".filter(")
        };
        wrong.extend(code.lines().filter(added).map(|line| format!("{}: {}", source.path, line.trim())));
    });
}

fn is_number(word: &str) -> bool {
    ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f64"].contains(&word)
}

/// Many engines can live in one process: whatever changes belongs to one of them.
#[test]
fn there_is_no_global_state() {
    let words = ["OnceLock", "LazyLock", "OnceCell", "LazyCell", "thread_local", "lazy_static"];
    each(|source, wrong| {
        let code = code(&source.text);
        let statics =
            code.lines().map(str::trim).filter(|line| line.starts_with("static ") || line.contains(" static "));
        let changing =
            statics.filter(|line| ["mut ", "Mutex", "RwLock", "Atomic", "Cell"].iter().any(|w| line.contains(w)));
        wrong.extend(changing.map(|line| format!("{}: {line}", source.path)));
        let found = words.into_iter().filter(|word| mentions(&code, word));
        wrong.extend(found.map(|word| format!("{} names {word}", source.path)));
    });
}

#[test]
fn a_crate_is_known_in_its_rooms_only() {
    each(|source, wrong| {
        let is_in = |rooms: &str| rooms.split(' ').any(|room| source.path.starts_with(room));
        let strangers = ONLY_IN.iter().filter(|(name, rooms)| mentions(&code(&source.text), name) && !is_in(rooms));
        wrong.extend(strangers.map(|(name, room)| format!("{} names {name}: only {room} knows it", source.path)));
    });
}

/// No rule speaks of what is no longer there, or allows what nobody does.
#[test]
fn no_rule_is_idle() {
    let sources = sources();
    let of = |room: &str| sources.iter().filter(move |source| source.path.starts_with(room)).collect::<Vec<_>>();
    let mut idle: Vec<_> = PURE.into_iter().filter(|room| of(room).is_empty()).map(str::to_owned).collect();
    for (name, rooms) in ONLY_IN {
        let knows = |room: &&str| of(room).iter().any(|source| mentions(&code(&source.text), name));
        idle.extend(rooms.split(' ').filter(|room| !knows(room)).map(|room| format!("{room} does not name {name}")));
    }
    for (room, may) in MAY_IMPORT {
        let files: Vec<_> = sources.iter().filter(|source| source.room() == Some((room, may))).collect();
        let taken: BTreeSet<_> = files.iter().flat_map(|source| imports(&source.text)).collect();
        let idly = may.split_terminator(' ').filter(|other| !taken.contains(*other));
        idle.extend(idly.map(|other| format!("{room} takes nothing from {other}")));
        idle.extend(files.is_empty().then(|| room.to_owned()));
    }
    assert!(idle.is_empty(), "\n{}", idle.join("\n"));
}

/// Runs a check on every file and tells all that it finds wrong.
fn each(check: impl Fn(&Source, &mut Vec<String>)) {
    let mut wrong = Vec::new();
    sources().iter().for_each(|source| check(source, &mut wrong));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn sources() -> Vec<Source> {
    let read = |path: &PathBuf| Source {
        path: path.to_string_lossy().replacen("src/", "", 1),
        text: fs::read_to_string(path).expect("a readable file"),
    };
    let sources: Vec<_> = ["src", "tools/src"].iter().flat_map(|room| rust_files(Path::new(room))).collect();
    let sources: Vec<_> = sources.iter().map(read).collect();
    assert!(sources.len() > 40, "found {} files", sources.len());
    sources
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.extend(folders.iter().flat_map(|folder| rust_files(folder)));
    files.sort();
    files
}

/// The text without comments and without the unit tests at its end.
fn code(text: &str) -> String {
    let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    program.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether a word stands in the text, not as a part of another.
fn mentions(text: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word))
}

/// The modules of its crate and of the library that a text names: `crate::a`, `crate::{a, b::{c, d}}`, `pgvigil::a`.
fn imports(text: &str) -> BTreeSet<String> {
    let code = code(text).replace("pgvigil::", "crate::");
    let mut modules = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let mut depth = 0;
        let mut at_start = true;
        for (index, character) in after.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' => at_start = at_start || depth == 1,
                _ if character.is_ascii_alphanumeric() && at_start => {
                    let end = after[index..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                    modules.insert(after[index..][..end.unwrap_or(after.len() - index)].to_owned());
                    at_start = false;
                }
                _ => {}
            }
            if depth == 0 && (character == '}' || !at_start) {
                break;
            }
        }
    }
    modules
}

#[test]
fn imports_are_read() {
    for (text, modules) in [
        ("use crate::table::Cell;", "table"),
        (
            "use crate::{\n    config::{a::B, c},\n    map::{self, Mapped},\n    slot,\n};\nuse std::fs;",
            "config map slot",
        ),
        ("fn f(x: crate::table::Cell) -> crate::metric::Kind", "metric table"),
        ("// crate::slot\nlet x = 1;", ""),
        ("use pgvigil::config::{fields, yaml};\nuse crate::board::Board;", "board config"),
    ] {
        let found: Vec<_> = imports(text).into_iter().collect();
        assert_eq!(found.join(" "), modules, "{text}");
    }
}
