"""What the apiserver was asked, out of its audit log."""

import json
import os


def entries(start=0):
    """Finished requests from a position in the log on."""
    with open(os.environ["AUDIT_LOG"], encoding="utf-8") as log:
        log.seek(start)
        for line in log:
            entry = json.loads(line)
            if entry["stage"] == "ResponseComplete":
                yield entry


def end():
    """The log's present end."""
    return os.path.getsize(os.environ["AUDIT_LOG"])


def asked(entry):
    """API group, resource with subresource, verb."""
    reference = entry.get("objectRef", {})
    resource = "/".join(part for part in (reference.get("resource"), reference.get("subresource")) if part)
    return reference.get("apiGroup", ""), resource, entry["verb"]
