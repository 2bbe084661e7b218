"""The official SDK's `previous_response_id`, through a gateway that keeps answers itself."""

import gateway_process
import openai
import pytest
import stand

MODELS = ["gpt-4o", "compatible"]
WEATHER = {"type": "function", "name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"], "additionalProperties": False}, "strict": True}


@pytest.fixture(scope="module")
def keeping(upstream):
    """A gateway that keeps answers."""
    arguments = [*stand.ARGUMENTS, "--response-store-days", "30"]
    with gateway_process.Gateway(stand.objects(upstream.url), arguments=arguments) as running:
        yield running


@pytest.fixture
def client(keeping):
    """The official client of one key."""
    with openai.OpenAI(base_url=keeping.v1, api_key=stand.KEYS["app"][0], max_retries=0) as made:
        yield made


@pytest.fixture
def stranger(keeping):
    """That of another key."""
    with openai.OpenAI(base_url=keeping.v1, api_key=stand.KEYS["narrow"][0], max_retries=0) as made:
        yield made


def said(record):
    """Who said what, as an upstream of either dialect was asked."""
    body = record["body"]
    messages = body["messages"] if "messages" in body else body["input"]

    def text(content):
        return content if isinstance(content, str) else "".join(part["text"] for part in content)

    return [(message["role"], text(message["content"])) for message in messages]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_conversation_goes_on(client, upstream, model, streamed):
    def ask(text, **more):
        if not streamed:
            return client.responses.create(model=model, input=text, **more)
        with client.responses.stream(model=model, input=text, **more) as stream:
            for _event in stream:
                pass
            return stream.get_final_response()

    first = ask("Hello there", instructions="Be brief.")
    second = ask("And now", previous_response_id=first.id)
    third = ask("The end", previous_response_id=second.id)
    assert third.output_text == "You said: The end"
    before = [("user", "Hello there"), ("assistant", "You said: Hello there"), ("user", "And now"),
              ("assistant", "You said: And now")]
    assert said(upstream.recorded()[-1]) == [*before, ("user", "The end")]
    assert "previous_response_id" not in upstream.recorded()[-1]["body"]
    kept = client.responses.retrieve(third.id)
    assert (kept.output_text, kept.previous_response_id) == (third.output_text, second.id)
    # Another end of the same beginning, at another provider.
    other = next(name for name in MODELS if name != model)
    client.responses.create(model=other, input="Or so", previous_response_id=second.id)
    assert said(upstream.recorded()[-1]) == [*before, ("user", "Or so")]


def test_tool_results_go_on_alone(client, upstream):
    first = client.responses.create(model="compatible", input="Hello", tools=[WEATHER])
    (call,) = [item for item in first.output if item.type == "function_call"]
    answer = client.responses.create(model="compatible", tools=[WEATHER], previous_response_id=first.id, input=[
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}])
    assert answer.output_text == "Tools said: rain"
    asked = upstream.recorded()[-1]["body"]["messages"]
    assert [message["role"] for message in asked] == ["user", "assistant", "tool"]
    assert asked[2]["tool_call_id"] == asked[1]["tool_calls"][0]["id"]


def test_what_is_kept_is_said(client):
    first = client.responses.create(model="compatible", input="Hello there")
    second = client.responses.create(model="compatible", input="Again", previous_response_id=first.id)
    shown = second.model_dump()
    assert (shown["store"], shown["previous_response_id"]) == (True, first.id)
    private = client.responses.create(model="compatible", input="Private", store=False)
    assert private.model_dump()["store"] is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(private.id)


def test_answers_belong_to_their_key(client, stranger, upstream):
    first = client.responses.create(model="gpt-4o", input="Hello there")
    with pytest.raises(openai.NotFoundError):
        stranger.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        stranger.responses.create(model="gpt-4o", input="Again", previous_response_id=first.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
    with pytest.raises(openai.NotFoundError):
        stranger.responses.delete(first.id)
    assert len(upstream.recorded()) == 1
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_what_was_asked_is_listed(client, stranger):
    first = client.responses.create(model="compatible", input="Hello there")
    second = client.responses.create(model="gpt-4o", previous_response_id=first.id, input=[
        {"role": "user", "content": "And"}, {"role": "user", "content": [{"type": "input_text", "text": "now"}]}])

    def texts(items):
        return [(item.role, item.content[0].text) for item in items]

    everything = [("user", "Hello there"), ("assistant", "You said: Hello there"), ("user", "And"), ("user", "now")]
    # Page by page, as the SDK goes on from the last id.
    listed = list(client.responses.input_items.list(second.id, order="asc", limit=3))
    assert texts(listed) == everything
    assert len({item.id for item in listed}) == 4
    assert texts(client.responses.input_items.list(second.id).data) == everything[::-1]
    page = client.responses.input_items.list(first.id, limit=1)
    assert (texts(page.data), page.has_more) == (everything[:1], False)
    with pytest.raises(openai.NotFoundError):
        stranger.responses.input_items.list(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.input_items.list(first.id, limit=0)
    assert caught.value.param == "limit"


def test_a_failure_is_not_kept(client, upstream):
    with pytest.raises(openai.APIError), client.responses.stream(model="half", input="Hello there") as stream:
        for event in stream:
            assert event.type != "response.completed"
    assert len(upstream.recorded()) == 1


def test_nothing_is_kept_unless_asked(gateway):
    with openai.OpenAI(base_url=gateway.v1, api_key=stand.KEYS["app"][0], max_retries=0) as client:
        first = client.responses.create(model="compatible", input="Hello there")
        assert first.model_dump()["store"] is False
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(first.id)
