"""JSON schemas for kubeconform from files that are here anyway: Kubernetes' OpenAPI document, and CRDs.

kubeconform would fetch them from the net one by one. Strict: a member that the API does not know is an error.
"""

import json
import subprocess
from pathlib import Path

import yaml

PREFIX = "#/definitions/"
# Of these the OpenAPI document says less than the API server takes.
LOOSE = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}


def module(name, version):
    """The folder of a Go module's source."""
    done = subprocess.run(["go", "mod", "download", "-json", f"{name}@{version}"], capture_output=True, text=True,
                          check=False, cwd="/", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(json.loads(done.stdout)["Dir"])


def close(schema):
    """The schema with no members allowed beside those that it lists."""
    closed = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            closed[key] = close(schema[key])
    if "properties" in schema:
        closed["properties"] = {name: close(one) for name, one in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        closed["type"] = ["string", "integer"]
        closed.pop("anyOf", None)
    return closed


def reached(name, definitions):
    """The definition's name and those of all that it refers to."""
    seen, waiting = set(), [name]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for part in json.dumps(definitions[current]).split(f'"$ref": "{PREFIX}')[1:]:
            waiting.append(part.split('"')[0])
    return seen


def write(folder, group, version, kind, schema):
    """Writes one schema where kubeconform's template finds it; to it the core group's name is that of the version."""
    path = folder / f"{kind.lower()}-{group or version}-{version}.json"
    path.write_text(json.dumps(schema))


def from_openapi(document, folder):
    """Schemas of everything that has a kind in Kubernetes' swagger.json."""
    definitions = json.loads(document.read_text())["definitions"]
    closed = {name: LOOSE.get(name, close(one)) for name, one in definitions.items()}
    for name, definition in definitions.items():
        kinds = definition.get("x-kubernetes-group-version-kind", [])
        if len(kinds) != 1:
            continue
        schema = {"$ref": PREFIX + name, "definitions": {one: closed[one] for one in reached(name, closed)}}
        write(folder, kinds[0]["group"], kinds[0]["version"], kinds[0]["kind"], schema)


def from_crd(path, folder):
    """Schemas of the versions of a CRD."""
    for crd in yaml.safe_load_all(path.read_text()):
        if not crd or crd.get("kind") != "CustomResourceDefinition":
            continue
        for version in crd["spec"]["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"},
                                     "metadata": {"type": "object"}}
            write(folder, crd["spec"]["group"], version["name"], crd["spec"]["names"]["kind"], close(schema))
