"""Who leads, what forbids it, what a cluster at rest sees, and that the operator's rights suffice."""

import collections
import os
import signal
import time

import pytest

import kube
from audit import OWN_CLUSTER, account, requests
from objects import generated, key, mock, of_instance
from release import OPERATORS, Release, is_ready, operator_process, programmed

LEASE = "turnpike-operator"
CRD = "budgets.turnpike.dev"
VERSION = "turnpike.dev/crd-version"


def holder(api, release):
    """Who holds the Lease; None = nobody."""
    lease = api.find("Lease", release.namespace, LEASE)
    return lease and lease["spec"].get("holderIdentity") or None


def reasons(api, namespace):
    """Reasons of the events about the Lease."""
    return {reason for _, reason, _ in api.events(namespace, LEASE)}


def another(api, release, than):
    """Who holds the Lease, if it is another."""
    now = holder(api, release)
    return now if now and now != than else None


@pytest.fixture
def two(api, release):
    """A leader and one that waits; the leader's identity."""
    def scaled(count):
        """Resizes, and waits until no operator that goes may still hand over."""
        def settled():
            pods = release.pods(OPERATORS)
            leader = holder(api, release) or ""
            return len(pods) == count and all(map(is_ready, pods)) and any(
                leader.startswith(f"{pod['metadata']['name']}_") for pod in pods)
        api.merge("Deployment", release.namespace, "turnpike-operator", {"spec": {"replicas": count}})
        kube.eventually(settled, f"{count} operators are ready, one leads and none else is left", within=60)
    scaled(2)
    yield kube.eventually(lambda: holder(api, release), "somebody leads")
    scaled(1)


def test_a_leader_that_ends_hands_over_at_once(api, release, two):
    pod = two.rsplit("_", 1)[0]
    api.delete("Pod", release.namespace, pod)
    start = time.monotonic()
    kube.eventually(lambda: another(api, release, two), "the other one leads", within=5, every=0.02)
    print(f"handed over after {time.monotonic() - start:.2f} s")


@pytest.mark.skipif(not OWN_CLUSTER, reason="processes of another cluster's nodes cannot be killed from here")
def test_a_killed_leader_is_replaced_within_15_seconds(api, release, two):
    os.kill(operator_process(two.rsplit("_", 1)[0]), signal.SIGKILL)
    start = time.monotonic()
    kube.eventually(lambda: another(api, release, two), "somebody else leads", within=15, every=0.02)
    print(f"replaced after {time.monotonic() - start:.2f} s")


def test_a_second_instance_of_the_name_refuses_to_lead(api, release):
    second = Release(api, namespace="turnpike-second", **{"gateway.replicas": 1, "gateway.resources.requests.cpu": "10m"})
    first = kube.eventually(lambda: holder(api, release), "the first leads")
    try:
        second.install("--wait=false")
        kube.eventually(lambda: "SecondInstance" in reasons(api, second.namespace), "an event says so", within=60)
        assert not any(is_ready(pod) for pod in second.pods(OPERATORS))
        assert holder(api, second) is None
        assert api.find("ConfigMap", second.namespace, "turnpike-bundle-manifest") is None
        assert holder(api, release) == first, "the first one goes on"
    finally:
        second.uninstall()
        api.delete("Namespace", None, second.namespace)


def test_an_older_crd_forbids_to_lead_until_it_is_mended(api, release):
    before = kube.eventually(lambda: holder(api, release), "somebody leads")
    version = api.get("CustomResourceDefinition", None, CRD)["metadata"]["annotations"][VERSION]
    try:
        api.merge("CustomResourceDefinition", None, CRD, {"metadata": {"annotations": {VERSION: "0"}}})
        kube.eventually(lambda: holder(api, release) is None, "the leader steps down", within=45)
        kube.eventually(lambda: "CRDTooOld" in reasons(api, release.namespace), "an event says so")
        kube.eventually(lambda: not any(is_ready(pod) for pod in release.pods(OPERATORS)), "no operator is ready",
                        within=30)
    finally:
        api.merge("CustomResourceDefinition", None, CRD, {"metadata": {"annotations": {VERSION: version}}})
    kube.eventually(lambda: another(api, release, before), "somebody leads again", within=60)
    kube.eventually(lambda: any(is_ready(pod) for pod in release.pods(OPERATORS)), "and is ready", within=60)


@pytest.mark.skipif(not OWN_CLUSTER, reason="needs the apiserver's audit log")
def test_at_rest_nothing_is_written_but_the_lease(api, release, namespace, value):
    api.apply(mock(namespace, "m"), key(namespace, "k", value), generated(namespace, "g"))
    for kind, name in (("ModelDeployment", "m"), ("VirtualKey", "k"), ("VirtualKey", "g")):
        kube.eventually(lambda: programmed(api, kind, namespace, name), f"{name} is programmed")
    time.sleep(10)  # what follows from it, such as events, is written
    _, start = requests(release)
    time.sleep(60)
    seen = collections.Counter(request for request, _ in requests(release, start)[0])
    writes = {request: count for request, count in seen.items() if request[3] not in ("get", "list", "watch")}
    assert set(writes) == {("coordination.k8s.io", "leases", release.namespace, "update")}, writes
    assert 14 <= sum(writes.values()) <= 16, writes
    reads = sum(count for request, count in seen.items() if request[3] in ("get", "list"))
    assert reads <= 15, seen


def test_listed_namespaces_take_no_rights_elsewhere(api, release, namespace, value):
    narrow = Release(api, name="narrow", namespace="turnpike-narrow", **{
        "operator.instance": "narrow", "operator.watchNamespaces": f"{{{namespace}}}", "gateway.replicas": 1,
        "gateway.resources.requests.cpu": "10m"})
    try:
        narrow.install()
        for item in (mock(namespace, "m"), key(namespace, "k", value), generated(namespace, "g")):
            api.apply(of_instance("narrow", item))
        for kind, name in (("ModelDeployment", "m"), ("VirtualKey", "k"), ("VirtualKey", "g")):
            kube.eventually(lambda: programmed(api, kind, namespace, name), f"{name} is programmed")
        for where, allowed in ((namespace, "yes"), (release.namespace, "no"), ("kube-system", "no")):
            for what in ("secrets", "modeldeployments.turnpike.dev", "events.events.k8s.io"):
                for verb in ("list", "create"):
                    if allowed == "yes" and (verb, what) in (("create", "modeldeployments.turnpike.dev"),
                                                             ("list", "events.events.k8s.io")):
                        continue
                    said = kube.kubectl("auth", "can-i", verb, what, "--namespace", where, "--as", account(narrow), check=False)
                    assert said.stdout.strip() == allowed, (verb, what, where, said.stdout + said.stderr)
        if OWN_CLUSTER:
            refused = {request for request, status in requests(narrow)[0] if status in (401, 403)}
            assert not refused
    finally:
        for kind, name in (("VirtualKey", "k"), ("VirtualKey", "g")):
            api.delete(kind, namespace, name)
            kube.eventually(lambda: api.find(kind, namespace, name) is None, f"{name} is gone", within=90)
        narrow.uninstall()
        api.delete("Namespace", None, narrow.namespace)
