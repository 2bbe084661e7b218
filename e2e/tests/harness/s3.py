"""A bucket that engines of the tests' own cluster fetch from, and the image that they fetch with: AWS's own command line."""

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from release import ROOT

IMAGE = "localhost/aws-cli:e2e"


def load(folder):
    """Brings the image to the node."""
    if "STATE" not in os.environ or "AWS_PYTHON" not in os.environ:
        pytest.skip("the image is made for the tests' own cluster")
    subprocess.run([ROOT / "e2e/cluster/aws-cli.sh", folder, os.environ["AWS_PYTHON"]], check=True, timeout=300)
    subprocess.run([ROOT / "e2e/cluster/load", folder / "aws-cli.tar"], check=True, timeout=300)


@contextlib.contextmanager
def served(api, bucket, key, file):
    """A server with this one object, on the node's address; where it is, and the keys of its reader."""
    [node] = api.call("GET", "/api/v1/nodes")["items"]
    address = next(one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP")
    command = [os.environ["AWS_PYTHON"], Path(__file__).with_name("s3_server.py"), address, bucket, key, file]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield {"address": address, "file": file, **json.loads(server.stdout.readline())}
        finally:
            server.kill()
