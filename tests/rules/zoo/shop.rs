//! One server with a database for each oddity of tables and statements.

use std::time::Duration;

use super::{
    alone::LARGE,
    part::{BEGIN, Part, load, server},
};
use crate::support::eventually;

const DATABASES: [&str; 9] = ["partitions", "history", "lost", "hot", "chunks", "etl", "tests", "reports", "warehouse"];

/// As pg_partman makes them by default: four ahead.
const AHEAD: &str = "
CREATE TABLE daily (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE hourly (at timestamptz) PARTITION BY RANGE (at);
DO $$ BEGIN FOR i IN -4..4 LOOP
  EXECUTE format('CREATE TABLE daily_p%s PARTITION OF daily FOR VALUES FROM (%L) TO (%L)', i + 4,
                 date_trunc('day', now()) + i * interval '1 day', date_trunc('day', now()) + (i + 1) * interval '1 day');
  EXECUTE format('CREATE TABLE hourly_p%s PARTITION OF hourly FOR VALUES FROM (%L) TO (%L)', i + 4,
                 date_trunc('hour', now()) + i * interval '1 hour', date_trunc('hour', now()) + (i + 1) * interval '1 hour');
END LOOP; END $$";

const YEARS: &str = "
CREATE TABLE yearly (at timestamptz) PARTITION BY RANGE (at);
DO $$ BEGIN FOR y IN 2015..extract(year FROM now())::int + 2 LOOP
  EXECUTE format('CREATE TABLE yearly_%s PARTITION OF yearly FOR VALUES FROM (%L) TO (%L)', y, make_date(y, 1, 1), make_date(y + 1, 1, 1));
END LOOP; END $$";

const CHUNKS: &str = "
CREATE TABLE measures (at timestamptz, value int);
DO $$ BEGIN FOR i IN 1..12 LOOP
  EXECUTE format('CREATE TABLE chunk_%s () INHERITS (measures)', i);
  EXECUTE format('INSERT INTO chunk_%s SELECT now(), n FROM generate_series(1, 12000) n', i);
END LOOP; END $$;
VACUUM ANALYZE";

const LOAD: &str = "TRUNCATE facts; INSERT INTO facts SELECT n, n FROM generate_series(1, 50000) n";

pub fn shop(major: u32) -> Part {
    let server = server(major, "max_prepared_transactions = 10\nshared_buffers = 16MB");
    for database in DATABASES {
        server.sql("postgres", &format!("CREATE DATABASE {database}"));
    }
    server.sql("partitions", AHEAD);
    server.sql("history", YEARS);
    server.sql("lost", LARGE);
    server.sql("lost", "VACUUM ANALYZE large; SELECT pg_stat_reset(); UPDATE large SET n = 0 WHERE id <= 12000");
    server.sql("tests", "CREATE TABLE orders (id int PRIMARY KEY)");
    server.sql("hot", "CREATE TABLE tills (id int PRIMARY KEY, total int); CREATE INDEX ON tills (total); INSERT INTO tills SELECT n, 0 FROM generate_series(1, 10) n");
    server.sql("chunks", CHUNKS);
    server.sql("etl", &format!("CREATE TABLE facts (id int PRIMARY KEY, n int); {LOAD}; {LOAD}"));
    server.sql("warehouse", "CREATE TABLE facts AS SELECT n AS id, repeat('x', 400) AS text FROM generate_series(1, 100000) n; ALTER TABLE facts ADD PRIMARY KEY (id); VACUUM ANALYZE");
    let work = [
        load(&server, "hot", "UPDATE tills SET total = total + 1;", "40"),
        load(&server, "tests", "BEGIN;\nINSERT INTO orders VALUES (:client_id);\nROLLBACK;", "6"),
        load(&server, "reports", "SELECT pg_sleep(1.3);", "0.6"),
        load(&server, "warehouse", "SELECT sum(length(text)) FROM facts;", "1"),
    ];
    let vacuumed = "SELECT count(*) FROM pg_stat_user_tables WHERE autovacuum_count > 1 AND autoanalyze_count > 1";
    eventually(Duration::from_secs(60), "autovacuum has been there", || server.sql("hot", vacuumed) == "1");
    let mut part = Part::default();
    part.watch("shop", &server, "");
    part.act(move |page| {
        if page > 0 {
            server.sql("postgres", &format!("COMMIT PREPARED 'order {}'", page - 1));
        }
        server.sql("postgres", &format!("BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'order {page}'"));
        if page == BEGIN {
            server.sql("etl", LOAD);
        }
    });
    part.keep(work);
    part
}
