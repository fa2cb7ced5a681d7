"""The efficiency part of a result: where the time went, how long requests waited, how much was generated."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from evals.records import ScoredSample
from model_adapters.contract import Timing

STAGES = ("image_ms", "vision_ms", "prefill_ms", "decode_ms")
UNMEASURED = Timing()
# A percentile q is given from n values on where n·(1−q) ≥ 1 holds with room: below, it is one value's accident.
PERCENTILES = {"p50": (0.50, 5), "p90": (0.90, 22), "p95": (0.95, 59), "p99": (0.99, 299)}


class _Mean:
    """The mean of the numbers added so far; None of none."""

    def __init__(self) -> None:
        self._sum, self._n = 0.0, 0

    def add(self, value: float) -> None:
        self._sum, self._n = self._sum + value, self._n + 1

    @property
    def value(self) -> float | None:
        return self._sum / self._n if self._n else None


class EfficiencyTally:
    """Times and tokens of the answered requests added so far; only what percentiles are taken of is kept one by one."""

    def __init__(self) -> None:
        self.answered = 0
        self._waits = array("d")
        self._times = {name: _Mean() for name in (*STAGES, "batch_size")}
        self._tokens = {name: _Mean() for name in ("prompt_tokens", "new_tokens")}

    def add(self, sample: ScoredSample) -> None:
        """Add one request; a failed one says nothing about speed."""
        if sample.prediction is None:
            return
        self.answered += 1
        if sample.timing != UNMEASURED:
            for name, mean in self._times.items():
                if (time := getattr(sample.timing, name)) is not None:
                    mean.add(time)
            if sample.timing.batch_ms is not None:
                self._waits.append(sample.timing.batch_ms)
        for name, mean in self._tokens.items():
            if (tokens := getattr(sample, name)) is not None:
                mean.add(tokens)

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
        waits = np.sort(np.asarray(self._waits))
        mean = float(np.mean(waits)) if len(waits) else None
        return {
            "stages_ms": {stage: self._times[stage].value for stage in STAGES},
            "latency_ms": {"mean": mean} | {name: _percentile(waits, *at) for name, at in PERCENTILES.items()},
            "batch_size": self._times["batch_size"].value,
            "prompt_tokens": self._tokens["prompt_tokens"].value,
            "new_tokens": self._tokens["new_tokens"].value,
            "wall_s": wall_s,
            "requests_per_s": self.answered / wall_s if wall_s and self.answered else None,
        }


def _percentile(ordered: np.ndarray[Any, np.dtype[np.float64]], q: float, least: int) -> float | None:
    """Type-7 quantile (linear interpolation); None from fewer values than ``least``."""
    return float(np.quantile(ordered, q)) if len(ordered) >= least else None
