"""Clients that call all the time while everything changes around them: none of their requests may fail."""

import time

import httpx
import pytest

import kube
from kube import eventually
from load import Load
from objects import generated, key, mock
from release import GATEWAYS, OPERATORS, is_ready, programmed, secret_value


@pytest.fixture
def load(api, release, namespace, value):
    """Load on a model that stays as it is, with a key that stays as it is."""
    api.apply(mock(namespace, "steady", "steady"), key(namespace, "caller", value))
    eventually(lambda: programmed(api, "ModelDeployment", namespace, "steady"), "the model is programmed")
    eventually(lambda: programmed(api, "VirtualKey", namespace, "caller"), "the key is programmed")
    with Load(release.url, value, "steady", lambda text: text == "steady") as running:
        eventually(lambda: running.answered > 20, "the load runs")
        yield running


def test_models_and_keys_come_change_and_go(api, namespace, load):
    for turn in range(5):
        api.apply(mock(namespace, "other", f"turn {turn}"), generated(namespace, "made"),
                  key(namespace, f"more-{turn}", f"sk-{namespace}-{turn}-0123456789abcdefghij"))
        eventually(lambda: programmed(api, "VirtualKey", namespace, "made"), "the key is made")
        before = secret_value(api, namespace, "made-key", "api-key")
        api.merge("VirtualKey", namespace, "made", {"metadata": {"annotations": {"turnpike.dev/rotate": str(turn)}}})
        eventually(lambda: secret_value(api, namespace, "made-key", "api-key") != before, "the key is rotated")
        api.delete("ModelDeployment", namespace, "other")
        api.delete("VirtualKey", namespace, f"more-{turn}")
    load.check(least=100)


def test_the_operator_is_killed(api, release, namespace, load):
    for pod in release.pods(OPERATORS):
        api.delete("Pod", release.namespace, pod["metadata"]["name"], params={"gracePeriodSeconds": 0})
    eventually(lambda: all(is_ready(pod) for pod in release.pods(OPERATORS)) and release.pods(OPERATORS),
               "the operator is back", within=60)
    api.apply(mock(namespace, "after", "after"))
    eventually(lambda: programmed(api, "ModelDeployment", namespace, "after"), "changes are served again", within=60)
    load.check(least=100)


def test_the_gateways_are_rolled(api, release, load):
    kube.kubectl("rollout", "restart", "--namespace", release.namespace, f"deployment/{release.name}-gateway")
    kube.kubectl("rollout", "status", "--namespace", release.namespace, f"deployment/{release.name}-gateway",
                 "--timeout=150s")
    # Pods that end still serve for their delay.
    eventually(lambda: len(api.list("Pod", release.namespace, GATEWAYS)) == 3, "the old pods are gone", within=90)
    load.check(least=200)


def test_a_gateway_is_killed(api, release, load):
    # Open connections break, and the SDK's own retries take that; nothing else may fail.
    [victim, *_] = release.pods()
    api.delete("Pod", release.namespace, victim["metadata"]["name"], params={"gracePeriodSeconds": 0})
    eventually(lambda: len(release.gateways()) == 3, "a new gateway is ready", within=60)
    time.sleep(2)
    load.check(least=100)


def test_the_apiserver_is_restarted(api, release, namespace, load, restart):
    restart("apiserver")
    def back():
        try:
            return api.http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False
    eventually(back, "the apiserver is back", within=60)
    eventually(lambda: api.http.get("/apis/turnpike.dev/v1alpha1").status_code == 200, "the API is there", within=60)
    api.apply(mock(namespace, "after", "after"))
    eventually(lambda: programmed(api, "ModelDeployment", namespace, "after"), "changes are served again", within=60)
    load.check(least=100)
