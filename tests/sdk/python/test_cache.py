"""The cache as LiteLLM's users steer it from the official SDK: by `cache` in extra_body."""

import openai
import pytest

HELLO = [{"role": "user", "content": "Keep this"}]


@pytest.fixture
def ask(client):
    """Asks the model that caches; gives the answer and whether it was a kept one."""
    def asked(messages=None, **extra):
        body = {"extra_body": {"cache": extra}} if extra else {}
        raw = client.chat.completions.with_raw_response.create(model="cached", messages=messages or HELLO, **body)
        return raw.parse(), raw.headers.get("x-litellm-cache-hit") == "True"
    return asked


def test_the_tutorials_example(ask, upstream):
    first, kept = ask()
    assert not kept
    again, kept = ask()
    assert kept
    assert again == first
    assert len(upstream.recorded()) == 1
    skipped, kept = ask(**{"no-cache": True})
    assert not kept
    assert skipped.choices[0].message.content == "You said: Keep this"
    assert len(upstream.recorded()) == 2
    assert "cache" not in upstream.recorded()[1]["body"]


def test_a_hit_costs_nothing(client, gateway):
    def create():
        return client.chat.completions.with_raw_response.create(
            model="cached", messages=[{"role": "user", "content": "What does it cost?"}])
    assert float(create().headers["x-litellm-response-cost"]) > 0
    raw = create()
    assert float(raw.headers["x-litellm-response-cost"]) == 0
    assert raw.headers["x-litellm-cache-key"]
    row = gateway.spend(raw.headers["x-litellm-call-id"])
    assert (row["cost_nano"], row["prompt_tokens"], row["attempts"]) == (0, raw.parse().usage.prompt_tokens, 0)


def test_namespaces_and_no_store(ask):
    messages = [{"role": "user", "content": "Whose is it?"}]
    assert not ask(messages, **{"no-store": True})[1]
    assert not ask(messages)[1]
    assert not ask(messages, namespace="other")[1]
    assert ask(messages, namespace="other", ttl=60)[1]
    assert ask(messages, **{"s-maxage": 600})[1]


def test_a_stream(client):
    def create():
        messages = [{"role": "user", "content": "Stream this"}]
        with client.chat.completions.with_streaming_response.create(
                model="cached", messages=messages, stream=True) as raw:
            kept = raw.headers.get("x-litellm-cache-hit")
            return [chunk.model_dump() for chunk in raw.parse()], kept
    first, kept = create()
    assert kept is None
    again, kept = create()
    assert (again, kept) == (first, "True")


def test_a_wrong_value_is_named(ask):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(ttl="an hour")
    assert refused.value.param == "cache.ttl"
