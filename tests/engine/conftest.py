"""The engine with its model loaded, and a gateway in front of it."""

import gateway_process
import llama_server
import openai
import pytest
import tiny_model

PRICES = {"inputPerMillion": "1.50", "outputPerMillion": "6.00"}


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    """The engine, up and with its model loaded."""
    folder = tmp_path_factory.mktemp("engine")
    tiny_model.write(folder / "tiny.gguf")
    running = llama_server.Engine(folder / "tiny.gguf", folder / "engine.log")
    try:
        gateway_process.eventually("the engine answers", running.answers, 60)
        yield running
    finally:
        running.process.kill()
        running.process.wait()


@pytest.fixture(scope="session")
def gateway(engine):
    """A gateway whose only backend is the engine."""
    objects = [
        gateway_process.secret("engine", token=llama_server.KEY),
        gateway_process.manifest("ModelDeployment", "tiny", {
            "modelName": "tiny", "price": PRICES,
            "provider": {"type": "OpenAICompatible", "baseURL": engine.url,
                         "credentials": {"secretRef": {"name": "engine", "key": "token"}}}}),
        gateway_process.manifest("ModelDeployment", "tiny-no-key", {
            "modelName": "tiny-no-key",
            "provider": {"type": "OpenAICompatible", "baseURL": engine.url, "model": "tiny"}}),
    ]
    with gateway_process.Gateway(objects) as running:
        yield running


@pytest.fixture
def client(gateway):
    """The official client; no retries, so that each call is one request."""
    with openai.OpenAI(base_url=gateway.v1, api_key=gateway_process.ADMIN_KEY, max_retries=0) as made:
        yield made


@pytest.fixture
def direct(engine):
    """The same client without a gateway."""
    with openai.OpenAI(base_url=engine.url, api_key=llama_server.KEY, max_retries=0) as made:
        yield made
