"""Every folder of examples/ is served as it stands, without a problem that its reader would have to solve."""

import json
import re
import shlex
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


def test_the_readme_lists_each_folder():
    listed = re.findall(r"^\| \[[\w-]+\]\(([\w-]+)\)", (EXAMPLES / "README.md").read_text(), re.M)
    assert sorted(listed) == FOLDERS


@pytest.mark.parametrize("name", FOLDERS)
def test_example(name):
    environment = {variable: "sk-from-the-environment" for variable in PROVIDER_KEYS}
    with gateway_process.Gateway(folder=EXAMPLES / name, environment=environment) as running:
        found = state(running)
        assert found["config"]["problems"] == []
        assert found["rejected"] is None
        names = re.findall(r"^  modelName: \"?([^\"\n]+)", "\n".join(
            file.read_text() for file in (EXAMPLES / name).glob("*.yaml")), re.M)
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
        for key in (gateway_process.ADMIN_KEY, running.key("quickstart")):
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
                                 environment={"TURNPIKE_ADMIN_KEY": ""}) as running:
        output = "\n".join(running.lines)
        start = output.index("curl ")
        line = output[start:].split("\n\n")[0]
        while line and not complete(line):
            line = line.rsplit("\n", 1)[0]
        answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30,
                                check=True)
        assert "canned answer" in answer.stdout, (line, answer.stdout, answer.stderr)
        assert str(running.data) in output, "it says where the data lies"
        assert "/v1" in output


def complete(line):
    """Whether a shell would take the text as one whole command."""
    try:
        words = shlex.split(line)
    except ValueError:
        return False
    return words[:1] == ["curl"] and "curl" not in words[1:] and not line.endswith("\\")


def test_keys_of_the_hash_example():
    body = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}
    with gateway_process.Gateway(folder=EXAMPLES / "key-by-hash") as running:
        for key, expected in (("sk-example-key-by-hash-000001", 200),
                              ("sk-example-brought-along-01", 200),
                              (running.key("suspended"), 401), ("sk-somebody-elses-key-1", 401)):
            status, _, text = running.request("POST", "/v1/chat/completions", body, key=key)
            assert status == expected, (key, text)
