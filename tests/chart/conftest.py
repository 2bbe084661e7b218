"""Schemas of the oldest Kubernetes that the chart supports and of the one that the tests' cluster runs."""

import re

import pytest
import schemas
from render import CHART, ROOT

KUBEBOX = ROOT / "e2e/cluster/kubebox/go.mod"
OLDEST = "v1.30.14"


def newest():
    """The version of the tests' cluster."""
    return re.search(r"k8s\.io/kubernetes (v[\d.]+)", KUBEBOX.read_text())[1]


@pytest.fixture(scope="session", params=["oldest", "newest"])
def schema_folder(request, tmp_path_factory):
    """A folder of schemas for kubeconform."""
    folder = tmp_path_factory.mktemp(request.param)
    version = OLDEST if request.param == "oldest" else newest()
    schemas.from_openapi(schemas.module("k8s.io/kubernetes", version) / "api/openapi-spec/swagger.json", folder)
    for path in sorted((CHART / "crds").glob("*.yaml")):
        schemas.from_crd(path, folder)
    return folder
