#!/usr/bin/env bash
# Starts a one-node cluster and returns once it is usable: node Ready, default account there, DNS
# answering, NetworkPolicy enforced. Runs in namespaces of its own (inside.sh), so addresses and
# ports are fixed. Environment: see run, and STATE (folder), LOGS (folder), GROUP (control group).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=e2e/cluster/component.sh
. "$here/component.sh"

bridge=cluster0 node=node1
# The bridge's address is the node's, the kubelet's and the apiserver's: a kubelet refuses a loopback address.
gateway=10.245.0.1 pods=10.245.0.0/24 services=10.96.0.0/16 dns=10.96.0.10
api="$gateway:6443"
read -ra apiserver_flags <<<"${APISERVER_FLAGS:-}"
read -ra kcm_flags <<<"${KCM_FLAGS:-}"
read -ra scheduler_flags <<<"${SCHEDULER_FLAGS:-}"
begun="${EPOCHREALTIME/./}"

main() {
    mkdir -p "$STATE"/{component,conf,cni}
    cd "$STATE"
    network
    accounts
    control_plane
    [ "${NODE_COMPONENTS:-yes}" = yes ] && containers
    until_true 60 apiserver api_ready
    say "apiserver ready"
    # By default it makes 20 requests a second, takes five seconds to start its controllers, and scales every 15 seconds.
    start kcm kubebox kcm --kubeconfig kcm.conf --use-service-account-credentials --leader-elect=false \
        --service-account-private-key-file conf/sa.key --root-ca-file "$STATE/apicerts/apiserver.crt" \
        --bind-address 127.0.0.1 --allocate-node-cidrs=false --node-monitor-period 1s \
        --kube-api-qps 500 --kube-api-burst 1000 --horizontal-pod-autoscaler-sync-period 1s "${kcm_flags[@]}"
    start scheduler kubebox scheduler --kubeconfig scheduler.conf --leader-elect=false \
        --bind-address 127.0.0.1 "${scheduler_flags[@]}"
    if [ "${NODE_COMPONENTS:-yes}" = yes ]; then
        node_agents
        until_true 60 kcm usable
    else
        until_true 60 kcm default_account
    fi
    say "cluster ready"
}

say() {
    local now="${EPOCHREALTIME/./}"
    echo "cluster: $*, $(((now - begun) / 1000000)).$(((now - begun) / 100000 % 10)) s"
}

# Waits for a condition, no longer than the component that brings it about is running.
# Usage: until_true SECONDS COMPONENT COMMAND...
until_true() {
    local end=$((SECONDS + $1)) component="$2"
    shift 2
    until "$@"; do
        running "$component" || { echo "error: $component ended while waiting for: $*" >&2; exit 1; }
        [ "$SECONDS" -lt "$end" ] || { echo "error: waited in vain for: $*" >&2; exit 1; }
        sleep 0.1
    done
}

network() {
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
    ip link add "$bridge" type bridge
    ip addr add "$gateway/${pods#*/}" dev "$bridge"
    ip link set "$bridge" up
    # There is no way out of these namespaces; Services must be reachable from the node all the same.
    ip route add "$services" dev "$bridge"
    # The pods' control groups lie below one of our own. (With the default root a second kubelet would end
    # the first one's pods as orphans.)
    local parent controllers
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        controllers="$(sed 's/\(^\| \)/\1+/g' /sys/fs/cgroup/cgroup.controllers)"
        mkdir "/sys/fs/cgroup/$GROUP"
        echo "$controllers" >/sys/fs/cgroup/cgroup.subtree_control
        echo "$controllers" >"/sys/fs/cgroup/$GROUP/cgroup.subtree_control"
        return
    fi
    for parent in /sys/fs/cgroup/*/; do
        [ -e "$parent/cgroup.procs" ] || continue
        mkdir "$parent/$GROUP"
        if [ -e "$parent/cpuset.cpus" ]; then
            cat "$parent/cpuset.cpus" >"$parent/$GROUP/cpuset.cpus"
            cat "$parent/cpuset.mems" >"$parent/$GROUP/cpuset.mems"
        fi
    done
}

# A random token a user, and a kubeconfig for each. The certificate that the apiserver signs for
# itself holds its authority too.
accounts() {
    openssl genrsa -out conf/sa.key 2048 2>/dev/null
    echo "$api" >address
    umask 077
    account admin admin system:masters
    account kubelet "system:node:$node" system:nodes
    account kcm system:kube-controller-manager
    account scheduler system:kube-scheduler
    account proxy system:kube-proxy
    account netpol netpol
    umask 022
}

# Usage: account FILE USER [GROUP]
account() {
    local token
    token="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
    printf '%s,%s,%s,"%s"\n' "$token" "$2" "$1" "${3:-}" >>conf/tokens.csv
    [ "$1" != admin ] || printf %s "$token" >admin.token
    cat >"$1.conf" <<EOF
{"apiVersion": "v1", "kind": "Config", "current-context": "e2e",
 "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "$1"}}],
 "clusters": [{"name": "e2e", "cluster": {"server": "https://$api", "certificate-authority": "$STATE/apicerts/apiserver.crt"}}],
 "users": [{"name": "$1", "user": {"token": "$token"}}]}
EOF
}

control_plane() {
    local etcd=http://127.0.0.1:2379 peer=http://127.0.0.1:2380 audit=()
    start etcd kubebox etcd --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level error \
        --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
    if [ "${AUDIT:-no}" = yes ]; then
        cat >conf/audit.yaml <<'EOF'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
EOF
        audit=(--audit-policy-file "$STATE/conf/audit.yaml" --audit-log-path "$LOGS/audit.log" --audit-log-maxsize 4096)
    fi
    # Without InternalIP logs, exec and port-forward fail: the node's name does not resolve.
    start apiserver kubebox apiserver --etcd-servers "$etcd" --bind-address "$gateway" --advertise-address "$gateway" \
        --secure-port "${api#*:}" --cert-dir "$STATE/apicerts" --token-auth-file "$STATE/conf/tokens.csv" \
        --authorization-mode Node,RBAC --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$STATE/conf/sa.key" --service-account-signing-key-file "$STATE/conf/sa.key" \
        --service-cluster-ip-range "$services" --allow-privileged \
        --kubelet-preferred-address-types InternalIP --feature-gates ImageVolume=true "${audit[@]}" "${apiserver_flags[@]}"
}

# containerd with the images, while the apiserver starts.
containers() {
    local tools image
    cat >cni/10-bridge.conflist <<EOF
{"cniVersion": "0.4.0", "name": "$bridge", "plugins": [
 {"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam":
  {"type": "host-local", "dataDir": "$STATE/ipam", "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
    # restrict_oom_score_adj: a machine without CAP_SYS_RESOURCE could start no pod.
    cat >conf/containerd.toml <<EOF
version = 3
root = "$STATE/containerd"
state = "$STATE/containerd-state"
[grpc]
  address = "$STATE/containerd.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$STATE/cni"
EOF
    start containerd containerd -c "$STATE/conf/containerd.toml"
    until_true 30 containerd ctr -a "$STATE/containerd.sock" version >/dev/null
    tools="$(dirname "$(command -v kubebox)")"
    for image in "$tools/pause.tar" "$tools/coredns.tar" ${IMAGES:-}; do
        ctr -a "$STATE/containerd.sock" -n k8s.io images import "$image"
    done
    say "images loaded"
}

# kubelet, kube-proxy, and what runs on the node from the start.
node_agents() {
    cat >conf/kubelet.yaml <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $gateway
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: /$GROUP
failSwapOn: false
failCgroupV1: false
clusterDNS: [$dns]
clusterDomain: cluster.local
resolvConf: $STATE/conf/resolv.conf
featureGates: {ImageVolume: true}
containerRuntimeEndpoint: unix://$STATE/containerd.sock
podLogsDir: $STATE/podlogs
volumePluginDir: $STATE/volplugins
imageMinimumGCAge: 240h
evictionHard: {memory.available: 50Mi}
EOF
    echo "nameserver $dns" >conf/resolv.conf
    start kubelet kubebox kubelet --kubeconfig kubelet.conf --config conf/kubelet.yaml --hostname-override "$node" \
        --root-dir "$STATE/kubelet" --cert-dir "$STATE/kubelet-pki" --node-ip "$gateway"
    # A Service otherwise refuses connections for up to a second after its pod is Ready.
    start proxy kubebox proxy --kubeconfig proxy.conf --hostname-override "$node" --proxy-mode iptables \
        --cluster-cidr "$pods" --conntrack-max-per-core 0 --iptables-min-sync-period 100ms \
        --healthz-bind-address 127.0.0.1:10256 --nodeport-addresses "$pods"
    kubectl --kubeconfig admin.conf apply -f "$here/base.yaml"
    start netpol netpol -kubeconfig netpol.conf
}

default_account() {
    kubectl --kubeconfig admin.conf get serviceaccount default >/dev/null
}

# Node Ready and open for pods, DNS answering through its Service, policies enforced.
usable() {
    [ -n "${node_open:-}" ] || {
        [ -z "$(kubectl --kubeconfig admin.conf get node "$node" -o 'jsonpath={.spec.taints}')" ] && default_account || return 1
        node_open=yes
        say "node Ready"
    }
    grep -q applied "$LOGS/netpol.log" || return 1
    iptables-save -t nat | grep -q -- "--to-destination 10.245.0.[0-9]*:53" || return 1
    say "DNS and NetworkPolicy work"
}

main
