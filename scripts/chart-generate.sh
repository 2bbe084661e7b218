#!/usr/bin/env bash
# Rewrites what is generated from the chart: the plain manifests of charts/turnpike/kustomize, and the table of values in
# docs/install.md. The first run builds Helm. Usage: chart-generate.sh
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

tools="$(scripts/cluster-tools.sh clients)"
python="$(scripts/python-env.sh tests/chart/requirements.txt)"
PATH="$tools:$PATH" "$python" tests/chart/generated.py write
