"""Volumes whose files lie in a folder of the test's, as a cluster without a storage provider has them."""

import os

import pytest


def held(api, folder, namespace, claim, **more):
    """A volume that is kept for a claim of this name, and that everybody may write; `more` of its hostPath."""
    if "STATE" not in os.environ:
        pytest.skip("nodes of another cluster do not have the test's folders")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    api.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{namespace}-{claim}"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce", "ReadWriteMany"], "storageClassName": "",
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": str(folder), **more},
        "claimRef": {"namespace": namespace, "name": claim}}})


def claimed(api, folder, namespace, claim, **more):
    """The same with its claim."""
    held(api, folder, namespace, claim, **more)
    spec = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": f"{namespace}-{claim}",
            "resources": {"requests": {"storage": "1Gi"}}}
    api.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim, "namespace": namespace},
               "spec": spec})
