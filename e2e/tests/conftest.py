"""One installation for most tests; a namespace for each."""

import os
import secrets
import subprocess
from datetime import UTC, datetime

import pytest

import audit
import engines
import postgres
import s3
from kube import Kube, eventually
from release import ROOT, Release


@pytest.fixture(scope="session")
def api():
    """The apiserver."""
    opened = Kube()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def release(api):
    """Three gateways and an operator."""
    installed = Release(api, **{"gateway.replicas": 3, "gateway.resources.requests.cpu": "10m",
                                "operator.revocationTimeout": "20s", "engine.s3Image": s3.IMAGE})
    installed.install()
    installed.must_be_reached()
    yield installed
    installed.uninstall()


@pytest.fixture(scope="session")
def engine_node(api):
    """The images of engines, and four GPUs."""
    engines.prepare(api)


@pytest.fixture(scope="session")
def store_images(tmp_path_factory):
    """The images of PostgreSQL and Redis."""
    postgres.load(tmp_path_factory.mktemp("images"))


@pytest.fixture
def namespace(api):
    """A namespace of the test's own."""
    yield from a_namespace(api)


@pytest.fixture
def neighbour(api):
    """A namespace of somebody else's."""
    yield from a_namespace(api)


def a_namespace(api):
    """A namespace until the test is over."""
    name = f"e2e-{secrets.token_hex(4)}"
    api.call("POST", "/api/v1/namespaces", json={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    api.delete("Namespace", None, name)


@pytest.fixture
def in_release(api, release):
    """Applies objects in the release namespace and takes them away again."""
    applied = []

    def apply(item):
        applied.append((item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]))
        api.apply(item)
    yield apply
    for kind, namespace, name in applied:
        api.delete(kind, namespace, name)
    eventually(lambda: not any(api.find(*one) for one in applied), "the release namespace is clean again")


@pytest.fixture
def value():
    """A client key's value."""
    return "sk-" + secrets.token_hex(24)


@pytest.fixture
def restart():
    """Restarts a component of the test cluster, as a crash would."""
    if "STATE" not in os.environ:
        pytest.skip("only the tests' own cluster can have its apiserver killed")
    def restarted(component):
        begun = datetime.now(UTC)
        subprocess.run([ROOT / "e2e/cluster/restart", component], check=True, timeout=120)
        if component == "apiserver":
            audit.STARTS.append((begun, datetime.now(UTC)))
    return restarted
