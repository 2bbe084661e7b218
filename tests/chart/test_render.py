"""The chart renders, and what it renders is what Kubernetes takes."""

import subprocess

import pytest
import render

CASES = pytest.mark.parametrize("values", render.CASES, ids=lambda path: path.stem.removesuffix("-values"))
# Of the Prometheus operator and the Gateway API; their definitions are not at hand.
FOREIGN = "ServiceMonitor,PodMonitor,HTTPRoute"


@CASES
def test_lint(values):
    done = render.helm("lint", "--strict", "--kube-version", render.OLDEST, "--values", values, render.CHART)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout, done.stdout


def kubeconform(folder, text):
    """Runs kubeconform on manifests with the schemas in a folder."""
    location = f"{folder}/{{{{.ResourceKind}}}}-{{{{.Group}}}}-{{{{.ResourceAPIVersion}}}}.json"
    return subprocess.run(
        ["kubeconform", "-strict", "-summary", "-verbose", "-skip", FOREIGN, "-schema-location", location, "-"],
        input=text, capture_output=True, text=True, check=False, timeout=60)


@CASES
def test_what_is_rendered_fits_the_api(values, schema_folder):
    done = kubeconform(schema_folder, render.text("--values", values))
    assert done.returncode == 0, done.stdout
    found = render.case(values)
    skipped = len(render.of_kind(found, *FOREIGN.split(",")))
    assert f"Valid: {len(found) - skipped}, Invalid: 0, Errors: 0, Skipped: {skipped}" in done.stdout, done.stdout


@pytest.mark.parametrize(("right", "wrong"), [("maxSurge: 1", "maxSurgee: 1"), ("replicas: 1", "replicas: one")])
def test_the_check_itself_refuses(schema_folder, right, wrong):
    text = render.text()
    assert right in text
    done = kubeconform(schema_folder, text.replace(right, wrong))
    assert done.returncode != 0, done.stdout


def test_the_crds_fit_the_api(schema_folder):
    for path in sorted((render.CHART / "crds").glob("*.yaml")):
        done = kubeconform(schema_folder, path.read_text())
        assert done.returncode == 0, done.stdout


def test_an_older_cluster_is_refused():
    done = render.helm("template", "turnpike", render.CHART, "--kube-version", "1.29.9")
    assert done.returncode != 0
    assert "kubeVersion: >=1.30.0-0" in done.stderr


@CASES
def test_names_are_unique_and_in_the_release_namespace(values):
    found = render.case(values)
    names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in found]
    assert len(names) == len(set(names))
    cluster_scoped = {"ClusterRole", "ClusterRoleBinding"}
    for kind, namespace, _ in names:
        if kind in cluster_scoped:
            assert namespace is None
        elif kind not in ("Role", "RoleBinding"):
            assert namespace == render.NAMESPACE, kind


def test_two_instances_share_no_name():
    first, second = render.objects(), render.objects("--set", "operator.instance=other")
    def name(one):
        return one["kind"], one["metadata"]["name"]
    assert not {name(one) for one in first} & {name(one) for one in second}
