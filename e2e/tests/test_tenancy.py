"""What a tenant must not be able to do to others, tried from the tenant's own namespace: models, keys, teams, instances.

Every refusal is looked at from both sides: the condition that tells the author what to do, and what the gateways answer.
"""

import secrets

import httpx
import pytest

import kube
from expect import healed, next_second, refused, served
from kube import eventually
from objects import generated, key, mock, namespaced, secret
from release import admin_key, everywhere, programmed, secret_value

NOT_FOUND = {"404 model_not_found"}
REFUSED = {"401 invalid_api_key"}


@pytest.fixture
def other_value():
    """Value of the neighbour's key."""
    return "sk-" + secrets.token_hex(24)


def listed(release, value):
    """Ids of GET /v1/models of every gateway."""
    def one(url):
        answer = httpx.get(f"{url}/v1/models", headers={"authorization": f"Bearer {value}"}, timeout=10)
        return frozenset(model["id"] for model in answer.json()["data"])
    [ids] = {one(url) for url in release.gateways()}
    return ids


# Models: who sees which.

def test_models_of_another_namespace_are_not_there(api, release, namespace, neighbour, value, other_value):
    served(api, mock(namespace, "mine", "mine"), mock(neighbour, "theirs", "theirs"),
           key(namespace, "k", value), key(neighbour, "k", other_value))
    assert everywhere(release, value, "mine") == {"mine"} and everywhere(release, other_value, "theirs") == {"theirs"}
    for model in ("theirs", f"{neighbour}/theirs", f"{neighbour}.theirs"):
        assert everywhere(release, value, model) == NOT_FOUND
    assert "mine" in listed(release, value) and "theirs" not in listed(release, value)
    # A route is no way in: it names models of its own namespace only.
    route = namespaced("ModelDeployment", namespace, "way-in", {"route": {"targets": [{"modelRef": {"name": "theirs"}}]}})
    api.apply(route)
    message = refused(api, route, "ResolvedRefs", "RefNotFound")
    assert f"no ModelDeployment theirs in namespace {namespace}" in message
    assert everywhere(release, value, "way-in") == NOT_FOUND


def test_the_own_namespace_shadows_what_all_may_see(api, release, namespace, neighbour, value, other_value, in_release):
    name = f"shared-{secrets.token_hex(3)}"
    in_release(mock(release.namespace, name, "of the platform", visibility="Cluster"))
    served(api, key(namespace, "k", value), key(neighbour, "k", other_value))
    eventually(lambda: programmed(api, "ModelDeployment", release.namespace, name), "the platform's model is programmed")
    assert everywhere(release, value, name) == everywhere(release, other_value, name) == {"of the platform"}
    own = mock(namespace, "own", "of the tenant", modelName=name)
    served(api, own)
    assert everywhere(release, value, name) == {"of the tenant"}
    assert everywhere(release, other_value, name) == {"of the platform"}, "only the tenant's own calls change"
    api.delete("ModelDeployment", namespace, "own")
    eventually(lambda: everywhere(release, value, name) == {"of the platform"}, "the platform's model is seen again")


def test_an_internal_model_is_called_through_others_only(api, release, namespace, value):
    route = namespaced("ModelDeployment", namespace, "front", {"route": {"targets": [{"modelRef": {"name": "back"}}]}})
    served(api, mock(namespace, "back", "from the back", visibility="Internal", aliases=["other"]), route,
           key(namespace, "k", value))
    assert everywhere(release, value, "front") == {"from the back"}
    assert everywhere(release, value, "back") == everywhere(release, value, "other") == NOT_FOUND
    assert {"front"} <= listed(release, value) and not {"back", "other"} & listed(release, value)


def test_a_tenant_cannot_serve_to_all(api, release, namespace, neighbour, value, other_value):
    name = f"wide-{secrets.token_hex(3)}"
    model = mock(namespace, name, "caught", visibility="Cluster")
    served(api, key(namespace, "k", value), key(neighbour, "k", other_value))
    api.apply(model)
    message = refused(api, model, "Accepted", "ClusterVisibilityNotAllowed")
    assert "set visibility: Namespace" in message and "operator.clusterModelNamespaces" in message
    assert everywhere(release, other_value, name) == NOT_FOUND
    # It goes on for its own namespace, as if it had said so.
    eventually(lambda: everywhere(release, value, name) == {"caught"}, "its own namespace is served")
    model["spec"]["visibility"] = "Namespace"
    api.apply(model)
    healed(api, model)


# Names: the oldest holds them.

def test_the_older_of_two_routes_keeps_the_name(api, release, namespace, value):
    # By name alone the newcomer would come first.
    def route(name, target):
        spec = {"modelName": "chat", "route": {"targets": [{"modelRef": {"name": target}}]}}
        return namespaced("ModelDeployment", namespace, name, spec)
    older, newer = route("z-older", "one"), route("a-newer", "two")
    served(api, mock(namespace, "one", "1"), mock(namespace, "two", "2"), older, key(namespace, "k", value))
    next_second(api, older)
    api.apply(newer)
    message = refused(api, newer, "Accepted", "NameConflict")
    assert "older ModelDeployment of this namespace serves the name chat" in message and "choose another" in message
    assert everywhere(release, value, "chat") == {"1"}
    assert programmed(api, "ModelDeployment", namespace, "z-older"), "the older one is untouched"
    # An edit makes nobody younger.
    older["spec"]["weight"] = 2
    served(api, older)
    assert everywhere(release, value, "chat") == {"1"}
    api.delete("ModelDeployment", namespace, "z-older")
    eventually(lambda: everywhere(release, value, "chat") == {"2"}, "the newcomer takes over")
    healed(api, newer)


def test_a_clash_of_an_alias_costs_only_the_alias(api, release, namespace, value):
    older, newer = mock(namespace, "z-older", "old", aliases=["smart"]), mock(namespace, "a-newer", "new", aliases=["smart"])
    served(api, older, key(namespace, "k", value))
    next_second(api, older)
    api.apply(newer)
    message = refused(api, newer, "Accepted", "NameConflict")
    assert "spec.aliases[0]" in message and "remove the alias" in message
    assert everywhere(release, value, "smart") == {"old"}
    eventually(lambda: everywhere(release, value, "a-newer") == {"new"}, "the newcomer is served by its other name")
    # Nor does an alias take a name that another model is called by.
    thief = mock(namespace, "thief", "stolen", aliases=["z-older"])
    api.apply(thief)
    refused(api, thief, "Accepted", "NameConflict")
    assert everywhere(release, value, "z-older") == {"old"}
    api.merge("ModelDeployment", namespace, "z-older", {"spec": {"aliases": []}})
    eventually(lambda: everywhere(release, value, "smart") == {"new"}, "the alias goes to the newcomer")
    healed(api, newer)


# Keys: one hash, one owner.

def test_a_key_has_one_owner_the_oldest(api, release, namespace, neighbour, value):
    mine, copy = key(namespace, "z-original", value), key(neighbour, "a-copy", value)
    served(api, mock(namespace, "mine", "mine"), mock(neighbour, "theirs", "theirs"), mine)
    next_second(api, mine)
    api.apply(copy)
    message = refused(api, copy, "Accepted", "DuplicateKey")
    assert namespace not in message and "z-original" not in message, f"whose key it is stays untold: {message}"
    assert "use another key" in message
    status = api.get("VirtualKey", neighbour, "a-copy")["status"]
    assert kube.condition({"status": status}, "Active")[0] == "False" and not status.get("keys")
    notes = [note for _, _, note in api.events(neighbour, "a-copy")]
    assert notes and not any(namespace in note or "z-original" in note for note in notes)
    assert everywhere(release, value, "mine") == {"mine"} and everywhere(release, value, "theirs") == NOT_FOUND
    assert programmed(api, "VirtualKey", namespace, "z-original"), "the oldest is untouched"
    # Suspended, it still is the owner's.
    api.merge("VirtualKey", namespace, "z-original", {"spec": {"suspended": True}})
    eventually(lambda: everywhere(release, value, "mine") == {"401 suspended_api_key"}, "the key is suspended")
    assert everywhere(release, value, "theirs") == {"401 suspended_api_key"}
    api.delete("VirtualKey", namespace, "z-original")
    eventually(lambda: everywhere(release, value, "theirs") == {"theirs"}, "the newcomer takes over", within=40)
    assert everywhere(release, value, "mine") == NOT_FOUND
    healed(api, copy)


def test_a_copied_key_of_another_is_a_duplicate_wherever_it_lies(api, release, namespace, neighbour):
    served(api, mock(namespace, "mine", "mine"), generated(namespace, "minted"))
    reference = api.get("VirtualKey", namespace, "minted")["status"]["secretRef"]
    stolen = secret_value(api, namespace, reference["name"], reference["key"])
    next_second(api, generated(namespace, "minted"))
    copy = namespaced("VirtualKey", neighbour, "copy",
                      {"secretRef": {"name": "stolen", "key": "api-key"}, "allowedModels": ["*"]})
    api.apply(secret(neighbour, "stolen", use="key", **{"api-key": stolen}), copy)
    refused(api, copy, "Accepted", "DuplicateKey")
    assert everywhere(release, stolen, "mine") == {"mine"}


def test_a_short_key_is_refused(api, release, namespace):
    short, long = "sk-" + secrets.token_hex(14), "sk-" + secrets.token_hex(15)
    weak = namespaced("VirtualKey", namespace, "weak",
                      {"secretRef": {"name": "own", "key": "api-key"}, "allowedModels": ["*"]})
    served(api, mock(namespace, "mine", "mine"))
    # White space around it makes nothing longer.
    api.apply(secret(namespace, "own", use="key", **{"api-key": f"{short}\n\n\n"}), weak)
    message = refused(api, weak, "Accepted", "WeakKey")
    assert "31 bytes" in message and "openssl rand" in message and short not in message
    assert everywhere(release, short, "mine") == REFUSED
    api.apply(secret(namespace, "own", use="key", **{"api-key": f"{long}\n"}))
    healed(api, weak)
    assert everywhere(release, long, "mine") == {"mine"}


# Teams and budgets: what the platform allows a namespace.

def test_a_key_claims_only_teams_that_its_namespace_may(api, release, namespace, value):
    claim = key(namespace, "k", value, subject={"team": "finance"})
    served(api, mock(namespace, "mine", "mine"), claim)
    assert everywhere(release, value, "mine") == {"mine"}, "without the annotation any team will do"

    def may(teams):
        api.merge("Namespace", None, namespace, {"metadata": {"annotations": {"turnpike.dev/teams": teams}}})
    may("ml, search")
    message = refused(api, claim, "Accepted", "TeamNotAllowed")
    assert "may not claim the team finance" in message and "use one of ml, search" in message
    assert "turnpike.dev/teams" in message
    eventually(lambda: everywhere(release, value, "mine") == REFUSED, "the key is refused")
    # Neither upper case nor a part of a name is the team.
    for team in ("ML", "m", "ml, search", "ml "):
        claim["spec"]["subject"]["team"] = team
        api.apply(claim)
        refused(api, claim, "Accepted", "TeamNotAllowed")
    may("ml,finance")
    claim["spec"]["subject"]["team"] = "finance"
    api.apply(claim)
    healed(api, claim)
    assert everywhere(release, value, "mine") == {"mine"}
    may("")
    assert "remove subject.team" in refused(api, claim, "Accepted", "TeamNotAllowed")
    eventually(lambda: everywhere(release, value, "mine") == REFUSED, "the key is refused")


def test_a_budget_of_a_tenant_covers_its_own_namespace_only(api, release, namespace, neighbour, other_value, in_release):
    def budget(where, name, scope):
        return namespaced("Budget", where, name, {"scope": scope, "limits": [{"window": "Month", "usd": "5"}]})
    served(api, key(neighbour, "k", other_value, subject={"team": "ml"}))
    reaching = budget(namespace, "reaching", {"namespaces": [neighbour], "team": "ml"})
    api.apply(reaching)
    message = refused(api, reaching, "Accepted", "Invalid")
    assert "spec.scope.namespaces" in message and "release namespace" in message
    assert api.get("Budget", namespace, "reaching")["status"].get("matchedKeys", 0) == 0
    own = budget(namespace, "own", {"team": "ml"})
    nothing = budget(namespace, "nothing", {"keySelector": {}})
    served(api, own, nothing)
    for name in ("own", "nothing"):
        assert api.get("Budget", namespace, name)["status"]["matchedKeys"] == 0, "a team's name reaches nobody else's keys"
    platform = budget(release.namespace, f"platform-{secrets.token_hex(3)}", {"namespaces": [neighbour], "team": "ml"})
    in_release(platform)
    eventually(lambda: api.get("Budget", release.namespace, platform["metadata"]["name"]).get("status", {}).get("matchedKeys") == 1,
               "the platform's budget covers the key")
    # A key names budgets of its own namespace.
    stray = key(namespace, "stray", "sk-" + secrets.token_hex(24), budgetRefs=[{"name": platform["metadata"]["name"]}])
    api.apply(stray)
    message = refused(api, stray, "ResolvedRefs", "RefNotFound")
    assert f"no Budget {platform['metadata']['name']} in namespace {namespace}" in message


# Clouds and instances.

def test_a_tenant_does_not_use_the_gateways_own_identity(api, release, namespace, value):
    served(api, key(namespace, "k", value))
    for name, spec in {
        "none": {"type": "Bedrock", "region": "us-east-1"},
        "role": {"type": "Bedrock", "region": "us-east-1", "credentials": {"aws": {"roleArn": "arn:aws:iam::1:role/x"}}},
        "google": {"type": "VertexAI", "region": "us-east1", "project": "p", "credentials": {"gcp": {}}},
    }.items():
        model = namespaced("ModelDeployment", namespace, name, {"provider": {"model": "m", **spec}})
        api.apply(model)
        message = refused(api, model, "Accepted", "AmbientIdentityNotAllowed")
        assert namespace in message and "name keys of your own" in message
        assert everywhere(release, value, name) == NOT_FOUND


def test_objects_of_another_instance_are_left_alone(api, release, namespace, value):
    other = {"labels": {"turnpike.dev/instance": "another"}}
    model, caller = mock(namespace, "m", "hers"), key(namespace, "k", value)
    strangers = [{**item, "metadata": {**item["metadata"], **other}} for item in
                 (mock(namespace, "m", "hers"), key(namespace, "k", value), generated(namespace, "g"))]
    api.apply(*strangers)
    served(api, mock(namespace, "later", "ours"))
    for item in strangers:
        found = api.get(item["kind"], namespace, item["metadata"]["name"])
        assert "observedGeneration" not in found.get("status", {}) and "finalizers" not in found["metadata"]
        assert kube.condition(found, "Ready")[:2] == ("Unknown", "Pending")
    assert api.find("Secret", namespace, "g-key") is None, "no key is minted for another instance"
    assert everywhere(release, value, "m") == REFUSED
    # Without the label they are this instance's, by its own name too.
    api.apply(model, {**caller, "metadata": {**caller["metadata"], "labels": {"turnpike.dev/instance": "turnpike"}}})
    eventually(lambda: everywhere(release, value, "m") == {"hers"}, "they are served")
    api.merge("ModelDeployment", namespace, "m", {"metadata": {"labels": {"turnpike.dev/instance": "another"}}})
    eventually(lambda: everywhere(release, value, "m") == NOT_FOUND, "what is given away is served no more")
    # A strange object does not hold a name either.
    served(api, mock(namespace, "m2", "ours", modelName="m"))
    assert everywhere(release, value, "m") == {"ours"}


def test_a_key_that_is_given_away_can_be_deleted(api, release, namespace, value):
    served(api, key(namespace, "k", value), mock(namespace, "m", "x"))
    api.merge("VirtualKey", namespace, "k", {"metadata": {"labels": {"turnpike.dev/instance": "another"}}})
    eventually(lambda: everywhere(release, value, "m") == REFUSED, "the key is refused")
    api.delete("VirtualKey", namespace, "k")
    eventually(lambda: api.find("VirtualKey", namespace, "k") is None, "the key is gone", within=40)


def test_the_admin_key_is_nobodys(api, release, namespace):
    copy = key(namespace, "copy", admin_key(release))
    served(api, mock(namespace, "mine", "mine"))
    api.apply(copy)
    eventually(lambda: api.get("VirtualKey", namespace, "copy").get("status", {}).get("observedGeneration"), "it is judged")
    models = httpx.get(f"{release.url}/v1/models", headers={"authorization": f"Bearer {admin_key(release)}"}, timeout=10)
    assert models.status_code == 200
    name = f"elsewhere-{secrets.token_hex(3)}"
    served(api, mock(release.namespace, name, "platform"))
    try:
        assert everywhere(release, admin_key(release), name) == {"platform"}, "the admin key goes on working as such"
    finally:
        api.delete("ModelDeployment", release.namespace, name)
