"""A PostgreSQL in a pod of the tests' own cluster, of this machine's own programs; its data outlives its container."""

import os
import subprocess

import pytest

import kube
from kube import eventually
from release import ROOT, is_ready

IMAGE = "localhost/postgres:e2e"
START = ("[ -f /data/db/PG_VERSION ] || initdb -D /data/db -U turnpike -A trust --no-sync -E UTF8 --locale=C || exit 1; "
         "echo 'host all all all trust' >>/data/db/pg_hba.conf; "
         "exec postgres -D /data/db -c listen_addresses=* -c unix_socket_directories=/data -c fsync=off "
         "-c max_connections=200 -c timezone=UTC")
LABELS = {"app": "postgres"}


def load(folder):
    """Brings the images of PostgreSQL and Redis to the node."""
    if "STATE" not in os.environ:
        pytest.skip("the images are made for the tests' own cluster")
    subprocess.run([ROOT / "e2e/cluster/stores.sh", folder], check=True, timeout=300)
    subprocess.run([ROOT / "e2e/cluster/load", folder / "postgres.tar", folder / "redis.tar"], check=True, timeout=300)


class Postgres:
    """One database, named postgres, in a namespace."""

    def __init__(self, api, namespace):
        self.api, self.namespace = api, namespace
        self.url = f"postgres://turnpike@postgres.{namespace}.svc:5432/postgres"

    def start(self):
        """Starts it and waits until it answers."""
        container = {
            "name": "postgres", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", START],
            # A busy machine is no reason to be taken out of the Service.
            "readinessProbe": {"exec": {"command": ["pg_isready", "--host=/data"]}, "periodSeconds": 1, "timeoutSeconds": 30,
                               "failureThreshold": 10},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}],
        }
        volumes = [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
        security = {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}
        self.api.apply(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "postgres", "namespace": self.namespace, "labels": LABELS},
             "spec": {"containers": [container], "volumes": volumes, "securityContext": security,
                      "terminationGracePeriodSeconds": 1}},
            self.service(LABELS))
        self.wait()

    def wait(self):
        """Waits until it answers."""
        eventually(lambda: is_ready(self.api.get("Pod", self.namespace, "postgres")), "PostgreSQL is ready", within=90)

    def service(self, labels):
        """The name that it is reached by."""
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "postgres", "namespace": self.namespace},
                "spec": {"ports": [{"port": 5432, "protocol": "TCP"}], "selector": labels}}

    def stop(self):
        """An outage: every connection breaks, and no new one finds it."""
        self.api.apply(self.service({"app": "nothing"}))
        self.run("kill -INT 1")

    def resume(self):
        """The end of the outage."""
        self.wait()
        self.api.apply(self.service(LABELS))

    def run(self, command):
        """A shell's command in its container."""
        return kube.kubectl("exec", "--namespace", self.namespace, "postgres", "--", "sh", "-c", command)

    def number(self, sql):
        """The one whole number that a query answers."""
        return int(self.run(f'psql --host=/data --username=turnpike --dbname=postgres -tAc "{sql}"').strip())
