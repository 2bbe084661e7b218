"""Inference engines of tests: their images on the node, GPUs that it claims to have, models that run on them."""

import json
import os
import subprocess

import pytest

import kube
import volumes
from objects import namespaced
from release import ROOT, ask

GPU = "nvidia.com/gpu"
VLLM, LLAMA = "localhost/vllm:e2e", "localhost/llama-server:e2e"


def prepare(api):
    """Brings the images to the tests' own node and gives it four GPUs."""
    if "STATE" not in os.environ or "ENGINE_IMAGES" not in os.environ:
        pytest.skip("the images of engines are made for the tests' own cluster")
    subprocess.run([ROOT / "e2e/cluster/load", *os.environ["ENGINE_IMAGES"].split()], check=True, timeout=300)
    [node] = api.call("GET", "/api/v1/nodes")["items"]
    # The kubelet would copy the one to the other within ten seconds.
    status = {"capacity": {GPU: "4"}, "allocatable": {GPU: "4"}}
    api.call("PATCH", f"/api/v1/nodes/{node['metadata']['name']}/status", content=json.dumps({"status": status}),
             headers={"content-type": "application/merge-patch+json"})


def load_model(reference, file):
    """Brings an image to the node that holds nothing but a model, for an image volume."""
    made = file.with_suffix(".tar")
    make = [ROOT / "e2e/cluster/image.py", reference, made, "--bare", "--add", f"{file}:/model.gguf"]
    subprocess.run(make, check=True, timeout=60)
    subprocess.run([ROOT / "e2e/cluster/load", made], check=True, timeout=60)


def vllm(namespace, name, variables=None, gpus=0, **spec):
    """A model on the look-alike of vLLM; `variables` make it slow or fail (testkit/src/engine.rs)."""
    variables = {"ENGINE_LOAD_SECONDS": "1", "ENGINE_FETCH_SECONDS": "0", **(variables or {})}
    engine = {"image": VLLM, "source": {"huggingFace": {"repo": "acme/tiny"}}, "gpu": {"count": gpus},
              "env": [{"name": key, "value": value} for key, value in variables.items()],
              "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}, "startupTimeout": "2m",
              **spec.pop("vllm", {})}
    return namespaced("ModelDeployment", namespace, name, {"vllm": engine, "price": {"perRequest": "0"}, **spec})


def llama(api, folder, namespace, name, **spec):
    """A model on llama.cpp's server, of a volume whose files lie in a folder of the test's."""
    volumes.claimed(api, folder, namespace, "models")
    write_model(folder / "tiny.gguf")
    return llama_of(namespace, name, {"pvc": {"claimName": "models", "path": "tiny.gguf"}}, **spec)


def llama_of(namespace, name, source, **spec):
    """A model on llama.cpp's server, from anywhere."""
    engine = {"engine": "LlamaCpp", "image": LLAMA, "source": source, "gpu": {"count": 0},
              "maxModelLen": 2048, "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}}, "startupTimeout": "2m",
              **spec.pop("vllm", {})}
    return namespaced("ModelDeployment", namespace, name, {"vllm": engine, "price": {"perRequest": "0"}, **spec})


def write_model(file):
    """Writes a model that llama.cpp takes; its bytes."""
    import tiny_model
    tiny_model.write(file)
    return file.read_bytes()


def pods(api, namespace, name):
    """The engine's pods that are not being deleted."""
    return [pod for pod in api.list("Pod", namespace, f"app.kubernetes.io/component=engine,turnpike.dev/model={name}")
            if "deletionTimestamp" not in pod["metadata"]]


def ready(api, namespace, name, replicas=1, within=90):
    """Waits until so many replicas, and no others, are ready, and every gateway has the model."""
    def ask():
        item = api.get("ModelDeployment", namespace, name)
        status = item.get("status", {})
        done = kube.is_true(item, "EngineReady") and kube.is_true(item, "Programmed")
        return item if done and (status.get("replicas"), status.get("readyReplicas")) == (replicas, replicas) else None
    return kube.eventually(ask, f"{name} has {replicas} ready replicas", within)


def says(api, namespace, name, reason, within=60):
    """Waits until the engine is not ready for this reason; what its condition says."""
    def ask():
        status, why, message = kube.condition(api.get("ModelDeployment", namespace, name), "EngineReady")
        return message if (status, why) == ("False", reason) else None
    return kube.eventually(ask, f"{name}: EngineReady False, {reason}", within)


def answering(release, value, model, within=15):
    """Waits until every gateway has found a replica: they look names up each second, and DNS may lag some seconds behind."""
    def all_answer():
        return {ask(url, value, model, max_tokens=2).status_code for url in release.gateways()} == {200}
    kube.eventually(all_answer, f"every gateway has an answer of {model}", within, every=0.2)


def usd(texts, family, namespace):
    """What a counter of metrics pages adds up to for models of a namespace."""
    lines = [line for text in texts for line in text.splitlines() if line.startswith(family + "{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if f'model_id="{namespace}/' in line)
