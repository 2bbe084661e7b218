"""llama.cpp's own server through what happens to an engine: new versions, other numbers of replicas, sleep, failures, its end."""

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
SHORT = {"max_tokens": 8}


@pytest.fixture
def caller(api, release, namespace, value):
    """A key of the namespace."""
    served(api, key(namespace, "caller", value))
    return value


def names(api, namespace):
    """The engine's pods, also those that end."""
    return {pod["metadata"]["name"] for pod in api.list("Pod", namespace, "turnpike.dev/model=tiny")}


def scaled(api, namespace, replicas):
    """Sets the number of replicas by hand, and waits until it is so."""
    kube.kubectl("scale", "mdep/tiny", "--namespace", namespace, f"--replicas={replicas}")
    engines.ready(api, namespace, "tiny", replicas)
    eventually(lambda: len(names(api, namespace)) == replicas, "the others are gone", within=90)


def test_no_request_fails_while_it_is_scaled_changed_and_deleted(api, release, namespace, caller, tmp_path):
    api.apply(engines.llama(api, tmp_path / "models", namespace, "tiny"))
    engines.ready(api, namespace, "tiny")
    engines.answering(release, caller, "tiny")
    with Load(release.url, caller, "tiny", bool, retries=0, options=SHORT) as running:
        eventually(lambda: running.answered > 20, "the load runs")
        scaled(api, namespace, 3)
        old, before = names(api, namespace), running.answered
        api.merge("ModelDeployment", namespace, "tiny", {"spec": {"vllm": {"maxModelLen": 1024}}})
        eventually(lambda: not old & names(api, namespace), "the old pods are gone", within=180)
        engines.ready(api, namespace, "tiny", 3)
        assert running.answered > before, "requests went on meanwhile"
        scaled(api, namespace, 1)
        running.check(least=50)
        api.delete("ModelDeployment", namespace, "tiny")
        eventually(lambda: running.failures, "the model is gone")
        eventually(lambda: not names(api, namespace), "so are its pods", within=90)
    others = [failure for _, failure in running.failures if not failure.startswith("NotFoundError")]
    assert not others, f"whoever was let in was answered: {others[:3]}"


def test_it_sleeps_and_answers_what_is_held(api, release, namespace, caller, tmp_path):
    autoscaling = {"minReplicas": 0, "maxReplicas": 1, "targetInFlight": 4, "scaleDownDelay": "5s", "holdTimeout": "90s"}
    served(api, engines.llama(api, tmp_path / "models", namespace, "tiny", vllm={"autoscaling": autoscaling}))
    def sleeps():
        deployment = api.find("Deployment", namespace, "tiny-engine")
        return deployment and deployment["spec"].get("replicas") == 0 and not names(api, namespace)
    eventually(sleeps, "it sleeps", within=60)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, url, caller, "tiny", timeout=90, **SHORT) for url in release.gateways()]
        assert all(said(one.result()) for one in asked), "held until the engine was up"
    eventually(sleeps, "it sleeps again", within=60)


def test_it_says_why_it_does_not_start(api, release, namespace, tmp_path):
    # What it remembers of so many tokens it takes at its start: half a kilobyte for each.
    little = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "32Mi"}}
    damaged = {"pvc": {"claimName": "models", "path": "damaged.gguf"}}
    folder = tmp_path / "models"
    api.apply(engines.llama(api, folder, namespace, "hungry", vllm={"resources": little, "maxModelLen": 524288}))
    (folder / "damaged.gguf").write_bytes(b"GGUF, but no more than that")
    api.apply(engines.llama(api, folder, namespace, "damaged", vllm={"source": damaged}))
    assert "limits.memory" in engines.says(api, namespace, "hungry", "OutOfMemory", within=90)
    assert engines.says(api, namespace, "damaged", "CrashLoop", within=120)
