-- A role for pgvigil, with what it needs and no more. Run it as a superuser (or as a role that may create roles and
-- is an admin of pg_monitor), once in each cluster, on the primary; running it again changes nothing.
--
-- It sets no password. Set one afterwards, in psql, with a command that sends only its hash:
--   \password pgvigil
-- or let the role log in without: by certificate, by peer, by the cloud's own means.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgvigil') THEN
    CREATE ROLE pgvigil LOGIN;
  END IF;
END
$$;

-- pgvigil keeps at most 3 sessions and never opens more than 10. Should it ever, the server refuses the eleventh.
ALTER ROLE pgvigil CONNECTION LIMIT 10;

-- It only reads. Its sessions say so themselves; this holds for a session that forgets to, and for a person who borrows the role.
ALTER ROLE pgvigil SET default_transaction_read_only = on;

-- All of other sessions' state, all statistics, all settings, the sizes of all databases. It reads no table of yours.
GRANT pg_monitor TO pgvigil;

-- From 16 on some connections can be kept free (reserved_connections): with this, pgvigil can still log in and say so when
-- the others are exhausted. Before 16 only superusers have such a reserve, and pgvigil is none.
DO $$
BEGIN
  IF pg_catalog.current_setting('server_version_num')::int >= 160000 THEN
    EXECUTE 'GRANT pg_use_reserved_connections TO pgvigil';
  END IF;
END
$$;

-- If CONNECT was revoked from PUBLIC on the database pgvigil logs in to, grant it there:
--   GRANT CONNECT ON DATABASE postgres TO pgvigil;
-- If an extension it reads (pg_stat_statements, pg_buffercache) lives in a schema of its own, let it look inside:
--   GRANT USAGE ON SCHEMA extensions TO pgvigil;
