"""Chat and text completions through the official Python SDK: what an app sees, what the upstream gets."""

import asyncio
import base64
import hashlib

import openai
import pytest
from gateway_process import eventually
from pydantic import BaseModel

HELLO = [{"role": "user", "content": "Hello there, gate"}]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"], "additionalProperties": False}}}
CLOCK = {"type": "function", "function": {
    "name": "get_time", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}}}
# A PNG header and every byte value: any damage on the way changes the digest.
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


def test_chat(client, gateway, sent):
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO, seed=3)
    answer = raw.parse()
    assert answer.choices[0].message.content == "You said: Hello there, gate"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "gpt-4o", "the name that the client asked for"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (14, 5)
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    assert answer.system_fingerprint == "fp_scripted", "unknown members survive"
    assert sent() == {"model": "gpt-4o", "messages": HELLO, "seed": 3}

    headers = raw.headers
    assert headers["x-litellm-call-id"]
    assert headers["x-request-id"]
    assert "set-cookie" not in headers
    # gpt-4o in the built-in table: 2.50, cached 1.25, output 10.00 USD for a million tokens.
    cost = (10 * 2.50 + 4 * 1.25 + 5 * 10.00) / 1e6
    assert float(headers["x-litellm-response-cost"]) == pytest.approx(cost, rel=1e-9)
    row = gateway.spend(headers["x-litellm-call-id"])
    assert row["cost_nano"] == round(cost * 1e9)
    assert (row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"]) == (14, 5, 4)
    assert (row["team"], row["user"], row["requested_model"]) == ("ml", "ann", "gpt-4o")
    assert (row["status"], row["estimated"], row["stream"]) == (200, 0, 0)


def test_price_of_the_deployment_wins(client, gateway):
    raw = client.chat.completions.with_raw_response.create(
        model="priced", messages=HELLO, extra_body={"reasoning_effort": "low"})
    assert raw.parse().usage.completion_tokens_details.reasoning_tokens == 5
    cost = (10 * 3.00 + 4 * 0.30 + 10 * 15.00) / 1e6
    assert float(raw.headers["x-litellm-response-cost"]) == pytest.approx(cost, rel=1e-9)
    row = gateway.spend(raw.headers["x-litellm-call-id"])
    assert (row["cost_nano"], row["reasoning_tokens"]) == (round(cost * 1e9), 5)


@pytest.mark.parametrize("model", ["gpt-4o", "crlf"])
def test_stream(client, gateway, sent, model):
    with client.chat.completions.with_streaming_response.create(
            model=model, messages=HELLO, stream=True) as raw:
        call_id = raw.headers["x-litellm-call-id"]
        assert "x-litellm-response-cost" not in raw.headers, "not known yet, so not 0 either"
        assert raw.headers["content-type"].startswith("text/event-stream")
        chunks = list(raw.parse())
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text == "You said: Hello there, gate"
    assert {c.model for c in chunks} == {model}
    assert [c.usage for c in chunks if c.usage] == [], "the client did not ask for usage"
    assert all(c.choices for c in chunks), "the usage chunk is the gateway's own"
    assert sent()["stream_options"] == {"include_usage": True}, "always asked upstream"
    row = gateway.spend(call_id)
    assert (row["prompt_tokens"], row["completion_tokens"], row["stream"]) == (14, 5, 1)
    assert row["first_byte_us"] > 0
    assert row["estimated"] == 0


def test_stream_with_usage(client):
    chunks = list(client.chat.completions.create(
        model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}))
    assert [bool(c.choices) for c in chunks] == [True] * (len(chunks) - 1) + [False]
    usage = chunks[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (14, 5, 19)
    assert usage.cost == pytest.approx((10 * 2.50 + 4 * 1.25 + 5 * 10.00) / 1e6, rel=1e-9)


def test_stream_without_upstream_usage_is_estimated(client, gateway):
    with client.chat.completions.with_streaming_response.create(
            model="silent-usage", messages=HELLO, stream=True) as raw:
        call_id = raw.headers["x-litellm-call-id"]
        assert len(list(raw.parse())) == 7
    row = gateway.spend(call_id)
    assert row["estimated"] == 1
    assert row["prompt_tokens"] > 0
    assert row["completion_tokens"] > 0


def test_stream_helper_accumulates_tools(client):
    with client.chat.completions.stream(model="gpt-4o", messages=HELLO, tools=[WEATHER]) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"city": "Oslo", "days": 7}'


def test_tools_round_trip(client, sent):
    first = client.chat.completions.create(model="gpt-4o", messages=HELLO, tools=[WEATHER, CLOCK])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"]
    assert sent()["tools"] == [WEATHER, CLOCK]
    history = [*HELLO, message, *(
        {"role": "tool", "tool_call_id": call.id, "content": call.function.name.upper()}
        for call in message.tool_calls)]
    second = client.chat.completions.create(model="gpt-4o", messages=history, tools=[WEATHER, CLOCK])
    assert second.choices[0].message.content == "Tools said: GET_WEATHER; GET_TIME"


def test_tool_choice_and_no_parallel_calls(client):
    one = client.chat.completions.create(model="gpt-4o", messages=HELLO, tools=[WEATHER, CLOCK],
                                         parallel_tool_calls=False)
    assert [c.function.name for c in one.choices[0].message.tool_calls] == ["get_weather"]
    named = client.chat.completions.create(
        model="gpt-4o", messages=HELLO, tools=[WEATHER, CLOCK],
        tool_choice={"type": "function", "function": {"name": "get_time"}})
    assert [c.function.name for c in named.choices[0].message.tool_calls] == ["get_time"]
    none = client.chat.completions.create(model="gpt-4o", messages=HELLO, tools=[WEATHER],
                                          tool_choice="none")
    assert none.choices[0].message.content == "You said: Hello there, gate"


def test_parallel_tool_calls_in_a_stream(client):
    chunks = client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True,
                                            tools=[WEATHER, CLOCK])
    arguments, names = {}, {}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or []:
            names[call.index] = call.function.name or names[call.index]
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert names == {0: "get_weather", 1: "get_time"}
    assert arguments == {0: '{"city": "Oslo", "days": 7}', 1: '{"zone": "Oslo"}'}


class City(BaseModel):
    """An answer in a fixed shape."""

    name: str
    population: int
    twins: list[str]


def test_json_schema_by_the_parse_helper(client, sent):
    answer = client.chat.completions.parse(model="gpt-4o", messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Oslo", population=7, twins=["Oslo", "Oslo"])
    assert sent()["response_format"]["json_schema"]["strict"] is True


def test_json_mode(client):
    answer = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Answer in JSON"}],
        response_format={"type": "json_object"})
    assert answer.choices[0].message.content == '{"ok": true}'


def test_vision(client):
    data = base64.b64encode(PICTURE).decode()
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": [
        {"type": "text", "text": "Compare"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
    ]}])
    assert answer.choices[0].message.content == (
        "You said: Compare image at https://example.com/a.png image of "
        f"{len(PICTURE)} bytes sha256 {hashlib.sha256(PICTURE).hexdigest()}")


def test_unknown_members_pass_on(client, sent):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=HELLO,
                                       extra_body={"a_member_of_tomorrow": {"deep": [1]}})
    assert caught.value.param == "a_member_of_tomorrow", "the upstream's own words come back"
    assert sent()["a_member_of_tomorrow"] == {"deep": [1]}


def test_gateway_members_stay(client, sent):
    client.chat.completions.create(model="gpt-4o", messages=HELLO, extra_body={
        "tags": ["a"], "cache": {"no-cache": True}, "num_retries": 3, "drop_params": True,
        "litellm_session_id": "s1"})
    assert sent() == {"model": "gpt-4o", "messages": HELLO}


def test_params_of_the_deployment(client, sent):
    client.chat.completions.create(model="tweaked", messages=HELLO, user="ann", max_tokens=9)
    assert sent() == {"model": "gpt-4o", "messages": HELLO, "temperature": 0.25,
                      "max_completion_tokens": 9}


def test_alias_wildcard_and_mock(client, sent, upstream):
    assert client.chat.completions.create(model="smart", messages=HELLO).model == "smart"
    assert sent()["model"] == "gpt-4o"
    upstream.forget()
    assert client.chat.completions.create(model="openai/o9-new", messages=HELLO).model == "openai/o9-new"
    assert sent()["model"] == "o9-new"
    upstream.forget()
    mock = client.chat.completions.create(model="mock", messages=HELLO)
    assert mock.choices[0].message.content == "A canned answer."
    streamed = client.chat.completions.create(model="mock", messages=HELLO, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in streamed) == "A canned answer."
    assert upstream.recorded() == []


def test_encoded_answer_is_decoded(client):
    answer = client.chat.completions.create(model="gzipped", messages=HELLO)
    assert answer.choices[0].message.content == "You said: Hello there, gate"


def test_large_request_and_answer(client):
    text = "lorem ipsum " * 200_000
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])
    assert answer.choices[0].message.content == f"You said: {text}"


def test_completions(client):
    answer = client.completions.create(model="gpt-4o", prompt="Once upon")
    assert (answer.choices[0].text, answer.model) == ("Continued: Once upon", "gpt-4o")
    chunks = list(client.completions.create(model="gpt-4o", prompt="Once upon", stream=True))
    assert "".join(c.choices[0].text for c in chunks) == "Continued: Once upon "
    assert {c.model for c in chunks} == {"gpt-4o"}


def test_models(client, gateway):
    listed = {model.id: model for model in client.models.list()}
    assert {"gpt-4o", "smart", "mock", "text-embedding-3-small"} <= set(listed)
    assert isinstance(listed["gpt-4o"].created, int)
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"
    assert client.models.retrieve("openai/o9-new").id == "openai/o9-new"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing-like-it")
    with openai.OpenAI(base_url=gateway.v1, api_key="sk-narrow-0123456789abcdefg") as narrow:
        assert "mock" not in {model.id for model in narrow.models.list()}


def test_azure_client(gateway, upstream):
    with openai.AzureOpenAI(azure_endpoint=gateway.url, api_version="2024-10-21",
                            api_key="sk-app-0123456789abcdefghij") as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert answer.choices[0].message.content == "You said: Hello there, gate"
        chunks = list(client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))
        assert chunks[-1].choices[0].finish_reason == "stop"
        vector = client.embeddings.create(model="text-embedding-3-small", input="a b")
        assert len(vector.data[0].embedding) == 8
    assert {one["path"] for one in upstream.recorded()} == {"/v1/chat/completions", "/v1/embeddings"}


def test_azure_upstream(client, upstream):
    answer = client.chat.completions.create(model="azure-gpt", messages=HELLO)
    assert answer.model == "azure-gpt"
    assert upstream.recorded()[0]["path"] == (
        "/openai/deployments/east-4o/chat/completions?api-version=2025-02-01-preview")


def test_async_client(gateway, attempts):
    async def run():
        async with openai.AsyncOpenAI(
                base_url=gateway.v1, api_key="sk-app-0123456789abcdefghij",
                http_client=openai.DefaultAsyncHttpxClient(
                    event_hooks={"request": [attempts.asynchronous]}, trust_env=False)) as client:
            async def one(number):
                messages = [{"role": "user", "content": f"number {number}"}]
                if number % 2:
                    stream = await client.chat.completions.create(model="gpt-4o", messages=messages,
                                                                  stream=True)
                    return "".join([c.choices[0].delta.content or "" async for c in stream])
                answer = await client.chat.completions.create(model="gpt-4o", messages=messages)
                return answer.choices[0].message.content
            return await asyncio.gather(*(one(number) for number in range(24)))
    assert asyncio.run(run()) == [f"You said: number {number}" for number in range(24)]
    assert attempts.count == 24


def test_a_client_that_leaves_ends_the_upstream_call(client, gateway, upstream):
    stream = client.chat.completions.create(model="trickle", messages=HELLO, stream=True)
    next(iter(stream))
    next(iter(stream))
    stream.close()
    record = eventually("the upstream sees its caller leave",
                        lambda: next((r for r in upstream.recorded() if r["closed"]), None), 10)
    assert record["sent"] < 100
