"""Renders the chart as Helm would for a release, and finds things in what comes out."""

import functools
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/turnpike"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
NAMESPACE = "llm"
# Helm's own idea of a cluster when it has none; what the chart uses must exist from 1.30 on.
OLDEST = "1.30.0"


def helm(*arguments, **options):
    """Runs helm; the caller looks at the outcome."""
    return subprocess.run(["helm", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60, **options)


def template(*arguments):
    """Runs helm template with further arguments."""
    return helm("template", "turnpike", CHART, "--namespace", NAMESPACE, "--kube-version", OLDEST, *arguments)


@functools.cache
def text(*arguments):
    """What helm template prints; fails with Helm's message."""
    done = template(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(*arguments):
    """The rendered objects."""
    return [one for one in yaml.safe_load_all(text(*arguments)) if one]


def case(path):
    """The objects of a file of values."""
    return objects("--values", path)


def of_kind(found, *kinds):
    """Those of the given kinds."""
    return [one for one in found if one["kind"] in kinds]


def one(found, kind, name):
    """The only object of a kind and name."""
    matching = [each for each in of_kind(found, kind) if each["metadata"]["name"] == name]
    assert len(matching) == 1, f"{kind} {name}: {len(matching)}"
    return matching[0]


def pods(found):
    """(name of what makes it, labels, spec) of every pod."""
    for each in found:
        spec = each.get("spec", {})
        if each["kind"] == "Pod":
            yield each["metadata"]["name"], each["metadata"]["labels"], spec
        elif "template" in spec:
            yield each["metadata"]["name"], spec["template"]["metadata"]["labels"], spec["template"]["spec"]


def selects(selector, labels):
    """Whether matchLabels (the only form that the chart uses) choose these labels."""
    assert set(selector) <= {"matchLabels"}, selector
    return selector.get("matchLabels", {}).items() <= labels.items()
