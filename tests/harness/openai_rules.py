"""What OpenAI's API refuses: the scripted upstream answers as strictly as the real one.

A gateway that lets a gateway-only member, an empty tool list or a broken image part through would
pass against a lenient fake. Each rule here raises `Refusal` with the status, type, param and code
that the real API uses, so the tests also see whether such an error survives the way back.
"""

import json
import re

CHAT_MEMBERS = {
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model",
    "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "response_format",
    "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options",
    "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
}
COMPLETION_MEMBERS = {
    "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "model", "n",
    "presence_penalty", "prompt", "seed", "stop", "stream", "stream_options", "suffix",
    "temperature", "top_p", "user",
}
EMBEDDING_MEMBERS = {"dimensions", "encoding_format", "input", "model", "user"}
RESPONSE_MEMBERS = {
    "background", "conversation", "include", "input", "instructions", "max_output_tokens",
    "max_tool_calls", "metadata", "model", "parallel_tool_calls", "previous_response_id", "prompt",
    "prompt_cache_key", "reasoning", "safety_identifier", "service_tier", "store", "stream",
    "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p",
    "truncation", "user",
}
STREAM_OPTIONS = {"include_usage", "include_obfuscation"}
FUNCTION_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
ROLES = {"developer", "system", "user", "assistant", "tool", "function"}
PARTS = {"text", "image_url", "input_audio", "file", "refusal"}


class Refusal(Exception):
    """An error answer: HTTP status and the members of OpenAI's error object."""

    def __init__(self, status, message, kind="invalid_request_error", param=None, code=None,
                 headers=None):
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


def bad(message, param=None, code=None):
    """A 400 of the kind that OpenAI sends for a malformed request."""
    return Refusal(400, message, param=param, code=code)


def parse(raw):
    """Strict JSON: UTF-8, no duplicate member at any depth, an object at the top."""

    def unique(pairs):
        names = [name for name, _ in pairs]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise bad(f"Duplicate members: {sorted(doubled)}", code="duplicate_key")
        return dict(pairs)

    try:
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    except ValueError as error:
        raise bad(f"We could not parse the JSON body of your request: {error}") from error
    if not isinstance(body, dict):
        raise bad("The JSON body must be an object")
    return body


def members(body, allowed):
    """Refuses a member that the route does not know, as OpenAI does."""
    for name in body:
        if name not in allowed:
            raise bad(f"Unrecognized request argument supplied: {name}", param=name,
                      code="unknown_parameter")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise bad("you must provide a model parameter", param="model")


def number(body, name, low, high):
    """A number between `low` and `high`, or null, or absent."""
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad(f"Invalid type for '{name}': expected a number.", param=name, code="invalid_type")
    if not low <= value <= high:
        raise bad(f"Invalid '{name}': {value} is not between {low} and {high}.", param=name,
                  code="decimal_above_max_value")


def sampling(body):
    """The rules that chat and text completions share."""
    number(body, "temperature", 0, 2)
    number(body, "top_p", 0, 1)
    number(body, "presence_penalty", -2, 2)
    number(body, "frequency_penalty", -2, 2)
    number(body, "n", 1, 128)
    number(body, "max_tokens", 1, 1 << 20)
    number(body, "max_completion_tokens", 1, 1 << 20)
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) > 4:
        raise bad("Invalid 'stop': array too long.", param="stop", code="array_above_max_length")
    options = body.get("stream_options")
    if options is not None:
        if not body.get("stream"):
            raise bad("The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                      param="stream_options")
        unknown = set(options) - STREAM_OPTIONS
        if unknown:
            raise bad(f"Unknown parameter: 'stream_options.{unknown.pop()}'.",
                      param="stream_options", code="unknown_parameter")
    if not isinstance(body.get("stream", False), (bool, type(None))):
        raise bad("Invalid type for 'stream'.", param="stream", code="invalid_type")


def part(item, where):
    """One content part of a message."""
    if not isinstance(item, dict) or item.get("type") not in PARTS:
        raise bad(f"Invalid value for '{where}.type'.", param=where, code="invalid_value")
    if item["type"] == "text" and not isinstance(item.get("text"), str):
        raise bad(f"Missing required parameter: '{where}.text'.", param=where)
    if item["type"] == "image_url":
        image = item.get("image_url")
        if not isinstance(image, dict) or not isinstance(image.get("url"), str):
            raise bad(f"Invalid type for '{where}.image_url': expected an object.", param=where,
                      code="invalid_type")
        if not re.match(r"^(https?://|data:image/(png|jpeg|gif|webp);base64,)", image["url"]):
            raise bad(f"Invalid image URL: '{where}'.", param=where, code="invalid_image_url")
        if image.get("detail", "auto") not in {"auto", "low", "high", "original"}:
            raise bad(f"Invalid '{where}.image_url.detail'.", param=where, code="invalid_value")


def message(item, where, waiting):
    """One message. `waiting` holds the tool call ids that still need an answer; it is updated."""
    if not isinstance(item, dict) or item.get("role") not in ROLES:
        raise bad(f"Invalid value for '{where}.role'.", param=f"{where}.role", code="invalid_value")
    content = item.get("content")
    if content is None and not (item["role"] == "assistant" and
                                (item.get("tool_calls") or item.get("refusal"))):
        raise bad(f"Invalid value for 'content': expected a string, got null. {where}",
                  param=f"{where}.content")
    if isinstance(content, list):
        if not content:
            raise bad(f"'{where}.content' must not be empty", param=f"{where}.content")
        for index, one in enumerate(content):
            part(one, f"{where}.content[{index}]")
    if item["role"] == "tool":
        if item.get("tool_call_id") not in waiting:
            raise bad(f"messages with role 'tool' must be a response to a preceeding message with "
                      f"'tool_calls'. {where}", param=f"{where}.role")
        waiting.discard(item["tool_call_id"])
    elif waiting:
        raise bad("An assistant message with 'tool_calls' must be followed by tool messages "
                  f"responding to each 'tool_call_id'. Missing: {sorted(waiting)}", param=where)
    calls = item.get("tool_calls")
    if calls is not None and not calls:
        raise bad(f"Invalid '{where}.tool_calls': empty array.", param=where,
                  code="empty_array")
    waiting.update(call["id"] for call in calls or [])


def tools(body):
    """Tool definitions and the choice among them."""
    listed = body.get("tools")
    if listed is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if body.get(name) is not None:
                raise bad(f"'{name}' is only allowed when 'tools' are specified.", param=name)
        return
    if not listed:
        raise bad("Invalid 'tools': empty array. Expected an array with minimum length 1.",
                  param="tools", code="empty_array")
    for index, tool in enumerate(listed):
        if tool.get("type") != "function":
            raise bad(f"Invalid value for 'tools[{index}].type'.", param=f"tools[{index}].type")
        function = tool.get("function") or {}
        if not FUNCTION_NAME.match(function.get("name", "")):
            raise bad(f"Invalid 'tools[{index}].function.name'.",
                      param=f"tools[{index}].function.name", code="invalid_value")
        strict_schema(function.get("parameters") or {}, function.get("strict"),
                      f"tools[{index}].function.parameters")


def strict_schema(schema, strict, where):
    """Structured output needs every object closed and every property required."""
    if not strict or not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            raise bad(f"Invalid schema: 'additionalProperties' is required to be supplied and to "
                      f"be false. {where}", param=where, code="invalid_function_parameters")
        if set(schema.get("required", [])) != set(schema.get("properties", {})):
            raise bad(f"Invalid schema: 'required' must include every key in properties. {where}",
                      param=where, code="invalid_function_parameters")
    for child in (schema.get("properties") or {}).values():
        strict_schema(child, strict, where)
    strict_schema(schema.get("items"), strict, where)


def response_format(body):
    """JSON mode and JSON schema."""
    wanted = body.get("response_format")
    if wanted is None:
        return
    kind = wanted.get("type")
    if kind == "json_schema":
        spec = wanted.get("json_schema") or {}
        if not FUNCTION_NAME.match(spec.get("name", "")):
            raise bad("Missing required parameter: 'response_format.json_schema.name'.",
                      param="response_format.json_schema.name", code="missing_required_parameter")
        strict_schema(spec.get("schema"), spec.get("strict"), "response_format")
    elif kind == "json_object":
        if "json" not in json.dumps(body["messages"]).lower():
            raise bad("'messages' must contain the word 'json' in some form, to use "
                      "'response_format' of type 'json_object'.", param="messages")
    elif kind != "text":
        raise bad(f"Invalid value: '{kind}'.", param="response_format.type", code="invalid_value")


def chat(body):
    """Everything that /chat/completions refuses."""
    members(body, CHAT_MEMBERS)
    if not isinstance(body.get("messages"), list):
        raise bad("Missing required parameter: 'messages'.", param="messages",
                  code="missing_required_parameter")
    if not body["messages"]:
        raise bad("Invalid 'messages': empty array. Expected an array with minimum length 1.",
                  param="messages", code="empty_array")
    sampling(body)
    waiting = set()
    for index, item in enumerate(body["messages"]):
        message(item, f"messages[{index}]", waiting)
    if waiting:
        raise bad("An assistant message with 'tool_calls' must be followed by tool messages "
                  f"responding to each 'tool_call_id'. Missing: {sorted(waiting)}",
                  param="messages")
    tools(body)
    response_format(body)
    metadata = body.get("metadata")
    if metadata is not None and (not isinstance(metadata, dict) or len(metadata) > 16 or
                                 not all(isinstance(v, str) for v in metadata.values())):
        raise bad("Invalid 'metadata': expected at most 16 string values.", param="metadata",
                  code="invalid_type")


def completion(body):
    """Everything that /completions refuses."""
    members(body, COMPLETION_MEMBERS)
    if not isinstance(body.get("prompt"), (str, list)):
        raise bad("Missing required parameter: 'prompt'.", param="prompt")
    sampling(body)


def embedding(body):
    """Everything that /embeddings refuses."""
    members(body, EMBEDDING_MEMBERS)
    wanted = body.get("input")
    if wanted in ("", [], None) or not isinstance(wanted, (str, list)):
        raise bad("'$.input' is invalid. Please check the API reference.", param="input")
    if isinstance(wanted, list) and any(item in ("", []) for item in wanted):
        raise bad("'$.input' is invalid: it must not hold an empty string.", param="input")
    if body.get("encoding_format", "float") not in ("float", "base64"):
        raise bad("Invalid 'encoding_format'.", param="encoding_format", code="invalid_value")
    number(body, "dimensions", 1, 3072)


def response(body):
    """The rules of /v1/responses."""
    members(body, RESPONSE_MEMBERS)
    number(body, "temperature", 0, 2)
    number(body, "max_output_tokens", 16, 1 << 20)
    if not isinstance(body.get("input"), (str, list)) or not body["input"]:
        raise bad("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    for name, text in (body.get("metadata") or {}).items():
        if not isinstance(text, str):
            raise bad(f"Invalid type for 'metadata.{name}': expected a string.", param="metadata",
                      code="invalid_type")
