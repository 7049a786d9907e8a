#!/usr/bin/env bash
# The entrypoint of compose.yaml's replica: copies the primary if there is no copy yet, and then runs like any other server.
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
