# shellcheck shell=bash
# What the scripts share: where the cache is, how a file's content becomes a folder name, one way to fail.

# Everything that is built or downloaded lies here, outside the tree, so that clones share it.
# Both are for the scripts that source this.
# shellcheck disable=SC2034
CACHE="${TURNPIKE_CACHE:-$HOME/.cache/turnpike}"
# shellcheck disable=SC2034
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# Says why in one line and stops.
fail() {
    echo "error: $*" >&2
    exit 1
}

# 16 hex digits that change when the content of any of the files, or any further word, changes.
# Usage: content_key FILE... -- WORD...
content_key() {
    local files=()
    while [ $# -gt 0 ] && [ "$1" != "--" ]; do
        files+=("$1")
        shift
    done
    [ $# -gt 0 ] && shift
    { [ ${#files[@]} = 0 ] || cat "${files[@]}"; printf '%s\n' "$@"; } | sha256sum | cut -c1-16
}

# Runs a command under a lock on FOLDER unless FOLDER/.complete exists; marks it complete after.
# What a failed or killed run left is removed first. Usage: once FOLDER COMMAND...
once() {
    local folder="$1"
    shift
    [ -e "$folder/.complete" ] && return 0
    mkdir -p "$(dirname "$folder")"
    (
        flock 9
        [ -e "$folder/.complete" ] && exit 0
        rm -rf "$folder"
        mkdir -p "$folder"
        "$@" && touch "$folder/.complete"
    ) 9>"$folder.lock"
}
