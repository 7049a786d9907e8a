#!/usr/bin/env bash
# The client traffic of compose.yaml: 20 transactions a second through the pooler, until it is stopped.
set -euo pipefail

PGPASSWORD=$(cat /run/secrets/password)
export PGPASSWORD
while true; do
    # pgbench ends when the pooler or the server does.
    pgbench --host pooler --port 6432 --username shop --no-vacuum --client 4 --rate 20 --time 86400 shop || sleep 2
done
