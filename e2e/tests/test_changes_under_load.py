"""Clients that call all the time while everything changes around them: none of their requests may fail."""

import threading
import time

import httpx
import openai
import pytest

import kube
from kube import eventually
from objects import generated, key, mock
from release import GATEWAYS, OPERATORS, is_ready, programmed, secret_value

CLIENTS = 6


class Load:
    """Clients that each send their next request when the last was answered."""

    def __init__(self, url, value, model):
        self.url, self.value, self.model = url, value, model
        self.answered, self.failures, self.stopping = 0, [], threading.Event()
        self.threads = [threading.Thread(target=self.call, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def call(self, number):
        """As an application does: the official SDK with its default retries."""
        with openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.value, timeout=20) as client:
            while not self.stopping.is_set():
                try:
                    # Half of them stream; every tenth makes a connection of its own, as a new process would.
                    answer = client.chat.completions.create(
                        model=self.model, messages=[{"role": "user", "content": "Hello"}], stream=number % 2 == 0,
                        extra_headers={"connection": "close"} if self.answered % 10 == 0 else {})
                    if number % 2 == 0:
                        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
                    else:
                        text = answer.choices[0].message.content
                    assert text == "steady", text
                    self.answered += 1
                except Exception as error:  # noqa: BLE001 - whatever it is, the client was failed
                    self.failures.append((time.monotonic(), repr(error)))
                time.sleep(0.01)

    def check(self, least):
        """Nothing failed so far, and something happened."""
        assert not self.failures, f"{len(self.failures)} of {self.answered}: {self.failures[:3]}"
        assert self.answered >= least, f"only {self.answered} requests"


@pytest.fixture
def load(api, release, namespace, value):
    """Load on a model that stays as it is, with a key that stays as it is."""
    api.apply(mock(namespace, "steady", "steady"), key(namespace, "caller", value))
    eventually(lambda: programmed(api, "ModelDeployment", namespace, "steady"), "the model is programmed")
    eventually(lambda: programmed(api, "VirtualKey", namespace, "caller"), "the key is programmed")
    with Load(release.url, value, "steady") as running:
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
