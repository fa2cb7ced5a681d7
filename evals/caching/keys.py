"""What decides an answer, as one digest.

That is the adapter's identity (weights' fingerprint, processor, dtype, device, version and every option that can change
an answer), the prompt as the model gets it, the turns, the pictures by the hash of their bytes, the generation settings
and, for sampling, the request's own id, which its random numbers depend on. Batch size is no part of it: greedy answers
do not depend on it but for the noise that `doctor --determinism` measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from evals.files import sha256_json
from model_adapters.contract import ModelAdapter, Request

FORMAT = 1  # raised whenever the key or the stored answer means something else


class Keys:
    """Makes keys for one adapter."""

    def __init__(self, adapter: ModelAdapter) -> None:
        self._adapter = adapter
        identity = dict(adapter.identity())
        self._has_weights = identity.get("weights") is not None
        if self._has_weights:
            identity.pop("model", None)  # a name for people; the fingerprint says which weights these are
        self._identity = sha256_json({"format": FORMAT, "identity": identity})

    def of(self, request: Request, kind: str) -> str | None:
        """The key of a request, or None where its answer must not be kept: a sampled one of a model whose weights
        nobody knows, since its seed may mean nothing there.

        Args:
            kind: ``generate`` or ``score_choices``.
        """
        settings = asdict(request.generation)
        if not settings["do_sample"]:
            settings["seed"] = None
        elif not self._has_weights:
            return None
        return sha256_json(
            {
                "model": self._identity,
                "kind": kind,
                "prompt": self._adapter.prompt_text(request),
                "turns": [_turn(turn.role, turn.content) for turn in request.turns],
                "settings": settings | {"stop": list(settings["stop"])},
                "choices": list(request.choices),
                "request": request.request_id if settings["do_sample"] else None,
            }
        )


def _turn(role: str, content: tuple[Any, ...]) -> Mapping[str, Any]:
    return {"role": role, "content": [part if isinstance(part, str) else {"image": part.sha256} for part in content]}
