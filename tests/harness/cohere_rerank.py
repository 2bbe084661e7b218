"""Cohere's rerank, version 2: what it refuses, and what it answers."""

from openai_rules import Refusal

MEMBERS = {"model", "query", "documents", "top_n", "max_tokens_per_doc", "priority"}


def refused(status, message):
    """An error in Cohere's shape."""
    refusal = Refusal(status, message)
    refusal.body = {"id": "error-scripted", "message": message}
    return refusal


def check(body):
    """Texts only, and nothing that Cohere does not know."""
    if unknown := sorted(body.keys() - MEMBERS):
        raise refused(400, f"invalid request: unknown field: {unknown[0]}")
    texts = [body.get("query"), *(body.get("documents") or [None])]
    if not all(isinstance(text, str) for text in texts):
        raise refused(400, "invalid request: query and documents must be texts")


def answer(body, _served):
    """The more of the query's words a document holds, the better it is."""
    wanted = set(body["query"].lower().split())

    def score(document):
        return round(len(wanted & set(document.lower().split())) / len(wanted), 3)

    results = [{"index": at, "relevance_score": score(document)}
               for at, document in enumerate(body["documents"])]
    results.sort(key=lambda result: -result["relevance_score"])
    return {"id": "rerank-scripted", "results": results[:body.get("top_n")],
            "meta": {"api_version": {"version": "2"},
                     "billed_units": {"search_units": -(-len(body["documents"]) // 100)}}}
