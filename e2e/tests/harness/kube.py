"""The apiserver as the tests use it: a few verbs over HTTP through `kubectl proxy`, so that any kubeconfig works."""

import json
import re
import subprocess
import time

import httpx

GROUP = "/apis/turnpike.dev/v1alpha1"
# Kind to API root and plural.
KINDS = {
    "ModelDeployment": (GROUP, "modeldeployments"),
    "VirtualKey": (GROUP, "virtualkeys"),
    "Budget": (GROUP, "budgets"),
    "Namespace": ("/api/v1", "namespaces"),
    "Pod": ("/api/v1", "pods"),
    "PersistentVolume": ("/api/v1", "persistentvolumes"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "Secret": ("/api/v1", "secrets"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Service": ("/api/v1", "services"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "APIService": ("/apis/apiregistration.k8s.io/v1", "apiservices"),
    "ValidatingWebhookConfiguration": ("/apis/admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
CLUSTER_SCOPED = {"Namespace", "PersistentVolume", "APIService", "ValidatingWebhookConfiguration",
                  "CustomResourceDefinition"}


class Gone(Exception):
    """The object is not there."""


class Kube:
    """One connection to the apiserver."""

    def __init__(self):
        self.proxy = subprocess.Popen(["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True)
        line = self.proxy.stdout.readline()
        port = re.search(r":(\d+)", line)
        assert port, f"kubectl proxy said {line!r}"
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port[1]}", timeout=30,
                                 limits=httpx.Limits(max_keepalive_connections=32))

    def close(self):
        """Ends the proxy."""
        self.http.close()
        self.proxy.kill()
        self.proxy.wait()

    def call(self, method, path, **options):
        """One request; the answer's object. `Gone` for 404, and whatever else is not 2xx is a failure with its text."""
        response = self.http.request(method, path, **options)
        if response.status_code == 404:
            raise Gone(path)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    def get(self, kind, namespace, name):
        """One object."""
        return self.call("GET", path(kind, namespace, name))

    def find(self, kind, namespace, name):
        """One object, or None."""
        try:
            return self.get(kind, namespace, name)
        except Gone:
            return None

    def list(self, kind, namespace=None, labels=None):
        """All objects of a kind."""
        query = {"labelSelector": labels} if labels else {}
        return self.call("GET", path(kind, namespace), params=query)["items"]

    def apply(self, *objects):
        """Server-side apply; the last answer."""
        answer = None
        for item in objects:
            where = path(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
            answer = self.call("PATCH", where, params={"fieldManager": "e2e", "force": "true"},
                               content=json.dumps(item),
                               headers={"content-type": "application/apply-patch+yaml"})
        return answer

    def merge(self, kind, namespace, name, patch, subresource=""):
        """A merge patch."""
        return self.call("PATCH", path(kind, namespace, name) + subresource, content=json.dumps(patch),
                         headers={"content-type": "application/merge-patch+json"})

    def delete(self, kind, namespace, name, **options):
        """Deletes; does not wait, and is content if there is nothing."""
        try:
            return self.call("DELETE", path(kind, namespace, name), **options)
        except Gone:
            return None

    def events(self, namespace, name):
        """The events about an object: (type, reason, note)."""
        return [(event.get("type"), event.get("reason"), event.get("note"))
                for event in self.list("Event", namespace) if event.get("regarding", {}).get("name") == name]


def path(kind, namespace=None, name=None):
    """Where an object, or the list of a kind, is."""
    root, plural = KINDS[kind]
    scope = f"/namespaces/{namespace}" if namespace and kind not in CLUSTER_SCOPED else ""
    return f"{root}{scope}/{plural}" + (f"/{name}" if name else "")


def kubectl(*arguments, given=None, check=True):
    """Runs kubectl; its output."""
    done = subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True, timeout=180)
    assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout if check else done


def condition(item, kind):
    """(status, reason, message) of a condition; all None while it is not there."""
    for one in item.get("status", {}).get("conditions", []):
        if one["type"] == kind:
            return one["status"], one["reason"], one["message"]
    return None, None, None


def is_true(item, kind):
    """The condition is True for the object's present generation."""
    return any(one["type"] == kind and one["status"] == "True"
               and one.get("observedGeneration") == item["metadata"]["generation"]
               for one in item.get("status", {}).get("conditions", []))


def eventually(ask, what, within=30.0, every=0.05):
    """Asks until the answer is truthy, and gives it. Fails with the last answer."""
    end = time.monotonic() + within
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {within} s: {what}"
        time.sleep(every)
