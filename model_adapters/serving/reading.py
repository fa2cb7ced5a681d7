"""The body of POST /v1/chat/completions, read strictly into a request.

A field that would change the answer and that is not supported is an error: a server that silently ignores what it was
asked gives numbers that nobody can trust. Pictures come as data URLs only; nothing is ever fetched.
"""

from __future__ import annotations

import binascii
import hashlib
import itertools
import json
import math
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model_adapters.contract import GenerationSettings, ImageRef, Request, Turn, did_you_mean
from model_adapters.serving.errors import ProtocolError

DEFAULT_NEW_TOKENS = 256
ROLES = ("system", "user", "assistant")
# Without effect on the answer, or fine at their neutral value.
HARMLESS = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "stream_options"}
NEUTRAL: dict[str, Any] = {
    "n": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logprobs": False,
    "top_logprobs": 0,
    "logit_bias": {},
    "tools": [],
    "functions": [],
    "parallel_tool_calls": True,
    "response_format": {"type": "text"},
}
READ = {
    *("model", "messages", "stream", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop"),
    *("top_k", "num_beams", "repetition_penalty", "score_choices"),
}
_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for."""

    new_tokens: int = 4096
    messages: int = 256
    images: int = 64
    choices: int = 64
    image_bytes: int = 20 * 2**20
    beams: int = 64


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request to the adapter, and how its answer is to be sent."""

    request: Request
    stream: bool
    include_usage: bool


def read_chat(body: bytes, served: str, limits: Limits = Limits()) -> ChatRequest:
    """Read a body.

    Raises:
        ProtocolError: 400 with the field's name; 404 for a model that is not served.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"The body is no JSON: {error}.") from None
    if not isinstance(fields, dict):
        raise ProtocolError("The body must be a JSON object.")
    if b"\\ud" in body or b"\\uD" in body:  # escapes are the one way to half a surrogate pair
        _check_characters(fields)
    _check_model(fields.get("model"), served)
    _check_unread(fields)
    turns = _turns(fields.get("messages"), limits)
    settings = _settings(fields, limits)
    choices = _choices(fields.get("score_choices"), limits)
    stream = _typed(fields, "stream", bool, False)
    usage = fields.get("stream_options") or {}
    request = Request(_request_id(fields, settings), turns, settings, choices)
    return ChatRequest(request, stream, bool(isinstance(usage, Mapping) and usage.get("include_usage")))


def _request_id(fields: Mapping[str, Any], settings: GenerationSettings) -> str:
    """An id of its own; where tokens are drawn, one made of what is asked, so that the same request draws the same."""
    if not settings.do_sample:
        return f"request-{next(_counter)}"
    asked = {name: value for name, value in fields.items() if name in READ and name != "stream"}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _check_characters(fields: Mapping[str, Any]) -> None:
    """Half a surrogate pair is no character; no tokenizer takes it."""
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = str(error.object)[error.start]
        raise ProtocolError(f"The body has \\u{ord(half):04x} without its other half, which is no character.") from None


def _check_model(model: Any, served: str) -> None:
    if model != served:
        hint = did_you_mean(model, [served]) if isinstance(model, str) else ""
        raise ProtocolError(
            f"The model {model!r} does not exist here.{hint} This server has {served!r}.",
            404,
            param="model",
            code="model_not_found",
        )


def _check_unread(fields: Mapping[str, Any]) -> None:
    for name in fields:
        if name in READ or name in HARMLESS:
            continue
        value = fields[name]
        if name in NEUTRAL:
            if value is not None and value != NEUTRAL[name]:
                raise ProtocolError(f"{name} other than {NEUTRAL[name]!r} is not supported.", param=name)
            continue
        hint = did_you_mean(name, sorted(READ | HARMLESS))
        raise ProtocolError(f"The field {name!r} is not supported.{hint}", param=name, code="unsupported_field")


def _turns(messages: Any, limits: Limits) -> tuple[Turn, ...]:
    if not isinstance(messages, list) or not messages:
        raise ProtocolError("messages must be a list with at least one message.", param="messages")
    if len(messages) > limits.messages:
        raise ProtocolError(f"messages has {len(messages)} entries; at most {limits.messages}.", param="messages")
    turns, images = [], 0
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise ProtocolError(f"{where}.role must be one of {', '.join(ROLES)}.", param=where)
        content = _content(message.get("content"), where, limits)
        images += sum(isinstance(part, ImageRef) for part in content)
        if images > limits.images:
            raise ProtocolError(f"More than {limits.images} pictures in one request.", param=where)
        turns.append(Turn(message["role"], content))
    return tuple(turns)


def _content(content: Any, where: str, limits: Limits) -> tuple[str | ImageRef, ...]:
    if isinstance(content, str):
        return (content,)
    if not isinstance(content, list):
        raise ProtocolError(f"{where}.content must be a string or a list of parts.", param=where)
    return tuple(_part(part, f"{where}.content[{j}]", limits) for j, part in enumerate(content))


def _part(part: Any, where: str, limits: Limits) -> str | ImageRef:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind == "image_url":
        link = part.get("image_url")
        url = link.get("url") if isinstance(link, dict) else link
        if isinstance(url, str):
            return _image(url, where, limits)
    raise ProtocolError(
        f"{where} must be {{type: text, text}} or {{type: image_url, image_url: {{url}}}}.", param=where
    )


def _image(url: str, where: str, limits: Limits) -> ImageRef:
    head, comma, encoded = url.partition(",")
    if url[:5].lower() != "data:":
        raise ProtocolError(
            f"{where}: this server does not fetch pictures. Send the bytes: data:image/png;base64,...",
            param=where,
            code="image_url_not_supported",
        )
    if not comma or not head.lower().startswith("data:image/") or not head.lower().endswith(";base64"):
        raise ProtocolError(f"{where}: expected data:image/TYPE;base64,...", param=where, code="invalid_image")
    if len(encoded) > limits.image_bytes * 4 // 3 + 4:
        raise ProtocolError(
            f"{where}: the picture is larger than {limits.image_bytes} bytes.", 413, param=where, code="image_too_large"
        )
    try:
        data = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(f"{where}: no base64 ({error}).", param=where, code="invalid_image") from None
    return ImageRef(hashlib.sha256(data).hexdigest(), where, lambda: data)


def _settings(fields: Mapping[str, Any], limits: Limits) -> GenerationSettings:
    new_tokens = _typed(fields, "max_completion_tokens", int, None)
    if new_tokens is None:
        new_tokens = _typed(fields, "max_tokens", int, DEFAULT_NEW_TOKENS)
    if not 1 <= new_tokens <= limits.new_tokens:
        raise ProtocolError(f"max_tokens is {new_tokens}; expected 1 to {limits.new_tokens}.", param="max_tokens")
    temperature = _typed(fields, "temperature", float, 0.0)
    top_p, top_k = _typed(fields, "top_p", float, 1.0), _typed(fields, "top_k", int, 0)
    if not 0.0 <= temperature <= 2.0:
        raise ProtocolError(f"temperature is {temperature}; expected 0 to 2.", param="temperature")
    num_beams = _typed(fields, "num_beams", int, 1)
    if not 1 <= num_beams <= limits.beams:
        raise ProtocolError(f"num_beams is {num_beams}; expected 1 to {limits.beams}.", param="num_beams")
    sampled = temperature > 0.0
    return GenerationSettings(
        max_new_tokens=new_tokens,
        num_beams=num_beams,
        repetition_penalty=_typed(fields, "repetition_penalty", float, 1.0),
        do_sample=sampled,
        temperature=temperature if sampled else 1.0,
        top_p=top_p if sampled else 1.0,
        top_k=top_k if sampled else 0,
        stop=_stop(fields.get("stop")),
        seed=_typed(fields, "seed", int, 0),
    )


def _typed(fields: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = fields.get(name)
    if value is None:
        return default
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        words = {bool: "true or false", int: "a whole number", float: "a number"}
        raise ProtocolError(f"{name} must be {words[kind]}.", param=name)
    if isinstance(value, float) and not math.isfinite(value):
        raise ProtocolError(f"{name} is {value}; expected a finite number.", param=name)
    return value


def _stop(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(texts, list) or len(texts) > 16 or not all(isinstance(t, str) and t for t in texts):
        raise ProtocolError("stop must be a string or a list of up to 16 strings, none empty.", param="stop")
    return tuple(texts)


def _choices(value: Any, limits: Limits) -> tuple[str, ...]:
    if value is None:
        return ()
    fine = isinstance(value, list) and 0 < len(value) <= limits.choices
    if not fine or not all(isinstance(text, str) and text for text in value):
        raise ProtocolError(f"score_choices must be 1 to {limits.choices} texts, none empty.", param="score_choices")
    return tuple(value)
