"""A small external.metrics.k8s.io with one metric, whose value a test sets: what adapters of Prometheus and the like serve to
HorizontalPodAutoscalers."""

import base64
import json
import ssl
import subprocess
from datetime import UTC, datetime

import kube
from upstream import Listener

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
API = f"/apis/{GROUP}/{VERSION}"
METRIC = "queued"
NAME = f"{VERSION}.{GROUP}"


class ExternalMetrics:
    """The API, registered with the apiserver, and served by the test."""

    def __init__(self, api, namespace, folder):
        self.api, self.namespace = api, namespace
        key, certificate = folder / "metrics.key", folder / "metrics.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=metrics",
                        "-addext", f"subjectAltName=DNS:metrics.{namespace}.svc", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True, timeout=60)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.listener = Listener(api, tls=context)
        self.listener.behind(api, namespace, "metrics")
        resource = {"name": METRIC, "singularName": "", "namespaced": True, "kind": "ExternalMetricValueList", "verbs": ["get"]}
        self.listener.pages[API] = json.dumps({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}", "resources": [resource]}).encode()
        self.set(0)
        service = {"name": "metrics", "namespace": namespace, "port": self.listener.port}
        spec = {"group": GROUP, "version": VERSION, "groupPriorityMinimum": 100, "versionPriority": 100, "service": service,
                "caBundle": base64.b64encode(certificate.read_bytes()).decode()}
        api.apply({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": NAME}, "spec": spec})
        kube.eventually(lambda: kube.condition(api.get("APIService", None, NAME), "Available")[0] == "True",
                        "the apiserver has the metrics' API")

    def set(self, value):
        """What the metric is from now on."""
        item = {"metricName": METRIC, "metricLabels": {}, "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "value": str(value)}
        self.listener.pages[f"{API}/namespaces/{self.namespace}/{METRIC}"] = json.dumps({
            "kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": [item]}).encode()

    def autoscaler(self, name, most, target):
        """One of the cluster's own, that scales a ModelDeployment by the metric."""
        metric = {"type": "External", "external": {"metric": {"name": METRIC}, "target": {"type": "Value", "value": str(target)}}}
        return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"scaleTargetRef": {"apiVersion": "turnpike.dev/v1alpha1", "kind": "ModelDeployment", "name": name},
                         "minReplicas": 1, "maxReplicas": most, "metrics": [metric],
                         "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}

    def close(self):
        """Takes the API away again: a registered one that does not answer keeps every namespace from ending."""
        self.api.delete("APIService", None, NAME)
        self.listener.close()
