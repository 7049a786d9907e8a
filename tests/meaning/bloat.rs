//! The collector bloat, against what a rewrite gives back.

use crate::support::{Postgres, majors, sample};

use super::{GRANTS, look, server, until};

/// How far an estimate may be from the truth.
const NEAR: f64 = 0.05;

/// What is indexed, of 100,000 rows with the number g. Some lengths vary by one, some by many, some never.
const KEYS: &[(&str, &str)] = &[
    ("whole", "g"),
    ("few", "g % 20000"),
    ("money", "(random() * 1e5)::numeric(20, 4)"),
    ("large_money", "(random() * 1e9)::numeric(20, 4)"),
    ("whole_numeric", "(random() * 1e6)::int::numeric"),
    ("digits", "(random() * 99999999)::int::varchar(8)"),
    ("short", "substr(md5(random()::text), 1, 3 + (random() * 9)::int)"),
    ("shorter", "substr(md5(random()::text), 1, 5 + (random() * 3)::int)"),
    ("longer", "substr(md5(random()::text), 1, 10 + (random() * 9)::int)"),
    ("long", "md5(random()::text) || substr(md5(random()::text), 1, (random() * 30)::int)"),
    ("at_limit", "substr(md5(random()::text), 1, 7)::varchar(7)"),
    ("padded", "substr(md5(random()::text), 1, 7)::char(7)"),
    ("eight", "substr(md5(random()::text), 1, 8)"),
    ("hash", "decode(md5(random()::text), 'hex')"),
    ("address", "('10.' || g % 250 || '.' || g / 250 % 250 || '.' || g % 241)::inet"),
    ("number", "md5(random()::text)::uuid"),
    ("at", "now() + g * interval '1 s'"),
    ("maybe", "CASE WHEN g % 3 = 0 THEN substr(md5(random()::text), 1, 3 + (random() * 9)::int) END"),
];

/// Indexes of more than one column, and such as have no column of their own.
const OTHERS: &[(&str, &str)] = &[
    ("lowered", "(lower(short))"),
    ("number_and_text", "(whole, short)"),
    ("text_and_number", "(digits, money)"),
    ("included", "(whole) INCLUDE (short)"),
    ("part", "(short) WHERE whole < 75000"),
];

const TABLES: &[(&str, &str)] = &[
    ("numbers", "SELECT money, large_money, whole_numeric, money / 100 AS small_money FROM keys"),
    ("texts", "SELECT whole, digits, short, long FROM keys"),
    ("constants", "SELECT at, eight, number FROM keys"),
    ("inline", "SELECT whole, repeat('x', 5000) AS filler FROM keys WHERE whole <= 2000"),
    ("inline_varied", "SELECT whole, repeat('x', 4200 + whole % 1500) AS filler FROM keys WHERE whole <= 2000"),
    ("inline_smaller", "SELECT whole, repeat('x', 3000) AS filler FROM keys WHERE whole <= 2000"),
];

/// Beside a new relation as beside one of which 40 % was deleted at random places and vacuumed away.
#[test]
fn bloat_is_what_a_rewrite_gives_back() {
    for major in majors() {
        let server = server(major, "max_wal_size = 2GB");
        server.sql("postgres", GRANTS);
        let columns: Vec<_> = KEYS.iter().map(|(name, value)| format!("{value} AS \"{name}\"")).collect();
        let columns = columns.join(", ");
        server.sql(
            "postgres",
            &format!("SELECT setseed(0.5); CREATE TABLE keys AS SELECT {columns} FROM generate_series(1, 100000) g"),
        );
        let indexes = KEYS.iter().map(|(name, _)| (*name, format!("(\"{name}\")")));
        let indexes: Vec<_> = indexes.chain(OTHERS.iter().map(|(name, on)| (*name, (*on).to_owned()))).collect();
        for (name, on) in &indexes {
            server.sql("postgres", &format!("CREATE INDEX \"by_{name}\" ON keys {on}"));
        }
        for (name, rows) in TABLES {
            let plain =
                if rows.contains("filler") { "ALTER filler SET STORAGE PLAIN" } else { "SET (fillfactor = 100)" };
            server.sql(
                "postgres",
                &format!(
                    "CREATE TABLE {name} AS {rows} LIMIT 0; ALTER TABLE {name} {plain}; INSERT INTO {name} {rows}"
                ),
            );
        }
        compare(&server, &indexes);
        for table in ["keys"].into_iter().chain(TABLES.iter().map(|(name, _)| *name)) {
            server.sql("postgres", &format!("DELETE FROM {table} WHERE random() < 0.4"));
            until(&server, &format!("SELECT pg_stat_get_dead_tuples('{table}'::regclass) > 0"));
        }
        compare(&server, &indexes);
    }
}

/// Panics with every estimate that is far from what the rewrite, which this makes, gives back.
fn compare(server: &Postgres, indexes: &[(&str, String)]) {
    server.sql("postgres", "VACUUM");
    server.sql("postgres", "ANALYZE");
    until(server, "SELECT sum(pg_stat_get_dead_tuples(oid)) = 0 FROM pg_class WHERE relnamespace = 2200");
    let page = look(server, &["bloat"]);
    let sizes = "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relnamespace = 2200 AND relkind IN ('r', 'i') ORDER BY oid";
    let before = server.sql("postgres", sizes);
    server.sql("postgres", "VACUUM FULL");
    let after = server.sql("postgres", sizes);
    let mut wrong = Vec::new();
    for (before, after) in before.lines().zip(after.lines()) {
        let (name, size) = before.split_once('|').expect("a name and a size");
        let bytes = |text: &str| text.parse::<f64>().expect("a size");
        let rewritten = bytes(after.split_once('|').expect("a name and a size").1);
        let truth = 1.0 - rewritten / bytes(size);
        let index = indexes.iter().any(|(index, _)| name == format!("by_{index}"));
        let (metric, label) = match index {
            true => ("pg_bloat_index_ratio", "indexrelname"),
            false => ("pg_bloat_table_ratio", "relname"),
        };
        if index || name == "keys" || TABLES.iter().any(|(table, _)| *table == name) {
            let estimate = sample(&page, metric, &[(label, name)]);
            if estimate.is_none_or(|estimate| (estimate - truth).abs() > NEAR) {
                wrong.push(format!("{name}: {estimate:?}, in truth {truth:.3}"));
            }
        }
    }
    assert!(wrong.is_empty(), "PostgreSQL {}: {wrong:#?}", server.major());
}
