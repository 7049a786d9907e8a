#!/usr/bin/env bash
# The PostgreSQL image runs this when it initializes the primary of compose.yaml, after the roles and the probe's tables: passwords,
# access for the replica, and a shop with some data. The image has read POSTGRES_PASSWORD_FILE into POSTGRES_PASSWORD, and unset it.
set -euo pipefail

psql --no-psqlrc --set ON_ERROR_STOP=1 --username postgres --dbname "$POSTGRES_DB" <<'SQL'
\getenv password POSTGRES_PASSWORD
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
ALTER ROLE pgvigil PASSWORD :'password';
ALTER ROLE pgvigil_probe PASSWORD :'password';
GRANT USAGE ON SCHEMA pgvigil_probe TO pgvigil_probe;
GRANT SELECT ON ALL TABLES IN SCHEMA pgvigil_probe TO pgvigil_probe;
CREATE ROLE shop LOGIN PASSWORD :'password';
GRANT CREATE ON SCHEMA public TO shop;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'password';
SELECT pg_create_physical_replication_slot('replica');
SQL
echo "host replication replicator all scram-sha-256" >>"$PGDATA/pg_hba.conf"
pgbench --username postgres --initialize --scale 5 --quiet "$POSTGRES_DB"
psql --no-psqlrc --set ON_ERROR_STOP=1 --username postgres --dbname "$POSTGRES_DB" \
    --command "GRANT SELECT, INSERT, UPDATE ON pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers TO shop"
