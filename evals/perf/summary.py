"""The efficiency part of a result: where the time went, how long requests waited, how much was generated."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from evals.records import ScoredSample

STAGES = ("image_ms", "vision_ms", "prefill_ms", "decode_ms")
# A percentile q is given from n values on where n·(1−q) ≥ 1 holds with room: below, it is one value's accident.
PERCENTILES = {"p50": (0.50, 5), "p90": (0.90, 22), "p95": (0.95, 59), "p99": (0.99, 299)}


class EfficiencyTally:
    """Times and tokens of the answered requests added so far."""

    def __init__(self) -> None:
        self.answered = 0
        self._times = {name: array("d") for name in (*STAGES, "batch_ms", "batch_size")}
        self._tokens = {name: array("d") for name in ("prompt_tokens", "new_tokens")}

    def add(self, sample: ScoredSample) -> None:
        """Add one request; a failed one says nothing about speed."""
        if sample.prediction is None:
            return
        self.answered += 1
        for name, values in self._times.items():
            if (time := getattr(sample.timing, name)) is not None:
                values.append(time)
        for name, values in self._tokens.items():
            if (tokens := getattr(sample, name)) is not None:
                values.append(tokens)

    def result(self, wall_s: float | None) -> dict[str, Any]:
        """The efficiency of one task.

        Args:
            wall_s: seconds of inference behind these requests, over all sessions of the run; None if unknown
                (imported).

        Returns:
            ``stages_ms``: mean per request of each stage; ``latency_ms``: mean and percentiles of what a request
            really waited (in its batch); mean batch size and token counts; ``requests_per_s``. Null wherever nothing
            was measured.
        """
        waits = np.sort(np.asarray(self._times["batch_ms"]))
        return {
            "stages_ms": {stage: _mean(self._times[stage]) for stage in STAGES},
            "latency_ms": {"mean": _mean(waits)} | {name: _percentile(waits, *at) for name, at in PERCENTILES.items()},
            "batch_size": _mean(self._times["batch_size"]),
            "prompt_tokens": _mean(self._tokens["prompt_tokens"]),
            "new_tokens": _mean(self._tokens["new_tokens"]),
            "wall_s": wall_s,
            "requests_per_s": self.answered / wall_s if wall_s and self.answered else None,
        }


def _mean(values: Sequence[float] | np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _percentile(ordered: np.ndarray[Any, np.dtype[np.float64]], q: float, least: int) -> float | None:
    """Type-7 quantile (linear interpolation); None from fewer values than ``least``."""
    return float(np.quantile(ordered, q)) if len(ordered) >= least else None
