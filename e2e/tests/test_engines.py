"""Engines of a tenant: what a user sees from `kubectl apply` to answers, when they are well and when they are not.

vLLM is a look-alike without GPUs, llama.cpp is llama.cpp; the node's GPUs are only said to be there.
"""

import json

import openai
import pytest

import engines
import kube
import volumes
from expect import served
from kube import condition, eventually
from objects import key
from release import ask, is_ready

pytestmark = pytest.mark.usefixtures("engine_node")


@pytest.fixture
def client(api, release, namespace, value):
    """The official client with a key for the namespace's models; no retries, so that a failure shows."""
    served(api, key(namespace, "caller", value))
    with openai.OpenAI(base_url=f"{release.url}/v1", api_key=value, max_retries=0, timeout=60) as made:
        yield made


def chat(client, model, **more):
    """What the model says to a hello."""
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}], **more)
    return answer.choices[0].message.content


def test_five_engines_on_four_gpus(api, release, namespace, client, value):
    names = [f"model-{number}" for number in range(5)]
    api.apply(*(engines.vllm(namespace, name, gpus=1) for name in names))

    def split():
        items = [api.get("ModelDeployment", namespace, name) for name in names]
        well = [item["metadata"]["name"] for item in items if kube.is_true(item, "EngineReady")]
        short = [item["metadata"]["name"] for item in items if condition(item, "EngineReady")[1] == "Unschedulable"]
        return (well, short) if (len(well), len(short)) == (4, 1) else None
    well, [short] = eventually(split, "four are ready and one waits", within=120)
    assert "Insufficient nvidia.com/gpu" in engines.says(api, namespace, short, "Unschedulable")
    assert api.get("ModelDeployment", namespace, short)["status"]["replicasText"] == "0/1"
    header, *rows = kube.kubectl("get", "mdep", "--namespace", namespace).splitlines()
    assert [row.split()[header.split().index("READY")] for row in rows].count("True") == 4
    api.delete("ModelDeployment", namespace, well[0])
    engines.ready(api, namespace, short)
    engines.answering(release, value, short)
    assert chat(client, short).startswith(f"{short}-engine-")


@pytest.fixture
def without_dns(api):
    """The cluster's DNS is away for the time of a test."""
    def pods():
        return api.list("Pod", "kube-system", "k8s-app=kube-dns")
    def scale(replicas):
        api.merge("Deployment", "kube-system", "coredns", {"spec": {"replicas": replicas}})
    scale(0)
    try:
        eventually(lambda: not pods(), "no DNS is left")
        yield
    finally:
        scale(1)
        eventually(lambda: pods() and all(is_ready(pod) for pod in pods()), "there is DNS again")


def test_pods_get_requests_before_dns_knows_of_them(api, release, namespace, client, value, without_dns):
    def told():
        """Where the bundle says that the engine's pods are."""
        part = api.get("ConfigMap", release.namespace, f"{release.name}-bundle-endpoints-00")["data"]["endpoints-00"]
        entries = [entry for entry in json.loads(part)["entries"] if entry["namespace"] == namespace]
        return [address for entry in entries for address in entry["addresses"]]
    api.apply(engines.vllm(namespace, "tiny"))
    eventually(told, "the bundle names the pod", within=90)
    engines.answering(release, value, "tiny")
    [pod] = engines.pods(api, namespace, "tiny")
    assert chat(client, "tiny").startswith(pod["metadata"]["name"]) and told() == [pod["status"]["podIP"]]
    api.delete("ModelDeployment", namespace, "tiny")
    eventually(lambda: not told(), "what ends is not named any more")


@pytest.mark.usefixtures("release")
def test_a_volume_that_cannot_be_mounted_is_told_and_mounted_once_it_can(api, namespace, tmp_path):
    folder = tmp_path / "cache"
    volumes.claimed(api, folder, namespace, "models", type="Directory")
    folder.rmdir()
    api.apply(engines.vllm(namespace, "tiny", vllm={"cache": {"claimName": "models"}}))
    assert "is not a directory" in engines.says(api, namespace, "tiny", "FailedMount")
    folder.mkdir()
    folder.chmod(0o777)
    engines.ready(api, namespace, "tiny", within=180)


def test_from_apply_to_answers(api, release, namespace, client, value, tmp_path):
    restricted = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    api.merge("Namespace", None, namespace, restricted)
    volumes.claimed(api, tmp_path / "cache", namespace, "models")
    cache = {"claimName": "models"}
    model = engines.vllm(namespace, "tiny", {"ENGINE_FETCH_SECONDS": "12", "ENGINE_LOAD_SECONDS": "3"},
                         vllm={"maxModelLen": 1000, "cache": cache})
    api.apply(model)
    def progress():
        return api.get("ModelDeployment", namespace, "tiny").get("status", {}).get("progress") or ""
    eventually(lambda: "Downloading" in progress() and "%" in progress(), "it tells how far the download is", within=60)
    engines.says(api, namespace, "tiny", "LoadingModel")
    status = engines.ready(api, namespace, "tiny")["status"]
    assert (status["kind"], status["replicasText"], status.get("progress") or "") == ("VLLM", "1/1", "")
    assert "sha256:" in status["image"] and status["endpoint"].endswith("/v1")

    engines.answering(release, value, "tiny")
    [pod] = engines.pods(api, namespace, "tiny")
    assert chat(client, "tiny", max_tokens=3) == f"{pod['metadata']['name']} the toll"
    stream = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hello"}], stream=True,
                                            max_tokens=4, stream_options={"include_usage": True})
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).endswith("the toll road")
    assert chunks[-1].usage.completion_tokens == 4
    assert client.completions.create(model="tiny", prompt="Hello").choices[0].text
    assert len(client.embeddings.create(model="tiny", input=["a", "b"]).data) == 2
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, "tiny", max_tokens=2000)
    assert "maximum context length is 1000 tokens" in str(caught.value)
    # Whoever is not a gateway: the host may come in, for probes; but without the engine's own key it hears nothing.
    assert ask(f"http://{pod['status']['podIP']}:8000", value, "tiny").status_code == 401

    # Another engine of the same cache has nothing to fetch, and goes on when the first one goes.
    api.apply(engines.vllm(namespace, "other", {"ENGINE_FETCH_SECONDS": "600"}, vllm={"cache": cache}))
    engines.ready(api, namespace, "other")
    engines.answering(release, value, "other")
    assert chat(client, "tiny") and chat(client, "other").startswith("other-engine-")
    api.delete("ModelDeployment", namespace, "tiny")
    eventually(lambda: not api.list("Pod", namespace, "turnpike.dev/model=tiny"), "the first engine is gone", within=60)
    assert chat(client, "other") and api.get("PersistentVolumeClaim", namespace, "models")["status"]["phase"] == "Bound"


def test_llama_cpp_answers(api, release, namespace, client, value, tmp_path):
    model = engines.llama(api, tmp_path / "models", namespace, "tiny")
    api.apply(model)
    engines.ready(api, namespace, "tiny")
    engines.answering(release, value, "tiny")
    text = chat(client, "tiny", max_tokens=20, temperature=0)
    assert len(text) > 20
    stream = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hello"}], stream=True,
                                            max_tokens=20, temperature=0)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == text


def test_engines_that_do_not_start_say_why(api, namespace):
    little = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}
    api.apply(engines.vllm(namespace, "crashing", {"ENGINE_FAIL": "CUDA error: no kernel image"}),
              engines.vllm(namespace, "hungry", {"ENGINE_EAT_MIB": "256"}, vllm={"resources": little}),
              engines.vllm(namespace, "imageless", vllm={"image": "localhost/not-there:e2e"}),
              engines.vllm(namespace, "slow", {"ENGINE_FETCH_SECONDS": "600"}),
              engines.vllm(namespace, "refused", vllm={"extraArgs": ["--no-such-flag", "1"]}))
    assert "RuntimeError: CUDA error: no kernel image" in engines.says(api, namespace, "crashing", "CrashLoop", within=120)
    assert "unrecognized arguments: --no-such-flag 1" in engines.says(api, namespace, "refused", "CrashLoop", within=120)
    assert "limits.memory" in engines.says(api, namespace, "hungry", "OutOfMemory", within=120)
    assert "localhost/not-there:e2e" in engines.says(api, namespace, "imageless", "ImagePull", within=120)
    engines.says(api, namespace, "slow", "Downloading")
    api.delete("ModelDeployment", namespace, "slow")
    # What is mended starts at once, whatever back-off the old pod had.
    api.apply(engines.vllm(namespace, "crashing"))
    engines.ready(api, namespace, "crashing")
    eventually(lambda: not api.list("Pod", namespace, "turnpike.dev/model=slow"), "a download that is not wanted ends")


def test_adapters_come_and_go(api, namespace, client):
    def adapted(*names):
        adapters = [{"name": name, "source": {"huggingFace": {"repo": f"acme/{name}"}}} for name in names]
        return engines.vllm(namespace, "tiny", vllm={"lora": {"adapters": adapters}})
    api.apply(adapted("sql"))
    engines.ready(api, namespace, "tiny")
    def loaded():
        return api.get("ModelDeployment", namespace, "tiny")["status"].get("adapters")
    eventually(lambda: loaded() == ["sql"], "the adapter is loaded", within=60)
    before = [pod["metadata"]["uid"] for pod in engines.pods(api, namespace, "tiny")]
    eventually(lambda: answers(client, "tiny:sql"), "the adapter answers")
    api.apply(adapted("chat", "sql"))
    eventually(lambda: loaded() == ["chat", "sql"] and answers(client, "tiny:chat"), "the second one answers", within=60)
    api.apply(adapted("chat"))
    eventually(lambda: loaded() == ["chat"] and not answers(client, "tiny:sql"), "the first one is gone", within=60)
    assert answers(client, "tiny") and answers(client, "tiny:chat")
    assert [pod["metadata"]["uid"] for pod in engines.pods(api, namespace, "tiny")] == before, "no pod was replaced"


def answers(client, model):
    """Whether the model is there and answers."""
    try:
        return chat(client, model)
    except openai.NotFoundError:
        return None
    except openai.InternalServerError as error:
        assert "is starting" in error.message, error
        return None
