-- The demo's database: a small shop.
-- What collectors read where it is installed.
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION pg_buffercache;
CREATE EXTENSION pgstattuple;
SET ROLE app;
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, seen timestamptz NOT NULL DEFAULT now());
CREATE TABLE stock (item bigint PRIMARY KEY, quantity bigint NOT NULL);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers,
    item bigint NOT NULL REFERENCES stock,
    total numeric NOT NULL,
    placed timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_customer ON orders (customer);
-- Asked by nobody: an unused index to find.
CREATE INDEX orders_total ON orders (total);
INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 10000) i;
INSERT INTO stock SELECT i, 1000000 FROM generate_series(1, 500) i;
INSERT INTO orders (customer, item, total, placed)
    SELECT 1 + i * 7 % 10000, 1 + i % 500, i % 977 / 10.0, now() - i * interval '1 minute' FROM generate_series(1, 150000) i;
RESET ROLE;
VACUUM ANALYZE;
