"""The status table as an app meets it: the SDK's error class, and how often the SDK itself tries."""

import time

import gateway_process
import openai
import pytest
import stand

HELLO = [{"role": "user", "content": "hi"}]
# case -> model, error class, status, type, code, attempts by the SDK, requests at the upstream.
# The SDK retries twice by default: 3 attempts in all.
TABLE = {
    "unknown model": ("no-such-model", openai.NotFoundError, 404, "invalid_request_error",
                      "model_not_found", 1, 0),
    "upstream 400": ("fail-400", openai.BadRequestError, 400, "invalid_request_error",
                     "invalid_value", 1, 1),
    "upstream 401": ("fail-401", openai.InternalServerError, 502, None, None, 1, 1),
    "upstream 403": ("fail-403", openai.InternalServerError, 502, None, None, 1, 1),
    "upstream 404": ("fail-404", openai.NotFoundError, 404, "invalid_request_error",
                     "model_not_found", 1, 1),
    "upstream 422": ("fail-422", openai.UnprocessableEntityError, 422, "invalid_request_error", None,
                     1, 1),
    "upstream 429": ("fail-429", openai.RateLimitError, 429, "requests", "rate_limit_exceeded", 3, 3),
    "upstream 500": ("fail-500", openai.InternalServerError, 500, "server_error", None, 3, 3),
    "upstream 503": ("fail-503", openai.InternalServerError, 503, "server_error", None, 3, 3),
    "our timeout": ("hang", openai.InternalServerError, 504, None, "timeout", 3, 3),
    "upstream resets": ("reset", openai.InternalServerError, 502, None, None, 3, None),
    "upstream unreachable": ("unreachable", openai.InternalServerError, 503, None, None, 3, 0),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", TABLE)
def test_status_table(client, attempts, upstream, case, stream):
    model, error_class, status, kind, code, tried, reached = TABLE[case]
    if case == "our timeout" and stream:
        model = "hang-stream"
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=model, messages=HELLO, stream=stream)
    error = caught.value
    assert type(error) is error_class
    assert error.status_code == status
    assert attempts.count == tried
    if reached is not None:
        assert len(upstream.recorded()) == reached
    assert error.response.headers["content-type"] == "application/json"
    assert error.response.headers["x-litellm-call-id"]
    assert set(error.body) >= {"message", "type", "param", "code"}
    assert error.code is None or isinstance(error.code, str)
    if kind:
        assert error.type == kind
    if code:
        assert error.code == code


def test_upstream_key_trouble_is_not_the_clients(client):
    """An app must not be told that its own key is bad, nor see whose key is."""
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="fail-401", messages=HELLO)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "upstream-" not in str(caught.value.body)


def test_upstream_429_carries_its_retry_after(client, attempts, upstream):
    started = time.monotonic()
    answer = client.chat.completions.create(model="fail-429-once", messages=HELLO)
    assert answer.choices[0].message.content == "You said: hi"
    assert attempts.count == 2
    assert time.monotonic() - started >= 0.9, "the SDK waited as the upstream asked"
    assert len(upstream.recorded()) == 2


def test_upstream_500_once(client, attempts):
    assert client.chat.completions.create(model="fail-500-once", messages=HELLO).model == "fail-500-once"
    assert attempts.count == 2


@pytest.mark.parametrize("key", ["sk-unknown-0123456789abcdef", "sk-late-0123456789abcdefghi",
                                 "sk-paused-0123456789abcdefg", "nonsense"])
def test_bad_keys(client, attempts, upstream, key):
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key=key).chat.completions.create(model="gpt-4o", messages=HELLO)
    assert caught.value.status_code == 401
    assert key not in str(caught.value.body), "a key is never repeated"
    assert attempts.count == 1
    assert upstream.recorded() == []


def test_no_key_at_all(gateway):
    status, _, text = gateway.request("POST", "/v1/chat/completions",
                                      {"model": "gpt-4o", "messages": HELLO})
    assert status == 401, text


def test_not_allowed_looks_like_unknown(client):
    """A key that may not call a model learns nothing about whether it exists."""
    narrow = client.with_options(api_key="sk-narrow-0123456789abcdefg")
    bodies = []
    for model in ("mock", "no-such-model"):
        with pytest.raises(openai.NotFoundError) as caught:
            narrow.chat.completions.create(model=model, messages=HELLO)
        bodies.append(str(caught.value.body).replace(model, "MODEL"))
    assert bodies[0] == bodies[1]


def test_bad_request_before_any_upstream(client, upstream, attempts):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=[], messages=HELLO)
    assert attempts.count == 1
    assert upstream.recorded() == []


def test_upstream_refusal_keeps_its_words(client, attempts):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=[], temperature=0.1)
    assert caught.value.param == "messages"
    assert caught.value.code == "empty_array"
    assert attempts.count == 1


@pytest.mark.parametrize("model", ["cut", "half", "stream-error"])
def test_failure_in_the_middle_of_a_stream(client, attempts, model):
    """The SDK raises on the error event; it neither hangs nor takes the half for the whole."""
    text = ""
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model=model, messages=HELLO, stream=True):
            text += chunk.choices[0].delta.content or ""
    assert text == "You said: "
    assert not isinstance(caught.value, openai.APIConnectionError), "an event, not a reset"
    assert caught.value.body["message"]
    assert attempts.count == 1


def test_over_capacity(upstream, attempts):
    """One request at once, and a stream holds the place: the next gets 503 with Retry-After, and waits."""
    full = gateway_process.Gateway(stand.objects(upstream.url), arguments=["--max-in-flight", "1"])
    with full as running, openai.OpenAI(
            base_url=running.v1, api_key="sk-app-0123456789abcdefghij",
            http_client=openai.DefaultHttpxClient(event_hooks={"request": [attempts]},
                                                  trust_env=False)) as client:
        stream = client.chat.completions.create(model="trickle", messages=HELLO, stream=True)
        next(stream)
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert caught.value.status_code == 503
        assert int(caught.value.response.headers["retry-after"]) >= 1
        assert attempts.count == 1 + 3, "the stream, and a request with two retries"
        assert len(upstream.recorded()) == 1
        stream.close()
        # Far less than the minute that the upstream would go on; the first count of tokens takes a while.
        gateway_process.eventually("the stream's place is free again", lambda: running.request(
            "POST", "/v1/chat/completions", {"model": "mock", "messages": HELLO},
            key="sk-app-0123456789abcdefghij")[0] == 200)


def test_two_different_keys(client, upstream):
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="gpt-4o", messages=HELLO,
                                       extra_headers={"x-api-key": "sk-narrow-0123456789abcdefg"})
    assert upstream.recorded() == []


def test_every_key_header(gateway):
    key = "sk-app-0123456789abcdefghij"
    body = {"model": "gpt-4o", "messages": HELLO}
    for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}, {"api-key": key},
                    {"x-litellm-api-key": key}, {"x-litellm-api-key": f"Bearer {key}"}):
        status, _, text = gateway.request("POST", "/v1/chat/completions", body, headers=headers)
        assert status == 200, (headers, text)


def test_minted_and_admin_keys(client, gateway):
    for key in (gateway.key("minted-key"), gateway_process.ADMIN_KEY):
        answer = client.with_options(api_key=key).chat.completions.create(model="gpt-4o",
                                                                          messages=HELLO)
        assert answer.choices[0].message.content == "You said: hi"
