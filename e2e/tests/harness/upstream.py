"""Servers that models of a tenant may or may not reach: a gateway in a pod of the tenant's, and one in the test itself."""

import base64
import contextlib
import json
import os
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import kube
from objects import key, mock
from release import IMAGE, is_ready

# What every upstream says, and the key that it asks for.
WORDS = "from upstream"
KEY = "sk-upstream-0123456789abcdef0123456789abcdef"


def start(api, namespace):
    """A gateway of its own in the tenant's namespace, with a Service: an OpenAI-compatible server like any other."""
    labels = {"app": "upstream"}
    manifests = "\n---\n".join(json.dumps(item) for item in (mock("own", "echo", WORDS), key("own", "caller", KEY)))
    container = {
        "name": "server", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "ports": [{"containerPort": 4000}],
        "args": ["--manifests", "/manifests", "--data", "/data", "--runtimes", "1"],
        "readinessProbe": {"httpGet": {"path": "/health/readiness", "port": 4000}, "periodSeconds": 1},
        "volumeMounts": [{"name": "manifests", "mountPath": "/manifests"}, {"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "manifests", "configMap": {"name": "upstream"}}, {"name": "data", "emptyDir": {}}]
    api.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "upstream", "namespace": namespace},
         "data": {"all.yaml": manifests}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "upstream", "namespace": namespace, "labels": labels},
         "spec": {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0}},
        service(namespace, "upstream", selector=labels),
    )


def wait(api, namespace):
    """The address of its pod once it is ready."""
    pod = kube.eventually(lambda: ready_pod(api, namespace), "the upstream is ready", within=60)
    return pod["status"]["podIP"]


def ready_pod(api, namespace):
    """Its pod if it is ready."""
    pod = api.get("Pod", namespace, "upstream")
    return pod if is_ready(pod) else None


def service(namespace, name, **spec):
    """A Service of port 4000."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": [{"port": 4000, "protocol": "TCP"}], **spec}}


class Server(ThreadingHTTPServer):
    """Many may knock at once."""
    request_queue_size = 1024


class Listener:
    """A server in the test's own process, which the tests' own cluster reaches by its node's address."""

    def __init__(self, api, tls=None):
        if "STATE" not in os.environ:
            pytest.skip("pods of another cluster do not reach the test")
        [node] = api.call("GET", "/api/v1/nodes")["items"]
        self.address = next(one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP")
        self.seen = []
        # Status, headers and body, or what makes them of the body that came.
        self.answer = (200, {}, completion(WORDS))
        # What makes the answer to a GET of a path; to others there is none, with status 200.
        self.pages = {}
        listener = self

        class Handler(BaseHTTPRequestHandler):
            """Notes each request and gives the answer that is set."""
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                """One request."""
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                listener.seen.append((self.path, dict(self.headers)))
                self.send(*(listener.answer(body) if callable(listener.answer) else listener.answer))

            def do_GET(self):
                """A probe or a page, which is not noted."""
                self.send(200, {}, listener.pages.get(self.path.split("?")[0], bytes)())

            def send(self, status, headers, body):
                """A whole answer."""
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                # Who asked may be gone.
                with contextlib.suppress(OSError):
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                """Quiet."""

        self.server = Server((self.address, 0), Handler)
        self.port = self.server.server_address[1]
        if tls:
            # The thread of a connection greets, not the one that accepts.
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        """Ends the server."""
        self.server.shutdown()
        self.server.server_close()

    def behind(self, api, namespace, name):
        """Makes a Service in a tenant's namespace that leads here."""
        api.apply(
            {**service(namespace, name), "spec": {"ports": [{"port": self.port, "protocol": "TCP"}]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
             "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
             "endpoints": [{"addresses": [self.address]}], "ports": [{"port": self.port, "protocol": "TCP"}]},
        )
        return f"http://{name}.{namespace}.svc:{self.port}/v1"

    def opened(self, release):
        """A NetworkPolicy that lets the gateways come here, so that nothing but the gateway itself can refuse."""
        return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": "e2e-listener", "namespace": release.namespace},
                "spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "gateway"}},
                         "policyTypes": ["Egress"],
                         "egress": [{"to": [{"ipBlock": {"cidr": f"{self.address}/32"}}]}]}}


def secure(api, namespace, name, folder):
    """A Listener over TLS behind a Service, for the apiserver to call; and its certificate, as `caBundle` has it."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}.{namespace}.svc", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = Listener(api, tls=context)
    listener.behind(api, namespace, name)
    return listener, base64.b64encode(certificate.read_bytes()).decode()


def completion(text):
    """The body of a chat completion."""
    return json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "echo",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()
