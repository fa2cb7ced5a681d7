"""An adapter that computes nothing: it measures the harness, and gives tests a model whose answers are known.

With ``look`` it does what any model's preprocessing does at least, so that a benchmark can tell the cost of getting
pictures to a model from the cost of decoding them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from model_adapters.contract import Capabilities, ModelAdapter, Request, Response, cut_at_stop


class NullAdapter(ModelAdapter):
    """Answers every request with the same text, without looking at it.

    Args:
        answer: the text.
        look: side in pixels to which each picture is decoded and squashed when it is first seen; 0: pictures are left
            alone. Needs Pillow.
    """

    capabilities = Capabilities(max_images=None, text_only=True, choice_scoring=True)

    def __init__(self, answer: str = "A", look: int = 0) -> None:
        self._answer, self._look = answer, look
        self._seen: set[str] = set()

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
            "look": self._look,
        }

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        for request in requests:
            self._look_at(request)
            yield Response(request.request_id, cut_at_stop(self._answer, request.generation.stop))

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        for request in requests:
            self._look_at(request)
            n = len(request.choices)
            yield Response(request.request_id, choice_scores=(0.0,) * n, choice_tokens=(1,) * n)

    def _look_at(self, request: Request) -> None:
        if not self._look:
            return
        for image in request.images:
            if image.sha256 not in self._seen:
                self._seen.add(image.sha256)
                image.open().convert("RGB").resize((self._look, self._look))
