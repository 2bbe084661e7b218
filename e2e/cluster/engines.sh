#!/usr/bin/env bash
# Makes images of inference engines: localhost/vllm:e2e, a look-alike of vLLM that runs without GPUs (testkit/src/engine.rs;
# its python3 is the same program), and localhost/llama-server:e2e, llama.cpp's own server.
#
# Usage: engines.sh FOLDER VLLM LLAMA_SERVER     writes FOLDER/vllm.tar and FOLDER/llama-server.tar
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=scripts/lib.sh
. "$here/../../scripts/lib.sh"

[ $# = 3 ] || fail "usage: engines.sh FOLDER VLLM LLAMA_SERVER"
links="$(mktemp -d)"
trap 'rm -rf "$links"' EXIT
ln -s vllm "$links/python3"
"$here/image.py" localhost/vllm:e2e "$1/vllm.tar" "$2" --add "$links:/usr/bin" --entrypoint "/usr/bin/vllm serve"
"$here/image.py" localhost/llama-server:e2e "$1/llama-server.tar" "$3"
