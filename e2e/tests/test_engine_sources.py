"""Where models come from: an image that containerd mounts, for llama.cpp's own server."""

import errno
from pathlib import Path

import pytest

import engines
from expect import served
from objects import key
from release import ask, process_of, said

pytestmark = pytest.mark.usefixtures("engine_node")


@pytest.fixture
def caller(api, release, namespace, value):
    """A key of the namespace."""
    served(api, key(namespace, "caller", value))
    return value


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
