-- A customer looks at past orders: the quick read that most traffic is made of.
\set customer random(1, 10000)
SELECT id, item, total, placed FROM orders WHERE customer = :customer ORDER BY placed DESC LIMIT 20;
