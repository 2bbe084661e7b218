"""A scripted OpenAI-compatible upstream: strict about requests, faithful in answers.

The model's name is the script: `fail-429`, `hang`, `trickle` and so on (see `FAULTS` below) misbehave
on purpose; every other name answers like OpenAI. It records each request, and names whatever a
gateway must never send (client credentials, cookies, encodings it did not ask for) as a violation.

`GET /_requests` lists what was recorded and `DELETE /_requests` forgets it, so that the tests in
Node can look as well.
"""

import gzip
import json
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cohere_rerank
import openai_answers
import openai_media
import openai_rules
from openai_rules import Refusal

KEY = "upstream-key"
ROUTES = {
    "/v1/chat/completions": (openai_rules.chat, openai_answers.chat, openai_answers.chat_chunks),
    "/v1/completions": (openai_rules.completion, openai_answers.completion,
                        openai_answers.completion_chunks),
    "/v1/embeddings": (openai_rules.embedding, openai_answers.embedding, None),
    "/v1/responses": (openai_rules.response, openai_answers.response, openai_answers.response_events),
    "/v2/rerank": (cohere_rerank.check, cohere_rerank.answer, None),
}
AZURE = re.compile(r"^/openai/deployments/([^/]+)(/chat/completions|/completions|/embeddings)"
                   r"\?api-version=(\d{4}-\d\d-\d\d(?:-preview)?)$")
FORBIDDEN = {"cookie", "x-api-key", "x-goog-api-key", "ocp-apim-subscription-key", "forwarded", "via",
             "expect", "te", "trailer", "upgrade", "keep-alive", "if-none-match"}
FORBIDDEN_PREFIXES = ("x-litellm-", "x-forwarded-", "x-turnpike-", "proxy-", "x-stainless-")
ENCODINGS = {"floats-only": "float", "base64-only": "base64"}
# status -> message, type, code of OpenAI's own error
ERRORS = {
    400: ("The request is not valid.", "invalid_request_error", "invalid_value"),
    401: ("Incorrect API key provided: upstream-****.", "invalid_request_error", "invalid_api_key"),
    403: ("You are not allowed to use this model.", "invalid_request_error", "forbidden"),
    404: ("The model does not exist.", "invalid_request_error", "model_not_found"),
    422: ("Unprocessable.", "invalid_request_error", None),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request.", "server_error", None),
    503: ("The engine is currently overloaded.", "server_error", "overloaded"),
}
# fail-<status> always, fail-<status>-once the first time, hang (no answer), reset (closes without
# an answer), cut (closes in the middle of a stream), half (ends in the middle of an event),
# stream-error (an error event), trickle (one word each 100 ms, endless), crlf (CRLF, comments and
# writes of 3 bytes), silent-usage (ignores include_usage), gzipped (encodes although not asked),
# floats-only and base64-only (embeddings in one encoding, whatever was asked for).
FAULTS = re.compile(r"^(fail-(\d{3})(-once)?|hang|reset|cut|half|stream-error|trickle|crlf|"
                    r"silent-usage|gzipped|floats-only|base64-only)$")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Keeps the test output clean."""

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self):  # noqa: N802 (the base class fixes the name)
        """Lists the recorded requests."""
        if self.path == "/_requests":
            self.send_json(200, self.server.recorded())
        elif self.path == "/health":
            self.send_json(200, {})
        else:
            self.send_json(404, {"error": {"message": "Not found", "type": "invalid_request_error",
                                           "param": None, "code": None}})

    def do_DELETE(self):  # noqa: N802
        """Forgets the recorded requests."""
        self.server.forget()
        self.send_json(200, {})

    def do_POST(self):  # noqa: N802
        """Checks the request as OpenAI does, then answers."""
        raw = self.read_body()
        record = {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()},
                  "body": None, "violations": self.violations(), "closed": False, "sent": 0}
        self.server.remember(record)
        try:
            if self.path in openai_media.NEEDS:
                self.media(record, raw)
                return
            route, azure_model = self.route()
            check, whole, chunks = ROUTES[route]
            self.authenticate(azure_model)
            body = openai_rules.parse(raw)
            record["body"] = body
            if azure_model:
                body = {"model": azure_model, **body}
            check(body)
            self.answer(record, body, whole, chunks)
        except Refusal as refusal:
            self.send_json(refusal.status, refusal.body, refusal.headers)
        except OSError:
            record["closed"] = True
            self.close_connection = True

    def media(self, record, raw):
        """Answers what is no chat."""
        self.authenticate(None)
        body = openai_media.read(self.path, raw, self.headers["content-type"])
        # Bytes are not JSON, in which the tests in Node read this.
        record["body"] = {name: len(value) if isinstance(value, bytes) else value
                          for name, value in body.items()}
        kind, answer = openai_media.answer(self.path, body)
        self.send_bytes(200, answer, kind)

    def read_body(self):
        length = self.headers.get("content-length")
        if length is not None:
            return self.rfile.read(int(length))
        raw = b""
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                raw += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return raw

    def violations(self):
        found = [name for name in self.headers
                 if name.lower() in FORBIDDEN or name.lower().startswith(FORBIDDEN_PREFIXES)]
        encoding = self.headers.get("accept-encoding")
        if encoding not in (None, "identity"):
            found.append(f"accept-encoding: {encoding}")
        is_form = self.path.startswith("/v1/audio/tr")
        wanted = "multipart/form-data" if is_form else "application/json"
        if self.headers.get_content_type() != wanted:
            found.append(f"content-type: {self.headers.get('content-type')}")
        return found

    def route(self):
        """The OpenAI route of a path, and the deployment if the path is Azure's."""
        if self.path in ROUTES:
            return self.path, None
        if azure := AZURE.match(self.path):
            return "/v1" + azure[2], azure[1]
        raise Refusal(404, f"Invalid URL (POST {self.path})")

    def authenticate(self, azure_model):
        header = self.headers.get("authorization")
        if azure_model and self.headers.get("api-key") == KEY and header is None:
            return
        if not azure_model and header == f"Bearer {KEY}" and self.headers.get("api-key") is None:
            return
        message, kind, code = ERRORS[401]
        raise Refusal(401, message, kind, code=code)

    def answer(self, record, body, whole, chunks):
        model = body["model"]
        fault = FAULTS.match(model)
        name = fault[1] if fault else ""
        if name.startswith("fail-") and not (fault[3] and self.server.seen(name)):
            message, kind, code = ERRORS[int(fault[2])]
            headers = {"Retry-After": "1"} if fault[2] == "429" else {}
            refusal = Refusal(int(fault[2]), message, kind, code=code, headers=headers)
            if whole is cohere_rerank.answer:
                refusal.body = cohere_rerank.refused(refusal.status, message).body
            raise refusal
        if name == "hang":
            self.wait_for_close(record)
            return
        if name == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.close_connection = True
            self.connection.close()
            return
        served = f"{model}-2024-08-06"
        if body.get("stream"):
            if name == "silent-usage":
                body = {**body, "stream_options": None}
            self.stream(record, name, chunks(body, served))
        elif name in ENCODINGS:
            self.send_json(200, whole(body, served, ENCODINGS[name]))
        else:
            self.send_json(200, whole(body, served), packed=name == "gzipped")

    def send_json(self, status, value, headers=None, packed=False):
        raw = json.dumps(value).encode()
        raw = gzip.compress(raw) if packed else raw
        headers = {**(headers or {}), **({"content-encoding": "gzip"} if packed else {})}
        self.send_bytes(status, raw, "application/json", headers)

    def send_bytes(self, status, raw, kind, headers=None):
        """A whole answer of any type."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(raw)))
        self.send_header("x-request-id", "req_scripted")
        self.send_header("openai-organization", "scripted")
        self.send_header("set-cookie", "__cf_bm=secret; path=/")
        self.send_header("x-ratelimit-remaining-requests", "41")
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(raw)

    def stream(self, record, name, chunks):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.send_header("x-request-id", "req_scripted")
        self.end_headers()
        end = "\r\n" if name == "crlf" else "\n"
        if name == "crlf":
            self.piecewise(f": a comment{end}{end}event: message{end}", 3)
        for index, chunk in enumerate(self.endless(chunks) if name == "trickle" else chunks):
            event = f"data: {json.dumps(chunk)}{end}{end}"
            if index == 3 and name == "cut":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                           b"\1\0\0\0\0\0\0\0")
                self.close_connection = True
                self.connection.close()
                return
            if index == 3 and name == "half":
                self.chunk(event[: len(event) // 2])
                self.chunk("")
                return
            if index == 3 and name == "stream-error":
                message, kind, code = ERRORS[500]
                self.chunk("data: " + json.dumps({"error": {
                    "message": message, "type": kind, "param": None, "code": code}}) + "\n\n")
                self.chunk("")
                return
            if name == "crlf":
                self.piecewise(event, 3)
            else:
                self.chunk(event)
            record["sent"] += 1
        self.chunk(f"data: [DONE]{end}{end}")
        self.chunk("")

    @staticmethod
    def endless(chunks):
        """Repeats the first word of a stream, one each 100 ms, for a minute at most."""
        head = [next(chunks), next(chunks)]
        yield head[0]
        for _ in range(600):
            time.sleep(0.1)
            yield head[1]

    def piecewise(self, text, size):
        for start in range(0, len(text), size):
            self.chunk(text[start:start + size])

    def chunk(self, text):
        raw = text.encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(raw), raw))

    def wait_for_close(self, record):
        """Answers nothing until the caller gives up (a minute at most)."""
        self.connection.settimeout(60)
        try:
            self.connection.recv(1)
        except OSError:
            pass
        record["closed"] = True
        self.close_connection = True


class Upstream(ThreadingHTTPServer):
    """The server; listens on a free loopback port as soon as it is made."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self._lock = threading.Lock()
        self._records = []
        self._once = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        """The base URL without /v1."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def remember(self, record):
        """Adds a request; the caller goes on writing to the record."""
        with self._lock:
            self._records.append(record)

    def recorded(self):
        """Every request since the last `forget`."""
        with self._lock:
            return list(self._records)

    def forget(self):
        """Drops the records and what the `-once` scripts have seen."""
        with self._lock:
            self._records.clear()
            self._once.clear()

    def seen(self, name):
        """Whether a `-once` script has already run; remembers that it has."""
        with self._lock:
            before = name in self._once
            self._once.add(name)
            return before
