//! The schemas that editors read: current, fit for all that is shipped, and of one mind with the loader.

use std::{
    fs,
    path::{Path, PathBuf},
};

use expect_test::expect_file;
use jsonschema::Validator;
use pgvigil::{
    cli::export::FileKind,
    collector::catalogue::Catalogue,
    settings::{Settings, web::WebSettings},
};
use serde_json::{Map, Value, json};

use crate::support::{is_long, yaml};

/// Pieces of messages that only the loader can give: about values that must fit each other, the file's name, other files and the
/// server.
const LEFT_TO_CHECK: &[&str] = &[
    // How keys fit each other.
    "the file's name says",
    "a `timeout` is for slow collectors",
    "a `timeout` (above 0s) is for slow collectors",
    "`scope: database`",
    "`remember` is for",
    "it is asked in each database",
    "for `source: ",
    "must be above",
    "@extschema@",
    "is given too",
    "is checked only with",
    "accepts any public certificate",
    "`tls_server_config` needs",
    "no client is asked for",
    "it needs `client_ca_file`",
    "a client may come without",
    "anybody can make a certificate",
    "`channel_binding=require` needs TLS",
    "is below `min_version`",
    "in PEM",
    "it is not the key of",
    "leave nothing to speak",
    "no user is given",
    "beside it",
    // How columns and names fit each other.
    "the example has no column",
    "no row of the example has",
    "it must be a number or null",
    "has native buckets: write",
    "it must be there",
    "gives no column",
    "has no column",
    "is here twice",
    "a second ",
    "is already declared",
    "both mean",
    "is a label of",
    "is the label of",
    "no collector `",
    // What names mean.
    "a counter's name ends",
    "an info metric's name ends",
    "'s name does not end in",
    "is not a base unit",
    "names that start with `pgvigil_`",
    "metric names are lower snake case",
    // What is inside a text.
    "the SQL ",
    "write SQL of several lines",
    "`scale` must not be 0",
    "the connection string is refused",
    "the URL is refused",
    "the file cannot be read",
];

/// The same, where the message also says what a schema can: of these keys only the meaning of a text is left.
const LEFT_OF_TEXTS: [&str; 14] = [
    "a duration of at most 30d",
    "`host` must be",
    "`port` must be",
    "`sslmode` must be",
    "`require_auth` must be",
    "`sslmode=prefer` is not for Redis",
    "`db` must be",
    "environment variable",
    "must be an absolute path",
    "must be like https://",
    "an extension's name",
    "numbers, such as 1.8",
    "this is not a bcrypt hash",
    "is not a host name",
];

const COLLECTOR: &str = r#"
collector: full
source: postgres
scope: database
remember: false
role: primary
ttl: 5m
timeout: 10s
max_rows: 50
queries:
  - name: q
    requires: {extension: pg_stat_statements, version: 1.8}
    sql: [{since: 13, until: 15, text: SELECT 1}, {since: 15, text: SELECT 2}]
    labels: [kind]
    metrics:
      - {name: pg_x, type: gauge, value: n, scale: 0.5, ecosystem: true, labels: [kind], help: X.}
      - {name: pg_y_seconds, type: histogram, le: n, value: n, sum: n, count: n, native: {schema: -2, buckets: native}, ecosystem: false, labels: [], help: Y.}
      - {name: pg_z_info, type: info, labels: [kind], help: Z.}
    example: [{kind: a, n: 1, native: "zero:1 -8:1"}, {kind: 2, n: 1.5}]
"#;

const SETTINGS: &str = r#"
scrape_timeout: 10s
targets:
  - name: a
    labels: {cluster: x}
    thresholds: {some_ratio: {warning: 0.8}}
    postgres: {host: h, port: 5432, user: u, password: p, dbname: d, sslmode: verify-full, sslrootcert: r, sslcert: c,
               sslkey: k, databases: {include: ["*"], exclude: [tmp]}}
  - {name: b, postgres: {url: "postgresql://u@h/d"}}
  - {name: c, pgbouncer: {host: h, user: u, sslmode: prefer}}
  - {name: d, redis: {host: h, port: 6379, user: u, password: p, db: 3, sslmode: verify-full, sslrootcert: r, sslcert: c,
                      sslkey: k}}
  - name: e
    backup:
      repositories:
        - {name: a, tool: pgbackrest, stanza: s, repo: 1, config: c, binary: b, env: {A: b}, from_file: /f, archive_path: /a, max_age: 1h, verified: /v}
        - {name: b, tool: barman, server: s, exec: [cat, x]}
        - {name: c, tool: walg, exec: [cat, x], wal_from_file: /f}
        - {name: d, tool: files, pattern: "/d/*", name_time: "%Y"}
        - {name: e, tool: s3, bucket: b, endpoint: "http://h", prefix: p, pattern: "*", region: r, access_key: k, secret_key: s}
  - {name: f, disk: {paths: [{name: a, path: /a}, {path: /b}]}}
collectors:
  locks: {enabled: true, max_rows: 5}
  tables: {ttl: 2m, timeout: 5s}
"#;

const WEB: &str = r#"
tls_server_config:
  {cert: c, key: k, client_ca: a, client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [x], min_version: TLS12,
   max_version: TLS13, cipher_suites: [TLS_AES_128_GCM_SHA256], prefer_server_cipher_suites: true, curve_preferences: [X25519]}
http_server_config:
  http2: true
  headers: {Strict-Transport-Security: max-age=1, X-Content-Type-Options: nosniff, X-Frame-Options: deny, X-XSS-Protection: "0",
            Content-Security-Policy: "default-src 'self'"}
basic_auth_users: {a: $2y$10$abcdefghijklmnopqrstuuJ6l0PqQ7F8Pp1yvqUV1EQkBuTFvnmvq}
rate_limit: {interval: 1s, burst: 5}
allowed_hosts: [pgvigil.monitoring.svc]
"#;

fn validator(schema: &str) -> Validator {
    let schema: Value = serde_json::from_str(schema).expect("JSON");
    jsonschema::draft7::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
    jsonschema::draft7::new(&schema).unwrap_or_else(|error| panic!("{error}"))
}

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let paths = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.clone(), fs::read_to_string(path).expect("a text")))
        .collect();
    files.sort();
    files
}

fn told_of_collector(name: &str, text: &str) -> String {
    Catalogue::from_files([(format!("{name}.yaml").as_str(), text)])
        .err()
        .map(|told| told.to_string())
        .unwrap_or_default()
}

fn told_of_settings(shipped: &Catalogue, text: &str) -> String {
    let env = |name: &str| (name != "NOT_SET").then(|| "x".to_owned());
    let adjusted = shipped.adjust(Settings::read("x.yaml", text, &env));
    adjusted.err().map(|told| told.to_string()).unwrap_or_default()
}

fn told_of_web(text: &str) -> String {
    WebSettings::parse(Path::new("x.yaml"), text).err().map(|told| told.to_string()).unwrap_or_default()
}

/// `UPDATE_EXPECT=1 cargo test schema` writes them.
#[test]
fn the_schemas_in_the_docs_are_current() {
    expect_file!["../docs/schema/collector.json"].assert_eq(&FileKind::Collector.json_schema());
    expect_file!["../docs/schema/settings.json"].assert_eq(&FileKind::Settings.json_schema());
    expect_file!["../docs/schema/web.json"].assert_eq(&FileKind::Web.json_schema());
}

#[test]
fn whatever_is_shipped_fits() {
    let good = |schema: &Validator, path: &PathBuf, text: &str| {
        let value = yaml::parse(text).unwrap_or_else(|| panic!("{}", path.display()));
        let wrong: Vec<_> = schema.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
    };
    let schema = validator(&FileKind::Collector.json_schema());
    for (path, text) in ["collectors", "examples/collectors", "tests/good"].into_iter().flat_map(files) {
        good(&schema, &path, &text);
    }
    let schema = validator(&FileKind::Settings.json_schema());
    files("examples").iter().for_each(|(path, text)| good(&schema, path, text));
}

#[test]
fn the_line_that_names_the_schema_is_no_description() {
    let text = format!("# yaml-language-server: $schema=collector.json\n# What it is.{COLLECTOR}");
    let catalogue =
        Catalogue::from_files([("full.yaml", text.as_str())]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(catalogue.get("full").map(|collector| collector.about.as_str()), Some("What it is."));
}

/// A broken file is refused, unless all that is wrong with it only the loader can tell.
#[test]
fn whatever_is_broken_is_refused() {
    for (schema, folder, least) in [
        (FileKind::Collector.json_schema(), "tests/bad/collectors", 5),
        (FileKind::Settings.json_schema(), "tests/bad/settings", 5),
        (FileKind::Web.json_schema(), "tests/bad/web", 2),
    ] {
        let schema = validator(&schema);
        let mut refused = 0;
        for (path, text) in files(folder) {
            let told = fs::read_to_string(path.with_extension("expected")).expect("what is told");
            let Some(value) = yaml::parse(&text) else { continue };
            let is_refused = !schema.is_valid(&value);
            assert!(is_refused || is_left(&told), "{} passes the schema:\n{told}", path.display());
            refused += usize::from(is_refused);
        }
        assert!(refused >= least, "{folder}: {refused} refused");
    }
}

/// Each message has a file that provokes it, so what is left is told there.
#[test]
fn what_is_left_is_told_somewhere() {
    let expected = ["tests/bad/collectors", "tests/bad/settings", "tests/bad/web"].into_iter().flat_map(files);
    let told: String = expected
        .filter_map(|(path, _)| fs::read_to_string(path.with_extension("expected")).ok())
        .chain(fs::read_to_string("tests/bad/collectors/across.expected"))
        .collect();
    let unused: Vec<_> = LEFT_TO_CHECK.iter().chain(&LEFT_OF_TEXTS).filter(|piece| !told.contains(**piece)).collect();
    assert!(unused.is_empty(), "nobody says {unused:?}");
}

/// Whether each line of what the loader tells is something that no schema can say.
fn is_left(told: &str) -> bool {
    told.lines().all(|line| LEFT_TO_CHECK.iter().chain(&LEFT_OF_TEXTS).any(|piece| line.contains(piece)))
}

/// Every place of a full file, with every odd value in it (in the quick form with a third of them, others from place to place): what the loader
/// takes the schema takes too, and what the loader refuses the schema refuses, or cannot say.
#[test]
fn schema_and_loader_are_of_one_mind() {
    let shipped = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let collector = |text: &str| told_of_collector("full", text);
    let settings = |text: &str| told_of_settings(&shipped, text);
    let mut wrong = Vec::new();
    for (base, schema, told) in [
        (COLLECTOR, FileKind::Collector.json_schema(), &collector as &dyn Fn(&str) -> String),
        (SETTINGS, FileKind::Settings.json_schema(), &settings),
        (WEB, FileKind::Web.json_schema(), &told_of_web),
    ] {
        let schema = validator(&schema);
        let base = yaml::parse(base).expect("YAML");
        let mutants = mutants(&base);
        assert!(mutants.len() > 400, "{}", mutants.len());
        for Mutant { place, mutant, quoted } in mutants {
            let told = told(&mutant.to_string());
            let fits = schema.is_valid(&mutant);
            let left =
                if fits { is_left(&told) } else { quoted.as_ref().is_some_and(|quoted| schema.is_valid(quoted)) };
            if fits != told.is_empty() && !left {
                let verdict = if fits { "takes" } else { "refuses" };
                wrong.push(format!("{place}: the schema {verdict} it, the loader says {told:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
}

/// A document with something odd in one place.
struct Mutant {
    /// Where, and what.
    place: String,
    mutant: Value,
    /// The same with the odd value in quotes.
    quoted: Option<Value>,
}

/// The document with, at each place, each odd value instead, nothing at all, or a key nobody knows.
fn mutants(base: &Value) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    let every = if is_long() { 1 } else { 3 };
    for (nth, place) in places(base, "").into_iter().enumerate() {
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut mutant = base.clone();
            change(mutant.pointer_mut(&place).expect("a place"));
            mutant
        };
        for odd in odd_values().into_iter().skip(nth % every).step_by(every) {
            let quoted = (odd.is_number() || odd.is_boolean()).then(|| changed(&|node| *node = json!(odd.to_string())));
            mutants.push(Mutant {
                place: format!("{place} {odd}"),
                mutant: changed(&|node| *node = odd.clone()),
                quoted,
            });
        }
        let mut keys = |what: String, change: &dyn Fn(&mut Map<String, Value>)| {
            if base.pointer(&place).is_some_and(Value::is_object) {
                let mutant = changed(&|node| change(node.as_object_mut().expect("a map")));
                mutants.push(Mutant { place: format!("{place} {what}"), mutant, quoted: None });
            }
        };
        let known = base.pointer(&place).and_then(Value::as_object).into_iter().flat_map(Map::keys);
        known.for_each(|key| keys(format!("without {key}"), &|map| _ = map.remove(key)));
        keys("with nonsense".into(), &|map| _ = map.insert("nonsense".into(), json!([])));
    }
    mutants
}

fn places(value: &Value, here: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(nth, item)| (nth.to_string(), item)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), item)).collect(),
        _ => Vec::new(),
    };
    let below = children.iter().flat_map(|(step, item)| places(item, &format!("{here}/{step}")));
    [here.to_owned()].into_iter().chain(below).collect()
}

fn odd_values() -> Vec<Value> {
    let words = "x a-b a_b2 2x Xy __a target job le true no 5s 0s 100d 90 0 -1 +5 1.8 1.x 1e-6 .5 inf nan postgres \
        self database any gauge histogram info require build ${HOME} ${NOT_SET} *";
    let texts = words.split(' ').chain(["", " ", "X y", "5 minutes", "1h 30m", "a\\b", "a\tb"]);
    let others = json!([
        false, 0, 1, 5, -1, 99, 100, 1_000_001, 1.5, [], ["x"], [1], [[]], [{}], {}, {"x": 1}, {"x": "y"}, {"X-y": 1},
        {"x": {}}, {"x": {"y": 1}}, {"x": {"y": "z"}}
    ]);
    texts.map(|text| json!(text)).chain(others.as_array().cloned().unwrap_or_default()).collect()
}
