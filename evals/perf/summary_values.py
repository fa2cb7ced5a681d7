"""From one value a process to one number with an interval: fresh processes are the replicates, requests are not."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evals.perf.metrics import METRICS, Metric, NoValue, Seen
from evals.perf.timeline import CaseRecord, ProcessRecord
from evals.statistics.distributions import t_quantile
from evals.statistics.quantiles import quantile

PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
_REPLICATES, _REQUESTS = "processes", "requests of one process"


@dataclass(frozen=True, slots=True)
class Summary:
    """A metric over all processes.

    Attributes:
        value: mean over processes of each one's median (or single value); None with a ``reason``.
        low, high: 95 % interval. interval_over: what varies in it; None where there is none.
        replicates: each process's value, in order; None where it has none.
        n: values behind it (requests, gaps, or processes).
        percentiles: of all requests pooled; each None below the number of values that it needs.
        reason: why there is no value.
    """

    value: float | None
    low: float | None
    high: float | None
    interval_over: str | None
    replicates: tuple[float | None, ...]
    n: int
    percentiles: dict[str, dict[str, float | None]] | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        """As it stands in profile.json."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "interval_over": self.interval_over,
            "replicates": list(self.replicates),
            "n": self.n,
            "percentiles": self.percentiles,
            "reason": self.reason or None,
        }


def summarise(metric: Metric, seen: Sequence[Seen]) -> Summary:
    """One metric over the processes of a profile."""
    found: list[tuple[float, ...] | None] = []
    reasons: list[str] = []
    for one in seen:
        try:
            values = metric.values(one)
        except NoValue as error:
            found.append(None)
            reasons.append(str(error))
            continue
        if not all(map(math.isfinite, values)):
            found.append(None)
            reasons.append("it came out as no finite number")
        else:
            found.append(values)
    replicates = tuple(None if values is None else statistics.median(values) for values in found)
    pooled = [value for values in found if values is not None for value in values]
    known = [value for value in replicates if value is not None]
    if not known:
        reason = reasons[0] if reasons else "nothing was measured"
        return Summary(None, None, None, None, replicates, 0, None, reason)
    low, high, over = _interval(known, pooled if metric.per_request else [])
    percentiles = _percentiles(pooled) if metric.per_request else None
    reason = f"{len(reasons)} of {len(seen)} processes have no value: {reasons[0]}" if reasons else ""
    return Summary(statistics.fmean(known), low, high, over, replicates, len(pooled), percentiles, reason)


def case_summaries(processes: Sequence[ProcessRecord], name: str) -> dict[str, Summary]:
    """All case metrics of the case of this name."""
    seen = [Seen(p, case) for p in processes for case in p.cases if case.case.name == name]
    return {tag: summarise(metric, seen) for tag, metric in METRICS.items() if metric.scope == "case"}


def process_summaries(processes: Sequence[ProcessRecord]) -> dict[str, Summary]:
    """All metrics that a process has once."""
    seen = [Seen(process, _any_case(process)) for process in processes if process.cases]
    return {tag: summarise(metric, seen) for tag, metric in METRICS.items() if metric.scope == "process"}


def _any_case(process: ProcessRecord) -> CaseRecord:
    """A case that was measured, if any was: it knows the weights."""
    return next((case for case in process.cases if not case.skipped), process.cases[0])


def _interval(known: Sequence[float], pooled: Sequence[float]) -> tuple[float | None, float | None, str | None]:
    """t interval over processes; of a single one, the order-statistic interval of its median over requests."""
    if len(known) > 1:
        half = t_quantile(0.975, len(known) - 1) * statistics.stdev(known) / math.sqrt(len(known))
        centre = statistics.fmean(known)
        return centre - half, centre + half, _REPLICATES
    if pooled:
        median = quantile(pooled, 0.5)
        if median.low is not None and median.high is not None:
            return median.low, median.high, _REQUESTS
    return None, None, None


def _percentiles(values: Sequence[float]) -> dict[str, dict[str, float | None]]:
    found = {name: quantile(values, q) for name, q in PERCENTILES.items()}
    return {name: {"value": q.value, "low": q.low, "high": q.high} for name, q in found.items()}
