"""Ten thousand keys and five hundred models that are there before the operator is."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import kube
from kube import eventually
from objects import key, mock
from release import OPERATORS, is_ready, programmed

KEYS = int(os.environ.get("E2E_KEYS", "1000"))
MODELS = int(os.environ.get("E2E_MODELS", "100"))


def bundle_objects(api, release):
    """Resource versions of everything that the bundle lies in."""
    found = {}
    for kind in ("ConfigMap", "Secret"):
        for item in api.list(kind, release.namespace):
            if item["metadata"]["name"].startswith("turnpike-bundle-"):
                found[item["metadata"]["name"]] = item["metadata"]["resourceVersion"]
    return found


def test_many_objects_from_before(api, release, namespace):
    deployment = f"deployment/{release.name}-operator"
    kube.kubectl("scale", "--namespace", release.namespace, deployment, "--replicas=0")
    eventually(lambda: not api.list("Pod", release.namespace, OPERATORS), "the operator is gone", within=60)
    values = [f"sk-{namespace}-{number:05d}-0123456789abcdef" for number in range(KEYS)]
    everything = [mock(namespace, f"model-{number:03d}", f"I am {number}") for number in range(MODELS)]
    everything += [key(namespace, f"key-{number:05d}", value) for number, value in enumerate(values)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(api.apply, everything))

    begun = time.monotonic()
    kube.kubectl("scale", "--namespace", release.namespace, deployment, "--replicas=1")
    last = {"authorization": f"Bearer {values[-1]}"}
    body = {"model": f"model-{MODELS - 1:03d}", "messages": [{"role": "user", "content": "x"}]}

    def all_serve():
        answers = [api.http.__class__().post(f"{url}/v1/chat/completions", headers=last, json=body, timeout=10)
                   for url in release.gateways()]
        return len(answers) == 3 and all(answer.status_code == 200 for answer in answers)
    eventually(all_serve, "all gateways serve the last key and model", within=60, every=0.2)
    loaded = time.monotonic() - begun

    def waiting():
        return [item["metadata"]["name"] for kind in ("ModelDeployment", "VirtualKey")
                for item in api.list(kind, namespace) if not kube.is_true(item, "Ready")]
    eventually(lambda: not waiting(), "every object is Ready", within=300, every=2)
    told = time.monotonic() - begun
    [pod] = release.pods(OPERATORS)
    print(f"\n{KEYS} keys and {MODELS} models: served after {loaded:.1f} s, all Ready after {told:.1f} s")

    time.sleep(3)
    before = bundle_objects(api, release)
    api.apply(mock(namespace, "model-000", "changed"))
    eventually(lambda: programmed(api, "ModelDeployment", namespace, "model-000"), "one change is programmed")
    after = bundle_objects(api, release)
    changed = sorted(name for name in after if before.get(name) != after[name])
    assert len(changed) == 2 and changed[0] == "turnpike-bundle-manifest" and "models" in changed[1], changed
    assert is_ready(pod)
