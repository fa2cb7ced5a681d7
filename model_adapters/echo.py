"""The adapter ``echo``: says the question again. A scorer that gives it points reads answers out of questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from model_adapters.contract import Capabilities, ModelAdapter, Request, Response


class EchoAdapter(ModelAdapter):
    """Answers with the text of the last turn."""

    capabilities = Capabilities(max_images=None, text_only=True)

    def identity(self) -> Mapping[str, Any]:
        return {
            "adapter": "echo",
            "adapter_version": "1",
            "model": "echo",
            "weights": None,
            "dtype": None,
            "device": "cpu",
            "parameters": 0,
            "control": True,
        }

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        for request in requests:
            yield Response(request.request_id, request.turns[-1].text)
