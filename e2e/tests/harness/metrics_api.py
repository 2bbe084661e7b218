"""What HorizontalPodAutoscalers ask, served by the test, which sets what they are told: in a cluster of a user's the
metrics-server, and adapters of Prometheus and the like."""

import json
from datetime import UTC, datetime

import kube
from upstream import secure

METRIC = "queued"


def now():
    """As metrics have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class MetricsApi:
    """An API of metrics, registered with the apiserver, and served by the test."""

    def __init__(self, api, namespace, folder, group, resource):
        self.api, self.namespace, self.version = api, namespace, f"{group}/v1beta1"
        self.name = f"v1beta1.{group}"
        self.listener, certificate = secure(api, namespace, "metrics", folder)
        self.page("", {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": self.version, "resources": [
            {"singularName": "", "namespaced": True, "verbs": ["get"], **resource}]})
        service = {"name": "metrics", "namespace": namespace, "port": self.listener.port}
        spec = {"group": group, "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100, "service": service,
                "caBundle": certificate}
        api.apply({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": self.name}, "spec": spec})
        kube.eventually(lambda: kube.condition(api.get("APIService", None, self.name), "Available")[0] == "True",
                        "the apiserver has the metrics' API")

    def page(self, path, answer):
        """What is answered below the API's path: an object, or what makes it when it is asked for."""
        make = answer if callable(answer) else lambda: answer
        self.listener.pages[f"/apis/{self.version}{path}"] = lambda: json.dumps(make()).encode()

    def close(self):
        """Takes the API away again: a registered one that does not answer keeps every namespace from ending."""
        self.api.delete("APIService", None, self.name)
        self.listener.close()


class ExternalMetrics(MetricsApi):
    """external.metrics.k8s.io with one metric."""

    def __init__(self, api, namespace, folder):
        super().__init__(api, namespace, folder, "external.metrics.k8s.io", {"name": METRIC, "kind": "ExternalMetricValueList"})
        self.set(0)

    def set(self, value):
        """What the metric is from now on."""
        item = {"metricName": METRIC, "metricLabels": {}, "timestamp": now(), "value": str(value)}
        self.page(f"/namespaces/{self.namespace}/{METRIC}", {
            "kind": "ExternalMetricValueList", "apiVersion": self.version, "metadata": {}, "items": [item]})

    def autoscaler(self, name, most, target):
        """One of the cluster's own, that scales a ModelDeployment by the metric."""
        metric = {"type": "External", "external": {"metric": {"name": METRIC}, "target": {"type": "Value", "value": str(target)}}}
        return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"scaleTargetRef": {"apiVersion": "turnpike.dev/v1alpha1", "kind": "ModelDeployment", "name": name},
                         "minReplicas": 1, "maxReplicas": most, "metrics": [metric],
                         "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}


class PodMetrics(MetricsApi):
    """metrics.k8s.io, which says that every container of a namespace's pods uses the same."""

    def __init__(self, api, namespace, folder):
        super().__init__(api, namespace, folder, "metrics.k8s.io", {"name": "pods", "kind": "PodMetrics"})
        self.cpu = "0"
        self.page(f"/namespaces/{namespace}/pods", self.measured)

    def measured(self):
        """All pods that there are now, measured over the last second."""
        items = [{"metadata": {"name": pod["metadata"]["name"], "namespace": self.namespace}, "timestamp": now(), "window": "1s",
                  "containers": [{"name": container["name"], "usage": {"cpu": self.cpu, "memory": "1Mi"}}
                                 for container in pod["spec"]["containers"]]}
                 for pod in self.api.list("Pod", self.namespace)]
        return {"kind": "PodMetricsList", "apiVersion": self.version, "metadata": {}, "items": items}
