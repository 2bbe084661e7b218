"""Which connections the chart's NetworkPolicies allow and refuse. The policies are enforced by an engine of ours on the tests'
own cluster (e2e/cluster/netpol), and by the network on another.

The image's own `health` command is the client: it tells a refused connection from an answer.
"""

import secrets

import pytest

import kube
from release import IMAGE, OPERATORS

# Waits with nothing to serve, and answers health on port 4000.
PROGRAM = ["turnpike-gateway", "--manifests=/tmp", "--data=/tmp/data", "--internal-listen=0.0.0.0:4001"]
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod(namespace):
    """A client, and somebody's server."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client", "namespace": namespace}, "spec": {
        "enableServiceLinks": False, "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "client", "image": IMAGE, "command": PROGRAM, "securityContext": RESTRICTED,
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}],
        "volumes": [{"name": "tmp", "emptyDir": {}}]}}


def ready(api, namespace, name):
    """The pod's address once it is ready to be asked."""
    def address():
        status = api.get("Pod", namespace, name)["status"]
        running = all(one["ready"] for one in status.get("containerStatuses", [{"ready": False}]))
        return running and status.get("podIP")
    return kube.eventually(address, f"{namespace}/{name} runs", 60)


@pytest.fixture(scope="module")
def clients(api, release):
    """Role -> (namespace, pod) of clients; and where each answers."""
    made = {"app": f"e2e-{secrets.token_hex(4)}", "monitoring": "monitoring"}
    for namespace in made.values():
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, pod(namespace))
    where = {role: (namespace, "client") for role, namespace in made.items()}
    for role, labels in (("gateway", None), ("operator", OPERATORS)):
        [one, *_] = release.pods(labels) if labels else release.pods()
        where[role] = release.namespace, one["metadata"]["name"]
    yield {role: (*place, ready(api, *place)) for role, place in where.items()}
    for namespace in made.values():
        api.delete("Namespace", None, namespace)


def reaches(clients, role, address):
    """Whether a connection is taken, whatever is then answered."""
    namespace, name, _ = clients[role]
    done = kube.kubectl("exec", "--namespace", namespace, name, "--", "turnpike-gateway", "health", f"--address={address}",
                        check=False)
    refused = "nothing listens on" in done.stderr
    assert done.returncode == 0 or refused or "answer" in done.stderr, done.stderr
    return not refused


def allowed(clients, role, address):
    kube.eventually(lambda: reaches(clients, role, address), f"{role} reaches {address}", 20, 0.5)


def refused(clients, role, address):
    assert not reaches(clients, role, address), f"{role} must not reach {address}"


def test_applications_reach_gateways_by_service_and_pod(clients, release):
    allowed(clients, "app", f"turnpike-gateway.{release.namespace}.svc:4000")
    allowed(clients, "app", f"{clients['gateway'][2]}:4000")


def test_applications_do_not_reach_the_internal_ports(clients):
    allowed(clients, "app", f"{clients['gateway'][2]}:4000")
    refused(clients, "app", f"{clients['gateway'][2]}:4001")
    refused(clients, "app", f"{clients['operator'][2]}:8080")


def test_monitoring_reaches_metrics(clients):
    allowed(clients, "monitoring", f"{clients['gateway'][2]}:4001")
    allowed(clients, "monitoring", f"{clients['operator'][2]}:8080")


def test_the_operator_reaches_the_gateways_internal_port_and_the_api_server(clients):
    allowed(clients, "operator", f"{clients['gateway'][2]}:4001")
    allowed(clients, "operator", "kubernetes.default.svc:443")


def test_the_operator_reaches_no_application(clients):
    refused(clients, "operator", f"{clients['app'][2]}:4000")
    refused(clients, "operator", f"{clients['gateway'][2]}:4000")


def test_gateways_reach_engines_in_the_cluster_but_not_the_api_server(clients):
    allowed(clients, "gateway", f"{clients['app'][2]}:4000")
    allowed(clients, "gateway", f"{clients['app'][2]}:4001")
    refused(clients, "gateway", "kubernetes.default.svc:443")
    refused(clients, "gateway", f"{clients['operator'][2]}:8080")
