"""What the apiserver's audit log says the operator asked for."""

import json
import os
from pathlib import Path

# The tests' own cluster writes one.
OWN_CLUSTER = "AUDIT_LOG" in os.environ


def account(release):
    """Who the operator is."""
    return f"system:serviceaccount:{release.namespace}:{release.name}-operator"


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
        about = event.get("objectRef", {})
        resource = "/".join(filter(None, [about.get("resource"), about.get("subresource")]))
        found.append(((about.get("apiGroup", ""), resource, about.get("namespace", ""), event["verb"]),
                      event.get("responseStatus", {}).get("code")))
    return found, len(lines)
