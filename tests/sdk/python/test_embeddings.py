"""Embeddings: the SDK asks for base64 by default and decodes it; values must be exactly the upstream's."""

import base64
import json
import struct

import openai_answers
import pytest

TEXTS = ["one two", "three", "four five six"]
EXPECTED = [openai_answers.as_float32(openai_answers.vector(text)) for text in TEXTS]


@pytest.mark.parametrize("model", ["text-embedding-3-small", "floats-only", "base64-only"])
def test_default_encoding(client, model, sent):
    answer = client.embeddings.create(model=model, input=TEXTS)
    assert [one.embedding for one in answer.data] == EXPECTED
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert answer.model == model
    assert answer.usage.prompt_tokens == 6
    assert sent()["encoding_format"] == "base64"


@pytest.mark.parametrize("model", ["text-embedding-3-small", "floats-only", "base64-only"])
def test_floats(client, model):
    answer = client.embeddings.create(model=model, input=TEXTS, encoding_format="float")
    # As 32-bit floats: a re-encoded number may be written with fewer digits.
    assert [openai_answers.as_float32(one.embedding) for one in answer.data] == EXPECTED


@pytest.mark.parametrize("model", ["text-embedding-3-small", "floats-only", "base64-only"])
def test_wire_form_is_what_was_asked_for(gateway, model):
    for encoding in ("base64", "float", None):
        body = {"model": model, "input": TEXTS[0]}
        if encoding:
            body["encoding_format"] = encoding
        status, _, text = gateway.request("POST", "/v1/embeddings", body,
                                          key="sk-app-0123456789abcdefghij")
        assert status == 200, text
        value = json.loads(text)["data"][0]["embedding"]
        if encoding == "base64":
            value = list(struct.unpack("<8f", base64.b64decode(value, validate=True)))
        assert openai_answers.as_float32(value) == EXPECTED[0]


def test_dimensions_and_tokens(client):
    answer = client.embeddings.create(model="text-embedding-3-small", input=[[1, 2, 3], [4]],
                                      dimensions=4)
    assert [len(one.embedding) for one in answer.data] == [4, 4]
    assert answer.usage.total_tokens == 4


def test_cost(client, gateway):
    raw = client.embeddings.with_raw_response.create(model="text-embedding-3-small", input=TEXTS)
    # 0.02 USD for a million tokens, 6 tokens.
    assert float(raw.headers["x-litellm-response-cost"]) == pytest.approx(6 * 0.02 / 1e6, rel=1e-9)
    row = gateway.spend(raw.headers["x-litellm-call-id"])
    assert (row["cost_nano"], row["prompt_tokens"], row["completion_tokens"]) == (120, 6, 0)
