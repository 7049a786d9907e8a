-- An order: reads, writes, and updates that leave dead rows.
\set customer random(1, 10000)
\set item random_zipfian(1, 500, 1.2)
BEGIN;
UPDATE customers SET seen = now() WHERE id = :customer;
UPDATE stock SET quantity = quantity - 1 WHERE item = :item;
INSERT INTO orders (customer, item, total) VALUES (:customer, :item, 9.99);
COMMIT;
