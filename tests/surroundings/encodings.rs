//! Names in other encodings than that of the database we log in to: nothing fails, and each is shown as what it is, or escaped.

use crate::support::{Folder, Pgvigil, Postgres, majors, page, sample};

use super::watch;

/// Encodings of the login database, and a table's name there, as UTF-8.
const ENCODINGS: [(&str, &str); 6] = [
    ("UTF8", "größe"),
    ("LATIN1", "größe"),
    ("WIN1252", "größe"),
    ("EUC_JP", "日本"),
    ("KOI8R", "мир"),
    ("SQL_ASCII", "größe"),
];

#[test]
fn names_of_all_encodings_are_shown() {
    for major in majors() {
        let server = Postgres::builder(major).config("max_connections = 30").start();
        server.create_monitor_role();
        server.sql("postgres", "CREATE ROLE \"jürgen\"; CREATE ROLE \"名前\"; CREATE DATABASE \"größe €\"; CREATE EXTENSION pg_stat_statements");
        server.sql("postgres", "CREATE DATABASE named_latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0");
        // Bytes that are not UTF-8, in a catalogue that all databases share.
        server.sql("named_latin", "SET client_encoding = 'UTF8'; CREATE ROLE \"müller\"; CREATE DATABASE \"über\"");
        server.sql("größe €", "CREATE TABLE t (i int)");
        for (encoding, table) in ENCODINGS {
            let name = format!("login_{}", encoding.to_lowercase());
            server
                .sql("postgres", &format!("CREATE DATABASE {name} ENCODING {encoding} LOCALE 'C' TEMPLATE template0"));
            server.sql(
                &name,
                &format!(
                    "SET client_encoding = 'UTF8'; CREATE TABLE \"{table}\" (i int); INSERT INTO \"{table}\" VALUES (1)"
                ),
            );
            server.sql(&name, "CREATE SCHEMA \"ext\"; CREATE EXTENSION pg_stat_statements SCHEMA \"ext\"; GRANT USAGE ON SCHEMA \"ext\" TO pgvigil");
            let pgvigil = watch(&server.url("pgvigil", &name), "");
            let text = pgvigil.scrape();
            let failed: Vec<_> = text
                .lines()
                .filter(|line| line.starts_with("pgvigil_collector_success") && line.ends_with(" 0"))
                .collect();
            assert_eq!(failed, [""; 0], "{major} {encoding}\n{}", pgvigil.stderr());
            let has = |metric: &str, label: &str, value: &str| {
                assert_ne!(
                    page::samples(&text, metric, &[(label, value)]),
                    [0.0; 0],
                    "{major} {encoding}: {metric} {value}\n{}",
                    pgvigil.stderr()
                );
            };
            has("pg_stat_user_tables_n_live_tup", "relname", table);
            has("pg_database_size_bytes", "datname", "größe €");
            has("pg_stat_user_tables_n_live_tup", "datname", "größe €");
            // Who names a database in Latin 1 cannot be told to log in there.
            let closed = page::samples(&text, "pgvigil_database_skipped", &[("reason", "encoding")]);
            assert_eq!(closed, [1.0], "{major} {encoding}");
        }
    }
}

/// The schema of an extension is part of what we send, in whatever letters it is written.
#[test]
fn an_extension_in_a_schema_of_other_letters_is_found() {
    for major in majors() {
        let server = Postgres::builder(major).start();
        server.create_monitor_role();
        server.sql("postgres", "CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0");
        for name in ["postgres", "latin"] {
            let sql = "SET client_encoding = 'UTF8'; CREATE SCHEMA \"Größe \\ \"\"x\"\"\"; \
                       CREATE EXTENSION pg_stat_statements SCHEMA \"Größe \\ \"\"x\"\"\"; GRANT USAGE ON SCHEMA \"Größe \\ \"\"x\"\"\" TO pgvigil";
            server.sql(name, sql);
            let pgvigil = watch(&server.url("pgvigil", name), "");
            let text = pgvigil.scrape();
            assert_eq!(
                sample(&text, "pgvigil_collector_success", &[("collector", "slow_queries")]),
                Some(1.0),
                "{major} {name}\n{}",
                pgvigil.stderr()
            );
            assert_eq!(
                page::samples(
                    &text,
                    "pgvigil_collector_skipped",
                    &[("collector", "slow_queries"), ("reason", "extension")]
                ),
                [0.0; 0]
            );
        }
    }
}

/// pg_stat_statements converts the texts of all databases inside the server: where it cannot, that is told, and with it what helps.
#[test]
fn texts_that_the_server_cannot_convert_are_skipped() {
    for major in majors() {
        let server = Postgres::builder(major).start();
        server.create_monitor_role();
        for (name, encoding) in [("latin", "LATIN1"), ("koi", "KOI8R")] {
            server
                .sql("postgres", &format!("CREATE DATABASE {name} ENCODING {encoding} LOCALE 'C' TEMPLATE template0"));
            server.sql(name, "CREATE EXTENSION pg_stat_statements; SELECT 'plain'");
        }
        server.sql("postgres", "SELECT '日本' AS \"日本\"");
        for name in ["latin", "koi"] {
            let url = server.url("pgvigil", name);
            let pgvigil = watch(&url, "collectors: {statement_texts: {enabled: true}}\n");
            let skipped = [("collector", "statement_texts"), ("reason", "unsupported")];
            let text = pgvigil.scrape();
            assert_eq!(
                sample(&text, "pgvigil_collector_skipped", &skipped),
                Some(1.0),
                "{major} {name}\n{}",
                pgvigil.stderr()
            );
            assert_eq!(
                sample(&text, "pgvigil_collector_success", &[("collector", "slow_queries")]),
                Some(1.0),
                "{major} {name}"
            );
        }
    }
}

/// A user's own SQL may name a table by its letters, whatever the database's encoding.
#[test]
fn sql_of_ones_own_may_have_any_letters() {
    let server = Postgres::builder(*majors().last().expect("a version")).start();
    server.create_monitor_role();
    for (encoding, table) in ENCODINGS.iter().filter(|(encoding, _)| *encoding != "SQL_ASCII") {
        let own = Folder::new("own", "TERM");
        let sql = format!("SELECT relname, 1 AS one FROM pg_class WHERE relname = '{table}' -- {table}");
        own.write(
            "named.yaml",
            &format!(
                "collector: named\nsource: postgres\nqueries:\n  - name: q\n    sql: [{{since: 13, text: \"{sql}\"}}]\n    labels: [relname]\n    metrics:\n      \
                 - {{name: app_named, type: gauge, value: one, help: A.}}\n    example: [{{relname: a, one: 1}}]\n"
            ),
        );
        let name = format!("own_{}", encoding.to_lowercase());
        server.sql("postgres", &format!("CREATE DATABASE {name} ENCODING {encoding} LOCALE 'C' TEMPLATE template0"));
        server.sql(&name, &format!("SET client_encoding = 'UTF8'; CREATE TABLE \"{table}\" ()"));
        let folder = super::settings(&server.url("pgvigil", &name), "");
        let file = folder.path().join("pgvigil.yaml").display().to_string();
        let arguments = ["--config", &file, "--collectors", &own.path().display().to_string()];
        let pgvigil = Pgvigil::start(super::BINARY, &arguments, &[]);
        let text = pgvigil.get("/metrics?collector=named&collector=exporter", &[]).text();
        assert_eq!(sample(&text, "app_named", &[("relname", table)]), Some(1.0), "{encoding}: {}", pgvigil.stderr());
    }
}
