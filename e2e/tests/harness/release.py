"""Turnpike as Helm installs it, seen from outside."""

import os
import subprocess
from pathlib import Path

import httpx
import pytest

import kube

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts/turnpike"
IMAGE = os.environ.get("TURNPIKE_IMAGE", "localhost/turnpike:e2e")
GATEWAYS = "app.kubernetes.io/component=gateway"
OPERATORS = "app.kubernetes.io/component=operator"


def helm(*arguments, check=True):
    """Runs helm; its output."""
    done = subprocess.run(["helm", *arguments], capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, f"helm {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout if check else done


class Release:
    """One installation."""

    def __init__(self, api, name="turnpike", namespace="turnpike-system", **values):
        self.api, self.name, self.namespace, self.values = api, name, namespace, values

    def install(self, *more):
        """`helm upgrade --install --wait` with the values of this release."""
        repository, _, tag = IMAGE.rpartition(":")
        values = {"image.repository": repository, "image.tag": tag, "image.pullPolicy": "IfNotPresent", **self.values}
        sets = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
        return helm("upgrade", "--install", self.name, str(CHART), "--namespace", self.namespace, "--create-namespace",
                    "--wait", "--timeout", "180s", *sets, *more)

    def uninstall(self):
        """`helm uninstall --wait`."""
        return helm("uninstall", self.name, "--namespace", self.namespace, "--wait", "--timeout", "120s")

    def must_be_reached(self):
        """Ends all tests where this machine is not in a network with the cluster's Services and pods."""
        try:
            for url in (self.url, *self.gateways()):
                httpx.get(f"{url}/health/liveness", timeout=20)
        except httpx.TransportError as error:
            pytest.exit(f"{url} of the cluster cannot be reached from here ({error}); run the tests where its Services and pods "
                        "are reached, such as on a node (e2e/cluster/README.md)", returncode=2)

    def pods(self, labels=GATEWAYS):
        """Its pods that are not being deleted."""
        return [pod for pod in self.api.list("Pod", self.namespace, labels)
                if "deletionTimestamp" not in pod["metadata"]]

    def gateways(self):
        """Base URLs of the ready gateway pods."""
        return [f"http://{pod['status']['podIP']}:4000" for pod in self.pods() if is_ready(pod)]

    def metrics(self, labels=GATEWAYS):
        """The metrics pages of its pods."""
        port = 4001 if labels == GATEWAYS else 8080
        return [httpx.get(f"http://{pod['status']['podIP']}:{port}/metrics", timeout=20).text for pod in self.pods(labels)]

    @property
    def url(self):
        """Base URL of the gateways' Service."""
        service = self.api.get("Service", self.namespace, f"{self.name}-gateway")
        return f"http://{service['spec']['clusterIP']}:4000"


def is_ready(pod):
    """Its Ready condition is True."""
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def operator_process(pod):
    """Process id of a pod's operator, as seen from here."""
    return process_of(pod, "turnpike-operator", "POD_NAME")


def process_of(pod, program, variable="HOSTNAME"):
    """Process id of a program in a pod, whose name a variable tells, as seen from here."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if program.encode() in (process / "cmdline").read_bytes().split(b"\0")[0]:
                if f"{variable}={pod}".encode() in (process / "environ").read_bytes().split(b"\0"):
                    return int(process.name)
        except OSError:
            continue
    raise AssertionError(f"no process of {pod}")


def ask(url, key, model, text="Hello", timeout=20.0, client=None, **more):
    """One chat completion, with more members of the body; the raw response."""
    return (client or httpx).post(f"{url}/v1/chat/completions", timeout=timeout,
                                  headers={"authorization": f"Bearer {key}"},
                                  json={"model": model, "messages": [{"role": "user", "content": text}], **more})


def said(response):
    """The assistant's text of a 200."""
    assert response.status_code == 200, f"{response.status_code} {response.text}"
    return response.json()["choices"][0]["message"]["content"]


def everywhere(release, key, model):
    """What all gateways answer: the text of a 200, else status and code, such as `404 model_not_found`."""
    def one(url):
        response = ask(url, key, model)
        return said(response) if response.status_code == 200 else f"{response.status_code} {response.json()['error']['code']}"
    return {one(url) for url in release.gateways()}


def secret_value(api, namespace, name, key):
    """What a Secret holds under a key."""
    import base64
    return base64.b64decode(api.get("Secret", namespace, name)["data"][key]).decode()


def admin_key(release):
    """The key that may call every model."""
    return secret_value(release.api, release.namespace, f"{release.name}-admin", "key")


def programmed(api, kind, namespace, name):
    """Whether every gateway serves the object's present generation."""
    item = api.find(kind, namespace, name)
    return item if item and kube.is_true(item, "Programmed") else None
