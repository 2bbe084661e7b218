#!/bin/sh
# The entry of localhost/postgres:e2e: what the published image docker.io/library/postgres does with POSTGRES_USER,
# POSTGRES_PASSWORD, POSTGRES_DB and PGDATA when it is started as a user of its own, as far as charts rely on it.
# Until the database is there, the server answers on its socket only.
set -eu

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf '%s\n' "$POSTGRES_PASSWORD" |
        initdb --username="$POSTGRES_USER" --pwfile=/dev/stdin --auth-local=trust --auth-host=scram-sha-256 \
            --encoding=UTF8 --locale=C
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --options="-c listen_addresses=''" start
    [ "$POSTGRES_DB" = postgres ] ||
        psql --username="$POSTGRES_USER" --dbname=postgres --command="create database \"$POSTGRES_DB\""
    pg_ctl --wait --mode=fast stop
fi
exec "$@" -c listen_addresses='*'
