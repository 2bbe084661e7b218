"""Generated files are what `make generate` makes, and the kustomize base is whole."""

import subprocess

import generated
import render
import yaml


def test_the_plain_manifests_are_up_to_date():
    assert generated.MANIFESTS.read_text() == generated.manifests(), "run make generate"


def test_the_table_of_values_is_up_to_date():
    assert generated.DOCUMENT.read_text() == generated.document(), "run make generate"


def kustomize(folder):
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def test_the_kustomize_base_has_everything():
    found = kustomize(render.CHART)
    names = {(one["kind"], one["metadata"]["name"]) for one in found}
    rendered = {(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(generated.MANIFESTS.read_text()) if one}
    crds = {("CustomResourceDefinition", f"{path.stem}.turnpike.dev") for path in (render.CHART / "crds").glob("*.yaml")}
    assert names == rendered | crds | {("Namespace", "turnpike")}
    assert len(crds) == 3


def test_an_overlay_moves_it_to_another_namespace_and_image(tmp_path):
    base = tmp_path / "base"
    base.symlink_to(render.CHART)
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump({
        "resources": ["../base"], "namespace": "llm",
        "images": [{"name": "localhost/turnpike", "newName": "registry.example.com/turnpike", "newTag": "v2"}]}))
    found = kustomize(overlay)
    assert {one["metadata"].get("namespace") for one in found} == {"llm", None}
    for binding in render.of_kind(found, "RoleBinding", "ClusterRoleBinding"):
        assert [subject["namespace"] for subject in binding["subjects"]] == ["llm"]
    for name, _, spec in render.pods(found):
        for container in spec["containers"]:
            assert container["image"] == "registry.example.com/turnpike:v2", name
            # The namespace is nowhere in the arguments: kustomize would not find it there.
            assert not [word for word in container["args"] if ".turnpike." in word], name
