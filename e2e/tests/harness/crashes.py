"""An operator that dies between any two of its writes: the apiserver asks the test before it takes one, and the test kills the
operator after each that it has not seen before, with the next one under way and not taken. Not after every single one: what a
process finds half done it may begin anew, so that one that always died after its first write would get nowhere.
"""

import json
import os
import signal
import threading
import time

from audit import account
from kube import eventually
from release import OPERATORS, is_ready, operator_process
from upstream import secure

NAME = "e2e-crashes"
# What no reconcile turns on: who leads, events, and questions about rights, which change nothing.
ELSE = "!(request.resource.resource in ['leases', 'events']) && request.resource.group != 'authorization.k8s.io'"


class Life:
    """One process of the operator."""

    def __init__(self):
        # The write that it dies after, once it has made it.
        self.last, self.due, self.over = None, threading.Event(), threading.Event()


class Crashes:
    """While it is open, the operator dies after each new write."""

    def __init__(self, api, release, folder):
        self.api, self.release = api, release
        self.seen = set()
        self.lock, self.life = threading.Lock(), Life()
        self.listener, certificate = secure(api, release.namespace, "crashes", folder)
        self.listener.answer = self.review
        service = {"name": "crashes", "namespace": release.namespace, "port": self.listener.port}
        hook = {"name": "crashes.e2e.test", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
                "timeoutSeconds": 10, "clientConfig": {"service": service, "caBundle": certificate},
                "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"],
                           "operations": ["CREATE", "UPDATE", "DELETE"]}],
                "matchConditions": [{"name": "operator", "expression": f"request.userInfo.username == '{account(release)}'"},
                                    {"name": "writes", "expression": ELSE}]}
        api.apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                   "metadata": {"name": NAME}, "webhooks": [hook]})

    def close(self):
        """Lets it live."""
        self.api.delete("ValidatingWebhookConfiguration", None, NAME)
        self.life.over.set()
        self.listener.close()

    def review(self, body):
        """Takes writes up to the first new one, and holds up those that follow until the process is dead."""
        asked = json.loads(body)["request"]
        resource = "/".join(filter(None, (asked["resource"]["resource"], asked.get("subResource"))))
        with self.lock:
            life = self.life
            allowed = life.last is None
            write = f"{asked['operation']} {resource} {asked['name']}"
            if allowed and write not in self.seen:
                self.seen.add(write)
                life.last = write
            if not allowed:
                life.due.set()
        if not allowed:
            life.over.wait(8)
        answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                  "response": {"uid": asked["uid"], "allowed": allowed}}
        return 200, {}, json.dumps(answer).encode()

    def crash(self):
        """Kills it once its write is done, and has a new one lead at once."""
        [pod] = eventually(lambda: [pod for pod in self.release.pods(OPERATORS) if is_ready(pod)], "an operator", 60)
        name = pod["metadata"]["name"]
        # The write that was taken is stored by now: it was only waiting for the test's answer.
        time.sleep(0.1)
        os.kill(operator_process(name), signal.SIGKILL)
        with self.lock:
            before, self.life = self.life, Life()
        before.over.set()
        # Neither the kubelet's pauses between restarts nor the Lease's end are waited for.
        self.api.delete("Pod", self.release.namespace, name, params={"gracePeriodSeconds": 0})
        self.api.delete("Lease", self.release.namespace, f"{self.release.name}-operator")

    def until(self, done, what, steady=lambda: None, within=180):
        """Crashes it after each write that is new since the last of these calls until this is so, and looks each time that what must
        hold throughout does. After which it died."""
        died, end = [], time.monotonic() + within
        while not done():
            assert time.monotonic() < end, f"not within {within} s: {what}; it died after {died}"
            if self.life.due.wait(0.1):
                died.append(self.life.last)
                self.crash()
                steady()
        # Already now: what is changed next is written as soon as the test has changed it, before it waits for that.
        with self.lock:
            self.seen = set()
            # One with a write held up dies next time.
            if not self.life.due.is_set():
                self.life.last = None
        return died
