"""Real tokens from a real engine: what streams, what is counted and priced, what a disconnect stops."""

import time

import gateway_process
import llama_server
import openai
import pytest
import tiny_model
from gateway_process import eventually

HELLO = [{"role": "user", "content": "which road goes north"}]
INPUT, OUTPUT = 1.50e-6, 6.00e-6


def settled(engine):
    """Whether the engine used no CPU for half a second."""
    used = engine.cpu_seconds()
    time.sleep(0.5)
    return engine.cpu_seconds() - used <= 0.03


def test_chat_is_what_the_engine_says(client, direct, gateway):
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 40, "temperature": 0}
    alone = direct.chat.completions.create(**asked)
    raw = client.chat.completions.with_raw_response.create(**asked)
    through = raw.parse()
    assert through.choices[0].message.content == alone.choices[0].message.content
    assert len(through.choices[0].message.content) > 20
    assert through.choices[0].finish_reason == "length"
    assert through.usage.completion_tokens == alone.usage.completion_tokens == 40
    assert through.usage.prompt_tokens == alone.usage.prompt_tokens > 20

    cost = through.usage.prompt_tokens * INPUT + 40 * OUTPUT
    assert float(raw.headers["x-litellm-response-cost"]) == pytest.approx(cost, rel=1e-9)
    row = gateway.spend(raw.headers["x-litellm-call-id"])
    assert row["prompt_tokens"] == through.usage.prompt_tokens
    assert row["completion_tokens"] == 40
    assert row["cost_nano"] == round(cost * 1e9)
    assert (row["model"], row["status"], row["estimated"]) == ("default/tiny", 200, 0)


def test_tokens_stream_through_as_they_are_made(client, gateway):
    begun = time.monotonic()
    with client.chat.completions.with_streaming_response.create(
            model="tiny", messages=HELLO, max_tokens=400, temperature=0, stream=True) as raw:
        call_id = raw.headers["x-litellm-call-id"]
        text, arrived = "", []
        for chunk in raw.parse():
            assert chunk.model == "tiny"
            if chunk.choices[0].delta.content:
                text += chunk.choices[0].delta.content
                arrived.append(time.monotonic() - begun)
    assert len(arrived) == 400, "a token, a chunk"
    assert arrived[0] < arrived[-1] / 2, "the first came long before the last"

    # llama.cpp's Python server sends no usage in streams: the gateway counts by itself and says so.
    row = gateway.spend(call_id)
    assert row["estimated"] == 1
    assert row["prompt_tokens"] > 0
    assert 100 <= row["completion_tokens"] <= 800
    cost = row["prompt_tokens"] * INPUT + row["completion_tokens"] * OUTPUT
    assert row["cost_nano"] == round(cost * 1e9)
    assert 0 < row["first_byte_us"] < row["latency_us"]


def test_the_streamed_text_is_the_whole_text(client):
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 60, "temperature": 0}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    chunks = client.chat.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole


def test_text_completion(client, gateway):
    raw = client.completions.with_raw_response.create(model="tiny", prompt="the road", max_tokens=12,
                                                      temperature=0)
    answer = raw.parse()
    assert answer.usage.completion_tokens == 12
    row = gateway.spend(raw.headers["x-litellm-call-id"])
    cost = answer.usage.prompt_tokens * INPUT + 12 * OUTPUT
    assert row["cost_nano"] == round(cost * 1e9)


def test_a_client_that_leaves_stops_the_engine(client, engine, gateway):
    """7,000 tokens take the engine the better part of a minute; it must stop long before."""
    before = engine.log.read_text().count("Disconnected from client")
    with client.chat.completions.with_streaming_response.create(
            model="tiny", messages=HELLO, max_tokens=7000, temperature=0, stream=True) as raw:
        call_id = raw.headers["x-litellm-call-id"]
        chunks = iter(raw.parse())
        for _ in range(20):
            next(chunks)
        busy = engine.cpu_seconds()
        time.sleep(0.5)
        busy = engine.cpu_seconds() - busy
    assert busy > 0.1, "the engine was at work"

    eventually("the engine's CPU time stops rising", lambda: settled(engine), 8)
    log = engine.log.read_text()
    assert log.count("Disconnected from client") == before + 1, "its own word for it"
    row = gateway.spend(call_id)
    assert row["outcome"] != "success"
    assert 0 < row["completion_tokens"] < 7000, "what was made is priced"
    begun = time.monotonic()
    client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=3, temperature=0)
    assert time.monotonic() - begun < 5, "the next request finds it free"


def test_a_whole_answer_abandoned_frees_the_gateway(gateway, engine):
    """Nothing of an abandoned call stays behind in the gateway."""
    with openai.OpenAI(base_url=gateway.v1, api_key=gateway_process.ADMIN_KEY, max_retries=0,
                       timeout=0.5) as hasty:
        with pytest.raises(openai.APITimeoutError):
            hasty.chat.completions.create(model="tiny", messages=HELLO, max_tokens=1500, temperature=0)

    def none_in_flight():
        _, _, text = gateway.get("/metrics", base=gateway.internal)
        values = [line.split()[-1] for line in text.splitlines()
                  if line.startswith("turnpike_in_flight")]
        return values and all(float(value) == 0 for value in values)

    eventually("no request is in flight", none_in_flight, 10)
    # The engine cannot be interrupted in a whole answer: let it finish, so that the next test is alone.
    eventually("the engine is done", lambda: settled(engine), 60)


def test_errors_of_the_engine_surface(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", max_tokens=5,
                                       messages=[{"role": "user", "content": "q" * 9000}])
    assert caught.value.code == "context_length_exceeded"
    assert "maximum context length" in str(caught.value)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="tiny", messages=[{"role": "nobody"}])


def test_without_the_engines_key(client):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="tiny-no-key", messages=HELLO)
    assert caught.value.status_code == 502
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_an_engine_that_died_is_a_clear_error(gateway, tmp_path):
    """Last of all, with an engine of its own."""
    tiny_model.write(tmp_path / "tiny.gguf")
    mortal = llama_server.Engine(tmp_path / "tiny.gguf", tmp_path / "engine.log")
    try:
        eventually("the engine answers", mortal.answers, 60)
        objects = [gateway_process.secret("engine", token=llama_server.KEY),
                   gateway_process.manifest("ModelDeployment", "mortal", {"provider": {
                       "type": "OpenAICompatible", "baseURL": mortal.url,
                       "credentials": {"secretRef": {"name": "engine", "key": "token"}}}})]
        with gateway_process.Gateway(objects) as running, openai.OpenAI(
                base_url=running.v1, api_key=gateway_process.ADMIN_KEY, max_retries=0) as client:
            stream = client.chat.completions.create(model="mortal", messages=HELLO, max_tokens=5000,
                                                    temperature=0, stream=True)
            for _ in range(5):
                next(stream)
            mortal.process.kill()
            with pytest.raises(openai.APIError) as caught:
                for _ in stream:
                    pass
            assert not isinstance(caught.value, openai.APIConnectionError)
            with pytest.raises(openai.InternalServerError) as caught:
                client.chat.completions.create(model="mortal", messages=HELLO)
            # What the first attempt met is told: a kernel that still closes what was open, or nobody.
            assert caught.value.status_code in (502, 503)
    finally:
        mortal.process.kill()
        mortal.process.wait()
