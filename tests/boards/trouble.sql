-- What a healthy database does not have, so that the panels about it are seen to show it. In the demo's database.
ALTER ROLE app CONNECTION LIMIT 100 VALID UNTIL '2099-01-01';
ALTER DATABASE demo CONNECTION LIMIT 100;
CREATE DATABASE shut CONNECTION LIMIT 0;
ALTER SYSTEM SET max_locks_per_transaction = 65;
SELECT pg_reload_conf();
SELECT pg_stat_reset();
-- Partitions, and rows that fit none.
CREATE TABLE events (at timestamptz NOT NULL, kind text) PARTITION BY RANGE (at);
CREATE TABLE events_then PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO events SELECT '2010-01-01', 'old' FROM generate_series(1, 2000);
-- No key; indexes that are the same, and one that is the beginning of another.
CREATE TABLE keyless AS SELECT i, i % 10 AS ten FROM generate_series(1, 20000) i;
CREATE INDEX keyless_i ON keyless (i);
SET enable_seqscan = off;
SELECT count(*) FROM keyless WHERE i = 1;
RESET enable_seqscan;
CREATE INDEX keyless_i_again ON keyless (i);
CREATE INDEX keyless_i_ten ON keyless (i, ten);
-- Read from end to end only.
CREATE TABLE scanned (i bigint PRIMARY KEY, t text);
INSERT INTO scanned SELECT i, 'x' FROM generate_series(1, 30000) i;
DO $$ BEGIN FOR n IN 1..300 LOOP PERFORM count(*) FROM scanned WHERE t = 'y'; END LOOP; END $$;
-- Mostly empty, more than 100 MB of it.
CREATE TABLE bloated (i bigint PRIMARY KEY, t text) WITH (autovacuum_enabled = false);
INSERT INTO bloated SELECT i, repeat('x', 700) FROM generate_series(1, 160000) i;
DELETE FROM bloated WHERE i % 4 > 0;
VACUUM ANALYZE;
CREATE PUBLICATION shop FOR TABLE stock;
SELECT pg_create_logical_replication_slot('shop', 'pgoutput');
