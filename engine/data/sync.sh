# shellcheck shell=sh
# Copies a folder of a bucket to MODEL_TO. Only one at a time, since each would delete what another has not finished: whoever
# holds MODEL_LOCK writes to it, and one that is not written to for a minute belonged to a container that was killed.
set -eu
trap 'exit 143' TERM
mkdir -p "$MODEL_TO" "${MODEL_LOCK%/*}"
seen='' still=0
until mkdir "$MODEL_LOCK" 2>/dev/null; do
    if [ ! -d "$MODEL_LOCK" ]; then
        if mkdir "$MODEL_LOCK"; then break; elif [ ! -d "$MODEL_LOCK" ]; then exit 1; fi
    fi
    beat="$(cat "$MODEL_LOCK/beat" 2>/dev/null || true)"
    if [ "$beat" != "$seen" ]; then seen="$beat" still=0; fi
    if [ "$still" -ge "${LOCK_SECONDS:-60}" ]; then rm -rf "$MODEL_LOCK"; still=0; fi
    still=$((still + 1))
    sleep 1
done
# shellcheck disable=SC3028 # a container has it from its runtime
(n=0; while echo "${HOSTNAME:-} $n" >"$MODEL_LOCK/beat"; do n=$((n + 1)); sleep 3; done) >/dev/null 2>&1 &
beats="$!"
trap 'kill "$beats" ${sync:-} 2>/dev/null || true; rm -rf "$MODEL_LOCK"' EXIT
aws s3 sync "$MODEL_FROM" "$MODEL_TO" --no-progress --only-show-errors --delete "$@" &
sync="$!"
wait "$sync"
# A prefix without objects is no error to aws, and the engine's own message would not say why its folder is empty.
[ -n "$(ls -A "$MODEL_TO")" ] || { echo "there are no objects at $MODEL_FROM" >&2; exit 1; }
