"""Upgrade and uninstall: CRDs follow the chart, keys never hang, nothing stays behind but what says so."""

import contextlib
import json
import secrets
import subprocess

import pytest

import kube
import objects
from release import Release, helm

CRDS = [f"{plural}.turnpike.dev" for plural in ("modeldeployments", "virtualkeys", "budgets")]
VERSION = "turnpike.dev/crd-version"
# What a namespace has by itself.
BORN = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}


@contextlib.contextmanager
def installation(api, **values):
    """An instance of its own, away from the one that the other tests use."""
    name = f"leaving-{secrets.token_hex(3)}"
    release = Release(api, name, f"{name}-system", **{
        "operator.instance": name, "gateway.replicas": 1, "gateway.resources.requests.cpu": "10m",
        "operator.revocationTimeout": "20s", **values})
    release.install()
    try:
        yield release
    finally:
        subprocess.run(["helm", "uninstall", name, "--namespace", release.namespace, "--no-hooks"], check=False,
                       capture_output=True, timeout=120)
        api.delete("Namespace", None, release.namespace)


def left(namespace):
    """(kind, name) of everything in a namespace, events and what controllers derive apart."""
    kinds = kube.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name").split()
    kinds = [kind for kind in kinds if not kind.startswith("events") and not kind.startswith(("endpoint", "controllerrev"))]
    listed = kube.kubectl("get", ",".join(kinds), "--namespace", namespace, "--output=json", "--ignore-not-found")
    items = json.loads(listed)["items"] if listed else []
    return {(one["kind"], one["metadata"]["name"]) for one in items} - BORN


def cluster_wide(word):
    """Names of cluster-scoped objects that hold a word."""
    listed = kube.kubectl("get", "clusterroles,clusterrolebindings,crds", "--output=name")
    return [name for name in listed.split() if word in name]


def test_an_uninstall_with_keys_left_leaves_them_free_and_nothing_else(api, namespace):
    with installation(api) as release:
        keys = [objects.generated(namespace, "kept"), objects.key(namespace, "hashed", "sk-" + secrets.token_hex(24))]
        api.apply(*[objects.of_instance(release.name, key) for key in keys])
        finalizer = f"{release.name}.turnpike.dev/revocation"

        def taken():
            keys = api.list("VirtualKey", namespace)
            return all(finalizer in key["metadata"].get("finalizers", []) and kube.is_true(key, "Ready") for key in keys)
        kube.eventually(taken, "both keys are served and have the finalizer", 60)
        value = api.get("Secret", namespace, "kept-key")["data"]
        release.uninstall()
        for key in api.list("VirtualKey", namespace):
            assert finalizer not in key["metadata"].get("finalizers", []), key["metadata"]
        assert api.get("Secret", namespace, "kept-key")["data"] == value
        kube.eventually(lambda: not left(release.namespace), "the release's namespace is empty", 60, 0.5)
        assert cluster_wide(release.namespace) == []
        assert {api.get("CustomResourceDefinition", None, name)["metadata"]["name"] for name in CRDS} == set(CRDS)
        # Nobody has to let go of it: a key is gone at once, and its Secret with it.
        api.delete("VirtualKey", namespace, "kept")
        kube.eventually(lambda: not api.find("VirtualKey", namespace, "kept"), "the key is gone", 10)
        kube.eventually(lambda: not api.find("Secret", namespace, "kept-key"), "its Secret is gone", 30)


def columns(api, name):
    """Names of a CRD's columns."""
    [version] = api.get("CustomResourceDefinition", None, name)["spec"]["versions"]
    return [column["name"] for column in version["additionalPrinterColumns"]]


@pytest.fixture
def restored(api):
    """The CRDs' version is put back whatever happens."""
    before = {name: api.get("CustomResourceDefinition", None, name)["metadata"]["annotations"][VERSION] for name in CRDS}
    yield
    for name, version in before.items():
        api.merge("CustomResourceDefinition", None, name, {"metadata": {"annotations": {VERSION: version}}})


def test_an_upgrade_brings_the_crds_up_to_date_and_never_back(api, release, restored):
    wanted = columns(api, "budgets.turnpike.dev")
    found = api.get("CustomResourceDefinition", None, "budgets.turnpike.dev")["spec"]["versions"]
    found[0]["additionalPrinterColumns"] = found[0]["additionalPrinterColumns"][:1]
    api.merge("CustomResourceDefinition", None, "budgets.turnpike.dev", {"spec": {"versions": found}})
    assert columns(api, "budgets.turnpike.dev") == wanted[:1]
    # A later version's.
    api.merge("CustomResourceDefinition", None, "virtualkeys.turnpike.dev", {"metadata": {"annotations": {VERSION: "99"}}})
    release.install()
    assert columns(api, "budgets.turnpike.dev") == wanted
    later = api.get("CustomResourceDefinition", None, "virtualkeys.turnpike.dev")
    assert later["metadata"]["annotations"][VERSION] == "99"
    assert left_of_hooks(release) == set()


def left_of_hooks(release):
    """What the Jobs of upgrade and test left."""
    return {one for one in left(release.namespace) if one[1].startswith(("turnpike-crds", "turnpike-finalizers"))}


def test_pods_satisfy_restricted_pod_security(api, release):
    """The namespace refuses any other pod, so that an upgrade with new pods must pass its admission."""
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.merge("Namespace", None, release.namespace, {"metadata": {"labels": level}})
    release.install("--set-string", "gateway.podAnnotations.restarted=yes", "--set-string", "operator.podAnnotations.restarted=yes")
    helm("test", release.name, "--namespace", release.namespace, "--timeout", "120s")
    for pod in api.list("Pod", release.namespace, "app.kubernetes.io/component in (gateway,operator)"):
        if "deletionTimestamp" not in pod["metadata"]:
            assert pod["metadata"]["annotations"]["restarted"] == "yes"
