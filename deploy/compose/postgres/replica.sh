#!/usr/bin/env bash
# What the replica of compose.yaml begins with: a copy of the primary, if it has none yet. Then it is a server as any other.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    PGPASSWORD=$(cat /run/secrets/password)
    export PGPASSWORD
    gosu postgres pg_basebackup --host primary --username replicator --slot replica --write-recovery-conf --checkpoint fast \
        --pgdata "$PGDATA"
    unset PGPASSWORD
fi
exec docker-entrypoint.sh "$@"
