"""Engines that change while clients call: none of their requests may fail."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import engines
import kube
from expect import served
from kube import eventually
from load import Load
from objects import key
from release import ask, said

pytestmark = pytest.mark.usefixtures("engine_node")
# Eight words of 20 ms.
PACE = {"ENGINE_TOKEN_MS": "20"}


@pytest.fixture
def caller(api, release, namespace, value):
    """A key of the namespace."""
    served(api, key(namespace, "caller", value))
    return value


def load(release, caller, model="tiny"):
    """Clients without retries; a whole answer has eight words."""
    return Load(release.url, caller, model, lambda text: len(text.split()) == 8, retries=0)


def speakers(running):
    """The pods that answered."""
    return {text.split()[0] for text in running.texts}


def names(api, namespace, model):
    """The engine's pods, also those that end."""
    return {pod["metadata"]["name"] for pod in api.list("Pod", namespace, f"turnpike.dev/model={model}")}


def test_new_versions_of_engines(api, release, namespace, caller):
    def version(number):
        pace = {**PACE, "ENGINE_LOAD_SECONDS": str(number)}
        return (engines.vllm(namespace, "two", pace, vllm={"replicas": 2}),
                engines.vllm(namespace, "one", pace, vllm={"rollout": "Surge"}))
    api.apply(*version(1))
    engines.ready(api, namespace, "two", 2)
    engines.ready(api, namespace, "one")
    engines.answering(release, caller, "two")
    engines.answering(release, caller, "one")
    with load(release, caller, "two") as two, load(release, caller, "one") as one:
        eventually(lambda: (len(speakers(two)), len(speakers(one))) == (2, 1), "all answer")
        old = speakers(two) | speakers(one)
        api.apply(*version(2))
        eventually(lambda: not old & (names(api, namespace, "two") | names(api, namespace, "one")), "the old pods are gone",
                   within=180)
        engines.ready(api, namespace, "two", 2)
        eventually(lambda: (len(speakers(two) - old), len(speakers(one) - old)) == (2, 1), "the new ones answer")
        two.check(least=100)
        one.check(least=100)


def test_one_three_and_one_again(api, release, namespace, caller):
    api.apply(engines.vllm(namespace, "tiny", PACE))
    engines.ready(api, namespace, "tiny")
    engines.answering(release, caller, "tiny")
    scale = ("scale", "mdep/tiny", "--namespace", namespace)
    with load(release, caller) as running:
        kube.kubectl(*scale, "--replicas=3")
        engines.ready(api, namespace, "tiny", 3)
        eventually(lambda: len(speakers(running)) == 3, "all three answer")
        kube.kubectl(*scale, "--replicas=1")
        eventually(lambda: len(names(api, namespace, "tiny")) == 1, "two are gone", within=90)
        engines.ready(api, namespace, "tiny", 1)
        running.check(least=100)


def test_a_killed_pod_is_dropped(api, release, namespace, caller):
    api.apply(engines.vllm(namespace, "tiny", PACE, vllm={"replicas": 2}))
    engines.ready(api, namespace, "tiny", 2)
    engines.answering(release, caller, "tiny")
    with load(release, caller) as running:
        eventually(lambda: len(speakers(running)) == 2, "both answer")
        victim = engines.pods(api, namespace, "tiny")[0]["metadata"]["name"]
        api.delete("Pod", namespace, victim, params={"gracePeriodSeconds": 0})
        eventually(lambda: len(speakers(running)) == 3, "a new one answers", within=90)
    # Streams that have begun break with their pod; whatever has not is sent to the other one.
    broken = [failure for _, failure in running.failures]
    assert len(broken) <= 3, f"at most the streams that ran there: {broken}"


def test_an_engine_that_sleeps_is_woken(api, release, namespace, caller):
    autoscaling = {"minReplicas": 0, "maxReplicas": 2, "targetInFlight": 4, "scaleDownDelay": "5s", "holdTimeout": "90s"}
    served(api, engines.vllm(namespace, "tiny", {**PACE, "ENGINE_LOAD_SECONDS": "2"}, vllm={"autoscaling": autoscaling}))
    def replicas():
        return api.get("Deployment", namespace, "tiny-engine")["spec"].get("replicas")
    eventually(lambda: api.find("Deployment", namespace, "tiny-engine"), "it is made")
    eventually(lambda: replicas() == 0 and not engines.pods(api, namespace, "tiny"), "it sleeps", within=60)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, release.url, caller, "tiny", timeout=90) for _ in range(8)]
        assert all(len(said(one.result()).split()) == 8 for one in asked), "held until the engine was up"
    eventually(lambda: replicas() == 0, "it sleeps again", within=60)


def test_deletion_under_load(api, release, namespace, caller):
    api.apply(engines.vllm(namespace, "tiny", PACE))
    engines.ready(api, namespace, "tiny")
    engines.answering(release, caller, "tiny")
    with load(release, caller) as running:
        eventually(lambda: running.answered > 20, "the load runs")
        api.delete("ModelDeployment", namespace, "tiny")
        eventually(lambda: running.failures, "the model is gone")
        eventually(lambda: not any(api.find(kind, namespace, "tiny-engine") for kind in ("Deployment", "Service"))
                   and not api.list("Pod", namespace, "turnpike.dev/model=tiny"), "so is all that was made for it", within=90)
    others = [failure for _, failure in running.failures if not failure.startswith("NotFoundError")]
    assert not others, f"whoever was let in was answered: {others[:3]}"
