#!/usr/bin/env bash
# Checks the tools that a make target needs. Missing Debian packages are installed when root;
# otherwise one line names the command that installs them.
# Usage: prerequisites.sh run|lint|test|bench|cluster|stores
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

packages=()

# Usage: debian COMMAND PACKAGE
debian() {
    command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || packages+=("$2")
}

# Usage: tool COMMAND WHAT (tools whose Debian version is too old)
tool() {
    command -v "$1" >/dev/null || fail "$1 is missing: install $2"
}

rust() {
    tool cargo "Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml") or later (https://rustup.rs)"
    debian cc build-essential
    debian make make
}

# For bench/release: of the same LLVM as the compiler's, from its own toolchain or from Debian.
profiling() {
    local llvm
    llvm="$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')"
    compgen -G "$(rustc --print sysroot)/lib/rustlib/*/bin/llvm-profdata" >/dev/null || debian "llvm-profdata-$llvm" "llvm-$llvm"
}

golang() {
    tool go "Go $(sed -n 's/^go //p' "$ROOT/e2e/cluster/kubebox/go.mod") or later (https://go.dev/dl)"
}

# What e2e/cluster/run starts, and what a node needs. kubectl comes with scripts/cluster-tools.sh.
cluster() {
    debian runc runc
    [ -x /usr/lib/cni/bridge ] || packages+=(containernetworking-plugins)
    debian iptables iptables
    debian nft nftables
    debian conntrack conntrack
    debian socat socat
    debian ethtool ethtool
    debian ip iproute2
    debian curl curl
    debian openssl openssl
    debian busybox busybox
    debian pgrep procps
    # For llama.cpp's server, which the tests on a cluster run.
    debian g++ build-essential
    debian cmake cmake
    debian ninja ninja-build
}

# What tests of the ledger start for themselves, and those on a cluster make images of; no service of the machine is used.
stores() {
    debian redis-server redis-server
    debian setpriv util-linux
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
}

# Packages must not start their services: the cluster runs its own containerd, and a test no daemon.
# What invoke-rc.d and deb-systemd-invoke ask before they start one answers no while this installs.
no_services() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

case "${1:-}" in
run) rust ;;
lint)
    rust
    debian shellcheck shellcheck
    tool python3 "Python 3.11 or later"
    ;;
test)
    rust
    tool python3 "Python 3.11 or later"
    tool node "Node.js 20 or later"
    tool npm "npm 10 or later"
    debian curl curl
    debian openssl openssl
    debian sqlite3 sqlite3
    debian chromium chromium
    debian chromedriver chromium-driver
    stores
    golang
    cluster
    ;;
bench)
    rust
    debian nginx nginx-light
    profiling
    ;;
cluster)
    rust
    golang
    tool python3 "Python 3.11 or later"
    # A cluster of the user's has all that.
    [ -n "${KUBECONFIG:-}" ] || { cluster; stores; }
    ;;
stores) stores ;;
*) fail "usage: prerequisites.sh run|lint|test|bench|cluster|stores" ;;
esac

if [ ${#packages[@]} -gt 0 ]; then
    mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
    command -v apt-get >/dev/null || fail "missing: install the equivalents of ${packages[*]}"
    if [ "$(id -u)" != 0 ]; then
        fail "missing Debian packages; run: sudo apt-get install -y ${packages[*]}"
    fi
    log="$(mktemp)"
    no_services
    echo "installing Debian packages: ${packages[*]}"
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive timeout 600 \
        apt-get install -y --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "could not install: ${packages[*]}"
    fi
    rm -f "$log"
fi

if [ "$1" = test ]; then
    python3 - <<'PY' || fail "python3 must be 3.11 or later with venv and sqlite3 (Debian: apt-get install -y python3-venv)"
import sys
import ensurepip, sqlite3, venv  # noqa: F401
sys.exit(sys.version_info < (3, 11))
PY
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' ||
        fail "node must be 20 or later, this is $(node --version)"
fi
