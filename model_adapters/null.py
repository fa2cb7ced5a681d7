"""An adapter that computes nothing: it measures the harness, and gives tests a model whose answers are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from model_adapters.contract import Capabilities, ModelAdapter, Request, Response, cut_at_stop


class NullAdapter(ModelAdapter):
    """Answers every request with the same text, without looking at it.

    Args:
        answer: the text.
    """

    capabilities = Capabilities(max_images=None, text_only=True, choice_scoring=True)

    def __init__(self, answer: str = "A") -> None:
        self._answer = answer

    def identity(self) -> Mapping[str, Any]:
        return {
            "adapter": "null",
            "adapter_version": "1",
            "model": "null",
            "weights": None,
            "dtype": None,
            "device": "cpu",
            "parameters": 0,
            "answer": self._answer,
        }

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        for request in requests:
            yield Response(request.request_id, cut_at_stop(self._answer, request.generation.stop))

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        for request in requests:
            n = len(request.choices)
            yield Response(request.request_id, choice_scores=(0.0,) * n, choice_tokens=(1,) * n)
