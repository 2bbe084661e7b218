#!/usr/bin/env bash
# Runs every test, each suite to its end, and closes with one line that totals what the runners said.
# Usage: test.sh [SUITE...] with suites rust, fuzz, sdk, litellm, node, engine, chart, crds, cluster, e2e (default: all).
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CACHE/target}"
all=(rust fuzz sdk litellm node engine chart crds cluster e2e)
suites=("${@:-${all[@]}}")
logs="$(mktemp -d)"
trap 'rm -rf "$logs"' EXIT
failed=()

# Runs a suite within a time limit, shows its output and keeps it for the total.
# Usage: suite NAME LIMIT COMMAND...
suite() {
    local name="$1" limit="$2" status=0 begun=$SECONDS
    shift 2
    echo "=== $name"
    timeout --kill-after=30 "$limit" "$@" 2>&1 | tee "$logs/$name" || status=$?
    [ "$status" != 124 ] || echo "error: $name ran past its limit of $limit"
    [ "$status" = 0 ] || failed+=("$name")
    echo "=== $name: exit $status after $((SECONDS - begun)) s"
}

gateway() {
    cargo build --locked --quiet -p turnpike-gateway
    export TURNPIKE_GATEWAY="$CARGO_TARGET_DIR/debug/turnpike-gateway"
}

for name in "${suites[@]}"; do
    case "$name" in
    rust)
        suite rust 45m cargo test --workspace --locked --no-fail-fast
        ;;
    fuzz)
        # A bounded run; the first build takes a few minutes.
        suite fuzz 20m scripts/fuzz.sh
        ;;
    sdk)
        gateway
        python="$(scripts/python-env.sh tests/sdk/python/requirements.txt)"
        suite sdk 10m "$python" -m pytest -c tests/pytest.ini tests/sdk/python tests/examples
        ;;
    litellm)
        # Beside LiteLLM's own client this environment has the previous major of the official SDK.
        gateway
        python="$(scripts/python-env.sh tests/sdk/litellm/requirements.txt)"
        suite litellm 10m "$python" -m pytest -c tests/pytest.ini tests/sdk/litellm \
            tests/sdk/python/test_chat.py tests/sdk/python/test_embeddings.py \
            tests/sdk/python/test_errors.py tests/sdk/python/test_limits.py
        ;;
    node)
        gateway
        folder="$(scripts/node-env.sh tests/sdk/node/package.json)"
        suite node 10m env NODE_ENV_FOLDER="$folder" \
            node --test --test-reporter=spec --test-timeout=120000 tests/sdk/node/openai.test.mjs
        ;;
    engine)
        gateway
        version="$(sed -n 's/^llama_cpp_python==//p' tests/engine/requirements.txt)"
        wheels="$(scripts/engine-wheel.sh "$version")"
        python="$(scripts/python-env.sh tests/engine/requirements.txt --find-links "$wheels")"
        suite engine 10m "$python" -m pytest -c tests/pytest.ini tests/engine
        ;;
    chart)
        tools="$(scripts/cluster-tools.sh)"
        python="$(scripts/python-env.sh tests/chart/requirements.txt)"
        suite chart 10m env PATH="$tools:$PATH" "$python" -m pytest -c tests/pytest.ini tests/chart
        ;;
    crds)
        # What a real API server makes of the CRDs; a control plane is enough.
        python="$(scripts/python-env.sh tests/chart/requirements.txt)"
        suite crds 10m env NODE_COMPONENTS=no e2e/cluster/run "$python" -m pytest -c e2e/pytest.ini --rootdir=e2e e2e/crds
        ;;
    cluster)
        suite cluster 15m e2e/cluster/selftest.sh
        ;;
    e2e)
        suite e2e 40m e2e/run
        ;;
    *) fail "unknown suite $name; there are: ${all[*]}" ;;
    esac
done

# Last, so that it is the closing line: "N passed, N failed" as the runners themselves reported.
status=0
[ ${#failed[@]} = 0 ] || { echo "failed: ${failed[*]}"; status=1; }
python3 scripts/total.py "$logs"/* || status=1
exit "$status"
