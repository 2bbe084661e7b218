#!/usr/bin/env bash
# Makes images of PostgreSQL and Redis from this machine's Debian packages, which stand for the published ones that the chart
# names for trials: localhost/postgres:e2e (postgres, psql, pg_isready, a shell; postgres-entry.sh starts it) and
# localhost/redis:e2e (redis-server, redis-cli, a shell). Both run as user 999, as those do, with a read-only root.
#
# Usage: stores.sh FOLDER      writes FOLDER/postgres.tar and FOLDER/redis.tar
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=scripts/lib.sh
. "$here/../../scripts/lib.sh"

folder="${1:?usage: stores.sh FOLDER}"
programs="$(find /usr/lib/postgresql -path '*/bin/initdb' -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)"
[ -n "$programs" ] || fail "PostgreSQL is missing: run scripts/prerequisites.sh stores"
command -v redis-server >/dev/null || fail "redis-server is missing: run scripts/prerequisites.sh stores"
version="$(basename "$(dirname "$programs")")"
libraries="/usr/lib/postgresql/$version/lib"
shared="/usr/share/postgresql/$version"

# At their own paths: PostgreSQL finds its libraries and files by where its programs lie.
add=("$shared:$shared" /usr/share/zoneinfo:/usr/share/zoneinfo /bin/dash:/bin/sh "$here/postgres-entry.sh:/usr/bin/entry")
for file in "$programs"/{postgres,initdb,pg_ctl,psql,pg_isready} "$libraries"/{plpgsql,dict_snowball}.so; do
    add+=("$file:$file")
done
"$here/image.py" localhost/postgres:e2e "$folder/postgres.tar" /bin/dash "${add[@]/#/--add=}" \
    --env "PATH=$programs:/usr/bin:/bin" --entrypoint "/usr/bin/entry postgres" --user postgres:999 --stop-signal SIGINT
"$here/image.py" localhost/redis:e2e "$folder/redis.tar" "$(command -v redis-server)" "$(command -v redis-cli)" \
    --add /bin/dash:/bin/sh --user redis:999
