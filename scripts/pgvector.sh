#!/usr/bin/env bash
# Unpacks a PostgreSQL that has the extension `vector`, once per machine, and prints the folder that holds its bin, lib and share
# in pgserver/pginstall. Debian 12 has no package of that extension; a Python package carries both. Its newest wheel is for
# Python 3.12 and the programs in it need no Python, so that any version here will do. Usage: pgvector.sh
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

version=0.1.4
command -v python3 >/dev/null || fail "python3 is missing: run scripts/prerequisites.sh test"
folder="$CACHE/pgvector/$(content_key "$0" -- "$version" "$(uname -m)")"

unpack() {
    local work status=0
    echo "fetching a PostgreSQL with pgvector (once per machine)" >&2
    work="$(mktemp -d)"
    {
        timeout 600 python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir \
            --only-binary :all: --python-version 3.12 --implementation cp --abi cp312 -d "$work" "pgserver==$version" &&
            python3 -m zipfile -e "$work"/pgserver-*.whl "$folder" &&
            rm -r "$folder/pgserver/pginstall/include" &&
            chmod -R a+rX "$folder" && chmod a+x "$folder"/pgserver/pginstall/bin/*
    } >"$work/log" 2>&1 || status=$?
    [ "$status" = 0 ] || tail -n 5 "$work/log" >&2
    rm -rf "$work"
    return "$status"
}

once "$folder" unpack || fail "could not fetch a PostgreSQL with pgvector (pgserver $version)"
echo "$folder"
