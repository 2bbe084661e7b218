"""Keys that the operator makes, replaces and revokes, as clients and their owners see it."""

import base64
import hashlib
import time

import pytest

import kube
from objects import generated, key, mock, secret
from release import IMAGE, ask, secret_value

ROTATE = "turnpike.dev/rotate"


@pytest.fixture
def model(api, release, namespace):
    """A model of the namespace that every gateway serves."""
    api.apply(mock(namespace, "hello"))
    kube.kubectl("wait", "--namespace", namespace, "--for=condition=Ready", "--timeout=60s", "modeldeployment/hello")
    return "hello"


def everywhere(release, value, model, status):
    """Whether every gateway answers so."""
    return all(ask(url, value, model).status_code == status for url in release.gateways())


def await_everywhere(release, value, model, status, within=20.0):
    """Waits until every gateway answers so."""
    kube.eventually(lambda: everywhere(release, value, model, status), f"{status} from every gateway", within)


def minted(api, namespace, name="bot-key", data="api-key"):
    """The value of a minted Secret, once it is there."""
    return kube.eventually(lambda: api.find("Secret", namespace, name) and secret_value(api, namespace, name, data),
                           f"the Secret {name}")


def annotations(api, namespace, name="bot-key"):
    """Those of a Secret."""
    return api.get("Secret", namespace, name)["metadata"]["annotations"]


def rotate(api, namespace, value, before):
    """Asks for a new key; its value."""
    api.merge("VirtualKey", namespace, "bot", {"metadata": {"annotations": {ROTATE: value}}})
    return kube.eventually(lambda: (now := minted(api, namespace)) != before and now, "a new key")


def reasons(api, namespace, name):
    """Reasons of the events about an object."""
    return [reason for _, reason, _ in api.events(namespace, name)]


def test_a_key_is_made_once_and_shown_nowhere_else(api, release, namespace, model):
    api.apply(generated(namespace, "bot"))
    value = minted(api, namespace)
    assert value.startswith("sk-") and len(value) == 46
    await_everywhere(release, value, model, 200)
    owner = api.get("Secret", namespace, "bot-key")["metadata"]["ownerReferences"]
    made = api.get("VirtualKey", namespace, "bot")
    assert [(one["kind"], one["uid"], one["controller"]) for one in owner] == [
        ("VirtualKey", made["metadata"]["uid"], True)]
    kube.eventually(lambda: "KeyMinted" in reasons(api, namespace, "bot"), "an event")
    log = kube.kubectl("logs", "--namespace", release.namespace, "--selector", "app.kubernetes.io/component=operator",
                       "--tail=-1")
    shown = log + str(made) + str(api.events(namespace, "bot")) + str(annotations(api, namespace))
    assert value not in shown and base64.b64encode(value.encode()).decode() not in shown
    for part in api.list("ConfigMap", release.namespace):
        assert value not in str(part) and hashlib.sha256(value.encode()).hexdigest() not in str(part)


def test_both_keys_work_in_an_overlap_and_a_new_leader_does_not_rotate_again(api, release, namespace, model):
    api.apply(generated(namespace, "bot"))
    first = minted(api, namespace)
    await_everywhere(release, first, model, 200)
    second = rotate(api, namespace, "1", first)
    await_everywhere(release, second, model, 200)
    assert everywhere(release, first, model, 200)
    third = rotate(api, namespace, "2", second)
    await_everywhere(release, third, model, 200)
    assert everywhere(release, first, model, 200) and everywhere(release, second, model, 200)
    before = annotations(api, namespace)
    lease = api.get("Lease", release.namespace, "turnpike-operator")["spec"]["holderIdentity"]
    kube.kubectl("delete", "pod", "--namespace", release.namespace, "--selector",
                 "app.kubernetes.io/component=operator", "--grace-period=0", "--force")
    kube.eventually(lambda: api.get("Lease", release.namespace, "turnpike-operator")["spec"]["holderIdentity"]
                    not in ("", lease), "a new leader", within=60)
    fourth = rotate(api, namespace, "3", third)
    after = annotations(api, namespace)
    assert after["turnpike.dev/previous-sha256"].endswith("," + before["turnpike.dev/previous-sha256"])
    assert after["turnpike.dev/retires-at"].endswith("," + before["turnpike.dev/retires-at"])
    await_everywhere(release, fourth, model, 200)
    assert everywhere(release, first, model, 200)


def test_a_key_is_replaced_by_interval_and_the_one_before_stops(api, release, namespace, model):
    api.apply(generated(namespace, "bot", rotation={"interval": "1m", "overlap": "15s"}))
    first = minted(api, namespace)
    await_everywhere(release, first, model, 200)
    second = kube.eventually(lambda: (now := minted(api, namespace)) != first and now, "a rotation", within=80)
    rotated = time.monotonic()
    await_everywhere(release, second, model, 200, within=10)
    assert everywhere(release, first, model, 200)
    await_everywhere(release, first, model, 401, within=20)
    assert time.monotonic() - rotated > 10
    assert everywhere(release, second, model, 200)


def test_a_secret_deleted_by_hand_revokes_its_key(api, release, namespace, model):
    api.apply(generated(namespace, "bot"))
    first = minted(api, namespace)
    await_everywhere(release, first, model, 200)
    second = rotate(api, namespace, "1", first)
    await_everywhere(release, second, model, 200)
    api.delete("Secret", namespace, "bot-key")
    third = minted(api, namespace)
    assert third not in (first, second)
    for gone in (first, second):
        await_everywhere(release, gone, model, 401)
    await_everywhere(release, third, model, 200)
    kube.eventually(lambda: ("Warning", "KeyReplaced") in [(kind, reason) for kind, reason, _ in
                                                            api.events(namespace, "bot")], "a warning")


def test_a_renamed_secret_keeps_its_key_without_a_gap(api, release, namespace, model):
    api.apply(generated(namespace, "bot"))
    value = minted(api, namespace)
    await_everywhere(release, value, model, 200)
    api.merge("VirtualKey", namespace, "bot", {"spec": {"generate": {"secretName": "two", "secretKey": "token"}}})
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert everywhere(release, value, model, 200)
    assert minted(api, namespace, "two", "token") == value
    assert api.find("Secret", namespace, "bot-key") is None


def test_a_secret_of_others_is_not_touched(api, release, namespace, model):
    theirs = secret(namespace, "bot-key", use=None, **{"api-key": "sk-" + "x" * 40})
    api.apply(theirs)
    before = api.get("Secret", namespace, "bot-key")
    api.apply(generated(namespace, "bot"))
    kube.eventually(lambda: kube.condition(api.get("VirtualKey", namespace, "bot"), "Ready")[1] == "SecretExists",
                    "Ready=False/SecretExists")
    kube.eventually(lambda: "SecretExists" in reasons(api, namespace, "bot"), "an event")
    api.merge("VirtualKey", namespace, "bot", {"metadata": {"annotations": {ROTATE: "1"}}})
    assert ask(release.url, "sk-" + "x" * 40, model).status_code == 401
    assert api.get("Secret", namespace, "bot-key") == before
    api.delete("Secret", namespace, "bot-key")
    kube.eventually(lambda: api.find("Secret", namespace, "bot-key"), "a key of our own", within=60)
    await_everywhere(release, minted(api, namespace), model, 200)


def test_a_deleted_key_is_gone_only_when_every_gateway_refuses_it(api, release, namespace, model):
    for number in range(5):
        name, value = f"k{number}", f"sk-{number:045}"
        api.apply(key(namespace, name, value))
        await_everywhere(release, value, model, 200)
        held = lambda: api.get("VirtualKey", namespace, name)["metadata"].get("finalizers")
        kube.eventually(held, "the finalizer")
        kube.kubectl("delete", "virtualkey", "--namespace", namespace, name, "--timeout=15s")
        assert everywhere(release, value, model, 401)


def test_a_silent_gateway_is_waited_for_and_warned_of(api, release, namespace, model, value):
    api.apply(key(namespace, "bot", value))
    await_everywhere(release, value, model, 200)
    kube.eventually(lambda: api.get("VirtualKey", namespace, "bot")["metadata"].get("finalizers"), "the finalizer")
    # Runs and answers nothing: an operator that has no rights.
    silent = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "silent", "namespace": release.namespace, "labels": {
            "app.kubernetes.io/component": "gateway", "turnpike.dev/instance": "turnpike"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": True,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "gateway", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                "command": ["turnpike-operator", "--instance=silent", f"--release-namespace={release.namespace}"],
                "readinessProbe": {"httpGet": {"path": "/none", "port": 4001}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                                    "readOnlyRootFilesystem": True}}]}}
    try:
        api.apply(silent)
        kube.eventually(lambda: any(one.get("state", {}).get("running") for one in
                                    api.get("Pod", release.namespace, "silent")["status"].get("containerStatuses", [])),
                        "the silent pod", within=60)
        start = time.monotonic()
        kube.kubectl("delete", "virtualkey", "--namespace", namespace, "bot", "--timeout=60s")
        assert 15 < time.monotonic() - start < 40
        notes = [note for _, reason, note in api.events(namespace, "bot") if reason == "RevocationUnconfirmed"]
        assert notes == ["1 of 4 gateway pods have not confirmed that they refuse the key"]
        assert all(ask(url, value, model).status_code == 401 for url in release.gateways())
    finally:
        api.delete("Pod", release.namespace, "silent")
        kube.eventually(lambda: api.find("Pod", release.namespace, "silent") is None, "the end of the silent pod", within=60)


def test_a_namespace_with_keys_goes(api, release, namespace, model):
    api.apply(*[generated(namespace, f"bot{number}") for number in range(5)])
    for number in range(5):
        minted(api, namespace, f"bot{number}-key")
    kube.kubectl("delete", "namespace", namespace, "--timeout=60s")
