"""Fixtures of the Python SDK tests: one upstream and one gateway for the whole run."""

import gateway_process
import openai
import pytest
import stand
import upstream as scripted

APP_KEY = stand.KEYS["app"][0]


@pytest.fixture(scope="session")
def upstream():
    """The scripted upstream."""
    return scripted.Upstream()


@pytest.fixture(scope="session")
def gateway(upstream):
    """A gateway in front of it; see stand.py for its models and keys."""
    with gateway_process.Gateway(stand.objects(upstream.url), arguments=stand.ARGUMENTS) as running:
        yield running


@pytest.fixture(autouse=True)
def clean_upstream(upstream):
    """Forgets earlier requests; afterwards nothing forbidden may have reached the upstream."""
    upstream.forget()
    yield
    found = {violation for one in upstream.recorded() for violation in one["violations"]}
    assert not found, f"the gateway sent what it must not: {sorted(found)}"


@pytest.fixture
def sent(upstream):
    """The body of the one request that reached the upstream."""
    def only():
        records = upstream.recorded()
        assert len(records) == 1, f"{len(records)} requests reached the upstream"
        return records[0]["body"]
    return only


class Attempts:
    """Counts the requests that an SDK really sends."""

    def __init__(self):
        self.count = 0

    def __call__(self, _request):
        self.count += 1

    async def asynchronous(self, request):
        """The same, as an asynchronous hook."""
        self(request)


@pytest.fixture
def attempts():
    """A counter to hang into an SDK's HTTP client."""
    return Attempts()


@pytest.fixture
def client(gateway, attempts):
    """The official client as its users make it, with its default number of retries."""
    with openai.OpenAI(base_url=gateway.v1, api_key=APP_KEY, http_client=openai.DefaultHttpxClient(
            event_hooks={"request": [attempts]}, trust_env=False)) as made:
        yield made
