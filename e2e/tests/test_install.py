"""From `helm install` to an answer, as the documentation has it."""

import openai

import kube
from release import ROOT, helm, secret_value

QUICKSTART = ROOT / "examples/quickstart"


def test_quickstart_answers_through_the_service(api, release, namespace):
    for manifest in ("mock.yaml", "key.yaml"):
        kube.kubectl("apply", "--namespace", namespace, "--filename", str(QUICKSTART / manifest))
    kube.kubectl("wait", "--namespace", namespace, "--for=condition=Ready", "--timeout=30s",
                 "modeldeployment", "--all")
    kube.kubectl("wait", "--namespace", namespace, "--for=condition=Ready", "--timeout=30s", "virtualkey", "--all")
    [minted] = api.list("VirtualKey", namespace)
    reference = minted["status"]["secretRef"]
    key = secret_value(api, namespace, reference["name"], reference["key"])
    [model] = api.list("ModelDeployment", namespace)
    name = model["status"]["modelName"]
    client = openai.OpenAI(base_url=f"{release.url}/v1", api_key=key)
    answer = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content == model["spec"]["mock"]["response"]
    streamed = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hello"}], stream=True)
    parts = [chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices]
    assert "".join(parts) == model["spec"]["mock"]["response"]
    assert name in [one.id for one in client.models.list()]


def test_one_command_lists_all_three_kinds(api, release, namespace):
    for manifest in ("mock.yaml", "key.yaml"):
        kube.kubectl("apply", "--namespace", namespace, "--filename", str(QUICKSTART / manifest))
    kube.kubectl("wait", "--namespace", namespace, "--for=condition=Ready", "--timeout=30s", "virtualkey", "--all")
    listed = kube.kubectl("get", "llm", "--namespace", namespace)
    assert "modeldeployment.turnpike.dev/" in listed and "virtualkey.turnpike.dev/" in listed, listed
    models = kube.kubectl("get", "mdep", "--namespace", namespace).splitlines()
    assert models[0].split() == ["NAME", "MODEL", "KIND", "READY", "REASON", "REPLICAS", "PROGRAMMED", "AGE"], models[0]
    assert models[1].split()[2:4] == ["Mock", "True"], models[1]


def test_helm_test_passes(release):
    helm("test", release.name, "--namespace", release.namespace, "--timeout", "120s")


def test_gateways_hold_no_credentials_of_the_cluster(release):
    for pod in release.pods():
        mounts = [mount["mountPath"] for container in pod["spec"]["containers"]
                  for mount in container.get("volumeMounts", [])]
        assert mounts and not any("serviceaccount" in mount for mount in mounts), mounts
