"""What the operator costs the apiserver: nothing but Lease renewals while nothing changes, and no right that it lacks."""

import collections
import os
import time

import pytest

import audit
from kube import eventually
from objects import generated, key, mock
from release import programmed

pytestmark = pytest.mark.skipif("AUDIT_LOG" not in os.environ, reason="only the tests' own cluster has an audit log")

WATCHED = 60


def of_operator(entry, release):
    """A request of the operator's ServiceAccount."""
    return entry["user"]["username"] == f"system:serviceaccount:{release.namespace}:{release.name}-operator"


def test_nothing_is_written_while_nothing_changes(api, release, namespace, value):
    api.apply(mock(namespace, "model"), key(namespace, "known", value), generated(namespace, "made"))
    for name in ("known", "made"):
        eventually(lambda: programmed(api, "VirtualKey", namespace, name), f"{name} is programmed")
    # Events are written a moment after what they tell of.
    time.sleep(5)
    start = audit.end()
    time.sleep(WATCHED)
    asked = collections.Counter(audit.asked(entry) for entry in audit.entries(start) if of_operator(entry, release))
    print(f"\nrequests of the operator in {WATCHED} s: {dict(asked)}")
    lease = ("coordination.k8s.io", "leases", "update")
    assert 0 < asked[lease] <= WATCHED / 4, asked
    others = {what: times for what, times in asked.items() if what[2] not in ("get", "list", "watch") and what != lease}
    assert not others, others


def test_no_right_is_missing(release):
    refused = [(audit.asked(entry), entry["requestURI"]) for entry in audit.entries()
               if of_operator(entry, release) and entry["responseStatus"]["code"] == 403]
    assert not refused, refused[:10]


def test_gateways_never_ask_the_apiserver(api, release):
    for pod in release.pods():
        mounts = [mount["mountPath"] for container in pod["spec"]["containers"]
                  for mount in container.get("volumeMounts", [])]
        assert not any("serviceaccount" in mount for mount in mounts), mounts
    users = {entry["user"]["username"] for entry in audit.entries()}
    assert not [user for user in users if user.endswith(f":{release.name}-gateway")], users
