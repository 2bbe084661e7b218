"""Moderations, images, speech and transcriptions, as the SDK asks for them."""

import openai
import openai_media
import pytest

MODEL = "openai/media"


def test_moderations(client, sent):
    answer = client.moderations.create(model=MODEL, input="Hello")
    assert not answer.results[0].flagged
    assert answer.model == MODEL
    assert sent() == {"model": "media", "input": "Hello"}


def test_images(client, gateway):
    raw = client.images.with_raw_response.generate(model=MODEL, prompt="a cat", n=2)
    assert [one.b64_json for one in raw.parse().data] == ["AAAA", "AAAA"]
    row = gateway.spend(raw.headers["x-litellm-call-id"])
    assert (row["operation"], row["cost_nano"]) == ("image_generation", None)


def test_speech(client):
    answer = client.audio.speech.create(model=MODEL, input="Hello", voice="alloy")
    assert answer.read() == openai_media.SOUND
    assert answer.response.headers["content-type"] == "audio/mpeg"


def test_speech_streams(client):
    with client.audio.speech.with_streaming_response.create(
            model=MODEL, input="Hello", voice="alloy") as answer:
        assert b"".join(answer.iter_bytes()) == openai_media.SOUND


def test_transcriptions(client, sent):
    answer = client.audio.transcriptions.create(model=MODEL, file=("a.mp3", openai_media.SOUND),
                                                language="en")
    assert answer.text == "Hello"
    assert sent()["model"] == "media"
    assert sent()["language"] == "en"


def test_refusals(client):
    with pytest.raises(openai.BadRequestError, match="Missing required parameter: 'voice'"):
        client.audio.speech.create(model=MODEL, input="Hello", voice=openai.omit)
