"""Runs the real gateway process for a test: its manifests, its keys, its spend rows."""

import json
import os
import queue
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ADMIN_KEY = "sk-admin-of-the-client-tests"
PATIENCE = 30


def binary():
    """The gateway's executable; `make test` builds it and says where it is."""
    path = os.environ.get("TURNPIKE_GATEWAY")
    if not path or not Path(path).is_file():
        raise RuntimeError("TURNPIKE_GATEWAY must name the gateway's binary: run `make test`, or build "
                           "it and set the variable")
    return path


def eventually(what, probe, patience=PATIENCE):
    """Calls `probe` until it returns something true; returns that."""
    end = time.monotonic() + patience
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.02)


def manifest(kind, name, spec):
    """One of Turnpike's resources as a manifest (JSON is YAML)."""
    return {"apiVersion": "turnpike.dev/v1alpha1", "kind": kind, "metadata": {"name": name},
            "spec": spec}


def secret(name, **values):
    """A v1 Secret with string values."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque",
            "stringData": values}


class Gateway:
    """A gateway process that listens on free ports. Use as a context manager.

    `environment` adds variables; None takes one away.
    """

    def __init__(self, objects=(), folder=None, arguments=(), environment=None):
        self._scratch = tempfile.TemporaryDirectory(prefix="turnpike-")
        self.data = Path(self._scratch.name) / "data"
        self.manifests = Path(folder) if folder else Path(self._scratch.name) / "manifests"
        if not folder:
            self.manifests.mkdir()
            text = "\n---\n".join(json.dumps(one, indent=2) for one in objects)
            (self.manifests / "objects.yaml").write_text(text)
        self.lines = []
        self._arguments = arguments
        self._environment = environment or {}
        self._found = queue.Queue()

    def __enter__(self):
        command = [binary(), "--manifests", str(self.manifests), "--data", str(self.data),
                   "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", *self._arguments]
        environment = {"PATH": os.environ["PATH"], "TURNPIKE_ADMIN_KEY": ADMIN_KEY,
                       **self._environment}
        environment = {name: value for name, value in environment.items() if value is not None}
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.url = "http://" + self._announced("listening on http://")
            self.internal = "http://" + self._announced("internal listener on http://")
            eventually("the gateway is ready", lambda: self.get("/health/readiness")[0] == 200)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._scratch.cleanup()

    def _read(self):
        try:
            for line in self._process.stdout:
                self.lines.append(line.rstrip("\n"))
        except ValueError:
            pass  # closed by __exit__

    def _announced(self, prefix):
        def search():
            for line in list(self.lines):
                if prefix in line:
                    return line.split(prefix, 1)[1].split()[0].rstrip("/")
            if self._process.poll() is not None:
                raise AssertionError("the gateway ended:\n" + "\n".join(self.lines))
            return None

        return eventually(f"the gateway says {prefix!r}", search)

    @property
    def pid(self):
        """The process id."""
        return self._process.pid

    @property
    def v1(self):
        """The base URL that SDKs take."""
        return self.url + "/v1"

    def get(self, path, key=None, base=None):
        """GET: status, headers, body as text."""
        return self.request("GET", path, key=key, base=base)

    def request(self, method, path, body=None, key=None, base=None, headers=None):
        """A plain request: status, headers, body as text."""
        request = urllib.request.Request((base or self.url) + path, method=method)
        if body is not None:
            request.data = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        if key:
            request.add_header("authorization", f"Bearer {key}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def key(self, secret_name, namespace="default"):
        """The value of a key that `generate` minted into a Secret of that name."""
        found = sorted((self.data / "keys").glob(f"{namespace}.{secret_name}.*"))
        assert len(found) == 1, found
        return found[0].read_text().strip()

    def spend(self, call_id):
        """The spend row of a request, once the batch that holds it is written."""
        def search():
            file = self.data / "turnpike.db"
            if not file.exists():
                return None
            connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)
            try:
                connection.row_factory = sqlite3.Row
                rows = connection.execute("SELECT * FROM spend WHERE request_id = ?",
                                          (call_id,)).fetchall()
            except sqlite3.OperationalError:
                return None  # the table is not there yet
            finally:
                connection.close()
            return dict(rows[0]) if rows else None

        return eventually(f"a spend row for {call_id}", search)
