"""Efficiency of two runs as ratios, only where both ran on the same hardware."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evals.compare.batches import halved_to
from evals.compare.evidence import Evidence, RunLike
from evals.compare.records import Efficiency
from evals.statistics.distributions import t_quantile

ONE_PROCESS = "one process a side: the interval does not cover the differences between runs; `gate --perf` does"

# (key in results.json's efficiency, unit, which direction is better)
RUN_QUANTITIES = (
    ("load_s", "s", "lower"),
    ("peak_host_mib", "MiB", "lower"),
    ("peak_allocated_mib", "MiB", "lower"),
    ("peak_reserved_mib", "MiB", "lower"),
    ("energy_j", "J", "lower"),
)


def hardware_note(a: RunLike, b: RunLike) -> str:
    """Why efficiency cannot be compared; empty where it can."""
    if any(run.manifest.get("imported") for run in (a, b)):
        return "efficiency not compared: an imported run has none"
    keys = [run.manifest.get("environment", {}).get("hardware_key") for run in (a, b)]
    if None in keys:
        return "efficiency not compared: a run does not say on which hardware"
    if keys[0] != keys[1]:
        return f"efficiency not compared: different hardware ({keys[0]} and {keys[1]})"
    return ""


def run_ratios(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Efficiency, ...]:
    """Ratios of whole-run quantities known in both; single values, so without interval."""
    found = []
    for name, unit, better in RUN_QUANTITIES:
        one, two = a.get(name), b.get(name)
        if one and two:
            found.append(Efficiency(name, unit, one, two, two / one, None, None, better))
    return tuple(found)


def task_ratios(a: RunLike, b: RunLike, one: Evidence, two: Evidence) -> tuple[Efficiency, ...]:
    """Latency (paired by request, geometric mean) and throughput of one task; none where a run's batch changed on the
    way because memory was full."""
    if any(halved_to(run, one.task) is not None for run in (a, b)):
        return ()
    found = []
    latency = _paired_latency(_waits(one), _waits(two))
    if latency is not None:
        found.append(latency)
    rates = [run.results["tasks"][one.task].get("efficiency", {}).get("requests_per_s") for run in (a, b)]
    if rates[0] and rates[1]:
        ratio = rates[1] / rates[0]
        found.append(Efficiency("requests_per_s", "1/s", rates[0], rates[1], ratio, None, None, "higher"))
    return tuple(found)


def _waits(evidence: Evidence) -> dict[str, float]:
    pairs = zip(evidence.rows, evidence.waits_ms, strict=True)
    return {row: float(wait) for (row, _), wait in pairs if wait is not None and wait > 0}


def _paired_latency(a: Mapping[str, float], b: Mapping[str, float]) -> Efficiency | None:
    """Geometric mean ratio of the same requests' waits, with a t interval on the log ratios."""
    shared: Sequence[str] = [row for row in a if row in b]
    if len(shared) < 2:
        return None
    one, two = np.array([a[row] for row in shared]), np.array([b[row] for row in shared])
    logs = np.log(two / one)
    centre, half = float(logs.mean()), float(logs.std(ddof=1)) / math.sqrt(len(logs)) * t_quantile(0.975, len(logs) - 1)
    ends = math.exp(centre - half), math.exp(centre + half)
    medians = float(np.median(one)), float(np.median(two))
    return Efficiency("latency_ms", "ms", *medians, math.exp(centre), *ends, "lower", ONE_PROCESS)
