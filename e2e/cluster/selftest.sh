#!/usr/bin/env bash
# Tests of the test cluster itself: that it works, and that nothing of it is left, however it ends.
# Takes about two minutes. Closes with the line that scripts/total.py counts.
#
# Usage: selftest.sh      (selftest.sh inside: the part that runs on the cluster)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=scripts/lib.sh
. "$here/../../scripts/lib.sh"

# Runs a check and notes how it went. Usage: check WHAT COMMAND...
check() {
    local what="$1" begun=$SECONDS
    shift
    if "$@" >"$SELFTEST/output" 2>&1; then
        echo ok >>"$SELFTEST/results"
        echo "ok      $what ($((SECONDS - begun)) s)"
    else
        echo failed >>"$SELFTEST/results"
        echo "FAILED  $what"
        sed 's/^/        /' "$SELFTEST/output"
    fi
}

# Tries a command for as long as SECONDS. Usage: within SECONDS COMMAND...
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

no() { ! "$@"; }

# --- on the cluster

# A pod that answers on port 8080 with its name. Usage: pod NAME
pod() {
    cat <<EOF
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {app: $1}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: main
    image: localhost/busybox:e2e
    args: [sh, -c, "busybox hostname > /tmp/index.html; exec busybox httpd -f -p 8080 -h /tmp"]
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: tmp, mountPath: /tmp}]
  volumes: [{name: tmp, emptyDir: {}}]
EOF
}

two_pods() {
    kubectl apply -f <(pod a; echo ---; pod b; echo ---; pod c)
    kubectl expose pod a --port 80 --target-port 8080
    kubectl wait --for=condition=Ready pod/a pod/b pod/c --timeout=60s
}

# Usage: reach FROM URL
reach() { [ "$(kubectl exec "$1" -- busybox timeout 2 busybox wget -qO- "$2")" = a ]; }

resolve() { kubectl exec b -- busybox nslookup "$1"; }

refused() {
    local spec
    spec='{"spec": {"containers": [{"name": "x", "image": "localhost/busybox:e2e", "securityContext": {"privileged": true}}]}}'
    no kubectl run privileged --image localhost/busybox:e2e --overrides "$spec" 2>"$SELFTEST/refusal"
    grep 'violates PodSecurity "restricted' "$SELFTEST/refusal"
}

policy() {
    kubectl apply -f - <<'EOF'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec:
  podSelector: {matchLabels: {app: a}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 8080}]}]
EOF
}

# DNS by namespace and label, and nothing else, may be called.
policy_out() {
    kubectl apply -f - <<'EOF'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: b}
spec:
  podSelector: {matchLabels: {app: b}}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
    ports: [{port: dns, protocol: UDP}]
EOF
}

audited() { grep -q '"verb":"create".*"username":"admin".*"resource":"pods"' "$AUDIT_LOG"; }

restarted() {
    local before
    before="$(cat "$STATE/component/apiserver.pid")"
    "$here/restart" apiserver 1
    [ "$(cat "$STATE/component/apiserver.pid")" != "$before" ]
    kubectl get pod a
}

inside() {
    check "it is usable within 20 s of its start" [ "$(date +%s)" -lt "$((STARTED_AT + 20))" ]
    kubectl create namespace selftest >/dev/null
    kubectl label namespace selftest pod-security.kubernetes.io/enforce=restricted >/dev/null
    kubectl config set-context --current --namespace selftest >/dev/null
    within 10 kubectl get serviceaccount default >/dev/null
    check "pods of the restricted profile become Ready" two_pods
    check "a privileged pod is refused" refused
    check "a Service is reached by its short name" within 5 reach b http://a/
    check "a full name is resolved" resolve a.selftest.svc.cluster.local
    check "an absent name is not" no resolve absent.selftest.svc.cluster.local
    check "without a policy pods reach each other" reach c http://a/
    check "a policy is taken" policy
    check "then another pod is refused" within 5 no reach c http://a/
    check "and the pod that it names is let in" reach b http://a/
    check "a policy for what goes out is taken" policy_out
    check "then all but DNS is refused" within 5 no reach b http://a/
    check "and DNS is not" resolve a.selftest.svc.cluster.local
    check "logs of a pod are read through the apiserver" kubectl logs a
    check "the audit log names users" audited
    check "the apiserver is restarted" restarted
    check "with KUBECONFIG given a run uses that cluster" "$here/run" kubectl get pod a
    check "helm talks to the cluster" helm list
}

# --- around it

# What runs make in the machine's own namespaces: nothing.
machine() {
    grep turnpike-e2e /proc/mounts || true
    ip -o link | awk '{print $2}'
    iptables-save 2>/dev/null | grep -c -e KUBE- -e CNI- || true
}

# The ids of this test's runs, each noted by the command that ran.
# shellcheck disable=SC2016
noting() { printf 'basename "$STATE" >>%q; %s' "$SELFTEST/ids" "$1"; }

# Whether a run's processes, control groups and folders are gone. Usage: gone ID
gone() {
    [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "turnpike-e2e-$1")" ] &&
        [ ! -e "/run/turnpike-e2e/$1" ] && [ ! -e "/run/turnpike-e2e/$1.lock" ] && ended "$1"
}

ended() { ! grep -lqs "turnpike-e2e/$1" /proc/[0-9]*/cmdline; }

exit_code() {
    local status=0
    NODE_COMPONENTS=no "$here/run" bash -c "$(noting 'exit 7')" || status=$?
    [ "$status" = 7 ]
}

bad_flag() {
    local status=0
    NODE_COMPONENTS=no APISERVER_FLAGS=--no-such-flag "$here/run" true >"$SELFTEST/bad" 2>&1 || status=$?
    cat "$SELFTEST/bad"
    sed -n 's|.*/logs/||p' "$SELFTEST/bad" >>"$SELFTEST/ids"
    [ "$status" = 125 ] && grep 'unknown flag: --no-such-flag' "$SELFTEST/bad"
}

side_by_side() {
    local one other
    meet() { noting "touch $SELFTEST/$1; while [ ! -e $SELFTEST/$2 ]; do sleep 0.2; done; kubectl get nodes"; }
    timeout 120 "$here/run" bash -c "$(meet one other)" &
    one=$!
    timeout 120 "$here/run" bash -c "$(meet other one)" &
    other=$!
    wait "$one" && wait "$other"
}

# A run that knows nothing of a cluster but its kubeconfig, in a network that reaches it. The cluster lives on, for `killed`.
elsewhere() {
    "$here/run" bash -c "$(noting "kubectl config view --raw --flatten >$SELFTEST/other.conf; touch $SELFTEST/up; sleep 1000")" &
    driver=$!
    within 120 test -e "$SELFTEST/up"
    nsenter --net --target "$(pgrep -P "$driver" -x unshare)" env KUBECONFIG="$SELFTEST/other.conf" \
        "$here/run" kubectl wait --for=condition=Ready node --all --timeout=30s
}

killed() {
    local id
    id="$(tail -n 1 "$SELFTEST/ids")"
    kill -9 "$driver"
    within 10 ended "$id"
    # The next run removes what no process could.
    NODE_COMPONENTS=no "$here/run" bash -c "$(noting true)"
    gone "$id"
}

# What `timeout` does to a driver.
terminated() {
    local driver status=0
    NODE_COMPONENTS=no "$here/run" bash -c "$(noting "touch $SELFTEST/started; sleep 1000")" &
    driver=$!
    within 60 test -e "$SELFTEST/started"
    kill -TERM "$driver"
    wait "$driver" || status=$?
    [ "$status" = 143 ] && gone "$(tail -n 1 "$SELFTEST/ids")"
}

nothing_left() {
    local id
    while read -r id; do
        gone "$id" || { echo "something of $id is left"; return 1; }
    done <"$SELFTEST/ids"
    diff "$SELFTEST/machine" <(machine)
}

main() {
    SELFTEST="$(mktemp -d)"
    export SELFTEST E2E_LOGS="$SELFTEST/logs"
    trap 'rm -rf "$SELFTEST"' EXIT
    touch "$SELFTEST"/{results,ids}
    machine >"$SELFTEST/machine"
    "$here/image.py" localhost/busybox:e2e "$SELFTEST/busybox.tar" "$(command -v busybox)" --add "$(command -v busybox):/bin/sh"
    STARTED_AT="$(date +%s)" AUDIT=yes IMAGES="$SELFTEST/busybox.tar" "$here/run" bash -c "$(noting "exec '$here/selftest.sh' inside")" ||
        check "a cluster comes up" false
    check "the exit code is the command's" exit_code
    check "a component that does not start is named with its last words" bad_flag
    check "two clusters run side by side" side_by_side
    check "another cluster is used by its kubeconfig alone" elsewhere
    check "kill -9 of the driver ends its cluster" killed
    check "a terminated driver removes its cluster before it ends" terminated
    check "nothing is left" nothing_left
    local passed failed
    passed="$(grep -c ok "$SELFTEST/results" || true)"
    failed="$(grep -c failed "$SELFTEST/results" || true)"
    echo "test result: $([ "$failed" = 0 ] && echo ok || echo FAILED). $passed passed; $failed failed; 0 ignored"
    [ "$failed" = 0 ]
}

if [ "${1:-}" = inside ]; then inside; else main; fi
