"""Where models come from: an image that containerd mounts, a bucket that AWS's command line reads, a cache that is filled ahead.

The engine of the first two is llama.cpp's own server; of the hub's library there is a look-alike.
"""

import errno
from pathlib import Path

import pytest

import engines
import s3
import volumes
from expect import served
from kube import condition, eventually
from objects import key, secret
from release import ask, process_of, said

pytestmark = pytest.mark.usefixtures("engine_node")


@pytest.fixture
def caller(api, release, namespace, value):
    """A key of the namespace."""
    served(api, key(namespace, "caller", value))
    return value


@pytest.fixture
def bucket(api, tmp_path_factory):
    """One with a model in it, and what AWS's command line is told to reach it."""
    folder = tmp_path_factory.mktemp("bucket")
    s3.load(folder)
    engines.write_model(folder / "tiny.gguf")
    with s3.served(api, "models", "llama/tiny.gguf", folder / "tiny.gguf") as server:
        yield server


def answers(api, release, namespace, caller, name):
    """Waits until the model says something; its one pod."""
    engines.ready(api, namespace, name)
    engines.answering(release, caller, name)
    assert said(ask(release.url, caller, name, max_tokens=8))
    [pod] = engines.pods(api, namespace, name)
    return pod


def test_an_image_is_mounted_to_be_read(api, release, namespace, caller, tmp_path):
    file = tmp_path / "tiny.gguf"
    model = engines.write_model(file)
    engines.load_model("localhost/tiny-model:e2e", file)
    api.apply(engines.llama_of(namespace, "tiny", {"uri": "oci://localhost/tiny-model:e2e"}),
              engines.llama_of(namespace, "absent", {"uri": "oci://localhost/no-such-model:e2e"}))
    pod = answers(api, release, namespace, caller, "tiny")
    engine = Path("/proc", str(process_of(pod["metadata"]["name"], "llama-server")))
    assert b"/models/model.gguf" in (engine / "cmdline").read_bytes().split(b"\0")
    mounted = engine / "root/models"
    assert [one.name for one in mounted.iterdir()] == ["model.gguf"] and (mounted / "model.gguf").read_bytes() == model
    with pytest.raises(OSError) as refused:
        (mounted / "model.gguf").write_bytes(b"")
    assert refused.value.errno == errno.EROFS

    message = engines.says(api, namespace, "absent", "ImagePull", within=120)
    assert "no image for volume models" in message and "correct spec.vllm.source.uri" in message, message
    assert 'image "localhost/no-such-model:e2e"' in message, message


def test_a_file_of_a_bucket_is_fetched_by_who_may_read_it(api, release, namespace, caller, bucket):
    def of_bucket(name, credentials):
        """The model in the bucket, fetched with these credentials."""
        api.apply(secret(namespace, name, use="engine", id=bucket["id"], secret=credentials))
        env = [{"name": "AWS_ENDPOINT_URL", "value": bucket["url"]}, {"name": "AWS_DEFAULT_REGION", "value": bucket["region"]},
               {"name": "AWS_ACCESS_KEY_ID", "secretRef": {"name": name, "key": "id"}},
               {"name": "AWS_SECRET_ACCESS_KEY", "secretRef": {"name": name, "key": "secret"}}]
        return engines.llama_of(namespace, name, {"uri": "s3://models/llama/tiny.gguf"}, vllm={"env": env})
    # All that it needs of the network is the bucket's address.
    to_bucket = {"to": [{"ipBlock": {"cidr": f"{bucket['address']}/32"}}], "ports": [{"port": bucket["port"], "protocol": "TCP"}]}
    api.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
               "metadata": {"name": "to-bucket", "namespace": namespace},
               "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [to_bucket]}})
    api.apply(of_bucket("tiny", bucket["secret"]), of_bucket("stranger", "of somebody else"))
    pod = answers(api, release, namespace, caller, "tiny")
    engine = Path("/proc", str(process_of(pod["metadata"]["name"], "llama-server")))
    assert b"/cache/s3/models/llama/tiny.gguf" in (engine / "cmdline").read_bytes().split(b"\0")
    assert (engine / "root/cache/s3/models/llama/tiny.gguf").read_bytes() == bucket["file"].read_bytes()
    message = engines.says(api, namespace, "stranger", "CrashLoop", within=120)
    assert "container fetch, exit code 1" in message and "SignatureDoesNotMatch" in message, message


def test_another_model_is_fetched_while_the_first_one_serves(api, release, namespace, caller, tmp_path):
    volumes.claimed(api, tmp_path / "cache", namespace, "models")
    def of(repo, seconds):
        """The model with these files, which take so long to come."""
        return engines.vllm(namespace, "tiny", {"ENGINE_FETCH_SECONDS": seconds},
                            vllm={"source": {"huggingFace": {"repo": repo}}, "cache": {"claimName": "models"}})
    def files():
        """What is told of the files, and how far they are."""
        item = api.get("ModelDeployment", namespace, "tiny")
        return *condition(item, "CacheReady")[:2], item["status"].get("progress") or ""
    api.apply(of("acme/tiny", "0"))
    first = answers(api, release, namespace, caller, "tiny")["metadata"]["name"]
    eventually(lambda: files() == ("True", "Ready", ""), "the Job has found the files, or fetched them", within=60)

    api.apply(of("acme/other", "12"))
    def comes_while_it_serves():
        truth, reason, progress = files()
        tells = (truth, reason) == ("False", "Downloading") and progress.startswith("Downloading ") and progress.endswith(" %")
        there = [pod["metadata"]["name"] for pod in engines.pods(api, namespace, "tiny")]
        return tells and there == [first] and said(ask(release.url, caller, "tiny")).startswith(first)
    eventually(comes_while_it_serves, "it tells how far the other files are, and serves", within=60)
    eventually(lambda: first not in {pod["metadata"]["name"] for pod in engines.pods(api, namespace, "tiny")},
               "the engine is replaced", within=90)
    second = answers(api, release, namespace, caller, "tiny")
    job = api.get("Job", namespace, "tiny-engine-fetch")
    assert second["metadata"]["creationTimestamp"] >= job["status"]["completionTime"], "the files came first"
    eventually(lambda: files() == ("True", "Ready", ""), "the files are there")
