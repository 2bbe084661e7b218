#!/usr/bin/env bash
# Makes the virtual environment that a requirements file describes, once per content, and prints the
# path of its python. Further arguments go to pip. Usage: python-env.sh REQUIREMENTS [PIP-ARGUMENT...]
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

requirements="$1"
shift
[ -r "$requirements" ] || fail "no such requirements file: $requirements"
folder="$CACHE/python/$(content_key "$requirements" -- "$(python3 --version)" "$@")"

make_env() {
    echo "installing $requirements" >&2
    python3 -m venv "$folder" &&
        timeout 1200 "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
            --no-deps -r "$requirements" "$@" >&2 &&
        "$folder/bin/python" -m pip check >&2
}

once "$folder" make_env "$@" || fail "could not install $requirements"
echo "$folder/bin/python"
