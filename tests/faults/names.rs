//! Promise 8: any bytes are a legal name, and what cannot be shown is counted.

use std::collections::HashSet;

use crate::support::{Pgvigil, Postgres, majors, page, promtool_check_metrics, psql};

use super::{Scrape, collector, collectors, expect_distinct, figure, newest, server, watch};

/// Names of databases and roles: as SQL writes them inside an escape string.
const NAMES: [&str; 10] = [
    r#"quote\"d"#,
    r"apo\'strophe",
    r"back\\slash",
    r"back\\nslash",
    r"line\nbreak",
    r"carriage\rreturn",
    r#"tab\tbrace{a=\"1\"} 1"#,
    "emoji 😀 ü 中",
    "# HELP # EOF",
    "sixty-three bytes sixty-three bytes sixty-three bytes sixty-thr",
];

/// Two names that are no UTF-8, alike but for the broken byte, and one that looks like the escaped first.
const BROKEN: [&str; 3] = [r"broken\xff", r"broken\xfe", r"broken\\xff"];

fn create(server: &Postgres, name: &str) {
    let run = |template: &str| {
        let text = format!("SELECT format('{template}', E'{name}') \\gexec\n");
        server.sql("postgres", &text);
    };
    run("CREATE DATABASE %I TEMPLATE template0");
    run("CREATE ROLE %I CONNECTION LIMIT 3 LOGIN");
}

/// promtool for the text format; by hand what OpenMetrics asks beyond.
fn expect_valid(pgvigil: &Pgvigil) -> String {
    let text = Scrape::of(pgvigil, None).expect_up(true, "hostile names").page;
    let opinion = promtool_check_metrics(&text);
    let complaints = String::from_utf8_lossy(&opinion.stderr).into_owned();
    let is_of_form = |line: &&str| line.contains("error while linting") || line.contains("parsing");
    assert_eq!(complaints.lines().filter(is_of_form).collect::<Vec<_>>(), [""; 0]);
    let answer = pgvigil.get("/metrics", &[("Accept", "application/openmetrics-text;version=1.0.0")]);
    let open = String::from_utf8(answer.body).expect("UTF-8");
    assert!(open.ends_with("\n# EOF\n") && open.matches("\n# EOF\n").count() == 1);
    for page in [&text, &open] {
        expect_distinct(page);
        let heads = page.lines().filter(|line| line.starts_with("# TYPE"));
        let (all, distinct): (Vec<_>, HashSet<_>) = (heads.clone().collect(), heads.collect());
        assert_eq!(all.len(), distinct.len(), "a family is there twice");
    }
    text
}

#[test]
fn p08_any_bytes_are_a_legal_name() {
    for major in majors() {
        let server = server(major);
        NAMES.iter().for_each(|name| create(&server, name));
        let mut psql = psql::psql(server.socket_dir(), server.port(), "postgres", "postgres");
        let mut session = crate::support::Session::open(psql.env("PGAPPNAME", "a\"b\\c\nd"));
        session.run("SELECT 1;");
        let pgvigil = watch(&server, &[]);
        let page = expect_valid(&pgvigil);
        for name in NAMES {
            let plain = server.sql("postgres", &format!("SELECT encode(convert_to(E'{name}', 'UTF8'), 'hex')"));
            let plain = unhex(&plain);
            let found = page::samples(&page, "pg_database_size_bytes", &[("datname", &plain)]);
            assert_eq!(found.len(), 1, "{plain:?} in:\n{page}");
            let found = page::samples(&page, "pg_roles_connection_limit", &[("rolname", &plain)]);
            assert_eq!(found, [3.0], "{plain:?}");
        }
        figure(
            8,
            &format!("PostgreSQL {major}, hostile names"),
            format!("{}, {} series", NAMES.len(), page::count(&page)),
        );
    }
}

fn unhex(text: &str) -> String {
    let bytes = text.as_bytes().chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).expect("hexadecimal digits");
        u8::from_str_radix(pair, 16).expect("hexadecimal digits")
    });
    String::from_utf8(bytes.collect()).expect("UTF-8")
}

#[test]
fn p08_names_that_are_no_utf8_stay_two() {
    for major in majors() {
        let server = server(major);
        server
            .sql("postgres", "CREATE DATABASE raw ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
        for name in BROKEN {
            let sql = format!("SELECT format('CREATE DATABASE %I TEMPLATE template0', E'{name}') \\gexec\n");
            let mut psql = psql::psql(server.socket_dir(), server.port(), "postgres", "raw");
            psql::run(psql.env("PGCLIENTENCODING", "SQL_ASCII"), &sql).expect("a database with a broken name");
        }
        for from in ["raw", "postgres"] {
            let pgvigil = super::watch_url(&server.url("pgvigil", from), &[]);
            let page = expect_valid(&pgvigil);
            let line = |line: &&str| line.starts_with("pg_database_size_bytes{") && line.contains("broken");
            let names: HashSet<_> =
                page.lines().filter(line).filter_map(|line| line.rsplit_once(' ')).map(|split| split.0).collect();
            assert_eq!(names.len(), BROKEN.len(), "PostgreSQL {major}, from {from}: {names:?}\n{}", pgvigil.stderr());
            figure(8, &format!("PostgreSQL {major}, names that are no UTF-8, from {from}"), format!("{names:?}"));
        }
    }
}

/// Every byte but zero, fifty in a name: of databases, and of what is in one.
#[test]
fn p08_every_byte_is_a_legal_part_of_a_name() {
    let server = server(newest());
    server.sql("postgres", "CREATE DATABASE raw ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    let names: Vec<String> = (1..=255u8)
        .collect::<Vec<_>>()
        .chunks(50)
        .map(|bytes| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect())
        .collect();
    for name in &names {
        let of = |what: &str| format!("SELECT format('{what}', E'{name}') \\gexec\n");
        let sql = ["CREATE DATABASE %I TEMPLATE template0", "CREATE TABLE %I (i int PRIMARY KEY)", "CREATE SCHEMA %I"]
            .map(of);
        let mut psql = psql::psql(server.socket_dir(), server.port(), "postgres", "raw");
        psql::run(psql.env("PGCLIENTENCODING", "SQL_ASCII"), &sql.concat()).expect("odd names");
    }
    for from in ["raw", "postgres"] {
        let pgvigil = super::watch_url(&server.url("pgvigil", from), &[]);
        let page = expect_valid(&pgvigil);
        let databases = page::samples(&page, "pg_database_size_bytes", &[]).len();
        // Beside them raw, postgres and the templates.
        assert!(databases >= names.len() + 2, "{databases} databases, from {from}");
        figure(8, &format!("names of every byte, from {from}, series"), page::count(&page));
    }
}

#[test]
fn p08_duplicate_rows_and_odd_values_are_counted() {
    let rows = "VALUES ('a', '1'), ('a', '2'), ('b', 'many'), ('a', '3'), ('c', '4'), (NULL, '5'), ('', '6')";
    let folder = collectors(&[("odd", collector("odd", "", &format!("SELECT * FROM ({rows}) x (kind, value)")))]);
    let server = server(newest());
    let pgvigil = watch(&server, &["--collectors", &folder.path().display().to_string()]);
    let of_it: &[_] = &[("collector", "odd")];
    for scrapes in 1..3 {
        let scrape = Scrape::of(&pgvigil, None);
        let kinds = ["a", "b", "c", ""].map(|kind| page::samples(&scrape.page, "pg_test_odd", &[("kind", kind)]));
        assert_eq!(kinds, [vec![1.0], vec![], vec![4.0], vec![5.0]]);
        let counted =
            ["pgvigil_rows_duplicate_total", "pgvigil_values_invalid_total"].map(|name| scrape.value(name, of_it));
        assert_eq!(counted, [Some(3.0 * f64::from(scrapes)), Some(f64::from(scrapes))]);
        expect_distinct(&scrape.page);
    }
}
