"""The efficiency part of a result: where the time went, how long requests waited, how much was generated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evals.records import ScoredSample

STAGES = ("image_ms", "vision_ms", "prefill_ms", "decode_ms")
# A percentile q is given from n values on where n·(1−q) ≥ 1 holds with room: below, it is one value's accident.
PERCENTILES = {"p50": (0.50, 5), "p90": (0.90, 22), "p95": (0.95, 59), "p99": (0.99, 299)}


def efficiency(samples: Sequence[ScoredSample], wall_s: float | None) -> dict[str, Any]:
    """Efficiency of one task.

    Args:
        wall_s: seconds of inference behind these samples, over all sessions of the run; None if unknown (imported).

    Returns:
        ``stages_ms``: mean per request of each stage; ``latency_ms``: mean and percentiles of what a request really
        waited (in its batch); token counts; ``samples_per_s``. Null wherever nothing was measured.
    """
    answered = [s for s in samples if s.prediction is not None]
    waits = sorted(s.timing.batch_ms for s in answered if s.timing.batch_ms is not None)
    sizes = [s.timing.batch_size for s in answered if s.timing.batch_size is not None]
    return {
        "stages_ms": {stage: _mean([getattr(s.timing, stage) for s in answered]) for stage in STAGES},
        "latency_ms": {"mean": _mean(waits)}
        | {name: _quantile(waits, q) if len(waits) >= least else None for name, (q, least) in PERCENTILES.items()},
        "batch_size": _mean(sizes),
        "prompt_tokens": _mean([s.prompt_tokens for s in answered]),
        "new_tokens": _mean([s.new_tokens for s in answered]),
        "wall_s": wall_s,
        "requests_per_s": len(answered) / wall_s if wall_s and answered else None,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [float(v) for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _quantile(ordered: Sequence[float], q: float) -> float:
    """Type-7 quantile (linear interpolation) of sorted values."""
    position = q * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
