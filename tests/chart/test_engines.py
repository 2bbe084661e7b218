"""What the operator makes of engines is what Kubernetes takes: the goldens of crate `engine` against the API's schemas."""

import pytest
import render
import yaml
from test_render import kubeconform

GOLDENS = sorted((render.ROOT / "engine/tests/golden").glob("*.snap"))
# Volumes of type image came with Kubernetes 1.31.
NEWER = {"oci"}


def manifests(path):
    """A golden without insta's head."""
    return path.read_text().split("---\n", 2)[2]


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_engines_fit_the_api(path, schema_folder):
    text = manifests(path)
    kinds = [one["kind"] for one in yaml.safe_load_all(text)]
    done = kubeconform(schema_folder, text)
    if path.stem in NEWER and schema_folder.name.startswith("oldest"):
        assert done.returncode == 1 and "Deployment" in done.stdout and "'image'" in done.stdout, done.stdout
        return
    assert done.returncode == 0, done.stdout
    skipped = kinds.count("PodMonitor")
    assert f"Valid: {len(kinds) - skipped}, Invalid: 0, Errors: 0, Skipped: {skipped}" in done.stdout, done.stdout
    assert {"ServiceAccount", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} <= set(kinds)


def test_goldens_are_there():
    assert {"minimal", "full", "llama-cpu", "s3", "oci", "autoscaled", "surge", "root", "overlay"} <= {one.stem for one in GOLDENS}


def test_the_operators_flags_for_engines():
    found = render.objects("--set", "engine.vllmImage=own:1,engine.podMonitor=true,operator.unsafePodOverlay=true")
    operator = render.one(found, "Deployment", "turnpike-operator")["spec"]["template"]["spec"]["containers"][0]["args"]
    peers = '--engine-metrics-from=[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}}]'
    assert {"--engine-vllm-image=own:1", "--engine-pod-monitor=true", "--unsafe-pod-overlay=true", peers} <= set(operator)
    assert not [word for word in operator if word.startswith(("--engine-s3-image", "--engine-llama-cpp-image"))]
