"""An operator that is killed between any two writes gets there all the same, and nothing that held in between is taken back."""

import base64
import subprocess

import pytest

import kube
import upstream
from crashes import Crashes
from objects import generated, key, mock, namespaced, of_instance, provider, secret
from release import Release, ask, everywhere, programmed, secret_value

NAME = "crashing"
ROTATE = "turnpike.dev/rotate"


@pytest.fixture
def crashing(api):
    """An installation of its own, of two gateways."""
    release = Release(api, NAME, f"{NAME}-system", **{
        "operator.instance": NAME, "gateway.replicas": 2, "gateway.resources.requests.cpu": "10m", "gateway.shutdownDelay": "1s"})
    release.install()
    yield release
    release.uninstall()
    api.delete("Namespace", None, release.namespace)


@pytest.fixture
def crashes(api, crashing, tmp_path):
    """From here on it is killed."""
    opened = Crashes(api, crashing, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def minted(api, namespace):
    """Every value that the minted Secret ever has, in order."""
    watch = subprocess.Popen(["kubectl", "get", "secrets", "--namespace", namespace, "--watch", "--field-selector",
                              "metadata.name=bot-key", "--output=jsonpath={.data.api-key}{'\\n'}"],
                             stdout=subprocess.PIPE, text=True)

    def values():
        watch.terminate()
        seen = [base64.b64decode(line).decode() for line in watch.communicate(timeout=30)[0].split()]
        return list(dict.fromkeys(seen))
    yield values
    watch.kill()
    watch.wait()


def test_it_is_killed_between_any_two_writes(api, crashing, crashes, namespace, value, minted):
    def answers(who, model, expected):
        return everywhere(crashing, who, model) == {expected}

    def bot():
        return secret_value(api, namespace, "bot-key", "api-key")
    objects = [
        mock(namespace, "one", "first"),
        provider(namespace, "two", "http://nobody.example.com/v1"),
        namespaced("Budget", namespace, "team", {"scope": {"namespace": True}, "limits": [{"window": "Month", "usd": "5"}]}),
        generated(namespace, "bot", rotation={"interval": "720h", "overlap": "1h"}), key(namespace, "app", value)]
    api.apply(secret(namespace, "upstream", **{"api-key": upstream.KEY}), *[of_instance(NAME, item) for item in objects])

    def all_programmed():
        return all(programmed(api, item["kind"], namespace, item["metadata"]["name"]) for item in objects)
    died = [crashes.until(all_programmed, "all are programmed")]
    first = bot()
    assert answers(first, "one", "first") and answers(value, "one", "first")

    def first_works():
        assert answers(first, "one", "first"), "no overlap is cut short"
    api.merge("VirtualKey", namespace, "bot", {"metadata": {"annotations": {ROTATE: "1"}}})
    died.append(crashes.until(lambda: bot() != first and answers(bot(), "one", "first") and all_programmed(),
                                "a new key is served", steady=first_works))
    second = bot()
    first_works()

    api.delete("VirtualKey", namespace, "app")
    api.apply(of_instance(NAME, mock(namespace, "one", "second")))
    died.append(crashes.until(
        lambda: not api.find("VirtualKey", namespace, "app") and programmed(api, "ModelDeployment", namespace, "one"),
        "a key is gone and a model has changed"))
    assert {ask(url, value, "one").status_code for url in crashing.gateways()} == {401}
    for bots in (first, second):
        assert answers(bots, "one", "second")

    api.delete("Namespace", None, namespace)
    died.append(crashes.until(lambda: not api.find("Namespace", None, namespace), "the namespace is gone"))
    assert {ask(url, second, "one").status_code for url in crashing.gateways()} == {401}
    print(*[f"killed {len(one)} times: after {', '.join(one)}" for one in died], sep="\n")
    bundle = f"{NAME}-bundle"
    for step, writes in zip(died, (
            ["CREATE secrets bot-key", "UPDATE virtualkeys bot", f"UPDATE secrets {bundle}-credentials-00",
             f"UPDATE secrets {bundle}-keys-00", f"UPDATE configmaps {bundle}-budgets-00", f"UPDATE configmaps {bundle}-models-00",
             f"UPDATE configmaps {bundle}-manifest"],
            ["UPDATE secrets bot-key", f"UPDATE secrets {bundle}-keys-00", f"UPDATE configmaps {bundle}-manifest"],
            [f"UPDATE secrets {bundle}-keys-00", f"UPDATE configmaps {bundle}-models-00", f"UPDATE configmaps {bundle}-manifest"],
            [f"UPDATE secrets {bundle}-keys-00", f"UPDATE configmaps {bundle}-manifest"]), strict=True):
        assert set(writes) <= set(step), step
    assert any("/status " in write for write in died[0])
    assert minted() == [first, second], "nothing is minted twice"
