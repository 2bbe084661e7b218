#!/usr/bin/env bash
# Makes images of PostgreSQL and Redis from this machine's Debian packages, for tests of what the
# chart brings for trials: localhost/postgres:e2e (initdb, postgres, psql, pg_isready and a shell) and
# localhost/redis:e2e (redis-server, redis-cli). Both run as user 65532 with a read-only root.
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
add=("$shared:$shared" /usr/share/zoneinfo:/usr/share/zoneinfo /bin/dash:/bin/sh)
for file in "$programs"/{postgres,initdb,psql,pg_isready} "$libraries"/{plpgsql,dict_snowball}.so; do
    add+=("$file:$file")
done
"$here/image.py" localhost/postgres:e2e "$folder/postgres.tar" /bin/dash "${add[@]/#/--add=}" \
    --env "PATH=$programs:/usr/bin:/bin" --entrypoint "$programs/postgres"
"$here/image.py" localhost/redis:e2e "$folder/redis.tar" "$(command -v redis-server)" "$(command -v redis-cli)"
