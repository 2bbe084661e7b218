"""The operator's rights: none is refused that it asks for (test_refusals.py), and none is granted that nothing uses.

One test does everything that takes a right which a start of the operator does not take, so that it holds by itself.
"""

import secrets

import pytest

import kube
from audit import OWN_CLUSTER, account, requests
from objects import generated, key, mock, namespaced, provider, secret
from release import OPERATORS, is_ready, programmed

# (where, group, resource, verb) that no test of minutes takes, and why it is granted.
UNUSED = {
    ("anywhere", "", "namespaces", "get"): "only a Role of --watch-namespaces uses it, which knows no list",
    ("anywhere", "events.k8s.io", "events", "patch"): "a repeated event is counted once in five minutes",
    ("release", "events.k8s.io", "events", "patch"): "a repeated event is counted once in five minutes",
    **{("anywhere", "monitoring.coreos.com", "podmonitors", verb): "the cluster has no Prometheus operator"
       for verb in ("get", "watch", "create", "patch", "delete")},
    **{("anywhere", group, resource, verb): why
       for group, resource in (("", "services"), ("", "serviceaccounts"), ("", "persistentvolumeclaims"),
                               ("apps", "deployments"), ("batch", "jobs"), ("networking.k8s.io", "networkpolicies"),
                               ("policy", "poddisruptionbudgets"))
       for verb, why in (("create", "an apply that creates needs it, and is a patch to the audit log"),
                         ("delete", "only a model that is no engine any more uses it"))},
}


def granted(api, release):
    """What every role that is bound to the operator allows: (where, group, resource, verb)."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    who = account(release).split(":")[2:]
    found = set()
    for bindings, where in ((f"{rbac}/clusterrolebindings", "anywhere"),
                            (f"{rbac}/namespaces/{release.namespace}/rolebindings", "release")):
        for binding in api.call("GET", bindings)["items"]:
            if not any([one.get("namespace"), one["name"]] == who for one in binding.get("subjects", [])):
                continue
            assert binding["roleRef"]["kind"] == ("ClusterRole" if where == "anywhere" else "Role"), binding
            role = api.call("GET", f"{bindings.removesuffix('bindings')}s/{binding['roleRef']['name']}")
            found |= {(where, group, resource, verb) for rule in role["rules"] for group in rule["apiGroups"]
                      for resource in rule["resources"] for verb in rule["verbs"]}
    return found


def used(release):
    """What was asked for since the operator was installed, in the same terms."""
    return {("release" if namespace == release.namespace else "anywhere", group, resource, verb)
            for (group, resource, namespace, verb), status in requests(release)[0] if status not in (401, 403)}


def engine(namespace, replicas):
    """A model on an engine with everything that engines have."""
    engine = {"image": "localhost/not-there:e2e", "source": {"huggingFace": {"repo": "acme/tiny"}}, "gpu": {"count": 0},
              "cache": {"size": "1Gi"}, "autoscaling": {"minReplicas": replicas, "maxReplicas": 1}}
    return namespaced("ModelDeployment", namespace, "e", {"vllm": engine, "price": {"perRequest": "0"}})


def volume(namespace):
    """What the claim of that engine's cache is bound to, so that a Job is made to fill it. No node can mount it."""
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": f"/tmp/{namespace}-e", "type": "Directory"}, "claimRef": {"namespace": namespace, "name": "e-engine"}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{namespace}-e"}, "spec": spec}


def operators(api, release, count):
    """Waits until there are so many."""
    api.merge("Deployment", release.namespace, f"{release.name}-operator", {"spec": {"replicas": count}})
    kube.eventually(lambda: len(api.list("Pod", release.namespace, OPERATORS)) == count
                    and all(is_ready(pod) for pod in release.pods(OPERATORS)), f"{count} operators", within=60)


def use_everything(api, release, namespace, value):
    """What the operator does now and then: keys replaced, moved and deleted, its own objects mended."""
    # One waits and watches; one gives the Lease back.
    operators(api, release, 2)
    operators(api, release, 0)
    operators(api, release, 1)
    budget = namespaced("Budget", namespace, "b", {"limits": [{"window": "Month", "usd": "5.00"}]})
    api.apply(volume(namespace), engine(namespace, 0), secret(namespace, "upstream", **{"api-key": "x"}), provider(namespace, "p", "https://api.example.com/v1"),
              mock(namespace, "m"), key(namespace, "k", value), generated(namespace, "g"), budget)
    for kind, name in (("ModelDeployment", "p"), ("VirtualKey", "k"), ("VirtualKey", "g"), ("Budget", "b")):
        kube.eventually(lambda: programmed(api, kind, namespace, name), f"{name} is programmed")
    api.merge("VirtualKey", namespace, "g", {"metadata": {"annotations": {"turnpike.dev/rotate": secrets.token_hex(4)}}})
    kube.eventually(lambda: "turnpike.dev/rotate-handled" in api.get("Secret", namespace, "g-key")["metadata"]["annotations"],
                    "g is replaced")
    api.merge("VirtualKey", namespace, "g", {"spec": {"generate": {"secretName": "moved"}}})
    kube.eventually(lambda: api.find("Secret", namespace, "g-key") is None, "g has moved")
    # What is frozen can only be made anew.
    for kind, part in (("ConfigMap", "models-00"), ("Secret", "keys-00")):
        name = f"{release.name}-bundle-{part}"
        old = api.get(kind, release.namespace, name)["metadata"]["uid"]
        api.merge(kind, release.namespace, name, {"immutable": True, "data": {part: ""}})
        kube.eventually(lambda: (api.find(kind, release.namespace, name) or {"metadata": {"uid": old}})["metadata"]["uid"] != old,
                        f"{name} is made anew")
    auth = f"{release.name}-gateway-auth"
    api.merge("Secret", release.namespace, auth, {"data": {"admin-sha256": None}})
    kube.eventually(lambda: "admin-sha256" in api.get("Secret", release.namespace, auth)["data"], "the gateways know the admin")
    # Its pod has no volume; what is asked for is made and scaled all the same.
    def replicas():
        found = api.find("Deployment", namespace, "e-engine")
        return found and found["spec"]["replicas"]
    kube.eventually(lambda: replicas() == 0, "an engine is made", within=60)
    kube.eventually(lambda: api.find("Job", namespace, "e-engine-fetch"), "a Job is to fill its cache", within=60)
    api.apply(engine(namespace, 1))
    kube.eventually(lambda: replicas() == 1, "the engine is scaled", within=60)
    kube.eventually(lambda: kube.condition(api.get("ModelDeployment", namespace, "e"), "EngineReady")[1] == "FailedMount",
                    "why its volume cannot be mounted is told", within=60)
    for name in ("k", "g"):
        api.delete("VirtualKey", namespace, name)
    for name in ("k", "g"):
        kube.eventually(lambda: api.find("VirtualKey", namespace, name) is None, f"{name} is gone", within=60)


@pytest.mark.skipif(not OWN_CLUSTER, reason="needs the apiserver's audit log")
def test_every_right_is_used_or_named_with_the_reason(api, release, namespace, value):
    use_everything(api, release, namespace, value)
    rights = granted(api, release)
    assert ("release", "", "pods", "patch") in rights and ("anywhere", "", "secrets", "create") in rights
    assert set(UNUSED) <= rights, f"named and not granted: {set(UNUSED) - rights}"
    unused = rights - used(release) - set(UNUSED)
    assert not unused, f"granted and not used: {sorted(unused)}"
