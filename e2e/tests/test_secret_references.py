"""Whose Secret may be used for what: every way of a tenant to have Turnpike read one that is not meant for it."""

import secrets
import subprocess

import pytest

import kube
import upstream
from expect import healed, refused, served
from kube import eventually
from objects import generated, key, mock, namespaced, provider, secret
from release import everywhere, programmed, secret_value

NOT_FOUND = {"404 model_not_found"}
REFUSED = {"401 invalid_api_key"}


@pytest.fixture(scope="module")
def shared(api):
    """A namespace with an upstream, for all tests here."""
    name = f"e2e-{secrets.token_hex(4)}"
    api.call("POST", "/api/v1/namespaces", json={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    upstream.start(api, name)
    upstream.wait(api, name)
    yield name
    api.delete("Namespace", None, name)


@pytest.fixture
def caller(api, shared):
    """A key of the namespace with the upstream; whatever the test makes there goes again."""
    value, name = "sk-" + secrets.token_hex(24), f"caller-{secrets.token_hex(3)}"
    served(api, key(shared, name, value))
    yield value
    for kind in ("ModelDeployment", "VirtualKey"):
        for item in api.list(kind, shared):
            api.delete(kind, shared, item["metadata"]["name"])
    for item in api.list("Secret", shared):
        api.delete("Secret", shared, item["metadata"]["name"])
    eventually(lambda: not api.list("VirtualKey", shared), "its keys are gone", within=40)


def echo(namespace, secret, name="echo"):
    """A model behind the namespace's own upstream."""
    return provider(namespace, name, f"http://upstream.{namespace}.svc:4000/v1", secret=secret, provider={"model": "echo"})


def line_in(message):
    """The command that a message tells to run."""
    return message.split("run: ", 1)[1].split(". ")[0].split("; ")[0]


def test_without_the_label_the_message_has_the_command_that_helps(api, release, shared, caller):
    model = echo(shared, "plain")
    api.apply(secret(shared, "plain", use=None, **{"api-key": upstream.KEY}), model)
    message = refused(api, model, "ResolvedRefs", "SecretNotPermitted")
    command = line_in(message)
    assert command == f"kubectl label secret --namespace {shared} plain turnpike.dev/use=provider", message
    assert everywhere(release, caller, "echo") == NOT_FOUND
    # As it stands there.
    subprocess.run(command, shell=True, check=True, capture_output=True, timeout=60)
    healed(api, model)
    assert everywhere(release, caller, "echo") == {upstream.WORDS}
    # Taken away again, the Secret is used no more.
    api.merge("Secret", shared, "plain", {"metadata": {"labels": {"turnpike.dev/use": None}}})
    refused(api, model, "ResolvedRefs", "SecretNotPermitted")
    eventually(lambda: everywhere(release, caller, "echo") == NOT_FOUND, "the model is served no more")


@pytest.mark.parametrize("use", ["key", "engine", "minted", "Provider", ""])
def test_a_secret_for_another_use_is_refused(api, release, shared, caller, use):
    model = echo(shared, "other-use")
    api.apply({**secret(shared, "other-use", use="x", **{"api-key": upstream.KEY}),
               "metadata": {"name": "other-use", "namespace": shared, "labels": {"turnpike.dev/use": use}}}, model)
    message = refused(api, model, "ResolvedRefs", "SecretNotPermitted")
    assert "other-use" in message
    assert everywhere(release, caller, "echo") == NOT_FOUND


def test_a_providers_secret_is_no_clients_key(api, release, shared, caller):
    value = "sk-" + secrets.token_hex(24)
    own = namespaced("VirtualKey", shared, "own", {"secretRef": {"name": "wrong", "key": "api-key"}, "allowedModels": ["*"]})
    api.apply(secret(shared, "wrong", **{"api-key": value}), own, mock(shared, "m", "m"))
    message = refused(api, own, "ResolvedRefs", "SecretNotPermitted")
    assert line_in(message) == f"kubectl label secret --namespace {shared} wrong turnpike.dev/use=key"
    assert everywhere(release, value, "m") == REFUSED


def test_secrets_of_another_namespace_are_not_there(api, release, shared, caller, namespace):
    # The neighbour's Secret is labelled, and of the very name.
    api.apply(secret(namespace, "theirs", **{"api-key": upstream.KEY}))
    models = [echo(shared, name, name=f"echo-{number}")
              for number, name in enumerate(("theirs",))]
    models.append(namespaced("ModelDeployment", shared, "by-header", {"provider": {
        "type": "OpenAICompatible", "baseURL": f"http://upstream.{shared}.svc:4000/v1", "model": "echo",
        "headers": [{"name": "x-extra", "secretRef": {"name": "theirs", "key": "api-key"}}]}}))
    api.apply(*models)
    for model in models:
        message = refused(api, model, "ResolvedRefs", "RefNotFound")
        assert f"no Secret theirs in namespace {shared}" in message and "create the Secret theirs" in message
        assert everywhere(release, caller, model["metadata"]["name"]) == NOT_FOUND
    # Nor does the API have a field, or a spelling, for it.
    reaching = echo(shared, "theirs", name="reaching")
    reaching["spec"]["provider"]["credentials"]["secretRef"]["namespace"] = namespace
    answer = api.http.post(kube.path("ModelDeployment", shared), params={"fieldValidation": "Strict"}, json=reaching)
    assert answer.status_code == 400 and "unknown field" in answer.text, answer.text
    for spelling in (f"{namespace}/theirs", f"../{namespace}/theirs", f"../../{namespace}/secrets/theirs"):
        item = echo(shared, spelling, name="reaching")
        answer = api.http.post(kube.path("ModelDeployment", shared), json=item)
        if answer.is_success:
            refused(api, item, "ResolvedRefs", "RefNotFound")
            api.delete("ModelDeployment", shared, "reaching")
        else:
            assert answer.status_code == 422, answer.text


def test_a_minted_key_is_not_sent_to_a_provider(api, release, shared, caller):
    served(api, generated(shared, "minted"), mock(shared, "m", "m"))
    value = secret_value(api, shared, "minted-key", "api-key")
    model = echo(shared, "minted-key")
    api.apply(model)
    message = refused(api, model, "ResolvedRefs", "SecretNotPermitted")
    assert "was made for a VirtualKey" in message and "a Secret of your own" in message
    # Nor after whoever may edit Secrets calls it a provider's.
    api.merge("Secret", shared, "minted-key", {"metadata": {"labels": {"turnpike.dev/use": "provider"}}})
    eventually(lambda: api.get("Secret", shared, "minted-key")["metadata"]["labels"]["turnpike.dev/use"] == "minted",
               "the operator sets its label again")
    refused(api, model, "ResolvedRefs", "SecretNotPermitted")
    assert everywhere(release, caller, "echo") == NOT_FOUND
    # And the key went on working.
    assert everywhere(release, value, "m") == {"m"}
    assert secret_value(api, shared, "minted-key", "api-key") == value
    # Another VirtualKey cannot make it its own either.
    second = namespaced("VirtualKey", shared, "second",
                        {"secretRef": {"name": "minted-key", "key": "api-key"}, "allowedModels": ["*"]})
    api.apply(second)
    refused(api, second, "ResolvedRefs", "SecretNotPermitted")


def test_turnpikes_own_secrets_are_nobodys(api, release, in_release, value):
    """From the release namespace itself, where names alone would do."""
    where = release.namespace
    own = [item["metadata"]["name"] for item in api.list("Secret", where)
           if item["metadata"]["name"].startswith("turnpike-") and item.get("type") == "Opaque"]
    assert {"turnpike-admin", "turnpike-gateway-auth"} <= set(own), own
    assert any(name.startswith("turnpike-bundle-") for name in own), own
    for number, name in enumerate(sorted(own)):
        data = api.get("Secret", where, name)["data"]
        model = provider(where, f"thief-{number}", "https://collector.example/v1", secret=name)
        model["spec"]["provider"]["credentials"]["secretRef"]["key"] = sorted(data)[0]
        in_release(model)
        message = refused(api, model, "ResolvedRefs", "SecretNotPermitted")
        assert f"the Secret {name}" in message, message
    # Labelled by somebody who may, they still are Turnpike's.
    before = api.get("Secret", where, "turnpike-admin")["metadata"].get("labels", {})
    api.merge("Secret", where, "turnpike-admin", {"metadata": {"labels": {"turnpike.dev/use": "provider"}}})
    try:
        model = provider(where, "thief", "https://collector.example/v1", secret="turnpike-admin")
        model["spec"]["provider"]["credentials"]["secretRef"]["key"] = "key"
        in_release(model)
        message = refused(api, model, "ResolvedRefs", "SecretNotPermitted")
        assert "Turnpike's own" in message
    finally:
        label = before.get("turnpike.dev/use")
        api.merge("Secret", where, "turnpike-admin", {"metadata": {"labels": {"turnpike.dev/use": label}}})


def test_a_replaced_secret_is_used_at_once_and_a_deleted_one_no_more(api, release, shared, caller):
    model = echo(shared, "rolling")
    api.apply(secret(shared, "rolling", **{"api-key": "sk-wrong-0123456789abcdef0123456789abcdef"}), model)
    served(api, model)
    eventually(lambda: everywhere(release, caller, "echo") == {"502 backend_authentication_failed"},
               "the upstream refuses the wrong key")
    api.apply(secret(shared, "rolling", **{"api-key": upstream.KEY}))
    eventually(lambda: everywhere(release, caller, "echo") == {upstream.WORDS}, "the right key is used")
    # One of the same name is another Secret: without the label it is not taken for the first.
    api.delete("Secret", shared, "rolling")
    api.apply(secret(shared, "rolling", use=None, **{"api-key": upstream.KEY}))
    # No watch tells of one without the label.
    refused(api, model, "ResolvedRefs", "SecretNotPermitted", within=60)
    eventually(lambda: everywhere(release, caller, "echo") == NOT_FOUND, "the model is served no more")
    assert not programmed(api, "ModelDeployment", shared, "echo")
