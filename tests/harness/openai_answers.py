"""Answers of the scripted upstream, computed from the request so that a test can predict them.

The counts are those of the fake (a word is a token); what matters is that the gateway passes on
and prices exactly these.
"""

import base64
import hashlib
import json
import re
import secrets
import struct

CREATED = 1_700_000_000
DIMENSIONS = 8


def words(value):
    """Counts words in any JSON value: the fake's notion of tokens."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, list):
        return sum(words(item) for item in value)
    if isinstance(value, dict):
        return sum(words(item) for item in value.values())
    return 0


def usage(prompt, completion, cached=0, reasoning=0):
    """OpenAI's usage object."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    }


def instance(schema, definitions=None):
    """A JSON value that satisfies a simple JSON schema."""
    definitions = definitions or schema.get("$defs", {})
    if "$ref" in schema:
        return instance(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return instance(schema["anyOf"][0], definitions)
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return {name: instance(child, definitions)
                for name, child in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance(schema.get("items", {}), definitions) for _ in range(2)]
    return {"string": "Oslo", "integer": 7, "number": 1.5, "boolean": True, "null": None}[kind]


def seen_parts(content):
    """Tells what arrived in the parts of a message; an image by its digest, so that damage shows."""
    told = []
    for item in content:
        if item["type"] == "text":
            told.append(item["text"])
        elif item["type"] == "image_url":
            url = item["image_url"]["url"]
            if url.startswith("data:"):
                raw = base64.b64decode(url.split(",", 1)[1], validate=True)
                told.append(f"image of {len(raw)} bytes sha256 {hashlib.sha256(raw).hexdigest()}")
            else:
                told.append(f"image at {url}")
    return " ".join(told)


def reply(body):
    """The assistant message for a chat request."""
    last = body["messages"][-1]
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return {"content": json.dumps(instance(form["json_schema"]["schema"]))}
    if form.get("type") == "json_object":
        return {"content": '{"ok": true}'}
    if last["role"] == "tool":
        answers = [m["content"] for m in body["messages"] if m["role"] == "tool"]
        return {"content": "Tools said: " + "; ".join(str(a) for a in answers)}
    choice = body.get("tool_choice", "auto")
    if body.get("tools") and choice != "none":
        chosen = [tool["function"] for tool in body["tools"]]
        if isinstance(choice, dict):
            chosen = [f for f in chosen if f["name"] == choice["function"]["name"]]
        if body.get("parallel_tool_calls") is False:
            chosen = chosen[:1]
        return {"content": None, "tool_calls": [
            {"id": f"call_{index}_{function['name']}", "type": "function", "function": {
                "name": function["name"],
                "arguments": json.dumps(instance(function.get("parameters") or {"type": "object"})),
            }} for index, function in enumerate(chosen)]}
    content = last["content"]
    return {"content": "You said: " + (content if isinstance(content, str) else seen_parts(content))}


def chat_usage(body, message):
    """Usage of a chat answer: cached tokens and reasoning are part of the totals."""
    prompt = words(body["messages"]) + 10
    said = words(message.get("content") or "") + 3 * len(message.get("tool_calls") or [])
    reasoning = 5 if body.get("reasoning_effort") else 0
    return usage(prompt, said + reasoning, cached=4, reasoning=reasoning)


def chat(body, served):
    """A whole chat completion. `served` is the dated name that the real API answers with."""
    message = reply(body)
    calls = message.get("tool_calls")
    return {
        "id": "chatcmpl-scripted", "object": "chat.completion", "created": CREATED, "model": served,
        "choices": [{
            "index": index, "logprobs": None,
            "finish_reason": "tool_calls" if calls else "stop",
            "message": {"role": "assistant", "refusal": None, "annotations": [], **message},
        } for index in range(body.get("n") or 1)],
        "usage": chat_usage(body, message),
        "service_tier": "default", "system_fingerprint": "fp_scripted",
    }


def chat_chunks(body, served):
    """The same completion as stream chunks; usage in a last chunk only when asked for."""
    message = reply(body)
    asked = (body.get("stream_options") or {}).get("include_usage")

    def chunk(choices, **extra):
        base = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": CREATED,
                "model": served, "service_tier": "default", "system_fingerprint": "fp_scripted",
                "choices": choices}
        if asked:
            base["usage"] = None
        return {**base, **extra}

    def delta(fields, finish=None):
        return chunk([{"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish}])

    yield delta({"role": "assistant", "content": "" if message.get("content") else None,
                 "refusal": None})
    for index, call in enumerate(message.get("tool_calls") or []):
        function = call["function"]
        yield delta({"tool_calls": [{"index": index, "id": call["id"], "type": "function",
                                     "function": {"name": function["name"], "arguments": ""}}]})
        arguments = function["arguments"]
        for start in range(0, len(arguments), 5):
            yield delta({"tool_calls": [{"index": index, "function": {
                "arguments": arguments[start:start + 5]}}]})
    text = message.get("content") or ""
    pieces = text.split(" ")
    for index, piece in enumerate(pieces if text else []):
        yield delta({"content": piece if index == len(pieces) - 1 else piece + " "})
    yield delta({}, "tool_calls" if message.get("tool_calls") else "stop")
    if asked:
        yield chunk([], usage=chat_usage(body, message))


def completion(body, served):
    """A whole text completion."""
    prompt = body["prompt"] if isinstance(body["prompt"], str) else str(body["prompt"])
    text = f"Continued: {prompt}"
    return {
        "id": "cmpl-scripted", "object": "text_completion", "created": CREATED, "model": served,
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": words(prompt), "completion_tokens": words(text),
                  "total_tokens": words(prompt) + words(text)},
    }


def completion_chunks(body, served):
    """A text completion as stream chunks."""
    whole = completion(body, served)
    asked = (body.get("stream_options") or {}).get("include_usage")
    base = {name: whole[name] for name in ("id", "object", "created", "model")}
    for piece in whole["choices"][0]["text"].split(" "):
        yield {**base, "choices": [{"index": 0, "text": piece + " ", "logprobs": None,
                                    "finish_reason": None}]}
    yield {**base, "choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}]}
    if asked:
        yield {**base, "choices": [], "usage": whole["usage"]}


def vector(text, dimensions=DIMENSIONS):
    """A deterministic vector for one input, each number in [-1, 1)."""
    digest = hashlib.sha256(repr(text).encode()).digest() * (dimensions // 8 + 1)
    return [struct.unpack_from("<i", digest, 4 * index)[0] / 2**31 for index in range(dimensions)]


def as_float32(values):
    """What 32-bit floats keep of `values`."""
    return list(struct.unpack(f"<{len(values)}f", struct.pack(f"<{len(values)}f", *values)))


def embedding(body, served, encoding=None):
    """An embeddings answer in the encoding asked for, or in `encoding` whatever was asked for."""
    wanted = body["input"]
    single = isinstance(wanted, str) or (wanted and isinstance(wanted[0], int))
    inputs = [wanted] if single else wanted
    encoding = encoding or body.get("encoding_format") or "float"
    data = []
    for index, text in enumerate(inputs):
        values = as_float32(vector(text, body.get("dimensions") or DIMENSIONS))
        if encoding == "base64":
            values = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
        data.append({"object": "embedding", "index": index, "embedding": values})
    tokens = sum(words(text) if isinstance(text, str) else len(text) for text in inputs)
    return {"object": "list", "data": data, "model": served,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def response(body, served):
    """A whole answer of /v1/responses: one message that repeats the last text."""
    last = body["input"] if isinstance(body["input"], str) else body["input"][-1]["content"]
    text = "You said: " + (last if isinstance(last, str) else last[-1]["text"])
    prompt, said = words(body["input"]) + 10, words(text)
    return {
        "id": f"resp_{secrets.token_hex(8)}", "object": "response", "created_at": CREATED, "model": served,
        "status": "completed", "error": None, "incomplete_details": None, "instructions": None,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": body.get("tools") or [],
        "temperature": 1.0, "top_p": 1.0, "metadata": body.get("metadata") or {},
        "output": [{"id": "msg_scripted", "type": "message", "status": "completed",
                    "role": "assistant", "content": [
                        {"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}],
        "usage": {"input_tokens": prompt, "input_tokens_details": {"cached_tokens": 4},
                  "output_tokens": said, "output_tokens_details": {"reasoning_tokens": 0},
                  "total_tokens": prompt + said},
    }


def response_events(body, served):
    """The same answer as events."""
    whole = response(body, served)
    message = whole["output"][0]
    part = message["content"][0]
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    events = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0,
         "item": {**message, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
          for piece in re.findall(r"\S+ ?", part["text"])),
        {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": whole},
    ]
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}
