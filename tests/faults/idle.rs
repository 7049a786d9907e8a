//! Promise 10: sessions leave no trace: no transaction id, no snapshot, next to no temporary files.

use crate::support::{PgBouncer, Pgvigil, Postgres, majors, together};

use super::{Scrape, figure, is_long, watch_url};

/// The next transaction id, and the bytes of temporary files so far, which the log tells as they go.
fn counted(server: &Postgres) -> [u64; 2] {
    // The question assigns no id of its own.
    let next = server.sql("postgres", "SELECT split_part(pg_current_snapshot()::text, ':', 2)");
    let log = server.log();
    let files = log.lines().filter_map(|line| line.split_once("LOG:  temporary file: ")?.1.rsplit_once(", size "));
    [next.parse().expect("a number"), files.map(|(_, size)| size.parse::<u64>().expect("a size")).sum()]
}

/// As many different statements as these, by how many columns and conditions they have.
fn fill_statements(server: &Postgres, number: u32) {
    let (columns, conditions) = ("repeat('1, ', n % 200)", "repeat(' AND 1 = 1', n / 200)");
    let each = format!(
        "SELECT 'SELECT ' || {columns} || '1 WHERE false' || {conditions} FROM generate_series(1, {number}) n \\gexec\n"
    );
    server.sql("postgres", &each);
    let known = server.sql("postgres", "SELECT count(*) FROM pg_stat_statements");
    assert!(known.parse::<u32>().expect("a number") > number * 9 / 10, "{known} statements");
}

/// Who is connected as pgvigil, and holds something although it does nothing, or does not say who it is. A connection that a pooler keeps ready has
/// nobody's name until it has been asked for something.
fn holders(server: &Postgres) -> String {
    server.sql(
        "postgres",
        "SELECT * FROM pg_stat_activity WHERE usename = 'pgvigil' AND state <> 'active'
            AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR xact_start IS NOT NULL
                 OR application_name <> 'pgvigil' AND query_start IS NOT NULL)",
    )
}

fn expect_no_trace(server: &Postgres, pgvigil: &Pgvigil, what: &str) {
    const SCRAPES: u64 = 20;
    // All that is asked rarely is asked by the first.
    Scrape::of(pgvigil, None).expect_up(true, what);
    let before = counted(server);
    for _ in 0..SCRAPES {
        Scrape::of(pgvigil, None).expect_up(true, what);
        assert_eq!(holders(server), "", "{what}");
    }
    let [ids, bytes] = [0, 1].map(|which| counted(server)[which] - before[which]);
    figure(
        10,
        &format!("{what}: transaction ids and bytes of temporary files of {SCRAPES} scrapes"),
        format!("{ids}, {bytes}"),
    );
    assert_eq!(ids, 0, "{what}: transaction ids");
    assert!(bytes < SCRAPES * 1_000_000, "{what}: {bytes} bytes of temporary files");
}

#[test]
fn p10_scrapes_leave_no_trace() {
    together(majors(), |major| {
        let statements = if is_long() { 20_000 } else { 2_000 };
        let server = Postgres::builder(major)
            .config("autovacuum = off")
            .config("work_mem = 64kB")
            .config("log_temp_files = 0")
            .config(&format!("pg_stat_statements.max = {}", statements + 2_000))
            .start();
        let server = super::prepared(server);
        fill_statements(&server, statements);
        let pooler = PgBouncer::start(&server, "transaction", "");
        server.sql(
            "postgres",
            "SELECT count(*) FROM (SELECT FROM generate_series(1, 100000) n ORDER BY hashint4(n) OFFSET 1) x",
        );
        assert!(counted(&server)[1] > 100_000, "the log tells of temporary files");
        for (mode, url) in
            [("direct", server.url("pgvigil", "postgres")), ("pooled", pooler.url("pgvigil", "postgres"))]
        {
            expect_no_trace(
                &server,
                &watch_url(&url, &[]),
                &format!("PostgreSQL {major}, {mode}, {statements} statements"),
            );
        }
    });
}
