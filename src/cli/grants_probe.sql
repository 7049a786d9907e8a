-- The role of the synthetic probe (a target with `probe`), so that its queries can be told from others'. It may log in, with
-- 50 connections at most, and no more: it reads the tables that `pgvigil probe --install` makes, which grants it that, and
-- what you grant it for queries of your own. Run this once in each cluster, on the primary; running it again changes nothing.
-- It sets no password:
--   \password pgvigil_probe
--
-- To take it back: in each database with the probe's tables
--   DROP SCHEMA IF EXISTS pgvigil_probe CASCADE; DROP OWNED BY pgvigil_probe;
-- and then, once
--   DROP ROLE pgvigil_probe;

SET search_path = pg_catalog, pg_temp;

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgvigil_probe') THEN
    CREATE ROLE pgvigil_probe LOGIN;
  END IF;
END
$$;

-- The limits are those an application should have; the probe sets them itself, except behind PgBouncer, where these hold.
ALTER ROLE pgvigil_probe CONNECTION LIMIT 50;
ALTER ROLE pgvigil_probe SET default_transaction_read_only = on;
ALTER ROLE pgvigil_probe SET default_transaction_isolation = 'read committed';
ALTER ROLE pgvigil_probe SET default_transaction_deferrable = off;
ALTER ROLE pgvigil_probe SET statement_timeout = '5s';
ALTER ROLE pgvigil_probe SET lock_timeout = '3s';
ALTER ROLE pgvigil_probe SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE pgvigil_probe SET search_path = pg_catalog, pg_temp;

RESET search_path;
