"""The official SDK's Responses: passed on to OpenAI, and translated for a provider that knows chats only."""

import openai
import pytest
from pydantic import BaseModel

WEATHER = {"type": "function", "name": "get_weather", "description": "Weather of a city", "strict": True,
           "parameters": {"type": "object", "additionalProperties": False, "properties": {
               "city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]}}
MODELS = ["gpt-4o", "compatible"]


class City(BaseModel):
    """A city."""

    name: str
    population: int


@pytest.mark.parametrize("model", MODELS)
def test_create(client, gateway, model):
    raw = client.responses.with_raw_response.create(
        model=model, input="Hello there, gate", metadata={"team": "a"}, max_output_tokens=64)
    response = raw.parse()
    assert response.output_text == "You said: Hello there, gate"
    assert (response.model, response.status, response.metadata) == (model, "completed", {"team": "a"})
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens) == (
        (13 if model == "gpt-4o" else 14), 5, 4)
    row = gateway.spend(raw.headers["x-litellm-call-id"])
    assert (row["operation"], row["prompt_tokens"], row["completion_tokens"], row["estimated"]) == (
        "responses", usage.input_tokens, 5, 0)


def test_what_goes_on(client, upstream):
    tools = [{"type": "web_search"}]
    client.responses.create(model="gpt-4o", input="hi", tools=tools, previous_response_id="resp_0",
                            metadata={"a": "b"}, extra_body={"tags": ["mine"]})
    assert upstream.recorded()[0]["path"] == "/v1/responses"
    assert upstream.recorded()[0]["body"] == {
        "model": "gpt-4o", "input": "hi", "tools": tools, "previous_response_id": "resp_0",
        "metadata": {"a": "b"}}
    client.responses.create(model="compatible", input="hi", instructions="Be brief.")
    assert upstream.recorded()[1]["path"] == "/v1/chat/completions"
    assert upstream.recorded()[1]["body"]["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]


@pytest.mark.parametrize("model", MODELS)
def test_stream(client, gateway, model):
    with client.responses.stream(model=model, input="Hello there, gate") as stream:
        events = list(stream)
        response = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert {event.response.model for event in events if hasattr(event, "response")} == {model}
    assert response.output_text == "You said: Hello there, gate"
    assert response.usage.output_tokens == 5


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools(client, upstream, streamed):
    asked = [{"role": "user", "content": "Hello there, gate"}]
    request = {"model": "compatible", "input": asked, "tools": [WEATHER]}
    if streamed:
        with client.responses.stream(**request) as stream:
            response = stream.get_final_response()
    else:
        response = client.responses.create(**request)
    (call,) = response.output
    assert (call.type, call.name, call.arguments) == (
        "function_call", "get_weather", '{"city": "Oslo", "days": 7}')
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    answer = client.responses.create(model="compatible", tools=[WEATHER], input=[*asked, *response.output, result])
    assert answer.output_text == "Tools said: rain"
    assert [message["role"] for message in upstream.recorded()[-1]["body"]["messages"]] == [
        "user", "assistant", "tool"]


def test_parse(client):
    response = client.responses.parse(model="compatible", input="Which?", text_format=City)
    assert response.output_parsed == City(name="Oslo", population=7)


@pytest.mark.parametrize(("request_", "param"), [
    ({"previous_response_id": "resp_0"}, "previous_response_id"),
    ({"tools": [{"type": "web_search"}]}, "tools.web_search"),
    ({"background": True}, "background"),
])
def test_what_needs_openai_itself_is_refused_elsewhere(client, upstream, request_, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="compatible", input="hi", **request_)
    assert caught.value.param == param
    assert upstream.recorded() == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_errors(client, attempts, streamed):
    for model, error_class, status in [("no-such-model", openai.NotFoundError, 404),
                                       ("fail-400", openai.BadRequestError, 400),
                                       ("fail-401", openai.InternalServerError, 502)]:
        before = attempts.count
        with pytest.raises(openai.APIStatusError) as caught:
            client.responses.create(model=model, input="hi", stream=streamed)
        assert (type(caught.value), caught.value.status_code) == (error_class, status)
        assert attempts.count - before == 1


@pytest.mark.parametrize("model", ["stream-error", "half", "cut"])
def test_failure_in_the_middle_of_a_stream(client, attempts, model):
    with pytest.raises(openai.APIError) as caught:
        list(client.responses.create(model=model, input="hi", stream=True))
    assert not isinstance(caught.value, openai.APIConnectionError), "the stream itself ended well"
    assert attempts.count == 1


def test_mock(client):
    assert client.responses.create(model="mock", input="hi").output_text == "A canned answer."
    events = list(client.responses.create(model="mock", input="hi", stream=True))
    assert events[-1].response.output_text == "A canned answer."
