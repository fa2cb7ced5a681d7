"""Responses as the protocol has them: one document, or chunks of a stream."""

from __future__ import annotations

import json
import time
from typing import Any

from model_adapters.contract import Response


def usage_of(response: Response) -> dict[str, Any]:
    """The usage object; a count that the adapter does not know is null, as everywhere here."""
    prompt, new = response.usage.prompt_tokens, response.usage.new_tokens
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": new,
        "total_tokens": prompt + new if prompt is not None and new is not None else None,
    }
    if response.usage.image_tokens is not None:
        usage["prompt_tokens_details"] = {"image_tokens": response.usage.image_tokens}
    return usage


def _scores(response: Response) -> dict[str, Any]:
    if response.choice_scores is None:
        return {}
    tokens = response.choice_tokens or ()
    pairs = zip(response.choice_scores, tokens, strict=True)
    return {"score_choices": [{"logprob": score, "tokens": n} for score, n in pairs]}


class Writer:
    """Writes the answer to one request."""

    def __init__(self, number: int, model: str) -> None:
        self._about = {"id": f"chatcmpl-{number}", "created": int(time.time()), "model": model}

    def document(self, response: Response) -> dict[str, Any]:
        """The whole answer."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": response.text},
            "finish_reason": response.finish,
            "logprobs": None,
            **_scores(response),
        }
        return {**self._about, "object": "chat.completion", "choices": [choice], "usage": usage_of(response)}

    def piece(self, text: str, *, first: bool) -> bytes:
        """A piece of the answer; the first one also says whose turn it is."""
        return self._chunk({**({"role": "assistant"} if first else {}), "content": text}, None)

    def end(self, response: Response, *, include_usage: bool) -> bytes:
        """What follows the last piece."""
        last = self._chunk({}, response.finish, **_scores(response))
        usage = self._event({"choices": [], "usage": usage_of(response)}) if include_usage else b""
        return last + usage + b"data: [DONE]\n\n"

    def error(self, document: dict[str, Any]) -> bytes:
        """An error in the middle of an answer, when the status is sent already."""
        return b"data: " + json.dumps(document).encode() + b"\n\n"

    def _chunk(self, delta: dict[str, Any], finish: str | None, **more: Any) -> bytes:
        return self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]})

    def _event(self, fields: dict[str, Any]) -> bytes:
        event = {**self._about, "object": "chat.completion.chunk", **fields}
        return b"data: " + json.dumps(event, separators=(",", ":"), allow_nan=False).encode() + b"\n\n"
