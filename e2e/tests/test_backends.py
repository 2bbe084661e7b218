"""A backend that dies shows in the status of its model, and so does its return."""

import kube
import upstream
from expect import served
from kube import condition, eventually
from objects import namespaced, provider, secret


def backends(api, namespace, name):
    """The column BACKENDS, and status and reason of Ready."""
    item = api.get("ModelDeployment", namespace, name)
    return item["status"].get("backendsText"), condition(item, "Ready")[:2]


def test_a_killed_backend_shows_and_comes_back(api, release, namespace):
    upstream.start(api, namespace)
    upstream.wait(api, namespace)
    model = provider(namespace, "echo", f"http://upstream.{namespace}.svc:4000/v1", health={"interval": "1s"},
                     price={"perRequest": "0"})
    route = namespaced("ModelDeployment", namespace, "way", {"route": {"targets": [{"modelRef": {"name": "echo"}}]}})
    api.apply(secret(namespace, "upstream", **{"api-key": upstream.KEY}))
    served(api, model, route)
    well, ill = ("1/1", ("True", "Ready")), ("0/1", ("False", "BackendUnhealthy"))
    for name in ("echo", "way"):
        eventually(lambda name=name: backends(api, namespace, name) == well, f"{name} has one backend, which is well")
    header, row = kube.kubectl("get", "mdep", "echo", "--namespace", namespace, "--output=wide").splitlines()
    at = header.index("BACKENDS")
    assert row[at:at + 3] == "1/1"
    api.delete("Pod", namespace, "upstream")
    for name in ("echo", "way"):
        eventually(lambda name=name: backends(api, namespace, name) == ill, f"{name} says that its backend is gone", within=60)
    told = eventually(lambda: [one for one in api.events(namespace, "echo") if one[1] == "BackendUnhealthy"], "an event tells")
    assert [kind for kind, *_ in told] == ["Warning"]
    upstream.start(api, namespace)
    upstream.wait(api, namespace)
    for name in ("echo", "way"):
        eventually(lambda name=name: backends(api, namespace, name) == well, f"{name} is well again", within=60)
