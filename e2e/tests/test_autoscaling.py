"""The gateways' HorizontalPodAutoscaler under clients that call all the time. What pods use is what the test says: the cluster has
no metrics-server, and the test answers in its place (harness/metrics_api.py)."""

import subprocess

import pytest

import kube
from expect import served
from kube import eventually
from load import Load
from metrics_api import PodMetrics
from objects import key, mock, of_instance
from release import Release

NAME, GATEWAY = "scaling", "scaling-gateway"


@pytest.fixture
def scaled(api):
    """An installation of its own, of two gateways."""
    release = Release(api, NAME, f"{NAME}-system", **{
        "operator.instance": NAME, "gateway.replicas": 2, "gateway.resources.requests.cpu": "10m", "gateway.shutdownDelay": "2s"})
    release.install()
    yield release
    release.uninstall()
    api.delete("Namespace", None, release.namespace)


@pytest.fixture
def metrics(api, scaled, tmp_path):
    """What pods use."""
    api_of_metrics = PodMetrics(api, scaled.namespace, tmp_path)
    yield api_of_metrics
    api_of_metrics.close()


@pytest.fixture
def model(api, scaled, namespace, value):
    """A model and the key of its clients."""
    served(api, *[of_instance(NAME, item) for item in (mock(namespace, "gpt"), key(namespace, "app", value))])
    return "gpt"


def test_gateways_follow_the_load_and_no_request_fails(api, scaled, metrics, model, value):
    def there_are(number):
        eventually(lambda: len(scaled.gateways()) == len(scaled.pods()) == number, f"{number} gateways", 90, 0.2)
    watch = subprocess.Popen(["kubectl", "get", "deployment", GATEWAY, "--namespace", scaled.namespace, "--watch",
                              "--output=jsonpath={.spec.replicas}{'\\n'}"], stdout=subprocess.PIPE, text=True)
    try:
        with Load(scaled.url, value, model, lambda text: text == "Hello from Turnpike", retries=0, clients=4) as running:
            # 70 % of what they ask for: neither too much nor too little.
            metrics.cpu = "7m"
            scaled.values |= {"gateway.autoscaling.enabled": True, "gateway.autoscaling.maxReplicas": 4,
                              "gateway.autoscaling.behavior.scaleDown.stabilizationWindowSeconds": 0}
            scaled.install()
            def autoscaler():
                return api.get("HorizontalPodAutoscaler", scaled.namespace, GATEWAY)
            eventually(lambda: kube.condition(autoscaler(), "ScalingActive")[0] == "True", "it has what pods use")
            metrics.cpu = "30m"
            there_are(4)
            metrics.cpu = "7m"
            scaled.install("--set-string", "gateway.service.labels.upgraded=yes")
            there_are(4)
            eventually(lambda: autoscaler()["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"] == 70,
                       "it goes by all four")
            metrics.cpu = "1m"
            there_are(2)
        running.check(least=200)
    finally:
        watch.terminate()
        steps = [int(line) for line in watch.communicate(timeout=30)[0].split()]
    seen = [one for number, one in enumerate(steps) if number == 0 or one != steps[number - 1]]
    print(f"{running.answered} requests while there were {seen} gateways")
    assert seen == [2, 4, 2], "nothing but the autoscaler changes their number"
