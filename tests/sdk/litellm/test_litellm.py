"""LiteLLM's own client, pointed at the gateway as its users point it at a proxy."""

import asyncio
import os

import openai_answers
import pytest

# Read when the module is imported: no fetching of its price map.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm  # noqa: E402

KEY = "sk-app-0123456789abcdefghij"
HELLO = [{"role": "user", "content": "Hello there, gate"}]
COST = (10 * 2.50 + 4 * 1.25 + 5 * 10.00) / 1e6


@pytest.fixture
def at(gateway):
    """How every call names the gateway."""
    return {"api_base": gateway.v1, "api_key": KEY}


def proxy_headers(answer):
    """The gateway's headers, as LiteLLM hands them to its caller."""
    prefix = "llm_provider-"
    return {name.removeprefix(prefix): value
            for name, value in answer._hidden_params["additional_headers"].items()
            if name.startswith(prefix)}


def test_completion_and_cost_header(at, gateway):
    answer = litellm.completion(model="openai/gpt-4o", messages=HELLO, **at)
    assert answer.choices[0].message.content == "You said: Hello there, gate"
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    headers = proxy_headers(answer)
    assert float(headers["x-litellm-response-cost"]) == pytest.approx(COST, rel=1e-9)
    row = gateway.spend(headers["x-litellm-call-id"])
    assert row["cost_nano"] == round(COST * 1e9)


def test_litellm_proxy_provider(at):
    answer = litellm.completion(model="litellm_proxy/gpt-4o", messages=HELLO, **at)
    assert answer.choices[0].message.content == "You said: Hello there, gate"


def test_stream(at):
    chunks = list(litellm.completion(model="openai/gpt-4o", messages=HELLO, stream=True,
                                     stream_options={"include_usage": True}, **at))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "You said: Hello there, gate"
    usage = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    assert (usage[-1].prompt_tokens, usage[-1].completion_tokens) == (14, 5)


def test_async(at):
    async def run():
        whole = await litellm.acompletion(model="openai/gpt-4o", messages=HELLO, **at)
        stream = await litellm.acompletion(model="openai/gpt-4o", messages=HELLO, stream=True, **at)
        return (whole.choices[0].message.content,
                "".join([chunk.choices[0].delta.content or "" async for chunk in stream]))
    assert asyncio.run(run()) == ("You said: Hello there, gate",) * 2


def test_tools(at):
    spec = {"type": "function", "function": {"name": "get_time", "parameters": {
        "type": "object", "properties": {"zone": {"type": "string"}}}}}
    answer = litellm.completion(model="openai/gpt-4o", messages=HELLO, tools=[spec], **at)
    assert answer.choices[0].message.tool_calls[0].function.arguments == '{"zone": "Oslo"}'


def test_embedding(at):
    answer = litellm.embedding(model="openai/text-embedding-3-small", input=["one two"], **at)
    assert answer.data[0]["embedding"] == openai_answers.as_float32(openai_answers.vector("one two"))


def test_errors(at, upstream):
    for model, error in (("nothing", litellm.NotFoundError), ("fail-400", litellm.BadRequestError),
                         ("fail-429", litellm.RateLimitError)):
        with pytest.raises(error):
            litellm.completion(model=f"openai/{model}", messages=HELLO, max_retries=0, **at)
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(model="openai/gpt-4o", messages=HELLO, api_base=at["api_base"],
                           api_key="sk-unknown-0123456789abcdef", max_retries=0)
    assert len(upstream.recorded()) == 2
