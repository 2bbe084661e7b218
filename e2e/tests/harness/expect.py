"""What tests wait for: an object that is served, one that is refused and says why, one that is well again."""

import time
from datetime import datetime

import kube
from kube import eventually
from release import programmed


def served(api, *objects):
    """Applies, and waits until every gateway has them."""
    api.apply(*objects)
    for item in objects:
        where = item["metadata"]["namespace"], item["metadata"]["name"]
        eventually(lambda: programmed(api, item["kind"], *where), f"{item['kind']} {where} is programmed")


def refused(api, item, kind, reason, within=30):
    """Waits for the condition of an object's present generation; its message, which has the fault and the next step."""
    def ask():
        found = api.find(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])
        if found.get("status", {}).get("observedGeneration") != found["metadata"]["generation"]:
            return None
        status, why, message = kube.condition(found, kind)
        return message if (status, why) == ("False", reason) else None
    message = eventually(ask, f"{item['metadata']['name']}: {kind} False, {reason}", within)
    assert "; " in message, f"a fault and a next step: {message}"
    found = api.get(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])
    assert kube.condition(found, "Ready")[0] == "False"
    return message


def healed(api, item):
    """Waits until an object that was refused is Ready."""
    where = item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]
    eventually(lambda: kube.is_true(api.get(*where), "Ready"), f"{where} is Ready")


def next_second(api, item):
    """Waits until objects made now are younger than this one: a creationTimestamp has whole seconds."""
    made = api.get(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])["metadata"]["creationTimestamp"]
    end = datetime.fromisoformat(made).timestamp() + 1.1
    eventually(lambda: time.time() > end, "a second has passed")
