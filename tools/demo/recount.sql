-- A recount of the items everybody wants: it holds its locks while it thinks, so that others wait.
BEGIN;
UPDATE stock SET quantity = 1000000 WHERE item <= 3;
\sleep 300 ms
COMMIT;
