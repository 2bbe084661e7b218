"""Google's official SDK: models that speak only OpenAI's chat completions, Anthropic's Messages, and Gemini's own dialect."""

import asyncio
import base64
import hashlib
import json

import gateway_process
import pytest
import stand
from google import genai
from google.genai import errors, types

APP_KEY = stand.KEYS["app"][0]
HELLO = "Hello there, gate"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
# A model of each kind of upstream; behind all of them the same script answers in the end.
MODELS = ["gpt-4o", "of-anthropic", "of-gemini"]
# model -> error class, status, Google's word for it, requests at the upstream.
TABLE = {
    "no-such-model": (errors.ClientError, 404, "NOT_FOUND", 0),
    "fail-400": (errors.ClientError, 400, "INVALID_ARGUMENT", 1),
    "fail-401": (errors.ServerError, 502, "UNAVAILABLE", 1),
    "fail-429": (errors.ClientError, 429, "RESOURCE_EXHAUSTED", 1),
    "fail-500": (errors.ServerError, 500, "INTERNAL", 1),
    "fail-503": (errors.ServerError, 503, "UNAVAILABLE", 1),
}


def get_weather(city: str, days: int) -> str:
    """Weather of a city."""
    return f"rain in {city} for {days} days"


@pytest.fixture(scope="module")
def front(gateway):
    """A gateway whose upstreams are the dialects of another: what one says, the other hears."""
    def behind(kind, name, base_url):
        return stand.provider(base_url, name, type=kind, provider={"model": "gpt-4o"})

    key = gateway_process.manifest("VirtualKey", "app", {
        "secretRef": {"name": "key-app", "key": "api-key"}, "allowedModels": ["*"]})
    objects = [
        gateway_process.secret("upstream", **{"api-key": APP_KEY}),
        gateway_process.secret("key-app", **{"api-key": APP_KEY}), key,
        behind("OpenAI", "gpt-4o", gateway.v1),
        behind("Anthropic", "of-anthropic", gateway.url),
        behind("Gemini", "of-gemini", gateway.url + "/v1beta"),
    ]
    with gateway_process.Gateway(objects) as running:
        yield running


def client_of(base_url, key=APP_KEY):
    """The official client as its users make it."""
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=base_url))


@pytest.fixture
def client(front):
    """A client of the gateway in front."""
    with client_of(front.url) as made:
        yield made


@pytest.fixture
def near(gateway):
    """A client of the gateway whose upstream is the script."""
    with client_of(gateway.url) as made:
        yield made


@pytest.mark.parametrize("model", MODELS)
def test_content(client, front, upstream, model):
    config = types.GenerateContentConfig(system_instruction="Be brief.", stop_sequences=["END"], max_output_tokens=64)
    answer = client.models.generate_content(model=model, contents=HELLO, config=config)
    assert answer.text == f"You said: {HELLO}"
    assert (answer.model_version, answer.candidates[0].finish_reason) == (model, types.FinishReason.STOP)
    used = answer.usage_metadata
    # The fake counts words and 10, four of them from its cache.
    assert (used.prompt_token_count, used.cached_content_token_count, used.candidates_token_count) == (17, 4, 5)
    body = upstream.recorded()[-1]["body"]
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": HELLO}]
    assert (body["max_completion_tokens"], body["stop"]) == (64, ["END"])
    row = front.spend(answer.sdk_http_response.headers["x-litellm-call-id"])
    assert (row["operation"], row["prompt_tokens"], row["completion_tokens"]) == ("generate_content", 17, 5)


@pytest.mark.parametrize("model", MODELS)
def test_stream(client, front, model):
    pieces = list(client.models.generate_content_stream(model=model, contents=HELLO))
    assert "".join(piece.text or "" for piece in pieces) == f"You said: {HELLO}"
    assert len(pieces) > 2
    assert pieces[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert pieces[-1].usage_metadata.candidates_token_count == 5
    row = front.spend(pieces[0].sdk_http_response.headers["x-litellm-call-id"])
    assert (row["stream"], row["completion_tokens"], row["estimated"]) == (1, 5, 0)


def test_async_stream(front):
    async def run():
        async with client_of(front.url).aio as client:
            stream = await client.models.generate_content_stream(model="gpt-4o", contents=HELLO)
            return "".join([piece.text or "" async for piece in stream])

    assert asyncio.run(run()) == f"You said: {HELLO}"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", MODELS)
def test_chat_remembers(client, upstream, model, streamed):
    chat = client.chats.create(model=model)
    for text in ("One", "Two"):
        if streamed:
            said = "".join(piece.text or "" for piece in chat.send_message_stream(text))
        else:
            said = chat.send_message(text).text
        assert said == f"You said: {text}"
    messages = upstream.recorded()[-1]["body"]["messages"]
    assert [message["content"] for message in messages] == ["One", "You said: One", "Two"]


@pytest.mark.parametrize("model", MODELS)
def test_functions_are_called_by_the_client(client, upstream, model):
    config = types.GenerateContentConfig(tools=[get_weather])
    answer = client.models.generate_content(model=model, contents="Weather?", config=config)
    assert "rain in Oslo for 7 days" in answer.text
    asked, told = upstream.recorded()[-1]["body"]["messages"][1:]
    (call,) = asked["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": "Oslo", "days": 7}
    assert told["tool_call_id"] == call["id"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", MODELS)
def test_calls_are_told(client, model, streamed):
    schema = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
    tool = types.Tool(function_declarations=[{"name": "get_weather", "parameters": schema}])
    config = types.GenerateContentConfig(tools=[tool], tool_config=types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(mode="ANY", allowed_function_names=["get_weather"])))
    if streamed:
        pieces = list(client.models.generate_content_stream(model=model, contents="Weather?", config=config))
        calls = [call for piece in pieces for call in piece.function_calls or []]
    else:
        calls = client.models.generate_content(model=model, contents="Weather?", config=config).function_calls
    assert [(call.name, call.args) for call in calls] == [("get_weather", {"city": "Oslo"})]


@pytest.mark.parametrize("model", MODELS)
def test_images_arrive_whole(client, model):
    picture = types.Part.from_bytes(data=PICTURE, mime_type="image/png")
    answer = client.models.generate_content(model=model, contents=[picture, "what?"])
    assert hashlib.sha256(PICTURE).hexdigest() in answer.text


def test_json_of_a_schema(near, sent):
    schema = types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING", nullable=True)})
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=schema)
    near.models.generate_content(model="compatible", contents=HELLO, config=config)
    asked = sent()["response_format"]["json_schema"]["schema"]
    assert asked == {"type": "object", "properties": {"city": {"type": ["string", "null"]}}}


def test_json_schema(near):
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=schema)
    answer = near.models.generate_content(model="compatible", contents=HELLO, config=config)
    assert json.loads(answer.text) == {"city": "Oslo", "days": 7}


def test_thinking(near, sent):
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(thinking_budget=2048))
    answer = near.models.generate_content(model="priced", contents=HELLO, config=config)
    assert sent()["reasoning_effort"] == "medium"
    assert answer.usage_metadata.thoughts_token_count == 5


@pytest.mark.parametrize("model", MODELS)
def test_count_tokens(client, upstream, model):
    assert 5 <= client.models.count_tokens(model=model, contents=HELLO).total_tokens <= 30
    assert upstream.recorded() == []


def test_mock(near):
    assert near.models.generate_content(model="mock", contents=HELLO).text == "A canned answer."


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", TABLE)
def test_errors(near, upstream, model, streamed):
    error_class, status, word, reached = TABLE[model]
    with pytest.raises(errors.APIError) as caught:
        if streamed:
            list(near.models.generate_content_stream(model=model, contents=HELLO))
        else:
            near.models.generate_content(model=model, contents=HELLO)
    error = caught.value
    assert (type(error), error.code, error.status) == (error_class, status, word)
    assert error.message
    assert len(upstream.recorded()) == reached


def test_bad_key(gateway):
    with client_of(gateway.url, "sk-unknown-0123456789abcdef") as client, pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="gpt-4o", contents=HELLO)
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


def test_what_only_google_has_is_refused_by_name(near, upstream):
    config = types.GenerateContentConfig(tools=[types.Tool(code_execution=types.ToolCodeExecution())])
    with pytest.raises(errors.ClientError) as caught:
        near.models.generate_content(model="gpt-4o", contents=HELLO, config=config)
    assert (caught.value.code, "tools.codeExecution" in caught.value.message) == (400, True)
    assert upstream.recorded() == []


@pytest.mark.parametrize("model", ["stream-error", "half", "cut"])
def test_failure_in_the_middle_of_a_stream(near, model):
    heard = []
    with pytest.raises(errors.APIError) as caught:
        for piece in near.models.generate_content_stream(model=model, contents=HELLO):
            heard.append(piece.text or "")
    assert "".join(heard).startswith("You")
    assert caught.value.status in {"UNAVAILABLE", "INTERNAL"}


def test_a_picture_in_the_alphabet_of_urls(near, sent):
    """The SDK writes base64 for URLs, which nobody else reads."""
    near.models.generate_content(model="gpt-4o", contents=[types.Part.from_bytes(data=b"\xfb\xff", mime_type="image/png")])
    url = sent()["messages"][0]["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.removeprefix("data:image/png;base64,"), validate=True) == b"\xfb\xff"
