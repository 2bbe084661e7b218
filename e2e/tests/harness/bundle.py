"""The bundle as it lies in the cluster."""

import hashlib
import json

PREFIX = "turnpike-bundle-"
MANIFEST = f"{PREFIX}manifest"
MODELS = f"{PREFIX}models-00"


def manifest(api, release):
    """The published manifest."""
    return json.loads(api.get("ConfigMap", release.namespace, MANIFEST)["data"]["manifest"])


def canonical(value):
    """Compact, with sorted members."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def signed(content):
    """A manifest's text, with the hash that fits it."""
    digest = hashlib.sha256(canonical({**content, "hash": ""}).encode()).hexdigest()
    return canonical({**content, "hash": digest})
