"""The efficiency part of a result: where the time went, how long requests waited, how much was generated."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

import numpy as np

from evals.records import ScoredSample
from model_adapters.contract import Timing

STAGES = ("image_ms", "vision_ms", "prefill_ms", "decode_ms")
STREAM_TIMES = ("ttft_ms", "tpot_ms", "longest_gap_ms")
UNMEASURED = Timing()
# A percentile q is given from n values on where n·(1−q) ≥ 1 holds with room: below, it is one value's accident.
PERCENTILES = {"p50": (0.50, 5), "p90": (0.90, 22), "p95": (0.95, 59), "p99": (0.99, 299)}


class _Mean:
    """The mean and the total of the numbers added so far; None of none."""

    def __init__(self) -> None:
        self._sum, self._n = 0.0, 0

    def add(self, value: float) -> None:
        self._sum, self._n = self._sum + value, self._n + 1

    @property
    def total(self) -> float | None:
        return self._sum if self._n else None

    @property
    def value(self) -> float | None:
        return self._sum / self._n if self._n else None


class EfficiencyTally:
    """Times and tokens of the answered requests added so far; only what percentiles are taken of is kept one by one."""

    def __init__(self) -> None:
        self.answered = self.from_cache = 0
        self._batch_sizes: Counter[int] = Counter()
        self._waits = {name: array("d") for name in ("batch_ms", *STREAM_TIMES)}
        self._times = {name: _Mean() for name in (*STAGES, "batch_size")}
        self._amounts = {name: _Mean() for name in ("prompt_tokens", "new_tokens", "cost")}

    def add(self, sample: ScoredSample) -> None:
        """Add one request; a failed one says nothing about speed."""
        if sample.prediction is None:
            return
        self.from_cache += sample.cached
        self.answered += not sample.cached
        if sample.timing != UNMEASURED:
            if sample.timing.batch_size is not None:
                self._batch_sizes[int(sample.timing.batch_size)] += 1
            for name, mean in self._times.items():
                if (time := getattr(sample.timing, name)) is not None:
                    mean.add(time)
            for name, waits in self._waits.items():
                if (time := getattr(sample.timing, name)) is not None:
                    waits.append(time)
        for name, mean in self._amounts.items():
            if (amount := getattr(sample, name)) is not None:
                mean.add(amount)

    def result(self, wall_s: float | None) -> dict[str, Any]:
        """The efficiency of one task.

        Args:
            wall_s: seconds of inference behind these requests, over all sessions of the run; None if unknown
                (imported).

        Returns:
            ``from_cache``: answers that were taken from earlier runs and have no times; ``stages_ms``: mean per request
            of each stage; ``latency_ms``: mean and percentiles of what a request really waited (in its batch), and the
            same of the first token, of each further one and of the longest gap where they were seen; the batch sizes
            with the answers asked in each, and the mean; mean token counts; ``cost`` of all answers together;
            ``requests_per_s``, where the model gave all answers. Null wherever nothing was measured.
        """
        return {
            "from_cache": self.from_cache,
            "stages_ms": {stage: self._times[stage].value for stage in STAGES},
            "latency_ms": _distribution(self._waits["batch_ms"]),
            **{name: _distribution(self._waits[name]) for name in STREAM_TIMES},
            "batch_sizes": {str(size): n for size, n in sorted(self._batch_sizes.items(), reverse=True)},
            "batch_size": self._times["batch_size"].value,
            "prompt_tokens": self._amounts["prompt_tokens"].value,
            "new_tokens": self._amounts["new_tokens"].value,
            "cost": self._amounts["cost"].total,
            "wall_s": wall_s,
            "requests_per_s": self.answered / wall_s if wall_s and self.answered and not self.from_cache else None,
        }


def _distribution(values: array[float]) -> dict[str, float | None]:
    ordered = np.sort(np.asarray(values))
    mean = float(np.mean(ordered)) if len(ordered) else None
    return {"mean": mean} | {name: _percentile(ordered, *at) for name, at in PERCENTILES.items()}


def _percentile(ordered: np.ndarray[Any, np.dtype[np.float64]], q: float, least: int) -> float | None:
    """Type-7 quantile (linear interpolation); None from fewer values than ``least``."""
    return float(np.quantile(ordered, q)) if len(ordered) >= least else None
