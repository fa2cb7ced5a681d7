"""Two profiles as ratios with intervals over fresh processes; only of the same hardware and the same cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evals.errors import ComparisonError
from evals.perf.stored import Profile
from evals.statistics import holm
from evals.statistics.distributions import t_cdf, t_quantile

# What is compared of each case; quantities that say how something was measured are not.
COMPARED = (
    "ttft_ms",
    "tpot_ms",
    "e2e_ms",
    "samples_per_s",
    "tokens_per_s",
    "peak_allocated_mib",
    "peak_host_mib",
    "energy_j_per_request",
    "energy_j_per_token",
)
ALPHA = 0.05  # for all verdicts of a comparison together
ONE_PROCESS = "one process a side: without an interval; --repeats gives one"


@dataclass(frozen=True, slots=True)
class ProfileRatio:
    """One quantity of B over A.

    Attributes:
        case: ``caption b8``, or ``process`` for what a process has once.
        a, b: the values; ratio: b / a; low, high: 95 % interval, None with one process a side.
        p_holm: two-sided p of no difference, adjusted over all quantities that have one; None with one process a side.
        better: ``lower`` or ``higher``.
        verdict: ``better``, ``worse`` or ``no difference seen``, by the adjusted p at 5 %; empty without one.
    """

    case: str
    quantity: str
    unit: str
    a: float
    b: float
    ratio: float
    low: float | None
    high: float | None
    p_holm: float | None
    better: str
    verdict: str


@dataclass(frozen=True, slots=True)
class ProfileComparison:
    """Two profiles of one machine and workload."""

    a: str
    b: str
    hardware_key: str
    ratios: tuple[ProfileRatio, ...]
    notes: tuple[str, ...]


def compare_profiles(a: Profile, b: Profile) -> ProfileComparison:
    """Ratios of all quantities that both measured.

    Raises:
        ComparisonError: other hardware or cases, or an invalid profile.
    """
    _require_comparable(a, b)
    found: list[tuple[ProfileRatio, float | None]] = []
    for tag in ("load_s", "cold_start_ms", "weights_mib"):
        found += _ratio("process", tag, a.document["process"][tag], b.document["process"][tag], a.document["metrics"])
    cases = {case["name"]: case for case in b.document["cases"]}
    for case in a.document["cases"]:
        other = cases[case["name"]]["metrics"]
        for tag in COMPARED:
            found += _ratio(case["name"], tag, case["metrics"][tag], other[tag], a.document["metrics"])
    notes = [f"{one.name}: {f['detail']}" for one in (a, b) for f in one.document["flags"] if f["severity"] != "note"]
    if any(ratio.low is None for ratio, _ in found):
        notes.append(ONE_PROCESS)
    return ProfileComparison(a.name, b.name, a.hardware_key, _judged(found), tuple(notes))


def _judged(found: Sequence[tuple[ProfileRatio, float | None]]) -> tuple[ProfileRatio, ...]:
    """Ratios, each given with its p, with adjusted p and verdict: of fifty quantities two or three leave their 95 %
    interval by chance."""
    adjusted = holm([p for _, p in found])
    return tuple(replace(r, p_holm=p, verdict=_verdict(r, p)) for (r, _), p in zip(found, adjusted, strict=True))


def _verdict(ratio: ProfileRatio, p: float | None) -> str:
    if p is None:
        return ""
    if p >= ALPHA:
        return "no difference seen"
    moved = "lower" if ratio.ratio < 1 else "higher"
    return moved if not ratio.better else "better" if moved == ratio.better else "worse"


def _require_comparable(a: Profile, b: Profile) -> None:
    for one in (a, b):
        if one.invalid:
            raise ComparisonError(f"{one.name} is no valid measurement: {'; '.join(one.invalid)}. Measure again.")
    if a.hardware_key != b.hardware_key:
        raise ComparisonError(
            f"Not comparable: {a.name} was measured on {a.hardware_key} and {b.name} on {b.hardware_key}. Measure both "
            "on one machine."
        )
    if a.document["workload"] != b.document["workload"]:
        raise ComparisonError(
            f"Not comparable: {a.name} and {b.name} measured different cases. Use the same scenarios, batch sizes and "
            "beams."
        )


def _ratio(
    case: str, tag: str, one: Mapping[str, Any], two: Mapping[str, Any], about: Mapping[str, Any]
) -> list[tuple[ProfileRatio, float | None]]:
    """The ratio of geometric means with Welch's interval on the logs, and its p; nothing where a side has no value."""
    sides = [[v for v in side["replicates"] if v is not None and v > 0] for side in (one, two)]
    if not all(sides):
        return []
    logs = [np.log(np.asarray(side)) for side in sides]
    centre = float(logs[1].mean() - logs[0].mean())
    low, high, p = _welch(logs, centre)
    ours, theirs = (math.exp(float(log.mean())) for log in logs)
    better = about[tag]["better"] or ""
    unit = about[tag]["unit"]
    return [(ProfileRatio(case, tag, unit, ours, theirs, math.exp(centre), low, high, None, better, ""), p)]


def _welch(logs: Sequence[Any], centre: float) -> tuple[float | None, float | None, float | None]:
    """(low, high, two-sided p) of a difference of mean logs; the ends as ratios. Nulls with one process a side."""
    if any(len(log) < 2 for log in logs):
        return None, None, None
    parts = [float(log.var(ddof=1)) / len(log) for log in logs]
    total = sum(parts)
    if total == 0:  # counted, not measured: bytes of weights, say
        return math.exp(centre), math.exp(centre), 1.0 if centre == 0 else 0.0
    freedom = total**2 / sum(part**2 / (len(log) - 1) for part, log in zip(parts, logs, strict=True))
    half = t_quantile(0.975, freedom) * math.sqrt(total)
    p = 2 * (1 - t_cdf(abs(centre) / math.sqrt(total), freedom))
    return math.exp(centre - half), math.exp(centre + half), p
