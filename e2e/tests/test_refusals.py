"""The last test on each cluster: of all that the operator asked for there, nothing was refused."""

import secrets

import pytest

import kube
from audit import OWN_CLUSTER, requests
from objects import generated, key, mock, secret
from release import programmed


@pytest.mark.skipif(not OWN_CLUSTER, reason="needs the apiserver's audit log")
def test_nothing_that_the_operator_asks_is_refused(api, release, namespace, value):
    api.apply(secret(namespace, "upstream", **{"api-key": "x"}), mock(namespace, "m"), key(namespace, "k", value),
              generated(namespace, "g"))
    kube.eventually(lambda: programmed(api, "VirtualKey", namespace, "g"), "g is programmed")
    api.merge("VirtualKey", namespace, "g", {"metadata": {"annotations": {"turnpike.dev/rotate": secrets.token_hex(4)}}})
    kube.eventually(lambda: "turnpike.dev/rotate-handled" in api.get("Secret", namespace, "g-key")["metadata"]["annotations"],
                    "g is rotated")
    for name in ("k", "g"):
        api.delete("VirtualKey", namespace, name)
    for name in ("k", "g"):
        kube.eventually(lambda: api.find("VirtualKey", namespace, name) is None, f"{name} is gone", within=60)
    asked, _ = requests(release)
    assert asked, "the audit log has the operator's requests"
    refused = {request for request, status in asked if status in (401, 403)}
    # In a namespace that is being deleted nothing may be created: not for want of rights.
    ending = {item["metadata"]["name"] for item in api.list("Namespace") if "deletionTimestamp" in item["metadata"]}
    living = {item["metadata"]["name"] for item in api.list("Namespace")} - ending | {""}
    assert not {request for request in refused if request[2] in living}
