-- A report: a slow query that reads everything and sorts it on disk.
SELECT item, placed::date, sum(total) FROM orders GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10;
