-- What pgvigil needs on a PostgreSQL server:
--
--   once in each cluster:  a role `pgvigil`, which may log in, is a member of pg_monitor (from PostgreSQL 16 on of
--                          pg_use_reserved_connections too), reads none of your tables, and has 10 connections at most;
--   in each database that this is run in:  a schema `pgvigil` with two functions, for the estimates of bloat and for how
--                          full sequences are. Nobody but that role may call them.
--
-- Nothing else. Running it again changes nothing. (With `--probe`, `pgvigil export grants` also prints the SQL of the
-- probe's role.)
--
-- Run it on the primary as a superuser, or as a role that may create roles and is an admin of pg_monitor. On the server's
-- own machine, where packages of PostgreSQL let the system's user postgres log in without a password (peer authentication):
--   $ pgvigil export grants | sudo -u postgres psql
-- or from elsewhere:
--   $ pgvigil export grants | psql -h db1 -U postgres
--
-- That was the database postgres. For another one add `-d shop`; pgvigil may log in to any one of a cluster's. For all of
-- them, and for those created later (they are copies of template1), as a user who needs no password:
--   $ pgvigil export grants > grants.sql
--   $ psql -At -c "SELECT datname FROM pg_database WHERE datallowconn" postgres |
--   $   while read -r name; do PGDATABASE=$name psql -q -v ON_ERROR_STOP=1 -f grants.sql || echo "failed in $name"; done
--
-- It sets no password. Set one afterwards, in psql, with a command that sends only its hash:
--   \password pgvigil
-- or without a person (Ansible, Terraform), out of a variable of the environment, so that no command line shows it:
--   $ psql -d postgres <<'SQL'
--   $ \set password `printenv PGVIGIL_PASSWORD`
--   $ ALTER ROLE pgvigil PASSWORD :'password';
--   $ SQL
-- or let the role log in without: by certificate, by peer, by the cloud's own means.
--
-- To take it all back: in each database it was run in
--   DROP SCHEMA IF EXISTS pgvigil CASCADE; DROP OWNED BY pgvigil;
-- and then, once
--   DROP ROLE pgvigil;

-- Whoever owns a database can have his own schemas searched before the catalogue, and there put operators that would run as you.
SET search_path = pg_catalog, pg_temp;

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

-- A replica refuses every statement of a serializable transaction, and a deferrable one waits for others. Sessions of pgvigil set this themselves too; this
-- is for the first query of a session behind a pooler.
ALTER ROLE pgvigil SET default_transaction_isolation = 'read committed';
ALTER ROLE pgvigil SET default_transaction_deferrable = off;

-- And names are looked for in the catalogue alone, whatever a database's owner sets for his database.
ALTER ROLE pgvigil SET search_path = pg_catalog, pg_temp;

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

-- Everything above is done once in each cluster. What follows is for one database: run the file in each database whose bloat and
-- sequences you want to see, and in template1, so that new databases have it. Leave it out, and those estimates are skipped.
--
-- The planner's statistics and the values of sequences are hidden from a role that may not read the tables, and pgvigil may not. So two
-- functions give away what is needed and nothing else: how wide columns are, how often they are NULL and how many distinct values they
-- have, but no value; and the last value of each sequence. They run with the rights of whoever installs them. Only pgvigil may call them.
--
-- That is a superuser. Where nobody can be one (RDS, Cloud SQL), from PostgreSQL 14 on it can be an administrator of the role pgvigil who reads
-- all data. If yours is neither yet, let it say so first (with its own name for admin):
--   GRANT pgvigil TO admin WITH ADMIN OPTION;  GRANT pg_read_all_data TO admin;
--
-- The schema must be such a role's: any other owner could put functions of his own there, for pgvigil to run. pgvigil looks, too. To be
-- allowed to create roles, or to own the database, is not enough.
-- All of it or nothing, and nobody else can call the functions at any moment.
BEGIN;

DO $$
DECLARE
  stranger pg_catalog.text;
BEGIN
  IF NOT pg_catalog.pg_has_role(current_user, 'pgvigil', 'MEMBER WITH ADMIN OPTION') THEN
    RAISE EXCEPTION 'the functions of pgvigil are installed by a superuser, or by a role with the admin option on pgvigil; all before this line is done';
  END IF;
  IF NOT pg_catalog.has_table_privilege('pg_catalog.pg_statistic', 'SELECT') THEN
    RAISE EXCEPTION 'the functions of pgvigil read pg_statistic, which % may not: it needs pg_read_all_data (PostgreSQL 14 and later); all before this line is done', current_user;
  END IF;
  SELECT pg_catalog.pg_get_userbyid(o.owner) INTO stranger
    FROM (SELECT nspowner AS owner FROM pg_catalog.pg_namespace WHERE nspname = 'pgvigil'
           UNION ALL
          SELECT p.proowner FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'pgvigil') o
   WHERE NOT pg_catalog.pg_has_role(o.owner, 'pgvigil', 'MEMBER WITH ADMIN OPTION') LIMIT 1;
  IF stranger IS NOT NULL THEN
    RAISE EXCEPTION 'the schema pgvigil, or a function in it, belongs to %, who does not administer the role pgvigil: drop or rename the schema first', stranger;
  END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS pgvigil;
REVOKE ALL ON SCHEMA pgvigil FROM PUBLIC;
GRANT USAGE ON SCHEMA pgvigil TO pgvigil;

CREATE OR REPLACE FUNCTION pgvigil.column_widths(
  OUT relid pg_catalog.oid, OUT attnum pg_catalog.int2, OUT null_fraction pg_catalog.float4, OUT width pg_catalog.int4,
  OUT distinct_values pg_catalog.float4
) RETURNS SETOF pg_catalog.record
LANGUAGE sql STABLE SECURITY DEFINER ROWS 10000 SET search_path = pg_catalog, pg_temp
AS $$
  SELECT starelid, staattnum, stanullfrac, stawidth, stadistinct
    FROM pg_catalog.pg_statistic WHERE NOT stainherit AND starelid >= 16384
$$;

-- Reading a sequence takes a lock, and would wait behind whoever changes the sequence: that one is left out. So are temporary ones,
-- and on a replica unlogged ones, which are empty there.
CREATE OR REPLACE FUNCTION pgvigil.sequence_values(OUT relid pg_catalog.oid, OUT last_value pg_catalog.int8)
RETURNS SETOF pg_catalog.record
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000 SET search_path = pg_catalog, pg_temp
AS $$
  WITH locked AS MATERIALIZED (
    SELECT DISTINCT l.relation
      FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
     WHERE l.locktype = 'relation' AND d.datname = pg_catalog.current_database()
       AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  )
  SELECT s.seqrelid, pg_catalog.pg_sequence_last_value(s.seqrelid::pg_catalog.regclass)
    FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
   WHERE (c.relpersistence = 'p' OR c.relpersistence = 'u' AND NOT pg_catalog.pg_is_in_recovery())
     AND NOT EXISTS (SELECT FROM locked l WHERE l.relation = s.seqrelid)
$$;

REVOKE ALL ON FUNCTION pgvigil.column_widths(), pgvigil.sequence_values() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgvigil.column_widths(), pgvigil.sequence_values() TO pgvigil;

COMMIT;

RESET search_path;
