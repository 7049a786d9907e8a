-- The tables that the probe reads: 1,000 customers, 2,000 products, 20,000 purchases of two lines each. They never change,
-- so that every path has to answer the same. About 5 MB with their indexes. Running this again changes nothing.
--
-- The token is one row that a probe with `write: true` updates.

CREATE SCHEMA IF NOT EXISTS pgvigil_probe;

CREATE TABLE IF NOT EXISTS pgvigil_probe.customer (id integer PRIMARY KEY, name text NOT NULL, region integer NOT NULL);
CREATE TABLE IF NOT EXISTS pgvigil_probe.product (
  id integer PRIMARY KEY, name text NOT NULL, category integer NOT NULL, price numeric(10, 2) NOT NULL
);
CREATE TABLE IF NOT EXISTS pgvigil_probe.purchase (
  id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES pgvigil_probe.customer, placed_at timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS pgvigil_probe.line (
  purchase_id integer REFERENCES pgvigil_probe.purchase, product_id integer REFERENCES pgvigil_probe.product,
  quantity integer NOT NULL, PRIMARY KEY (purchase_id, product_id)
);
CREATE TABLE IF NOT EXISTS pgvigil_probe.token (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), token bigint NOT NULL);

INSERT INTO pgvigil_probe.customer SELECT n, 'customer ' || n, n % 10 FROM generate_series(1, 1000) n ON CONFLICT DO NOTHING;
INSERT INTO pgvigil_probe.product SELECT n, 'product ' || n, n % 20, (n * 37 % 9973) / 100.0 FROM generate_series(1, 2000) n ON CONFLICT DO NOTHING;
INSERT INTO pgvigil_probe.purchase SELECT n, n * 7 % 1000 + 1, timestamptz '2024-01-01 00:00:00Z' + n * interval '1 minute'
  FROM generate_series(1, 20000) n ON CONFLICT DO NOTHING;
INSERT INTO pgvigil_probe.line SELECT n, (n * 13 + k * 101) % 2000 + 1, (n + k) % 5 + 1
  FROM generate_series(1, 20000) n, generate_series(0, 1) k ON CONFLICT DO NOTHING;
INSERT INTO pgvigil_probe.token (token) VALUES (0) ON CONFLICT DO NOTHING;
