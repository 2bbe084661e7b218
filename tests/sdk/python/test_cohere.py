"""Cohere's official SDK reranks through the gateway: its first client at /v1/rerank, its second at /v2/rerank."""

import asyncio

import cohere
import httpx
import pytest
import stand
from cohere.core.api_error import ApiError

APP_KEY = stand.KEYS["app"][0]
QUERY = "capital of Norway"
DOCUMENTS = ["Paris is pretty", "Oslo is the capital of Norway", "The capital of France"]
# model -> error class, attempts by the SDK, requests at the upstream.
TABLE = {
    "no-such-model": (cohere.NotFoundError, 1, 0),
    "rerank-fail-400": (cohere.BadRequestError, 1, 1),
    "rerank-fail-429": (cohere.TooManyRequestsError, 3, 3),
}


@pytest.fixture
def clients(gateway, attempts):
    """Both official clients as their users make them."""
    with httpx.Client(event_hooks={"request": [attempts]}, trust_env=False) as http:
        options = {"api_key": APP_KEY, "base_url": gateway.url, "httpx_client": http}
        yield {1: cohere.Client(**options), 2: cohere.ClientV2(**options)}


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def client(request, clients):
    """One client after the other."""
    return clients[request.param]


def places(answer):
    """Which documents there are, the best first."""
    return [result.index for result in answer.results]


def test_rerank(client, sent):
    answer = client.rerank(model="rerank-v4.0", query=QUERY, documents=DOCUMENTS, top_n=2)
    assert (answer.id, places(answer)) == ("rerank-scripted", [1, 2])
    assert [result.relevance_score for result in answer.results] == [1.0, 0.667]
    assert answer.meta.billed_units.search_units == 1
    assert sent() == {"model": "rerank-v4.0", "query": QUERY, "documents": DOCUMENTS, "top_n": 2}


def test_documents_of_the_first_version(clients, sent):
    answer = clients[1].rerank(model="rerank-v4.0", query=QUERY, return_documents=True, rank_fields=["body"],
                               documents=[{"title": str(at), "body": text} for at, text in enumerate(DOCUMENTS)])
    assert places(answer) == [1, 2, 0]
    assert [result.document.text for result in answer.results] == [DOCUMENTS[at] for at in places(answer)]
    assert sent()["documents"] == DOCUMENTS


def test_what_the_second_version_no_longer_has(clients, attempts, upstream):
    with pytest.raises(cohere.BadRequestError) as caught:
        clients[1].rerank(model="rerank-v4.0", query=QUERY, documents=DOCUMENTS, max_chunks_per_doc=3)
    assert "'max_chunks_per_doc'" in caught.value.body["error"]["message"]
    assert (attempts.count, upstream.recorded()) == (1, [])


def test_documents_are_cut_short(clients, sent):
    clients[2].rerank(model="rerank-v4.0", query=QUERY, documents=DOCUMENTS, max_tokens_per_doc=50)
    assert sent()["max_tokens_per_doc"] == 50


def test_asynchronous(gateway):
    async def run():
        async with cohere.AsyncClientV2(api_key=APP_KEY, base_url=gateway.url) as client:
            return await client.rerank(model="rerank-v4.0", query=QUERY, documents=DOCUMENTS)

    assert places(asyncio.run(run())) == [1, 2, 0]


def test_spend(clients, gateway):
    raw = clients[2].with_raw_response.rerank(model="rerank-v4.0", query=QUERY, documents=DOCUMENTS)
    row = gateway.spend(raw.headers["x-litellm-call-id"])
    assert (row["operation"], row["requested_model"], row["status"]) == ("rerank", "rerank-v4.0", 200)


@pytest.mark.parametrize("model", TABLE)
def test_errors(client, attempts, upstream, model):
    error_class, tried, reached = TABLE[model]
    with pytest.raises(ApiError) as caught:
        client.rerank(model=model, query=QUERY, documents=DOCUMENTS)
    assert (type(caught.value), attempts.count, len(upstream.recorded())) == (error_class, tried, reached)
    assert caught.value.body["error"]["message"]


def test_the_sdk_tries_again(client, attempts):
    answer = client.rerank(model="rerank-fail-500-once", query=QUERY, documents=DOCUMENTS)
    assert (places(answer), attempts.count) == ([1, 2, 0], 2)


def test_bad_key(gateway):
    with pytest.raises(cohere.UnauthorizedError):
        cohere.ClientV2("sk-unknown-0123456789abcdef", base_url=gateway.url).rerank(
            model="rerank-v4.0", query=QUERY, documents=DOCUMENTS)
