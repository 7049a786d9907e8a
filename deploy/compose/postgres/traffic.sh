#!/usr/bin/env bash
# The customers of compose.yaml: as many transactions a second through the pooler, until it is stopped.
set -euo pipefail

PGPASSWORD=$(cat /run/secrets/password)
export PGPASSWORD
while true; do
    # It ends when the pooler or the server does.
    pgbench --host pooler --port 6432 --username shop --no-vacuum --client 4 --rate 20 --time 86400 shop || sleep 2
done
