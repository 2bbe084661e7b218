"""The routes of OpenAI's that are no chats: what each needs, and what it answers."""

import email.parser
import json

from openai_rules import Refusal

SOUND = bytes(range(256)) * 400
# path -> the members that are needed beside `model`
NEEDS = {
    "/v1/moderations": {"input"},
    "/v1/images/generations": {"prompt"},
    "/v1/audio/speech": {"input", "voice"},
    "/v1/audio/transcriptions": {"file"},
}


def form(raw, content_type):
    """A form's parts: texts as they are, files as their bytes."""
    head = f"content-type: {content_type}\r\n\r\n".encode()
    parts = email.parser.BytesParser().parsebytes(head + raw).get_payload()
    return {part.get_param("name", header="content-disposition"):
            part.get_payload(decode=True) if part.get_filename() else part.get_payload()
            for part in parts}


def read(path, raw, content_type):
    """The request's members, if it is one that OpenAI takes."""
    body = form(raw, content_type) if path.endswith("transcriptions") else json.loads(raw)
    missing = sorted((NEEDS[path] | {"model"}) - body.keys())
    if missing:
        raise Refusal(400, f"Missing required parameter: '{missing[0]}'.")
    return body


def answer(path, body):
    """Content type and bytes."""
    if path == "/v1/audio/speech":
        return "audio/mpeg", SOUND
    value = {
        "/v1/moderations": {"id": "modr-1", "model": body["model"], "results": [
            {"flagged": False, "categories": {}, "category_scores": {},
             "category_applied_input_types": {}}]},
        "/v1/images/generations": {"created": 1, "data": [
            {"b64_json": "AAAA"} for _ in range(int(body.get("n") or 1))]},
        "/v1/audio/transcriptions": {"text": "Hello", "usage": {"type": "duration", "seconds": 4}},
    }[path]
    return "application/json", json.dumps(value).encode()
