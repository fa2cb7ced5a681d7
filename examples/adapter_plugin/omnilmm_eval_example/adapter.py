"""The adapter ``brightness``: says whether a picture is bright or dark."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from model_adapters.contract import AdapterError, Capabilities, Failure, ModelAdapter, Request, Response


class BrightnessAdapter(ModelAdapter):
    """Compares a picture's mean grey value with a threshold.

    Args:
        threshold: from 0 (black) to 255 (white); brighter pictures are "bright".
    """

    # What the harness may ask for. A language model would also say choice_scoring=True and implement score_choices.
    capabilities = Capabilities(max_images=1)

    def __init__(self, threshold: float = 128.0) -> None:
        if not 0 <= threshold <= 255:
            raise AdapterError(f"brightness: threshold={threshold} is no grey value; give 0 to 255.")
        self._threshold = threshold  # load weights here

    def identity(self) -> Mapping[str, Any]:
        """Everything that can change an answer; runs with another identity are other runs."""
        return {
            "adapter": "brightness",
            "adapter_version": "1",
            "model": "brightness",
            "weights": None,  # a fingerprint of the weights
            "dtype": None,
            "device": "cpu",
            "parameters": 0,
            "threshold": self._threshold,
        }

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """One response a request, in any order. Requests are pulled as they are needed: a batch at a time is fine."""
        for request in requests:
            try:
                yield Response(request.request_id, self._answer(request))
            except Exception as error:  # noqa: BLE001 - one request that cannot be answered stops no other
                failure = Failure(type(error).__name__, str(error), traceback.format_exc())
                yield Response(request.request_id, finish="error", failure=failure)

    def _answer(self, request: Request) -> str:
        if len(request.images) != 1:
            raise AdapterError(f"brightness looks at one picture; this request has {len(request.images)}.")
        (picture,) = request.images
        image = picture.open().convert("L")
        mean = image.resize((1, 1)).getpixel((0, 0))
        return "bright" if mean > self._threshold else "dark"
