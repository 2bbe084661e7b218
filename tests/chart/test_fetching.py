"""What fetches a model's files, run as it stands in the manifests: several at once may fill one cache."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest
import render
import yaml

GOLDENS = render.ROOT / "engine/tests/golden"

# Like aws, it writes under another name first, and with --delete it deletes what the bucket does not have.
AWS = """#!/usr/bin/env python3
import os, pathlib, sys, time
to = pathlib.Path(sys.argv[4])
for other in to.iterdir():
    if other.name != "weights":
        other.unlink()
part = to / f"weights.{os.getpid()}"
part.write_text("half")
pathlib.Path(os.environ["STARTED"]).touch()
time.sleep(float(os.environ.get("SECONDS_TO_COPY", "1")))
part.rename(to / "weights")
"""

# Like the hub's library: a lock for each file, which gets its name once it is whole.
HUB = """
import fcntl, os, pathlib, time, types

class HfApi:
    def model_info(self, repository, revision, files_metadata):
        return types.SimpleNamespace(siblings=[types.SimpleNamespace(rfilename="a.safetensors", size=4)])

def snapshot_download(repository, revision, ignore_patterns):
    home = pathlib.Path(os.environ["HF_HOME"], "hub", "models--" + repository.replace("/", "--"))
    blobs = home / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    with open(home / "a.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (blobs / "a").exists():
            with open(home / "downloads", "a") as downloads:
                downloads.write("once ")
            part = blobs / "a.incomplete"
            assert not part.exists()
            part.write_text("half")
            time.sleep(0.5)
            part.write_text("full")
            part.rename(blobs / "a")
    return home
"""


def fetching(name):
    """Command and variables of the container that fetches: the Job's, or the pods' own where there is no Job."""
    documents = list(yaml.safe_load_all((GOLDENS / f"{name}.snap").read_text().split("---\n", 2)[2]))
    pods = [one["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for one in documents if one["kind"] == kind]
    containers = [one for pod in pods for one in pod.get("initContainers", []) + pod["containers"] if one["name"] == "fetch"]
    return containers[-1]["command"], {one["name"]: one["value"] for one in containers[-1]["env"] if "value" in one}


@pytest.fixture
def bucket(tmp_path):
    """Starts one that copies from a bucket."""
    aws = tmp_path / "bin" / "aws"
    aws.parent.mkdir()
    aws.write_text(AWS.replace("/usr/bin/env python3", sys.executable))
    aws.chmod(aws.stat().st_mode | stat.S_IXUSR)
    command, variables = fetching("s3")
    cache = str(tmp_path / "cache")
    variables = {name: value.replace("/cache", cache, 1) for name, value in variables.items()}

    def start(**more):
        environment = {**variables, "PATH": f"{aws.parent}:{os.environ['PATH']}", "STARTED": str(tmp_path / "started"), **more}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    start.weights = tmp_path / "cache/s3/models/qwen/7b/weights"
    start.locks = tmp_path / "cache/locks"
    start.started = tmp_path / "started"
    return start


def ended(process, within=60):
    """Its exit code and what it said."""
    _, said = process.communicate(timeout=within)
    return process.returncode, said


def test_several_copy_from_a_bucket_into_one_cache(bucket):
    for process in [bucket() for _ in range(3)]:
        assert ended(process) == (0, "")
    assert bucket.weights.read_text() == "half" and list(bucket.weights.parent.iterdir()) == [bucket.weights]
    assert not list(bucket.locks.iterdir()), "the lock is given back"


def test_one_that_is_killed_keeps_nobody_waiting_for_ever(bucket):
    killed = bucket(SECONDS_TO_COPY="600")
    while not bucket.started.exists():
        assert killed.poll() is None
        time.sleep(0.05)
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(killed.pid)], capture_output=True, text=True).stdout.split()
    for process in [killed.pid, *map(int, children)]:
        os.kill(process, signal.SIGKILL)
    killed.wait()
    assert list(bucket.locks.iterdir()), "it could not give the lock back"
    assert ended(bucket(LOCK_SECONDS="2")) == (0, "")
    assert bucket.weights.exists()


def test_one_that_is_asked_to_end_gives_the_lock_back(bucket):
    asked = bucket(SECONDS_TO_COPY="600")
    while not bucket.started.exists():
        assert asked.poll() is None
        time.sleep(0.05)
    asked.terminate()
    assert ended(asked)[0] == 143
    assert not list(bucket.locks.iterdir())


def test_a_cache_that_cannot_be_written_to_is_an_error(bucket):
    bucket.locks.parent.mkdir()
    bucket.locks.touch()
    code, said = ended(bucket())
    assert code != 0 and "locks" in said


def test_several_fetch_from_the_hub_into_one_cache(tmp_path):
    (tmp_path / "huggingface_hub.py").write_text(HUB)
    command, variables = fetching("overlay")
    assert command[0] == "python3"
    variables |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "HF_HOME": str(tmp_path / "cache"), "PROGRESS_PORT": "0"}
    processes = [subprocess.Popen([sys.executable, *command[1:]], env=variables, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        assert ended(process) == (0, "")
    home = tmp_path / "cache/hub/models--a--b"
    assert (home / "blobs/a").read_text() == "full"
    assert (home / "downloads").read_text() == "once ", "the others find the file there"
