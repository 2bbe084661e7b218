"""The manifests that tests apply."""

import hashlib

API = "turnpike.dev/v1alpha1"


def namespaced(kind, namespace, name, spec, **metadata):
    """One of the three resources."""
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "namespace": namespace, **metadata}, "spec": spec}


def of_instance(name, item):
    """The same for the installation of this instance alone."""
    item["metadata"].setdefault("labels", {})["turnpike.dev/instance"] = name
    return item


def mock(namespace, name, response="Hello from Turnpike", **spec):
    """A model that answers by itself."""
    return namespaced("ModelDeployment", namespace, name, {"mock": {"response": response}, **spec})


def provider(namespace, name, base_url, secret="upstream", **spec):
    """A model behind an OpenAI-compatible server."""
    inner = {"type": "OpenAICompatible", "baseURL": base_url, "model": name, **spec.pop("provider", {})}
    if secret:
        inner["credentials"] = {"secretRef": {"name": secret, "key": "api-key"}}
    return namespaced("ModelDeployment", namespace, name, {"provider": inner, **spec})


def key(namespace, name, value, **spec):
    """A key that the test knows, kept by its hash alone."""
    digest = "sha256:" + hashlib.sha256(value.encode()).hexdigest()
    return namespaced("VirtualKey", namespace, name, {"keyHash": digest, "allowedModels": ["*"], **spec})


def generated(namespace, name, **spec):
    """A key that the operator makes."""
    return namespaced("VirtualKey", namespace, name, {"generate": {"secretName": f"{name}-key"}, "allowedModels": ["*"], **spec})


def secret(namespace, name, use="provider", **data):
    """A Secret that objects of its namespace may refer to."""
    labels = {"turnpike.dev/use": use} if use else {}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "stringData": data}
