"""Which connections the network lets through. The image's own `health` command is the client: it tells a refused connection from
an answer."""

import kube
from release import IMAGE, is_ready

# Waits with nothing to serve, and answers health on port 4000.
PROGRAM = ["turnpike-gateway", "--manifests=/tmp", "--data=/tmp/data", "--internal-listen=0.0.0.0:4001"]
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def client(namespace):
    """A pod that is a client, and somebody's server."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client", "namespace": namespace}, "spec": {
        "enableServiceLinks": False, "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "client", "image": IMAGE, "command": PROGRAM, "securityContext": RESTRICTED,
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}],
        "volumes": [{"name": "tmp", "emptyDir": {}}]}}


def ready(api, namespace, name):
    """The pod's address once it is ready to be asked."""
    def address():
        pod = api.get("Pod", namespace, name)
        return is_ready(pod) and pod["status"]["podIP"]
    return kube.eventually(address, f"{namespace}/{name} runs", 60)


def reaches(namespace, name, address):
    """Whether a connection from a pod is taken, whatever is then answered."""
    done = kube.kubectl("exec", "--namespace", namespace, name, "--", "turnpike-gateway", "health", f"--address={address}",
                        check=False)
    refused = "nothing listens on" in done.stderr
    # A server of another protocol may hang up in the middle of the question.
    taken = done.returncode == 0 or any(word in done.stderr for word in ("answer", "Broken pipe", "reset by peer"))
    assert taken or refused, done.stderr
    return not refused


def allowed(namespace, name, address):
    """Waits until the connection is taken."""
    kube.eventually(lambda: reaches(namespace, name, address), f"{namespace}/{name} reaches {address}", 20, 0.5)


def refused(namespace, name, address):
    """The connection is not taken."""
    assert not reaches(namespace, name, address), f"{namespace}/{name} must not reach {address}"
