#!/usr/bin/env bash
# Runs every test, each suite to its end, and closes with one line that totals what the runners said.
# Usage: test.sh [SUITE...] with suites rust, fuzz, sdk, litellm, node, console, engine, chart, crds, cluster, e2e (default: all).
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CACHE/target}"
all=(rust fuzz sdk litellm node console engine chart crds cluster e2e)
suites=("${@:-${all[@]}}")
logs="$(mktemp -d)"
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

# Builds what takes longest on a new machine while the first suites leave the processors idle. Who needs it waits for the
# rest of it, and builds it and says why where this could not.
ahead() {
    wanted() { grep -qE " ($1) " <<<" ${suites[*]} "; }
    chrt --idle --pid 0 "$BASHPID"
    ! wanted 'chart|crds|cluster|e2e' || scripts/cluster-tools.sh || true
    ! wanted 'sdk' || scripts/python-env.sh tests/sdk/python/requirements.txt || true
    ! wanted 'litellm' || scripts/python-env.sh tests/sdk/litellm/requirements.txt || true
    ! wanted 'engine' || scripts/engine-wheel.sh "$llama" || true
    ! wanted 'e2e' || scripts/llama-server.sh "$llama" || true
}

gateway() {
    cargo build --locked --quiet -p turnpike-gateway
    export TURNPIKE_GATEWAY="$CARGO_TARGET_DIR/debug/turnpike-gateway"
}

llama="$(sed -n 's/^llama_cpp_python==//p' tests/engine/requirements.txt)"
# A process group of its own, to be ended with.
set -m
ahead >/dev/null 2>&1 &
group=$!
set +m
trap 'kill -- "-$group" 2>/dev/null || true; rm -rf "$logs"' EXIT
for name in "${suites[@]}"; do
    case "$name" in
    rust)
        # The tests ask for it as well; here its download is none of theirs.
        scripts/pgvector.sh >/dev/null
        # Random inputs are the same in every run, as those of `fuzz`; another PROPTEST_RNG_SEED tries others.
        export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-1}"
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
    console)
        gateway
        python="$(scripts/python-env.sh tests/console/requirements.txt)"
        suite console 10m "$python" -m pytest -c tests/pytest.ini tests/console
        ;;
    engine)
        gateway
        wheels="$(scripts/engine-wheel.sh "$llama")"
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
        scripts/cluster-tools.sh >/dev/null
        python="$(scripts/python-env.sh tests/chart/requirements.txt)"
        suite crds 10m env NODE_COMPONENTS=no e2e/cluster/run "$python" -m pytest -c e2e/pytest.ini --rootdir=e2e e2e/crds
        ;;
    cluster)
        scripts/cluster-tools.sh >/dev/null
        suite cluster 15m e2e/cluster/selftest.sh
        ;;
    e2e)
        scripts/cluster-tools.sh >/dev/null
        scripts/llama-server.sh "$llama" >/dev/null
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
