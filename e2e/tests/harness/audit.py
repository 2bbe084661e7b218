"""What the apiserver's audit log says the operator asked for."""

import json
import os
from datetime import datetime
from pathlib import Path

# The tests' own cluster writes one.
OWN_CLUSTER = "AUDIT_LOG" in os.environ
# From when to when the apiserver was made to start again: before it is ready it has not read the roles, and refuses everything.
STARTS = []


def account(release):
    """Who the operator is."""
    return f"system:serviceaccount:{release.namespace}:{release.name}-operator"


def is_of_a_start(event):
    """Whether the apiserver was not ready yet."""
    at = datetime.fromisoformat(event["requestReceivedTimestamp"])
    return any(begun <= at <= ready for begun, ready in STARTS)


def requests(release, since=0):
    """The operator's requests from a line of the audit log on: (group, resource, namespace, verb) to status, and the end."""
    who = account(release)
    lines = Path(os.environ["AUDIT_LOG"]).read_text().splitlines()
    found = []
    for line in lines[since:]:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last line may be half written
        if event["user"].get("username") != who or event["stage"] == "RequestReceived":
            continue
        status = event.get("responseStatus", {}).get("code")
        if status == 403 and is_of_a_start(event):
            continue
        about = event.get("objectRef", {})
        resource = "/".join(filter(None, [about.get("resource"), about.get("subresource")]))
        found.append(((about.get("apiGroup", ""), resource, about.get("namespace", ""), event["verb"]), status))
    return found, len(lines)
