"""What fetches a model's files with the clients that its images carry: AWS's command line, and the hub's own library."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from test_fetching import ended, fetching

PROGRAMS = Path(sys.executable).parent
OWNER = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
         "AWS_DEFAULT_REGION": "eu-north-1"}
PREFIX = "qwen/7b/"


@pytest.fixture(scope="module")
def s3():
    """An S3 of the tests' own; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def objects(s3):
    """The bucket of the model, with the model and something else in it."""
    keys = dict(aws_access_key_id=OWNER["AWS_ACCESS_KEY_ID"], aws_secret_access_key=OWNER["AWS_SECRET_ACCESS_KEY"])
    urllib.request.urlopen(urllib.request.Request(f"{s3}/moto-api/reset", method="POST")).close()
    client = boto3.client("s3", endpoint_url=s3, region_name=OWNER["AWS_DEFAULT_REGION"], **keys)
    client.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": OWNER["AWS_DEFAULT_REGION"]})
    for key, size in (("config.json", 10), ("weights/1.safetensors", 20_000_000), ("weights/2.safetensors", 3)):
        client.put_object(Bucket="models", Key=PREFIX + key, Body=key[:1].encode() * size)
    client.put_object(Bucket="models", Key="other/model", Body=b"not ours")
    return client


@pytest.fixture
def sync(s3, tmp_path):
    """Starts one that copies from the bucket."""
    command, variables = fetching("s3")
    variables = {name: value.replace("/cache", str(tmp_path), 1) for name, value in variables.items()}

    def start(*only, **more):
        environment = {**variables, **OWNER, "AWS_ENDPOINT_URL": s3, "HOME": str(tmp_path),
                       "PATH": f"{PROGRAMS}:{os.environ['PATH']}", **more}
        return subprocess.Popen([*command, *only], env=environment, stderr=subprocess.PIPE, text=True)

    start.folder = tmp_path / "s3/models/qwen/7b"
    return start


def sizes(folder):
    """Size of each file below a folder."""
    return {str(file.relative_to(folder)): file.stat().st_size for file in folder.rglob("*") if file.is_file()}


def test_a_folder_of_a_bucket_is_copied_and_follows_it(objects, sync):
    for process in [sync() for _ in range(3)]:
        assert ended(process) == (0, "")
    assert sizes(sync.folder) == {"config.json": 10, "weights/1.safetensors": 20_000_000, "weights/2.safetensors": 3}
    objects.delete_object(Bucket="models", Key=PREFIX + "weights/2.safetensors")
    objects.put_object(Bucket="models", Key=PREFIX + "config.json", Body=b"more than before")
    assert ended(sync()) == (0, "")
    assert sizes(sync.folder) == {"config.json": 16, "weights/1.safetensors": 20_000_000}


def test_one_file_is_copied_alone(objects, sync):
    objects.put_object(Bucket="models", Key=PREFIX + "tiny.gguf", Body=b"GGUF")
    command, _ = fetching("s3-file")
    *but, file = command[command.index("sync") + 1:]
    assert but == ["--exclude", "*", "--include"] and file.endswith(".gguf")
    assert ended(sync(*but, "tiny.gguf")) == (0, "")
    assert sizes(sync.folder) == {"tiny.gguf": 4}


@pytest.mark.parametrize("place, said", [("s3://models/nothing/here", "there are no objects at s3://models/nothing/here"),
                                         ("s3://no-such-bucket/7b", "NoSuchBucket")])
def test_what_is_not_there_is_an_error_that_says_so(objects, sync, place, said):
    code, words = ended(sync(MODEL_FROM=place))
    assert code != 0 and said in words


COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_of_the_tests"
FILES = {"config.json": b"{}", "model.safetensors": b"s" * 5_000_000, "pytorch_model.bin": b"p" * 5_000_000}


class Hub(http.server.BaseHTTPRequestHandler):
    """One repository, `a/b`, for those with the token: its paths, and the headers that the hub's library goes by."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            return self.answer(401, b"{}", {"X-Error-Code": "GatedRepo"})
        if path in ("/api/models/a/b/revision/main", f"/api/models/a/b/revision/{COMMIT}"):
            siblings = [{"rfilename": name, "size": len(content)} for name, content in FILES.items()]
            return self.answer(200, json.dumps({"id": "a/b", "sha": COMMIT, "siblings": siblings}).encode())
        if path == f"/api/models/a/b/tree/{COMMIT}":
            tree = [{"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for name, content in FILES.items()]
            return self.answer(200, json.dumps(tree).encode())
        if path.startswith("/api/"):
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        _, _, name = path.rpartition(f"/a/b/resolve/{COMMIT}/")
        if name not in FILES:
            return self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        if self.command == "GET":
            self.server.sent.append(name)
        etag = hashlib.sha256(FILES[name]).hexdigest()
        return self.answer(200, FILES[name], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    def answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.sent = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetch(hub, tmp_path):
    """Starts one that downloads the repository."""
    command, variables = fetching("overlay")

    def start(**more):
        environment = {**variables, "PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "cache"),
                       "HF_ENDPOINT": "http://127.0.0.1:{}".format(hub.server_address[1]), "HF_TOKEN": TOKEN,
                       "PROGRESS_PORT": "0", "MODEL_REVISION": "main", **more}
        return subprocess.Popen([sys.executable, *command[1:]], env=environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    start.snapshot = tmp_path / "cache/hub/models--a--b/snapshots" / COMMIT
    return start


def test_a_repository_is_downloaded_once_without_what_comes_twice(hub, fetch):
    for process in [fetch() for _ in range(3)]:
        code, said = ended(process)
        assert code == 0, said
    assert {file.name: file.read_bytes() for file in fetch.snapshot.iterdir()} == {
        name: FILES[name] for name in ("config.json", "model.safetensors")}
    assert sorted(hub.sent) == ["config.json", "model.safetensors"], "the others find the files there"


def test_what_is_in_the_cache_needs_no_hub(hub, fetch):
    assert ended(fetch())[0] == 0
    code, said = ended(fetch(HF_ENDPOINT="http://127.0.0.1:9"))
    assert code == 0 and "cannot ask the hub about a/b" in said, said


@pytest.mark.parametrize("change, said", [({"HF_TOKEN": "hf_of_somebody_else"}, "cannot fetch a/b at main"),
                                          ({"MODEL_REVISION": "no-such"}, "cannot fetch a/b at no-such")])
def test_a_refusal_is_told_in_the_hubs_words(fetch, change, said):
    code, words = ended(fetch(**change))
    assert code == 1 and said in words
