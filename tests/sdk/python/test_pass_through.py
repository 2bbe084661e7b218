"""OpenAI's official SDK with the base URL of a pass-through: models by the provider's own names."""

import openai
import pytest
import stand

HELLO = [{"role": "user", "content": "Hello there, gate"}]


@pytest.fixture
def passing(gateway, attempts):
    """The official client as users of LiteLLM's pass-through make it, with a key that may call some models."""
    with openai.OpenAI(base_url=f"{gateway.url}/openai", api_key=stand.KEYS["narrow"][0],
                       http_client=openai.DefaultHttpxClient(
                           event_hooks={"request": [attempts]}, trust_env=False)) as made:
        yield made


def test_chat(passing, gateway, sent):
    raw = passing.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO, seed=3)
    assert raw.parse().choices[0].message.content == "You said: Hello there, gate"
    assert sent() == {"model": "gpt-4o", "messages": HELLO, "seed": 3}
    row = gateway.spend(raw.headers["x-litellm-call-id"])
    assert (row["operation"], row["prompt_tokens"], row["completion_tokens"]) == ("chat", 14, 5)
    assert row["cost_nano"] == round((10 * 2.50 + 4 * 1.25 + 5 * 10.00) * 1000)


def test_stream(passing):
    with passing.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True) as stream:
        said = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert said == "You said: Hello there, gate"


def test_what_names_no_model_needs_a_key_for_all(passing, upstream, attempts):
    with pytest.raises(openai.PermissionDeniedError) as refused:
        passing.files.list()
    assert refused.value.code == "all_models_required"
    assert attempts.count == 1
    assert not upstream.recorded()
