"""A real API server with Turnpike's CRDs: kubectl's cluster, for the tests beside this file."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Cluster:
    """kubectl, and a namespace of its own that goes with the tests."""

    def __init__(self):
        self.namespace = ""

    def kubectl(self, *arguments, stdin=None):
        """Runs kubectl; gives exit code, standard output and standard error."""
        done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def must(self, *arguments, stdin=None):
        """Standard output of a kubectl that succeeds."""
        code, out, error = self.kubectl(*arguments, stdin=stdin)
        assert code == 0, f"kubectl {' '.join(arguments)}: {error}"
        return out

    def here(self, text):
        """A manifest, moved into the tests' namespace whichever it names."""
        return re.sub(r"\bnamespace: (?!true|false)[-a-z0-9]+", f"namespace: {self.namespace}", text)

    def apply(self, text, *arguments):
        """Applies a manifest in the tests' namespace, refusing unknown fields."""
        return self.kubectl("apply", "-n", self.namespace, "--validate=strict", "-f", "-", *arguments, stdin=self.here(text))


@pytest.fixture(scope="session")
def cluster():
    """The cluster of KUBECONFIG. What was not there before goes afterwards."""
    cluster = Cluster()
    crds = sorted((ROOT / "charts/turnpike/crds").glob("*.yaml"))
    names = [f"crd/{crd.stem}.turnpike.dev" for crd in crds]
    new = [name for name in names if cluster.kubectl("get", name)[0] != 0]
    for crd in crds:
        # Client-side, as Argo CD and plain `kubectl apply -f` do: the whole CRD has to fit into an annotation.
        cluster.must("apply", "-f", str(crd))
    cluster.must("wait", "--for=condition=Established", "--timeout=30s", *names)
    cluster.namespace = cluster.must("create", "-f", "-", "-o", "jsonpath={.metadata.name}", stdin=NAMESPACE)
    yield cluster
    cluster.must("delete", "namespace", cluster.namespace, "--wait=false")
    if new:
        cluster.must("delete", "--wait=false", *new)


NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {generateName: turnpike-crds-}\n"
