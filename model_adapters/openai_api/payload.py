"""A request as the body of POST /chat/completions.

Pictures are spliced into the JSON as bytes: running a megabyte of base64 through the JSON encoder, escape checks and
all, would cost more than sending it.
"""

from __future__ import annotations

import json
from typing import Any

from model_adapters.contract import AdapterError, Request, check_characters
from model_adapters.openai_api.images import data_url
from model_adapters.openai_api.options import TOP_LOGPROBS, ServerOptions

_MARK = "\x00image\x00"  # control characters are escaped in JSON, so that no question can contain its encoded form
_ENCODED_MARK = json.dumps(_MARK).encode()


def body_of(request: Request, model: str, options: ServerOptions, accepts: tuple[str, ...]) -> bytes:
    """The JSON body.

    Args:
        accepts: sampling settings beyond OpenAI's protocol that the server reads.

    Raises:
        AdapterError: settings that the server would ignore, or a text that is none.
        OSError: a picture that cannot be read.
    """
    check_characters(request)
    fields: dict[str, Any] = {"model": model, "messages": _messages(request, options)}
    fields |= _sampling(request, options, accepts)
    if request.choices and options.choice_scoring == "first_token":
        fields |= {options.token_limit: 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
    elif request.choices:
        fields["score_choices"] = list(request.choices)
    elif options.stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    fields |= options.extra_body
    text = json.dumps(fields, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()
    images = request.images
    if not images:
        return text
    parts = text.split(_ENCODED_MARK)
    if len(parts) != len(images) + 1:  # a question that holds the mark itself
        raise AdapterError(f"Request {request.request_id} has NUL characters in its text; take them out of the data.")
    pieces = [parts[0]]
    for image, after in zip(images, parts[1:], strict=True):
        pieces += [b'"', data_url(image), b'"', after]
    return b"".join(pieces)


def _messages(request: Request, options: ServerOptions) -> list[dict[str, Any]]:
    messages = []
    for turn in request.turns:
        if not turn.images:
            messages.append({"role": turn.role, "content": turn.text})
            continue
        detail = {"detail": options.image_detail} if options.image_detail else {}
        parts = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image_url", "image_url": {"url": _MARK, **detail}}
            for part in turn.content
        ]
        messages.append({"role": turn.role, "content": parts})
    return messages


def _sampling(request: Request, options: ServerOptions, accepts: tuple[str, ...]) -> dict[str, Any]:
    settings = request.generation
    fields: dict[str, Any] = {options.token_limit: settings.max_new_tokens, "temperature": 0.0}
    if settings.do_sample:
        fields |= {"temperature": settings.temperature, "top_p": settings.top_p, "seed": settings.seed}
    if settings.stop:
        fields["stop"] = list(settings.stop)
    wanted = {"num_beams": settings.num_beams, "repetition_penalty": settings.repetition_penalty}
    off = {"num_beams": 1, "repetition_penalty": 1.0, "top_k": 0}
    if settings.do_sample:
        wanted["top_k"] = settings.top_k
    extensions = {name: value for name, value in wanted.items() if value != off[name]}
    for name, value in extensions.items():
        if name not in accepts:
            raise AdapterError(
                f"This request has {name}={value}, which is no part of OpenAI's protocol; a server that does not know "
                f"it answers with another setting and says nothing. If this server reads it, say -o accepts={name}; "
                "else use a preset without it."
            )
    return fields | extensions
