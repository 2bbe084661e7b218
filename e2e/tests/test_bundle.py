"""The bundle's objects in the cluster: whoever edits, deletes or replaces them, gateways serve on and the operator mends."""

import base64
import hashlib
import json
import secrets

import pytest

import kube
from bundle import MANIFEST, MODELS, PREFIX, canonical, manifest, signed
from objects import key, mock, namespaced, provider, secret
from release import OPERATORS, ask, is_ready, programmed, said


@pytest.fixture
def model(api, release, namespace, value):
    """A model and a key that every gateway serves; asks every gateway and gives the answers."""
    api.apply(mock(namespace, "m", "first"), key(namespace, "k", value))
    kube.eventually(lambda: programmed(api, "ModelDeployment", namespace, "m")
                    and programmed(api, "VirtualKey", namespace, "k"), "the model and the key are served")

    def answers():
        return {said(ask(url, value, "m")) for url in release.gateways()}
    assert answers() == {"first"}
    return answers


def parts(api, release):
    """The bundle's objects: kind and name to resourceVersion and data."""
    labels = "turnpike.dev/instance=turnpike,app.kubernetes.io/managed-by=turnpike-operator"
    return {(kind, item["metadata"]["name"]): (item["metadata"]["resourceVersion"], item["data"])
            for kind in ("ConfigMap", "Secret") for item in api.list(kind, release.namespace, labels)
            if item["metadata"]["name"].startswith(PREFIX)}


def whole(api, release):
    """The published manifest, if everything lies there as it says, and nothing else does."""
    found = {}
    for (kind, name), (_, content) in parts(api, release).items():
        part = name.removeprefix(PREFIX)
        text = content.get(part, "")
        found[part] = text.encode() if kind == "ConfigMap" else base64.b64decode(text)
    try:
        listed = json.loads(found.pop("manifest"))
    except (KeyError, ValueError):
        return None
    hashes = {part: hashlib.sha256(content).hexdigest() for part, content in found.items()}
    fits = signed(listed) == canonical(listed)
    return listed if fits and hashes == {shard["name"]: shard["hash"] for shard in listed["shards"]} else None


EDITS = {
    "a shard is emptied": lambda api, ns: api.merge("ConfigMap", ns, MODELS, {"data": {"models-00": "{}"}}),
    "a shard is frozen": lambda api, ns: api.merge("ConfigMap", ns, MODELS, {"immutable": True, "data": {"models-00": ""}}),
    "the manifest is torn": lambda api, ns: api.merge("ConfigMap", ns, MANIFEST, {"data": {"manifest": '{"format":1,'}}),
    "the manifest has 1 MB": lambda api, ns: api.merge("ConfigMap", ns, MANIFEST, {"data": {"manifest": "x" * 1_000_000}}),
    "the manifest is deleted": lambda api, ns: api.delete("ConfigMap", ns, MANIFEST),
    "the keys are deleted": lambda api, ns: api.delete("Secret", ns, "turnpike-bundle-keys-00"),
    "a label is taken away": lambda api, ns: api.merge(
        "Secret", ns, "turnpike-bundle-keys-00", {"metadata": {"labels": {"turnpike.dev/instance": None}}}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_edited_by_hand_is_mended_and_serving_goes_on(api, release, model, edit):
    kube.eventually(lambda: whole(api, release), "all is well")
    EDITS[edit](api, release.namespace)
    for _ in range(10):
        assert model() == {"first"}
    kube.eventually(lambda: whole(api, release), f"mended after {edit}", within=15)
    assert model() == {"first"}
    kube.eventually(lambda: "BundleEdited" in {reason for _, reason, _ in api.events(release.namespace, MANIFEST)},
                    "an event says so")


def test_a_bundle_from_before_is_not_served_and_is_replaced(api, release, namespace, model):
    old = parts(api, release)
    api.apply(mock(namespace, "m", "second"))
    kube.eventually(lambda: programmed(api, "ModelDeployment", namespace, "m"), "the change is served")
    new = manifest(api, release)
    assert "first" in old[("ConfigMap", MODELS)][1]["models-00"]
    for name in (MODELS, MANIFEST):
        _, content = old[("ConfigMap", name)]
        api.merge("ConfigMap", release.namespace, name, {"data": content})
    for _ in range(20):
        assert model() == {"second"}
    kube.eventually(lambda: (whole(api, release) or {"version": 0})["version"] >= new["version"], "the new bundle is back",
                    within=15)
    assert model() == {"second"}


def test_a_newer_bundle_of_another_writer_is_gone_on_from(api, release, namespace, model):
    operator = kube.eventually(lambda: [pod for pod in release.pods(OPERATORS) if is_ready(pod)], "there is an operator")
    restarts = operator[0]["status"]["containerStatuses"][0]["restartCount"]
    foreign = manifest(api, release)
    foreign["version"] += 3_600_000
    api.merge("ConfigMap", release.namespace, MANIFEST, {"data": {"manifest": signed(foreign)}})

    def restarted():
        now = [pod for pod in release.pods(OPERATORS) if is_ready(pod)]
        return now and now[0]["status"]["containerStatuses"][0]["restartCount"] > restarts
    kube.eventually(restarted, "the operator has stopped and started again", within=60)
    api.apply(mock(namespace, "m", "second"))
    kube.eventually(lambda: programmed(api, "ModelDeployment", namespace, "m"), "a change is served", within=60)
    assert manifest(api, release)["version"] > foreign["version"]
    assert model() == {"second"}


def test_a_restarted_operator_writes_no_part_again(api, release, model):
    # Namespaces of other tests are still being emptied, which changes the bundle.
    kube.eventually(lambda: not [item for item in api.list("Namespace") if "deletionTimestamp" in item["metadata"]],
                    "other namespaces are gone", within=120, every=0.5)
    kube.eventually(lambda: whole(api, release), "all is well")
    before = parts(api, release)
    for pod in release.pods(OPERATORS):
        api.delete("Pod", release.namespace, pod["metadata"]["name"])
    kube.eventually(lambda: [pod for pod in release.pods(OPERATORS) if is_ready(pod)], "there is an operator", within=60)
    leads = "turnpike-operator"
    names = [pod["metadata"]["name"] for pod in release.pods(OPERATORS)]
    kube.eventually(lambda: any(name in (api.get("Lease", release.namespace, leads)["spec"].get("holderIdentity") or "")
                                for name in names), "it leads", within=60)
    assert model() == {"first"}
    assert parts(api, release) == before


def test_forty_shards_are_loaded_and_join_again(api, release, namespace, model):
    big = {"labels": {"size": "big"}}
    for number in range(480):
        spec = {"mock": {"response": f"{number} {'x' * 8000}"}}
        api.apply(namespaced("ModelDeployment", namespace, f"big-{number}", spec, **big))
    kube.eventually(lambda: len(manifest(api, release)["shards"]) >= 40, "there are forty shards", within=60, every=0.5)
    kube.eventually(lambda: programmed(api, "ModelDeployment", namespace, "big-479"), "the last one is served", within=60)
    assert whole(api, release)
    assert model() == {"first"}
    api.call("DELETE", kube.path("ModelDeployment", namespace), params={"labelSelector": "size=big"})

    def joined():
        now = whole(api, release)
        return now and len([shard for shard in now["shards"] if shard["kind"] == "models"]) == 1
    kube.eventually(joined, "what is no longer needed is deleted", within=60, every=0.5)
    assert model() == {"first"}


def test_no_config_map_holds_a_key_or_a_credential(api, release, namespace, value):
    credential = "sk-upstream-" + secrets.token_hex(16)
    header = "team-" + secrets.token_hex(16)
    headers = [{"name": "x-team", "value": header}]
    api.apply(secret(namespace, "upstream", **{"api-key": credential}), key(namespace, "k", value),
              provider(namespace, "p", "http://192.0.2.1/v1", provider={"headers": headers}))
    kube.eventually(lambda: programmed(api, "ModelDeployment", namespace, "p")
                    and programmed(api, "VirtualKey", namespace, "k"), "both are served")
    digest = hashlib.sha256(value.encode()).hexdigest()
    public = json.dumps(api.list("ConfigMap", release.namespace))
    for text in (credential, header, value, digest):
        assert text not in public
        assert base64.b64encode(text.encode()).decode() not in public
    private = b"".join(base64.b64decode(text) for item in api.list("Secret", release.namespace)
                       for text in item.get("data", {}).values()).decode(errors="replace")
    assert credential in private and header in private and digest in private
    assert value not in private, "the key itself is nowhere"
