"""What a real API server makes of our manifests: refuses the bad ones with their message, takes the good ones.

The rules themselves are tested without a server in crds/tests; only a server says whether it takes the CRDs, runs every
rule within its limits, and what kubectl shows of a refusal.
"""

import re
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BAD = sorted((ROOT / "crds/tests/bad").glob("*.yaml"))
GOOD = sorted((ROOT / "crds/tests/good").glob("*.yaml")) + sorted((ROOT / "examples").rglob("*.yaml"))


def name(path):
    """A test's name for a file."""
    return str(path.relative_to(ROOT))


def test_there_are_manifests():
    """An empty folder must not pass."""
    assert len(BAD) > 50
    assert len(GOOD) > 15


@pytest.mark.parametrize("path", BAD, ids=name)
def test_a_bad_manifest_is_refused_with_its_message(cluster, path):
    """Two documents are an object and a refused update of it."""
    text = path.read_text()
    expected = re.search(r"^# expect: (.*)$", text, re.M).group(1)
    *before, bad = re.split(r"^---$", text, flags=re.M)
    try:
        for document in before:
            code, _, error = cluster.apply(document)
            assert code == 0, f"the object before the update: {error}"
        code, _, error = cluster.apply(bad)
        assert code != 0, "the API server takes it"
        assert expected in error, f"expected: {expected}\nanswered: {error}"
        assert "is invalid" in error, error
    finally:
        cluster.kubectl("delete", "-n", cluster.namespace, "mdep,vkey,bud", "--all", "--wait=false")


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_a_good_manifest_is_taken_as_it_is(cluster, path):
    """No unknown field, and no warning but for what has no effect yet."""
    for arguments in ([], ["--server-side"]):
        code, _, error = cluster.apply(path.read_text(), "--dry-run=server", *arguments)
        assert code == 0, error
        strange = [line for line in error.splitlines() if "has no effect in this version" not in line]
        assert not strange, strange


def test_kubectl_warns_of_fields_without_effect_and_of_nothing_else(cluster):
    """The chart's policies, as Helm renders them."""
    chart = ROOT / "charts/turnpike"
    rendered = subprocess.run(
        ["helm", "template", "warnings", str(chart), "--namespace", cluster.namespace, "--kube-version", "v1.34.0", "--show-only",
         "templates/field-warnings.yaml"], capture_output=True, text=True, timeout=60, check=True).stdout
    cluster.must("apply", "-f", "-", stdin=rendered)
    try:
        cluster.must("create", "-n", cluster.namespace, "-f", "-", stdin=MODEL.format(fields="price: {}"))
        # The API server compiles a new policy within seconds.
        deadline = time.monotonic() + 30
        while "no effect" not in (warning := warnings_of(cluster, 'price: {gpuHour: "2.10"}')):
            assert time.monotonic() < deadline, "the policy does not take effect"
            time.sleep(0.2)
        assert "spec.price.gpuHour has no effect in this version: the cost of engines is not there yet" in warning
        assert "spec.vllm" not in warning, warning
        assert warnings_of(cluster, "tags: [eu]") == ""
        assert warnings_of(cluster, "retry: {attempts: 1}") == ""
        assert warnings_of(cluster, "weight: 3") == ""
        conditions = cluster.must("get", "validatingadmissionpolicy", "-o", "jsonpath={.items[*].status.typeChecking}")
        assert "expressionWarnings" not in conditions, conditions
    finally:
        cluster.must("delete", "-f", "-", stdin=rendered)


MODEL = """
apiVersion: turnpike.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: warned}}
spec: {{mock: {{response: hi}}, {fields}}}
"""


def warnings_of(cluster, fields):
    """What kubectl warns of when the model gets these fields; nothing is kept."""
    code, _, error = cluster.apply(MODEL.format(fields=fields), "--dry-run=server", "--server-side", "--force-conflicts")
    assert code == 0, error
    return error
