"""The bundle is damaged while no operator runs: gateways serve on, say what they refused, and nobody's status flips."""

import hashlib
import json
import secrets

import httpx
import pytest

import kube
from bundle import MANIFEST, MODELS, manifest, signed
from objects import key, mock
from release import OPERATORS, ask, is_ready, programmed, said


def scaled(api, release, count):
    """Waits until there are so many operators."""
    api.merge("Deployment", release.namespace, f"{release.name}-operator", {"spec": {"replicas": count}})
    kube.eventually(lambda: len(api.list("Pod", release.namespace, OPERATORS)) == count
                    and all(is_ready(pod) for pod in release.pods(OPERATORS)), f"{count} operators", within=60)


def rejections(api, release):
    """The parts that each gateway refuses, after its kubelet was made to look at the volumes."""
    found = []
    for pod in release.pods():
        api.merge("Pod", release.namespace, pod["metadata"]["name"],
                  {"metadata": {"annotations": {"e2e.test/touch": secrets.token_hex(4)}}})
        answer = httpx.get(f"http://{pod['status']['podIP']}:4001/health/readiness", timeout=10)
        assert answer.status_code == 200, answer.text
        found.append({one["part"]: one["reason"] for one in answer.json()["rejected"]})
    return found


DAMAGE = {
    "a torn shard": ("models-00", lambda api, ns: api.merge("ConfigMap", ns, MODELS, {"data": {"models-00": '{"form'}})),
    "a shard deleted": ("models-00", lambda api, ns: api.delete("ConfigMap", ns, MODELS)),
    "garbage": ("manifest", lambda api, ns: api.merge("ConfigMap", ns, MANIFEST, {"data": {"manifest": "garbage"}})),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused_and_healed(api, release, namespace, value, damage):
    api.apply(mock(namespace, "m", "good"), key(namespace, "k", value))
    for kind, name in (("ModelDeployment", "m"), ("VirtualKey", "k")):
        kube.eventually(lambda: programmed(api, kind, namespace, name), f"{name} is served")
    before = kube.condition(api.get("ModelDeployment", namespace, "m"), "Programmed")
    part, inflict = DAMAGE[damage]
    scaled(api, release, 0)
    try:
        inflict(api, release.namespace)
        kube.eventually(lambda: all(part in one for one in rejections(api, release)), f"all gateways refuse {part}",
                        within=60, every=2)
        assert len(release.gateways()) == 3
        assert {said(ask(url, value, "m")) for url in release.gateways()} == {"good"}
    finally:
        scaled(api, release, 1)
    kube.eventually(lambda: not any(rejections(api, release)), "healed", within=60, every=1)
    assert {said(ask(url, value, "m")) for url in release.gateways()} == {"good"}
    assert kube.condition(api.get("ModelDeployment", namespace, "m"), "Programmed") == before


def test_the_bundle_of_an_older_operator_is_served_and_replaced(api, release, namespace, value):
    where = [("ModelDeployment", "m"), ("VirtualKey", "k")]
    def answers():
        return {said(ask(url, value, "m")) for url in release.gateways()}
    api.apply(mock(namespace, "m", "of this operator"), key(namespace, "k", value))
    kube.eventually(lambda: all(programmed(api, kind, namespace, name) for kind, name in where), "both are served")
    scaled(api, release, 0)
    try:
        # What it would have written: the format before this one has no endpoints.
        old = manifest(api, release)
        assert old["format"] == 2
        models = api.get("ConfigMap", release.namespace, MODELS)["data"]["models-00"]
        models = models.replace("of this operator", "of the older one")
        [listed] = [shard for shard in old["shards"] if shard["name"] == "models-00"]
        listed["hash"] = hashlib.sha256(models.encode()).hexdigest()
        old |= {"format": 1, "version": old["version"] + 1,
                "shards": [shard for shard in old["shards"] if shard["kind"] != "endpoints"]}
        api.merge("ConfigMap", release.namespace, MODELS, {"data": {"models-00": models}})
        api.merge("ConfigMap", release.namespace, MANIFEST, {"data": {"manifest": signed(old)}})
        api.delete("ConfigMap", release.namespace, "turnpike-bundle-endpoints-00")
        kube.eventually(lambda: not any(rejections(api, release)) and answers() == {"of the older one"}, "all gateways serve it",
                        within=60, every=1)
    finally:
        scaled(api, release, 1)
    kube.eventually(lambda: answers() == {"of this operator"}, "it is replaced", within=60)
    new = manifest(api, release)
    assert new["format"] == 2 and new["version"] > old["version"]
    kube.eventually(lambda: all(programmed(api, kind, namespace, name) for kind, name in where), "both are served by it")


def test_an_object_that_cannot_be_read_keeps_its_last_good_state(api, release, namespace, value):
    api.apply(mock(namespace, "bad", "good"), mock(namespace, "other", "first"), key(namespace, "k", value))
    for kind, name in (("ModelDeployment", "bad"), ("ModelDeployment", "other"), ("VirtualKey", "k")):
        kube.eventually(lambda: programmed(api, kind, namespace, name), f"{name} is served")
    crd = "modeldeployments.turnpike.dev"
    spec = api.get("CustomResourceDefinition", None, crd)["spec"]
    relaxed = json.loads(json.dumps(spec))
    mocked = relaxed["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["mock"]
    mocked["properties"]["response"] = {"x-kubernetes-preserve-unknown-fields": True}
    mocked.pop("x-kubernetes-validations", None)

    def stored():
        try:
            return api.merge("ModelDeployment", namespace, "bad", {"spec": {"mock": {"response": {"not": "text"}}}})
        except AssertionError:
            return None  # the new schema is not in force yet
    try:
        api.merge("CustomResourceDefinition", None, crd, {"spec": relaxed})
        kube.eventually(stored, "the bad object is stored", within=20, every=0.5)
        kube.eventually(lambda: [note for kind, reason, note in api.events(namespace, "bad")
                                 if (kind, reason) == ("Warning", "Invalid") and "cannot be read" in note],
                        "an event says so")
        api.apply(mock(namespace, "other", "second"))
        kube.eventually(lambda: programmed(api, "ModelDeployment", namespace, "other"), "others are updated")
        for url in release.gateways():
            assert (said(ask(url, value, "bad")), said(ask(url, value, "other"))) == ("good", "second")
        api.merge("ModelDeployment", namespace, "bad", {"spec": {"mock": {"response": "mended"}}})
        kube.eventually(lambda: {said(ask(url, value, "bad")) for url in release.gateways()} == {"mended"}, "it is mended")
    finally:
        api.merge("CustomResourceDefinition", None, crd, {"spec": spec})
