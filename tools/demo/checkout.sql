-- A customer at the checkout: a transaction that waits for a payment, so that the pool in front is too small.
\set customer random(1, 10000)
BEGIN;
SELECT count(*) FROM orders WHERE customer = :customer;
SELECT pg_sleep(0.05);
COMMIT;
