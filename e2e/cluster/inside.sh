#!/usr/bin/env bash
# The first process of a cluster's namespaces: brings the cluster up, runs the command, says which
# component failed if one did. When it ends, the kernel ends all that it started. Called by run.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=e2e/cluster/component.sh
. "$here/component.sh"

# The state is in memory: nothing of it can be left on disk, and etcd has no disk to wait for.
mount -t tmpfs -o "mode=0755,size=${STATE_SIZE:-8g}" turnpike-e2e "$STATE"
# What containerd, CNI and the kubelet write outside their own folders stays in these namespaces too.
for folder in /run/containerd /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=0755 turnpike-e2e "$folder"
done
ip link set lo up
# Else kubectl would take one cluster's API for that of the next, which has the same address.
export KUBECACHEDIR="$STATE/cache/kubectl" HELM_CACHE_HOME="$STATE/cache/helm" \
    HELM_CONFIG_HOME="$STATE/cache/helm-config" HELM_DATA_HOME="$STATE/cache/helm-data"

# The end of the log of each component that has ended, and of a start that failed.
complain() {
    local name
    for name in $(components); do
        running "$name" || { echo "cluster: $name ended; its log's last lines:" >&2; tail -n 15 "$LOGS/$name.log" >&2; }
    done
}

if ! "$here/up.sh" >"$LOGS/up.log" 2>&1; then
    echo "error: the cluster did not start" >&2
    tail -n 15 "$LOGS/up.log" >&2
    complain
    exit 125
fi
tail -n 1 "$LOGS/up.log" >&2

export KUBECONFIG="$STATE/admin.conf" AUDIT_LOG="$LOGS/audit.log"
status=0
"$@" || status=$?
[ "$status" = 0 ] || complain
exit "$status"
