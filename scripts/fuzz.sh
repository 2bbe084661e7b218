#!/usr/bin/env bash
# Fuzzes everything in the crate llm that reads what comes from outside, from the tests' own cases and recordings.
# Stable Rust: coverage by the compiler's own pass, libFuzzer linked in. Without SECONDS a fixed number of inputs from a
# fixed seed, as in `make test`: the same binary then tries the same inputs. With it, for so long each and other inputs each time.
# Usage: fuzz.sh [SECONDS] [TARGET...]
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$ROOT/llm/fuzz"

bound=(-seed=1 -max_total_time=90)
if [[ "${1:-}" =~ ^[0-9]+$ ]]; then
    bound=("-max_total_time=$1")
    shift
fi
declare -A runs_of=([requests]=200000 [answers]=100000 [streams]=20000)
targets=("${@:-}")
[ -n "${targets[0]}" ] || targets=(requests answers streams)

host="$(rustc -vV | sed -n 's/^host: //p')"
export CARGO_TARGET_DIR="${FUZZ_TARGET_DIR:-$CACHE/fuzz}"
# As cargo-fuzz does it, without a sanitizer: the crates forbid unsafe code.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
 -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
cargo build --locked --quiet --target "$host"

corpus="$(mktemp -d)"
trap 'rm -rf "$corpus"' EXIT
python3 ../../scripts/fuzz_seeds.py .. "$corpus"

passed=0 failed=0
for target in "${targets[@]}"; do
    begun=$SECONDS
    # A finding is kept where it says, to be given to the target again.
    of_target=("${bound[@]}")
    [ ${#bound[@]} = 1 ] || of_target+=("-runs=${runs_of[$target]}")
    if timeout 1h "$CARGO_TARGET_DIR/$host/debug/$target" "${of_target[@]}" -max_len=16384 \
        -rss_limit_mb=1024 -timeout=10 -artifact_prefix="$CACHE/fuzz-$target-" "$corpus/$target" >"$corpus/log" 2>&1; then
        runs="$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$corpus/log")"
        [ -n "$runs" ] || fail "$target ended without saying what it did"
        passed=$((passed + 1))
        echo "test fuzz::$target ... ok ($runs inputs in $((SECONDS - begun)) s)"
    else
        grep -vE '^#[0-9]' "$corpus/log" | tail -n 40
        echo "test fuzz::$target ... FAILED"
        failed=$((failed + 1))
    fi
done
# As cargo says it, for the total of all suites.
word=ok
[ "$failed" = 0 ] || word=FAILED
echo "test result: $word. $passed passed; $failed failed; 0 ignored"
[ "$failed" = 0 ]
