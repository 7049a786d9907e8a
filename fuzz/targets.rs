//! One function for each thing that is read from strangers: it takes any bytes, and panics only if there is something to fix.
//!
//! `fuzz_targets/` runs them under libFuzzer, `tests/fuzz.rs` with plain chance. What was ever found stays in `found/`.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use futures_util::FutureExt;
use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderValue},
};
use pgvigil::{
    certificate,
    certificate::{Certificate, Purpose, chain, chain::Authorities, name},
    collector::{SourceKind, catalogue::Catalogue, sections, sections::row::SectionTables},
    exposition,
    exposition::{Block, Format, TargetLabels},
    http::negotiate,
    map,
    settings::{
        Settings,
        connection::{dsn::Dsn, postgres::resolve, redis},
        web::WebSettings,
    },
    source::{
        backup::{barman, pgbackrest, s3::list, walg},
        net::stream::redis_framing::RedisFraming,
        pgbouncer::shown,
        redis::{Reply, info::InfoReply, reply},
    },
    table::{Cell, Table},
};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, UnixTime},
};

use super::check;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// Good examples: a file or a folder, and how its files' names end.
pub type Examples = &'static [(&'static str, &'static str)];

/// Each by its name.
pub const TARGETS: [(&str, Target, Examples); 13] = [
    ("collector", collector, &[("collectors", ".yaml"), ("tests/bad/collectors", ".yaml"), ("tests/golden", ".yaml")]),
    ("settings", settings, &[("examples/pgvigil.yaml", ""), ("tests/bad/settings", ".yaml")]),
    ("web", web, &[("tests/bad/web", ".yaml")]),
    ("dsn", dsn, &[("fuzz/seeds/dsn", "")]),
    ("import", import, &[("tests/import", ".yaml")]),
    ("headers", headers, &[("fuzz/seeds/headers", "")]),
    ("redis_info", redis_info, &[("tests/redis/info", ".txt")]),
    ("redis_answer", redis_answer, &[("fuzz/seeds/redis_answer", "")]),
    ("pgbouncer", pgbouncer, &[("fuzz/seeds/table", "")]),
    ("backup", backup, &[("fuzz/seeds/backup", ""), ("tests/backup/barman", ".json"), ("tests/backup/walg", ".json")]),
    ("bucket", bucket, &[("fuzz/seeds/bucket", "")]),
    ("page", page, &[("fuzz/seeds/table", "")]),
    ("certificate", certificate, &[("fuzz/seeds/certificate", "")]),
];

/// A collector file: what is loaded makes pages from its own examples.
pub fn collector(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(catalogue) = Catalogue::from_files([("x.yaml", &*text)]) else { return };
    for collector in &catalogue.collectors {
        let block = |query: usize| {
            let own = &collector.queries[query];
            let mapped = map::map(own, own.example.clone()).into();
            Block { collector: collector.clone(), query, labels: TargetLabels::new([("target", "x")]), mapped }
        };
        let blocks: Vec<_> = (0..collector.queries.len()).map(block).collect();
        expect_readable(&blocks);
    }
}

/// A settings file, with an environment in which some variables are set.
pub fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let env = |name: &str| name.len().is_multiple_of(2).then(|| name.to_owned());
    if let Err(problems) = Settings::parse("x.yaml", &text, &env) {
        assert!(!problems.to_string().is_empty());
    }
}

/// A postgres_exporter's file of queries: what is made of it can be loaded.
pub fn import(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(imported) = pgvigil::import::import("x.yaml", &text, &Catalogue::default()) else { return };
    let files = imported.files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    if let Err(problems) = Catalogue::from_files(files) {
        panic!("{problems}");
    }
}

/// Who may read our pages, and how.
pub fn web(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(problems) = WebSettings::parse("tests/good/x.yaml".as_ref(), &text) {
        assert!(!problems.to_string().is_empty());
    }
}

/// A connection string: what is not understood is not repeated.
pub fn dsn(bytes: &[u8]) {
    const SECRET: &str = "S3cretW0rd";
    let text = String::from_utf8_lossy(bytes).replace("SECRET", SECRET);
    let told = Dsn::parse(&text).map_err(|wrong| vec![wrong]).and_then(|dsn| resolve(&dsn)).map(|_| ());
    let of_redis = redis::parse(&text).map_err(|wrong| vec![wrong]).and_then(|dsn| redis::resolve(&dsn)).map(|_| ());
    for wrong in [told, of_redis].into_iter().filter_map(Result::err).flatten() {
        assert!(!format!("{wrong} {wrong:?}").contains(SECRET), "{wrong}");
    }
}

/// What a peer shows as its certificate. Nothing that was made up is believed: only what the root has signed, and itself.
pub fn certificate(bytes: &[u8]) {
    const ROOT: &[u8] = include_bytes!("seeds/certificate/root.der");
    const SIGNED: [&[u8]; 3] =
        [ROOT, include_bytes!("seeds/certificate/server.der"), include_bytes!("seeds/certificate/old.der")];
    _ = (certificate::not_after(bytes), certificate::names(bytes), certificate::hash(bytes));
    let Some(read) = Certificate::read(bytes) else { return };
    _ = name::check(&read, "localhost").and(name::check(&read, "127.0.0.1"));
    let (shown, provider) = (CertificateDer::from(bytes.to_vec()), Arc::new(ring::default_provider()));
    _ = chain::verify_key(&shown, &provider.signature_verification_algorithms);
    let roots = Authorities::new(vec![CertificateDer::from(ROOT)], false, "the root".to_owned(), provider);
    // Within what the good examples hold.
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
    for usage in [Purpose::Server, Purpose::Client] {
        let is_believed = roots.verify(&shown, std::slice::from_ref(&shown), now, usage).is_ok();
        assert!(!is_believed || SIGNED.contains(&bytes), "what nobody has signed is believed");
    }
}

/// Headers, one in a line, and a query.
pub fn headers(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for (nth, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        match nth % 3 {
            0 => headers.append(ACCEPT, value),
            1 => headers.append(ACCEPT_ENCODING, value),
            _ => headers.append("x-prometheus-scrape-timeout-seconds", value),
        };
    }
    let default = std::time::Duration::from_secs(10);
    let timeout = negotiate::timeout(&headers, default);
    assert!(!timeout.is_zero() && timeout < std::time::Duration::from_secs(3600));
    _ = (negotiate::format(&headers), negotiate::gzip(&headers));
    let query = String::from_utf8_lossy(bytes);
    _ = (negotiate::selection(Some(&query)), negotiate::parameters(Some(&query)).count());
}

/// What INFO says.
pub fn redis_info(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let info = InfoReply::new(&text);
    for section in sections::of(SourceKind::Redis) {
        let table = info.table(section);
        assert_eq!(table.cell(table.rows(), 0), Cell::Absent);
    }
}

/// What a Redis answers: as far as the stream lets it through, it makes no difference how it is cut into packets, and there is no more of
/// it than was counted.
pub fn redis_answer(bytes: &[u8]) {
    let (mut framing, mut let_through) = (RedisFraming::default(), 0);
    for end in (16..bytes.len()).step_by(16).chain([bytes.len()]) {
        let Ok(incomplete) = framing.check(&bytes[let_through..end]) else { break };
        let_through = end - incomplete;
    }
    let read = |capacity| {
        let mut from = tokio::io::BufReader::with_capacity(capacity, &bytes[..let_through]);
        // Bytes in memory keep nobody waiting.
        let read = reply::read(&mut from, 3).now_or_never().expect("an end");
        read.map(|(answers, _)| answers)
    };
    let answers = read(4096);
    assert_eq!(read(1), answers);
    let count: usize = answers.iter().flatten().map(count).sum();
    assert!(count <= framing.values(), "{count}");
}

fn count(answer: &Reply) -> usize {
    match answer {
        Reply::List(answers) => 1 + answers.iter().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// What a PgBouncer shows.
pub fn pgbouncer(bytes: &[u8]) {
    const COLUMNS: [&str; 12] = [
        "name",
        "database",
        "user",
        "pool_size",
        "reserve_pool",
        "max_connections",
        "current_connections",
        "maxwait",
        "maxwait_us",
        "pool_mode",
        "key",
        "value",
    ];
    let commands = ["pools", "databases", "users", "lists", "config", "state", "stats_totals"];
    let parts = bytes.split(|byte| *byte == 0);
    let shown: shown::ConsoleTables = commands
        .iter()
        .zip(parts)
        .map(|(command, part)| ((*command).to_owned(), Ok(table(&COLUMNS, part).into())))
        .collect();
    for section in sections::of(SourceKind::PgBouncer) {
        if let Some(Ok(table)) = shown::section(section.name, &shown) {
            assert_eq!(table.cell(table.rows(), 0), Cell::Absent);
        }
    }
}

/// The output of a backup tool: no result is impossible.
pub fn backup(bytes: &[u8]) {
    // From 2000 to 3000, with the difference that a time zone makes.
    let is_time = |time: f64| (946_000_000.0..32_504_000_000.0).contains(&time);
    let is_size = |size: Option<f64>| size.is_none_or(|size| size.is_finite() && size >= 0.0);
    let parsed = [pgbackrest::parse(bytes, "r", None), barman::parse(bytes, None, 0.0), walg::parse(bytes)];
    for mut contents in parsed.into_iter().flatten() {
        _ = walg::add_wal(&mut contents, bytes);
        let mut tables = SectionTables::default();
        for stanza in &contents.stanzas {
            stanza.push(&mut tables, "r");
            assert!(stanza.restorable().into_iter().chain(stanza.failed).all(is_time), "{stanza:?}");
            for backup in &stanza.backups {
                assert!([backup.size, backup.stored, backup.duration()].into_iter().all(is_size), "{backup:?}");
            }
        }
    }
}

/// The answer of a bucket.
pub fn bucket(bytes: &[u8]) {
    if let Ok(page) = list::parse(bytes) {
        assert!(page.objects.iter().all(|object| object.size >= 0.0 && object.changed > 0.0));
    }
    assert!(list::code(bytes).len() < 100);
}

/// One metric of each kind, over the same rows.
const COLLECTOR: &str = "\
collector: x
source: postgres
queries:
  - name: first
    sql: [{since: 13, text: SELECT}]
    labels: [a, b]
    metrics:
      - {name: g, type: gauge, value: n, ecosystem: true, help: G.}
      - {name: c_total, type: counter, value: n, scale: 1e300, ecosystem: true, help: C.}
      - {name: i_info, type: info, labels: [b], ecosystem: true, help: I.}
      - {name: h, type: histogram, le: le, value: n, sum: total, count: n, labels: [a], ecosystem: true, help: H.}
    example: [{a: x, b: y, n: 1, le: 1, total: 1}]
";

/// Rows of two servers: all formats can be read, nothing is there twice, and all show the same.
pub fn page(bytes: &[u8]) {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
        Catalogue::from_files([("x.yaml", COLLECTOR)]).unwrap_or_else(|problems| panic!("{problems}"))
    });
    let collector = &CATALOGUE.collectors[0];
    let name = String::from_utf8_lossy(bytes.split(|byte| *byte == b'\n').next().unwrap_or_default());
    let blocks: Vec<_> = bytes
        .split(|byte| *byte == 0)
        .take(2)
        .enumerate()
        .map(|(nth, part)| {
            let mapped = map::map(&collector.queries[0], table(&["a", "b", "n", "le", "total"], part)).into();
            let nth = nth.to_string();
            Block {
                collector: collector.clone(),
                query: 0,
                labels: TargetLabels::new([("target", &*nth), ("name", &name)]),
                mapped,
            }
        })
        .collect();
    expect_readable(&blocks);
}

fn expect_readable(blocks: &[Block]) {
    let [text, open, protobuf] = [Format::Text, Format::OpenMetrics, Format::Protobuf].map(|format| {
        let page = exposition::render(blocks, format);
        check::check(&page, format)
            .unwrap_or_else(|wrong| panic!("{format:?}: {wrong}\n{}", String::from_utf8_lossy(&page)))
    });
    assert_eq!(text, open);
    assert_eq!(text, protobuf);
}

/// Lines are rows; cells are apart by tabs, and the first character of each says what it is.
fn table(columns: &[&str], bytes: &[u8]) -> Table {
    let mut table = Table::new(columns.iter().copied());
    let text = String::from_utf8_lossy(bytes);
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        let cells: BTreeMap<usize, &str> = line.split('\t').enumerate().collect();
        table.push_row((0..columns.len()).map(|nth| cell(cells.get(&nth).copied().unwrap_or_default())));
    }
    table
}

fn cell(text: &str) -> Cell<'_> {
    match text.split_at_checked(1) {
        Some(("i", rest)) => rest.parse().map_or(Cell::Text(rest), Cell::Int),
        Some(("f", rest)) => rest.parse().map_or(Cell::Text(rest), Cell::Float),
        Some(("t", rest)) => Cell::Text(rest),
        Some(_) => Cell::Text(text),
        None => Cell::Absent,
    }
}
