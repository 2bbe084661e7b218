"""Every folder of examples/ is served as it stands, without a problem that its reader would have to solve."""

import json
import os
import re
import subprocess
from pathlib import Path

import gateway_process
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(one.name for one in EXAMPLES.iterdir() if one.is_dir())
PROVIDER_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")


def state(running):
    """What the internal listener says of the configuration."""
    status, _, text = running.get("/health/readiness", base=running.internal)
    assert status == 200
    return json.loads(text)


def text_of(name):
    """All manifests of a folder."""
    return "\n".join(file.read_text() for file in (EXAMPLES / name).glob("*.yaml"))


def test_the_readme_lists_each_folder():
    listed = re.findall(r"^\| \[[\w-]+\]\(([\w-]+)\)", (EXAMPLES / "README.md").read_text(), re.M)
    assert sorted(listed) == FOLDERS


@pytest.mark.parametrize("name", FOLDERS)
def test_example(name):
    environment = {variable: "sk-from-the-environment" for variable in PROVIDER_KEYS}
    with gateway_process.Gateway(folder=EXAMPLES / name, environment=environment) as running:
        found = state(running)
        problems = found["config"]["problems"]
        # Engines are for clusters: that, and what follows from it, is all that is wrong with them here.
        engines = [problem for problem in problems if problem["field"] == "spec.vllm"]
        assert all(problem["message"].startswith("engines run in a cluster") for problem in engines)
        if engines:
            assert len(engines) == text_of(name).count("\n  vllm:")
            return
        assert problems == []
        assert not found["rejected"]
        names = re.findall(r"^  modelName: \"?([^\"\n]+)", text_of(name), re.M)
        assert names or name == "key-by-hash"
        for model in names:
            concrete = model.replace("*", "anything")
            status, _, text = running.get(f"/v1/models/{concrete}", key=gateway_process.ADMIN_KEY)
            assert status == 200, (model, text)
            assert json.loads(text)["id"] == concrete


def test_quickstart_without_any_provider_key():
    with gateway_process.Gateway(folder=EXAMPLES / "quickstart") as running:
        problems = state(running)["config"]["problems"]
        said = [json.dumps(problem) for problem in problems]
        assert problems, "a model that waits for a key says so"
        for one in said:
            assert any(variable in one for variable in PROVIDER_KEYS), one
        body = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}
        for key in (gateway_process.ADMIN_KEY, running.key("quickstart-key")):
            status, _, text = running.request("POST", "/v1/chat/completions", body, key=key)
            assert status == 200, text
            assert "canned answer" in json.loads(text)["choices"][0]["message"]["content"]
        body["model"] = "llamacpp/any"
        status, _, text = running.request("POST", "/v1/chat/completions", body,
                                          key=gateway_process.ADMIN_KEY)
        assert status in (502, 503), text


def test_the_printed_curl_line_works_as_printed():
    """The admin key is generated, as on a newcomer's machine; the line is given to a shell unchanged."""
    with gateway_process.Gateway(folder=EXAMPLES / "quickstart",
                                 environment={"TURNPIKE_ADMIN_KEY": None}) as running:
        answer, output = run_printed_curl(running, environment={})
        assert "canned answer" in answer
        assert str(running.data) in output, "it says where the data lies"
        assert f"{running.v1}" in output
        models = next(line for line in output.splitlines() if line.startswith("models:"))
        assert "mock" in models
        assert "ollama/*" in models, "wildcards are named as well"


@pytest.mark.parametrize("variable", ["TURNPIKE_ADMIN_KEY", "LITELLM_MASTER_KEY"])
def test_the_printed_curl_line_with_a_key_of_ones_own(variable):
    """A key that came from the environment is not printed; the line works in the same environment."""
    given = {variable: "sk-chosen-by-the-reader"}
    environment = {"TURNPIKE_ADMIN_KEY": None, **given}
    with gateway_process.Gateway(folder=EXAMPLES / "quickstart", environment=environment) as running:
        answer, output = run_printed_curl(running, environment=given)
        assert "canned answer" in answer
        assert "sk-chosen-by-the-reader" not in output


def run_printed_curl(running, environment):
    """Gives the printed command to a shell as it stands; returns its output and all that was printed."""
    begun = gateway_process.eventually("a curl line", lambda: next(
        (index for index, line in enumerate(running.lines) if line.startswith("curl ")), None))
    printed = running.lines[begun]
    while printed.endswith("\\"):
        begun += 1
        printed += "\n" + running.lines[begun]
    answer = subprocess.run(["bash", "-c", printed], capture_output=True, text=True, timeout=30,
                            check=True, env={"PATH": os.environ["PATH"], **environment})
    return answer.stdout, "\n".join(running.lines)


def test_keys_of_the_hash_example():
    body = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}
    with gateway_process.Gateway(folder=EXAMPLES / "key-by-hash") as running:
        for key, expected in (("sk-example-key-by-hash-000001", 200),
                              ("sk-example-brought-along-01", 200),
                              (running.key("suspended-key"), 401), ("sk-somebody-elses-key-1", 401)):
            status, _, text = running.request("POST", "/v1/chat/completions", body, key=key)
            assert status == expected, (key, text)


def test_limits_of_the_budgets_example():
    """Each key goes as far as its limits say, and is refused for the reason that the example gives."""
    with gateway_process.Gateway(folder=EXAMPLES / "budgets",
                                 environment={"OPENAI_API_KEY": "sk-from-the-environment"}) as running:
        def until_refused(key, user=None, tags=()):
            body = {"model": "mock", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5,
                    "metadata": {"tags": tags}}
            for answered in range(100):
                status, _, text = running.request("POST", "/v1/chat/completions", {**body, "user": user} if user else body,
                                                  key=running.key(key))
                if status != 200:
                    error = json.loads(text)["error"]
                    return answered, status, error["code"], error["message"]
            raise AssertionError("100 requests passed")

        answered, status, code, message = until_refused("intern-key", tags=["nightly", "batch"])
        assert (answered, status, code) == (2, 429, "insufficient_quota")
        assert "Budget default/batches allows 2 requests per Day" in message
        for user in ("ann", "ben"):
            answered, status, code, message = until_refused("support-app-key", user)
            assert (answered, status, code) == (20, 429, "insufficient_quota")
            assert f"Budget default/each-customer (pot user:{user}) allows 20 requests per Day" in message
        answered, status, code, message = until_refused("intern-key")
        assert (answered, status, code) == (30 - 2, 429, "rate_limit_exceeded")
        assert "VirtualKey default/intern allows 30 requests per Minute" in message
        answered, status, code, message = until_refused("nightly-key")
        assert (answered, status, code) == (10 + 2, 429, "rate_limit_exceeded")
        assert "Budget default/nightly" in message
