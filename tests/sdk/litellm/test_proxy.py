"""A real LiteLLM proxy between two gateways: behind one of them as an upstream, in front of the other as a client.

    OpenAI's SDK -> gateway -> LiteLLM proxy -> gateway -> scripted upstream
"""

import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import gateway_process
import openai
import openai_answers
import pytest
import stand

APP_KEY = stand.KEYS["app"][0]
PROXY_KEY = "sk-proxy-0123456789abcdef"
OWN_KEY = "sk-own-0123456789abcdefgh"
HELLO = [{"role": "user", "content": "Hello there, gate"}]
TOOL = {"type": "function", "function": {"name": "get_time", "parameters": {
    "type": "object", "properties": {"zone": {"type": "string"}}}}}
CONFIG = """\
model_list:
  - model_name: "*"
    litellm_params: {model: "openai/*", api_base: "%s", api_key: "%s"}
litellm_settings: {num_retries: 0, drop_params: false}
general_settings: {master_key: "%s"}
"""


@pytest.fixture(scope="module")
def proxy(gateway):
    """The proxy's base URL; every model it serves comes from `gateway`."""
    port = stand.closed_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="litellm-") as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG % (gateway.v1, APP_KEY, PROXY_KEY))
        log = Path(folder) / "log"
        environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "HOME": folder}
        command = [sys.executable, "-c", "import litellm; litellm.run_server()", "--config", str(config),
                   "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
        with log.open("wb") as out, subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as process:
            def alive():
                if process.poll() is not None:
                    raise AssertionError("the proxy ended:\n" + log.read_text()[-2000:])
                try:
                    with urllib.request.urlopen(url + "/health/liveliness", timeout=2) as answer:
                        return answer.status == 200
                except (urllib.error.URLError, TimeoutError, ConnectionError):
                    return False
            try:
                gateway_process.eventually("the proxy answers", alive, patience=100)
                yield url
            finally:
                process.terminate()


@pytest.fixture(scope="module")
def outer(proxy):
    """A gateway whose only upstream is the proxy."""
    objects = [
        gateway_process.secret("proxy", **{"api-key": PROXY_KEY}),
        gateway_process.manifest("ModelDeployment", "through", {"modelName": "*", "provider": {
            "type": "OpenAICompatible", "baseURL": proxy + "/v1", "model": "*",
            "credentials": {"secretRef": {"name": "proxy", "key": "api-key"}}}}),
        gateway_process.secret("own", **{"api-key": OWN_KEY}),
        gateway_process.manifest("VirtualKey", "own", {
            "secretRef": {"name": "own", "key": "api-key"}, "allowedModels": ["*"]}),
    ]
    with gateway_process.Gateway(objects) as running:
        yield running


@pytest.fixture
def through(outer):
    """The official client before the outer gateway."""
    with openai.OpenAI(base_url=outer.v1, api_key=OWN_KEY, max_retries=0,
                       http_client=openai.DefaultHttpxClient(trust_env=False)) as made:
        yield made


def test_chat(through):
    answer = through.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert answer.model == "gpt-4o"
    assert answer.choices[0].message.content == "You said: Hello there, gate"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (14, 5)


def test_stream(through, outer):
    chunks = list(through.chat.completions.create(
        model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "You said: Hello there, gate"
    assert {chunk.model for chunk in chunks} == {"gpt-4o"}
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (14, 5)


def test_tools(through):
    answer = through.chat.completions.create(model="gpt-4o", messages=HELLO, tools=[TOOL])
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].function.arguments == '{"zone": "Oslo"}'


def test_embeddings(through):
    answer = through.embeddings.create(model="text-embedding-3-small", input=["one two"])
    assert answer.data[0].embedding == pytest.approx(openai_answers.vector("one two"), rel=1e-6)


@pytest.mark.parametrize(("model", "error", "status"), [
    ("fail-400", openai.BadRequestError, 400),
    ("fail-429", openai.RateLimitError, 429),
    ("fail-500", openai.InternalServerError, 500),
])
def test_errors(through, model, error, status):
    with pytest.raises(error) as raised:
        through.chat.completions.create(model=model, messages=HELLO)
    assert raised.value.status_code == status
