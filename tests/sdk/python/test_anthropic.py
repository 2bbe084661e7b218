"""Anthropic's official SDK against models of a provider that speaks only OpenAI's chat completions."""

import asyncio
import base64
import hashlib
import json

import anthropic
import pytest
import stand

APP_KEY = stand.KEYS["app"][0]
HELLO = [{"role": "user", "content": "Hello there, gate"}]
WEATHER = {"name": "get_weather", "description": "Weather of a city", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"]}}
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
# model -> error class, status, attempts by the SDK, requests at the upstream.
TABLE = {
    "no-such-model": (anthropic.NotFoundError, 404, 1, 0),
    "fail-400": (anthropic.BadRequestError, 400, 1, 1),
    "fail-401": (anthropic.InternalServerError, 502, 1, 1),
    "fail-422": (anthropic.UnprocessableEntityError, 422, 1, 1),
    "fail-429": (anthropic.RateLimitError, 429, 3, 3),
    "fail-500": (anthropic.InternalServerError, 500, 3, 3),
}


@pytest.fixture
def client(gateway, attempts):
    """The official client as its users make it."""
    with anthropic.Anthropic(base_url=gateway.url, api_key=APP_KEY, http_client=anthropic.DefaultHttpxClient(
            event_hooks={"request": [attempts]}, trust_env=False)) as made:
        yield made


def ask(client, **request):
    """A request for a message."""
    return client.messages.create(**{"model": "gpt-4o", "max_tokens": 64, "messages": HELLO, **request})


def test_message(client, gateway, sent):
    raw = client.messages.with_raw_response.create(
        model="gpt-4o", max_tokens=64, messages=HELLO, system="Be brief.", stop_sequences=["END"],
        metadata={"user_id": "u-7"})
    message = raw.parse()
    assert [block.text for block in message.content] == ["You said: Hello there, gate"]
    assert (message.model, message.role, message.stop_reason) == ("gpt-4o", "assistant", "end_turn")
    # The fake counts words and 10, four of them from its cache; Anthropic counts those apart.
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (13, 4)
    assert message.usage.output_tokens == 5
    assert message._request_id == raw.headers["x-litellm-call-id"]
    assert sent() == {
        "model": "gpt-4o", "max_completion_tokens": 64, "stop": ["END"], "user": "u-7",
        "messages": [{"role": "system", "content": "Be brief."}, *HELLO]}
    row = gateway.spend(raw.headers["x-litellm-call-id"])
    assert (row["operation"], row["end_user"], row["prompt_tokens"]) == ("messages", "u-7", 17)
    assert row["cost_nano"] == round((13 * 2.50 + 4 * 1.25 + 5 * 10.00) * 1000)


def test_stream(client, gateway):
    with client.messages.stream(model="gpt-4o", max_tokens=64, messages=HELLO) as stream:
        call_id = stream.response.headers["x-litellm-call-id"]
        assert "".join(stream.text_stream) == "You said: Hello there, gate"
        message = stream.get_final_message()
    assert (message.model, message.stop_reason, message.usage.output_tokens) == ("gpt-4o", "end_turn", 5)
    row = gateway.spend(call_id)
    assert (row["prompt_tokens"], row["completion_tokens"], row["stream"], row["estimated"]) == (14, 5, 1, 0)


def test_async_stream(gateway):
    async def run():
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=APP_KEY) as client:
            stream = await client.messages.create(model="gpt-4o", max_tokens=64, messages=HELLO, stream=True)
            return [event.type async for event in stream]

    kinds = asyncio.run(run())
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools(client, upstream, streamed):
    request = {"model": "gpt-4o", "max_tokens": 64, "messages": HELLO, "tools": [WEATHER]}
    if streamed:
        with client.messages.stream(**request) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**request)
    assert message.stop_reason == "tool_use"
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("get_weather", {"city": "Oslo", "days": 7})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    answer = ask(client, tools=[WEATHER], messages=[
        *HELLO, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}])
    assert answer.content[0].text == "Tools said: rain"
    asked = upstream.recorded()[-1]["body"]["messages"]
    assert json.loads(asked[1]["tool_calls"][0]["function"]["arguments"]) == call.input
    assert asked[2] == {"role": "tool", "tool_call_id": call.id, "content": "rain"}


def test_images_arrive_whole(client):
    image = {"type": "image", "source": {
        "type": "base64", "media_type": "image/png", "data": base64.b64encode(PICTURE).decode()}}
    message = ask(client, messages=[{"role": "user", "content": [image, {"type": "text", "text": "what?"}]}])
    assert hashlib.sha256(PICTURE).hexdigest() in message.content[0].text


def test_count_tokens(client, upstream, gateway):
    raw = client.messages.with_raw_response.count_tokens(model="gpt-4o", messages=HELLO, system="Be brief.")
    assert 5 <= raw.parse().input_tokens <= 30
    assert upstream.recorded() == []
    assert gateway.spend(raw.headers["x-litellm-call-id"])["cost_nano"] == 0


def test_mock(client):
    assert ask(client, model="mock").content[0].text == "A canned answer."


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", TABLE)
def test_errors(client, attempts, upstream, model, streamed):
    error_class, status, tried, reached = TABLE[model]
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(client, model=model, stream=streamed)
    error = caught.value
    assert (type(error), error.status_code, attempts.count) == (error_class, status, tried)
    assert len(upstream.recorded()) == reached
    assert set(error.body) == {"type", "error", "request_id"}
    assert error.body["type"] == "error"
    assert error.body["request_id"] == error.request_id == error.response.headers["x-litellm-call-id"]


def test_bad_key(client, attempts):
    with pytest.raises(anthropic.AuthenticationError) as caught:
        ask(client.with_options(api_key="sk-unknown-0123456789abcdef"))
    assert caught.value.body["error"]["type"] == "authentication_error"
    assert attempts.count == 1


def test_exhausted_budget_is_final(client, attempts):
    poor = client.with_options(api_key=stand.KEYS["poor"][0])
    for _ in range(100):
        before = attempts.count
        try:
            ask(poor, model="priced")
        except anthropic.APIStatusError as error:
            assert type(error) is anthropic.RateLimitError
            assert error.body["error"]["type"] == "rate_limit_error"
            assert "VirtualKey default/poor allows 0.0055 USD per Month" in error.body["error"]["message"]
            assert attempts.count - before == 1, "no second attempt"
            return
    raise AssertionError("100 requests passed")


@pytest.mark.parametrize("model", ["stream-error", "half", "cut"])
def test_failure_in_the_middle_of_a_stream(client, attempts, model):
    heard = []
    with pytest.raises(anthropic.APIStatusError) as caught, \
            client.messages.stream(model=model, max_tokens=64, messages=HELLO) as stream:
        heard.extend(stream.text_stream)
    assert "".join(heard).startswith("You")
    assert caught.value.body["error"]["type"] in {"api_error", "overloaded_error"}
    assert attempts.count == 1
