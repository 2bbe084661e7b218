#!/usr/bin/env bash
# Builds the programs of the test cluster once per machine and prints the folder that holds them:
# kubebox (the whole of Kubernetes; also linked as kubectl), containerd, netpol, coredns, helm, kubeconform and
# the images pause.tar and coredns.tar. All come from pinned Go modules; the first build takes about
# a quarter of an hour on two cores.
#
# Usage: cluster-tools.sh [clients]    clients: only helm and kubeconform, for a cluster of the user's
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

source="$ROOT/e2e/cluster"
kubernetes="$(sed -n 's|^\tk8s.io/kubernetes v||p' "$source/kubebox/go.mod")"
coredns=github.com/coredns/coredns@v1.15.0
containerd=v2.2.9
helm=helm.sh/helm/v3/cmd/helm@v3.22.0
kubeconform=github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0

command -v go >/dev/null || fail "go is missing: run scripts/prerequisites.sh cluster"
export CGO_ENABLED=0 GOBIN='' GOFLAGS="${GOFLAGS:-} -trimpath"
machine="$(go env GOVERSION GOARCH)"

# Builds something into a folder of its own unless that is there, and sets `built` to the folder.
# Usage: build NAME KEY COMMAND... (the command finds the folder in $built)
build() {
    local name="$1" key="$2"
    shift 2
    built="$CACHE/cluster/$name-$key"
    [ -e "$built/.complete" ] || echo "building $name (once per machine)" >&2
    once "$built" "$@" >&2 || fail "could not build $name"
}

# Programs of a published module, with the versions that the module itself names.
# Usage: published NAME PACKAGE@VERSION...
published() {
    local name="$1"
    shift
    build "$name" "$(content_key -- "$@" "$machine")" install_published "$@"
}

install_published() {
    GOBIN="$built" go install -ldflags "-s -w" "$@"
}

# A program of our own. Usage: own NAME LDFLAGS
own() {
    build "$1" "$(content_key "$source/$1"/* -- "$machine" "$2")" build_own "$1" "$2"
}

build_own() {
    go -C "$source/$1" build -ldflags "-s -w $2" -o "$built/$1" .
}

pause_image() {
    gcc -O2 -static -o "$built/pause" "$source/pause.c" &&
        "$source/image.py" --bare localhost/pause:1 "$built/pause.tar" "$built/pause"
}

coredns_image() {
    "$source/image.py" --bare "localhost/coredns:1" "$built/coredns.tar" "$1/coredns"
}

folders=()
published helm "$helm"
folders+=("$built")
published kubeconform "$kubeconform"
folders+=("$built")
if [ "${1:-}" != clients ]; then
    v=k8s.io/component-base/version
    IFS=. read -r major minor _ <<<"$kubernetes"
    own kubebox "-X $v.gitVersion=v$kubernetes -X $v.gitMajor=$major -X $v.gitMinor=$minor"
    folders+=("$built")
    own netpol ""
    folders+=("$built")
    published containerd github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr}"@$containerd"
    folders+=("$built")
    published coredns "$coredns"
    folders+=("$built")
    build coredns-image "$(content_key "$source/image.py" -- "$built")" coredns_image "$built"
    folders+=("$built")
    build pause-image "$(content_key "$source/image.py" "$source/pause.c" -- "$machine")" pause_image
    folders+=("$built")
fi

# One folder for PATH, of links to the rest.
link() {
    local folder
    for folder in "${folders[@]}"; do
        ln -s "$folder"/* "$built" || return
    done
    [ ! -e "$built/kubebox" ] || ln -s kubebox "$built/kubectl"
}
build "tools" "$(content_key -- "${folders[@]}")" link
echo "$built"
