"""What people see of their objects: columns, generations, and that a fault goes away with its cause."""

import kube
from expect import healed, refused, served
from kube import eventually
from objects import generated, mock, namespaced, provider, secret

MONTH = {"window": "Month", "usd": "500.00"}
KINDS = {"ModelDeployment": "m", "VirtualKey": "bot", "Budget": "team"}


def columns(namespace, short, name):
    """The columns that `kubectl get -o wide` shows of an object, by header: empty cells are spaces."""
    header, *rows = kube.kubectl("get", short, "--namespace", namespace, "--output=wide").splitlines()
    names = header.split()
    starts = [header.index(f" {one}") + 1 if number else 0 for number, one in enumerate(names)]
    row = next(row for row in rows if row.split()[0] == name)
    return {one: row[start:end].strip() for one, start, end in zip(names, starts, [*starts[1:], None])}


def test_columns_say_what_matters(api, release, namespace):
    bot = generated(namespace, "bot", subject={"team": "ml", "user": "ada"}, budget=[{"window": "Day", "usd": "5.00"}],
                    expiresAt="2099-01-02T03:04:05Z", rotation={"interval": "720h", "overlap": "24h"})
    bot["metadata"]["labels"] = {"team": "ml"}
    team = namespaced("Budget", namespace, "team", {"limits": [MONTH], "scope": {"keySelector": {"matchLabels": {"team": "ml"}}}})
    served(api, bot, team)
    found = columns(namespace, "vkey", "bot")
    assert list(found) == ["NAME", "KEYID", "TEAM", "ACTIVE", "SPENT", "BUDGET", "EXPIRES", "AGE", "USER", "LASTUSED", "ROTATES"]
    assert found["KEYID"].startswith("vk_") and found["KEYID"] == api.get("VirtualKey", namespace, "bot")["status"]["keyId"]
    assert (found["TEAM"], found["USER"], found["ACTIVE"]) == ("ml", "ada", "True")
    assert (found["BUDGET"], found["EXPIRES"]) == ("5.00/Day", "2099-01-02T03:04:05Z")
    assert found["ROTATES"].endswith("Z") and found["AGE"]
    found = columns(namespace, "bud", "team")
    assert list(found) == ["NAME", "LIMIT", "SPENT", "USED%", "WINDOW", "RESETS", "OK", "AGE", "REMAINING", "KEYS", "MODE"]
    assert found["LIMIT"].startswith("500.00") and found["WINDOW"] == "Month" and found["RESETS"].endswith("Z")
    assert found["OK"] in ("True", "Unknown") and (found["KEYS"], found["MODE"]) == ("1", "Enforce")


def test_every_condition_says_of_which_generation_it_is(api, release, namespace):
    served(api, mock(namespace, "m"), generated(namespace, "bot"), namespaced("Budget", namespace, "team", {"limits": [MONTH]}))

    def observed(kind, generation):
        item = api.get(kind, namespace, KINDS[kind])
        assert item["metadata"]["generation"] == generation
        of = {one["observedGeneration"] for one in item["status"]["conditions"]}
        return item["status"].get("observedGeneration") == generation and of == {generation}
    for kind in KINDS:
        eventually(lambda: observed(kind, 1), f"{kind} is observed as it was made")
    api.merge("ModelDeployment", namespace, "m", {"spec": {"mock": {"response": "other"}}})
    api.merge("VirtualKey", namespace, "bot", {"spec": {"suspended": True}})
    api.merge("Budget", namespace, "team", {"spec": {"limits": [{"window": "Month", "usd": "600.00"}]}})
    for kind in KINDS:
        eventually(lambda: observed(kind, 2), f"{kind} is observed as it was edited")
    assert kube.condition(api.get("VirtualKey", namespace, "bot"), "Active")[:2] == ("False", "Suspended")
    # A label is no edit of the spec.
    api.merge("ModelDeployment", namespace, "m", {"metadata": {"labels": {"a": "b"}}})
    assert observed("ModelDeployment", 2)


def test_a_missing_secret_that_appears_heals(api, release, namespace):
    model = provider(namespace, "p", "https://api.example.com/v1", secret="later")
    own = namespaced("VirtualKey", namespace, "own", {"secretRef": {"name": "mine", "key": "key"}, "allowedModels": ["*"]})
    api.apply(model, own)
    for item, name in ((model, "later"), (own, "mine")):
        message = refused(api, item, "ResolvedRefs", "RefNotFound")
        assert f"no Secret {name} in namespace {namespace}" in message and f"create the Secret {name}" in message
    api.apply(secret(namespace, "later", **{"api-key": "x"}), secret(namespace, "mine", use="key", key="k" * 40))
    for item in (model, own):
        healed(api, item)
        assert "Stalled" not in {one["type"] for one in api.get(item["kind"], namespace, item["metadata"]["name"])
                                 ["status"]["conditions"] if one["status"] == "True"}


def test_a_missing_secret_that_appears_without_its_label_says_so(api, release, namespace):
    model = provider(namespace, "p", "https://api.example.com/v1", secret="later")
    api.apply(model)
    refused(api, model, "ResolvedRefs", "RefNotFound")
    api.apply(secret(namespace, "later", use=None, **{"api-key": "x"}))
    message = refused(api, model, "ResolvedRefs", "SecretNotPermitted", within=60)
    assert f"kubectl label secret --namespace {namespace} later turnpike.dev/use=provider" in message
    api.merge("Secret", namespace, "later", {"metadata": {"labels": {"turnpike.dev/use": "provider"}}})
    healed(api, model)
