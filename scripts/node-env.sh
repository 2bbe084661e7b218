#!/usr/bin/env bash
# Installs the packages of a package.json, once per content, and prints the folder that holds
# node_modules. Versions are exact in package.json; no lock file, for it would record hosts.
# Usage: node-env.sh PACKAGE-JSON
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

manifest="$1"
[ -r "$manifest" ] || fail "no such package.json: $manifest"
folder="$CACHE/node/$(content_key "$manifest" -- "$(node --version)")"

make_env() {
    echo "installing $manifest" >&2
    cp "$manifest" "$folder/package.json" &&
        timeout 600 npm install --prefix "$folder" --ignore-scripts --no-package-lock --no-audit \
            --no-fund --loglevel=error >&2
}

once "$folder" make_env || fail "could not install $manifest"
echo "$folder"
