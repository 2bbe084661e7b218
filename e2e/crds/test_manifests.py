"""What a real API server makes of our manifests: refuses the bad ones with their message, takes the good ones.

The rules themselves are tested without a server in crds/tests; only a server says whether it takes the CRDs, runs every
rule within its limits, and what kubectl shows of a refusal.
"""

import re
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
    """No unknown field, and no warning."""
    for arguments in ([], ["--server-side"]):
        code, _, error = cluster.apply(path.read_text(), "--dry-run=server", *arguments)
        assert code == 0, error
        assert not error, error
