"""The stand that the SDK tests share: a scripted upstream, and a gateway with a model per script.

Run as a program it prints the addresses and keys as one JSON line and serves until its standard
input closes: that is how the tests in Node use it.
"""

import json
import socket
import sys

import gateway_process
import upstream

SCRIPTS = ["fail-400", "fail-401", "fail-403", "fail-404", "fail-422", "fail-429", "fail-429-once",
           "fail-500", "fail-500-once", "fail-503", "reset", "cut", "half", "stream-error", "trickle",
           "crlf", "silent-usage", "gzipped", "floats-only", "base64-only"]
# Who waits for a place waits shorter than a test's patience.
ARGUMENTS = ["--queue-wait", "1s", "--pass-through", "openai"]
KEYS = {
    "app": ("sk-app-0123456789abcdefghij", {"allowedModels": ["*"],
                                            "subject": {"team": "ml", "user": "ann"}}),
    "narrow": ("sk-narrow-0123456789abcdefg", {"allowedModels": ["gpt-4o", "openai/*"]}),
    "late": ("sk-late-0123456789abcdefghi", {"allowedModels": ["*"],
                                             "expiresAt": "2020-01-01T00:00:00Z"}),
    "paused": ("sk-paused-0123456789abcdefg", {"allowedModels": ["*"], "suspended": True}),
    # Room for some answers of 0.00007 USD, each of which may cost 0.0047 USD before it is known.
    "poor": ("sk-poor-0123456789abcdefghi", {"allowedModels": ["*"], "budget": [
        {"window": "Month", "usd": "0.0055"}]}),
    "thrifty": ("sk-thrifty-0123456789abcdef", {"allowedModels": ["*"], "budget": [
        {"window": "Day", "usd": "0.10"}]}),
    "small": ("sk-small-0123456789abcdefgh", {"allowedModels": ["*"], "budget": [
        {"window": "Month", "tokens": 100}]}),
    # One comes back each second at most: what the SDK is told to wait for.
    "hurried": ("sk-hurried-0123456789abcdef", {"allowedModels": ["*"], "limits": {"rpm": 60}}),
    "single": ("sk-single-0123456789abcdefg", {"allowedModels": ["*"], "limits": {"maxParallel": 1}}),
}


def closed_port():
    """A loopback port on which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def provider(base_url, model_name, **spec):
    """A ModelDeployment in front of the scripted upstream, which is asked as often as the client asks, and not probed."""
    kind = spec.pop("type", "OpenAI")
    inner = {"type": kind, "baseURL": base_url,
             "credentials": {"secretRef": {"name": "upstream", "key": "api-key"}},
             **spec.pop("provider", {})}
    name = spec.pop("name", model_name.replace("/", "-").replace("*", "any"))
    return gateway_process.manifest("ModelDeployment", name,
                            {"modelName": model_name, "provider": inner, "retry": {"attempts": 0},
                             "health": {"active": False}, **spec})


def objects(up):
    """Every manifest of the stand, for the upstream at `up`."""
    v1 = up + "/v1"
    price = {"inputPerMillion": "3.00", "outputPerMillion": "15.00", "cachedInputPerMillion": "0.30"}
    listed = [gateway_process.secret("upstream", **{"api-key": upstream.KEY})]
    listed += [provider(v1, name) for name in SCRIPTS]
    listed += [
        provider(v1, "gpt-4o", aliases=["smart"]),
        provider(v1, "priced", provider={"model": "gpt-5-mini"}, price=price),
        provider(v1, "text-embedding-3-small"),
        provider(v1, "cached", provider={"model": "gpt-4o"}, cache={"enabled": True}),
        provider(up, "rerank-v4.0", type="Cohere"),
        *[provider(up, f"rerank-{fault}", type="Cohere", provider={"model": fault})
          for fault in ("fail-400", "fail-429", "fail-500-once")],
        # Knows chats only.
        provider(v1, "compatible", type="OpenAICompatible"),
        provider(v1, "openai/*", name="wildcard", provider={"model": "*"}),
        provider(v1, "hang", timeouts={"total": "1s"}),
        provider(v1, "hang-stream", provider={"model": "hang"}, timeouts={"firstByte": "1s"}),
        provider(up, "azure-gpt", type="AzureOpenAI",
                 provider={"model": "east-4o", "apiVersion": "2025-02-01-preview"}),
        provider(f"http://127.0.0.1:{closed_port()}/v1", "unreachable"),
        provider(v1, "tweaked", provider={"model": "gpt-4o", "params": {
            "defaults": {"temperature": 0.25}, "drop": ["user"],
            "rename": {"max_tokens": "max_completion_tokens"}}}),
        gateway_process.manifest("ModelDeployment", "mock", {"mock": {"response": "A canned answer."}}),
    ]
    for name, (value, spec) in KEYS.items():
        listed.append(gateway_process.secret(f"key-{name}", **{"api-key": value}))
        listed.append(gateway_process.manifest("VirtualKey", name, {
            "secretRef": {"name": f"key-{name}", "key": "api-key"}, **spec}))
    listed.append(gateway_process.manifest("VirtualKey", "minted", {
        "generate": {"secretName": "minted-key"}, "allowedModels": ["*"]}))
    return listed


def main():
    """Serves until standard input closes."""
    up = upstream.Upstream()
    with gateway_process.Gateway(objects(up.url), arguments=ARGUMENTS) as gate:
        print(json.dumps({"gateway": gate.url, "upstream": up.url, "admin": gateway_process.ADMIN_KEY,
                          "keys": {name: value for name, (value, _) in KEYS.items()}}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
