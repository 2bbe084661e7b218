"""Runs a real inference engine: llama.cpp's OpenAI-compatible server with a tiny model."""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request

KEY = "engine-key"


class Engine:
    """The engine's process."""

    def __init__(self, model, log):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = log
        # One thread: a stopped engine is told from a busy one by its CPU time.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--host", "127.0.0.1",
             "--port", str(self.port), "--n_ctx", "8192", "--n_threads", "1", "--n_threads_batch", "1",
             "--api_key", KEY, "--interrupt_requests", "False"],
            stdin=subprocess.DEVNULL, stdout=log.open("wb"), stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"})

    @property
    def url(self):
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def answers(self):
        """Whether it serves yet."""
        if self.process.poll() is not None:
            raise AssertionError("the engine ended:\n" + self.log.read_text()[-4000:])
        request = urllib.request.Request(self.url + "/models",
                                         headers={"authorization": f"Bearer {KEY}"})
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def cpu_seconds(self):
        """CPU time that it has used."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
