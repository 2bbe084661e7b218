"""What an app meets at the end of a budget or a rate: the SDK's error, and how often the SDK itself tries.

Nothing here depends on the time of day: accounts begin with the gateway and windows are longer than the test.
"""

import time

import openai
import pytest
import stand

HELLO = [{"role": "user", "content": "hi"}]


@pytest.fixture
def using(client):
    """The client with another of the stand's keys."""
    return lambda name: client.with_options(api_key=stand.KEYS[name][0])


def exhaust(client, attempts, **request):
    """Calls until the SDK raises; returns the error and the SDK's attempts of that last call."""
    for _ in range(100):
        before = attempts.count
        try:
            client.chat.completions.create(messages=HELLO, **request)
        except openai.APIStatusError as error:
            return error, attempts.count - before
    raise AssertionError("100 requests passed")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_exhausted_budget_is_final(using, attempts, upstream, stream):
    """An SDK's retries in the next seconds cannot help: it is told not to try."""
    error, tried = exhaust(using("poor"), attempts, model="priced")
    reached = len(upstream.recorded())
    if stream:
        before = attempts.count
        with pytest.raises(openai.RateLimitError) as caught:
            using("poor").chat.completions.create(model="priced", messages=HELLO, stream=True)
        error, tried = caught.value, attempts.count - before
    assert type(error) is openai.RateLimitError
    assert (error.status_code, error.type, error.code) == (429, "budget_exceeded", "insufficient_quota")
    assert tried == 1
    assert len(upstream.recorded()) == reached
    headers = error.response.headers
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers
    assert headers["x-turnpike-reset-at"].endswith("-01T00:00:00Z"), "the first of the next month"
    assert "VirtualKey default/poor allows 0.0055 USD per Month" in error.body["message"]


def test_rate_is_tried_again_as_told(using, attempts, upstream):
    error, tried = exhaust(using("hurried"), attempts, model="mock")
    assert type(error) is openai.RateLimitError
    assert (error.status_code, error.type, error.code) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert error.response.headers["retry-after"] == "1"
    assert error.response.headers["retry-after-ms"] == "1000"
    assert "x-should-retry" not in error.response.headers
    assert tried == 3
    started = time.monotonic()
    with pytest.raises(openai.RateLimitError):
        using("hurried").chat.completions.create(model="mock", messages=HELLO)
    assert time.monotonic() - started >= 1.9, "the SDK waited twice as it was told"
    assert upstream.recorded() == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_larger_than_the_whole_limit_is_the_apps_fault(using, attempts, upstream, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        using("small").chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=500, stream=stream)
    error = caught.value
    assert (error.status_code, error.type, error.code) == (400, "invalid_request_error", "request_exceeds_limit")
    assert error.response.headers["x-should-retry"] == "false"
    assert "more than the whole limit" in error.body["message"]
    assert attempts.count == 1
    assert upstream.recorded() == []


def test_model_without_a_price_under_a_budget_in_usd(using, attempts, upstream):
    with pytest.raises(openai.BadRequestError) as caught:
        using("poor").chat.completions.create(model="crlf", messages=HELLO)
    assert (caught.value.code, caught.value.param) == ("model_not_priced", "model")
    assert attempts.count == 1
    assert upstream.recorded() == []


def test_requests_at_the_same_time(using, attempts, gateway):
    """The place comes back when the stream ends, and the SDK's own retry gets it."""
    client = using("single")
    stream = client.chat.completions.create(model="trickle", messages=HELLO, stream=True)
    next(stream)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after"] == "1"
    assert attempts.count == 1 + 3, "the stream, and a request with two retries"
    stream.close()
    # Written when the stream was settled.
    gateway.spend(stream.response.headers["x-litellm-call-id"])
    answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert answer.choices[0].message.content == "You said: hi"
    assert attempts.count == 1 + 3 + 1


def test_output_is_capped_rather_than_refused(using, upstream):
    """Near the end of a budget an app that names no max_tokens gets a shorter answer, and is told so."""
    raw = using("thrifty").chat.completions.with_raw_response.create(model="priced", messages=HELLO)
    capped = int(raw.headers["x-turnpike-max-tokens-capped"])
    assert 256 <= capped <= 10_000
    sent = upstream.recorded()[0]["body"]
    assert capped in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
