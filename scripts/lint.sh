#!/usr/bin/env bash
# Everything that is checked without running a test. Stops at the first finding.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CACHE/target}"

echo "=== the rules for files"
python3 scripts/check_files.py
echo "=== the documents"
python3 scripts/check_docs.py
echo "=== shell scripts"
mapfile -t shell < <(git ls-files --cached --others --exclude-standard -- '*.sh' .ci/run bench/run \
    e2e/run e2e/cluster/run e2e/cluster/restart e2e/cluster/load)
shellcheck -x "${shell[@]}"
echo "=== formatting"
cargo fmt --all --check
cargo fmt --manifest-path llm/fuzz/Cargo.toml --check
echo "=== clippy"
timeout --kill-after=30 45m cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
if command -v cargo-deny >/dev/null; then
    echo "=== licences, bans and sources"
    cargo deny --offline check licenses bans sources
fi
