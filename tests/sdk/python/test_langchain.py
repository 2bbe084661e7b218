"""LangChain's OpenAI integration, pointed at the gateway by base_url alone."""

import asyncio

import openai_answers
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

KEY = "sk-app-0123456789abcdefghij"


@tool
def get_weather(city: str, days: int) -> str:
    """Weather of a city."""
    return f"{city}: rain for {days} days"


class City(BaseModel):
    """A city."""

    name: str
    population: int


@pytest.fixture
def chat(gateway):
    """The chat model as its users make it."""
    return ChatOpenAI(model="gpt-4o", base_url=gateway.v1, api_key=KEY)


def test_invoke(chat):
    answer = chat.invoke("Hello there, gate")
    assert answer.content == "You said: Hello there, gate"
    assert answer.usage_metadata["input_tokens"] == 14
    assert answer.usage_metadata["output_tokens"] == 5
    assert answer.response_metadata["model_name"] == "gpt-4o"


def test_stream(chat):
    chunks = list(chat.stream("Hello there, gate", stream_usage=True))
    assert "".join(chunk.content for chunk in chunks) == "You said: Hello there, gate"
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert total.usage_metadata["total_tokens"] == 19


def test_batch_and_async(chat):
    texts = [f"number {n}" for n in range(6)]
    assert [one.content for one in chat.batch(texts)] == [f"You said: {text}" for text in texts]

    async def run():
        return "".join([chunk.content async for chunk in chat.astream("two words")])
    assert asyncio.run(run()) == "You said: two words"


def test_tools(chat):
    able = chat.bind_tools([get_weather])
    question = HumanMessage("Weather?")
    answer = able.invoke([question])
    assert [call["args"] for call in answer.tool_calls] == [{"city": "Oslo", "days": 7}]
    results = [ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
               for call in answer.tool_calls]
    assert able.invoke([question, answer, *results]).content == "Tools said: Oslo: rain for 7 days"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat, method):
    answer = chat.with_structured_output(City, method=method).invoke("Name one")
    assert answer == City(name="Oslo", population=7)


def test_embeddings(gateway):
    model = OpenAIEmbeddings(model="text-embedding-3-small", base_url=gateway.v1, api_key=KEY,
                             check_embedding_ctx_length=False)
    texts = ["one two", "three"]
    assert model.embed_documents(texts) == [
        openai_answers.as_float32(openai_answers.vector(text)) for text in texts]
    assert model.embed_query("three") == openai_answers.as_float32(openai_answers.vector("three"))


@pytest.mark.parametrize("model", ["gpt-4o", "compatible"])
def test_responses_api(gateway, model):
    chat = ChatOpenAI(model=model, base_url=gateway.v1, api_key=KEY, use_responses_api=True)
    assert chat.invoke("Hello there, gate").text == "You said: Hello there, gate"
    assert "".join(chunk.text for chunk in chat.stream("Hello there, gate")) == "You said: Hello there, gate"


def test_responses_api_with_tools(gateway):
    chat = ChatOpenAI(model="compatible", base_url=gateway.v1, api_key=KEY, use_responses_api=True)
    asked = [HumanMessage("Hello")]
    call = chat.bind_tools([get_weather]).invoke(asked)
    (wanted,) = call.tool_calls
    assert (wanted["name"], wanted["args"]) == ("get_weather", {"city": "Oslo", "days": 7})
    result = ToolMessage("rain", tool_call_id=wanted["id"])
    assert chat.invoke([*asked, call, result]).text == "Tools said: rain"


def test_anthropic(gateway):
    chat = ChatAnthropic(model="gpt-4o", base_url=gateway.url, api_key=KEY, max_tokens=64)
    answer = chat.invoke("Hello there, gate")
    assert answer.text == "You said: Hello there, gate"
    assert answer.usage_metadata["output_tokens"] == 5
    assert "".join(chunk.text for chunk in chat.stream("Hello there, gate")) == "You said: Hello there, gate"
    asked = [HumanMessage("Hello")]
    call = chat.bind_tools([get_weather]).invoke(asked)
    (wanted,) = call.tool_calls
    assert (wanted["name"], wanted["args"]) == ("get_weather", {"city": "Oslo", "days": 7})
    result = ToolMessage("rain", tool_call_id=wanted["id"])
    assert chat.invoke([*asked, call, result]).text == "Tools said: rain"
