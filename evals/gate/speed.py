"""The speed gate: several fresh-process runs of baseline and candidate on one machine give a verdict.

Each run is a run directory of the same tasks, made by its own process. Runs are put in the order in which they started;
neighbours are pairs. Runs of different hardware are refused: a ratio across machines says nothing about the code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.compare.evidence import RunLike
from evals.compare.identity import mismatches, require_comparable
from evals.errors import ComparisonError
from evals.gate.rule import FAIL, INCONCLUSIVE, PASS
from evals.gate.speed_rule import SpeedFinding, judge_pairs

_TIMED = {"latency_ms": "timing:batch_ms", "ttft_ms": "timing:ttft_ms", "tpot_ms": "timing:tpot_ms"}


@dataclass(frozen=True, slots=True)
class SpeedVerdict:
    """FAIL if any quantity fails, PASS if all pass, INCONCLUSIVE otherwise; exit codes 1, 0 and 3."""

    outcome: str
    exit_code: int
    sentence: str
    hardware_key: str
    baseline_runs: tuple[str, ...]
    candidate_runs: tuple[str, ...]
    findings: tuple[SpeedFinding, ...]


def run_speed(run: RunLike) -> dict[str, float]:
    """One run's speed: medians over all its requests, and its throughput; a quantity nobody measured is left out."""
    found: dict[str, float] = {}
    tasks = run.results["tasks"]
    for quantity, column in _TIMED.items():
        values = [v for task in tasks for v in run.columns(task, [column])[column] if v is not None and v > 0]
        if values:
            found[quantity] = float(np.median(values))
    timed = [(t["efficiency"].get("wall_s"), t["efficiency"].get("requests_per_s")) for t in tasks.values()]
    if timed and all(wall and rate for wall, rate in timed):
        found["requests_per_s"] = sum(wall * rate for wall, rate in timed) / sum(wall for wall, _ in timed)
    energy = (run.results.get("efficiency") or {}).get("energy_j")
    if energy:
        found["energy_j"] = float(energy) / sum(task["n_requests"] for task in tasks.values())
    return found


def judge_speed(
    baseline: Sequence[RunLike], candidate: Sequence[RunLike], margins: Mapping[str, float] | None = None
) -> SpeedVerdict:
    """Judge interleaved fresh-process runs of both sides.

    Args:
        baseline, candidate: as many of each; they must have been started alternately (A B B A ...).
        margins: accepted rise by quantity, over the defaults.

    Raises:
        ComparisonError: different hardware, different tasks or settings, runs not interleaved, or nothing measured.
    """
    runs = [*baseline, *candidate]
    key = _require_same_conditions(runs)
    pairs = _pairs(baseline, candidate)
    speeds = [(run_speed(a), run_speed(b)) for a, b in pairs]
    quantities = _known(speeds)
    if not quantities:
        raise ComparisonError(
            "None of the runs measured a latency or a throughput (imported runs have none). Run both sides here."
        )
    margins = margins or {}
    findings = tuple(
        judge_pairs(q, [a[q] for a, _ in speeds], [b[q] for _, b in speeds], margins.get(q)) for q in quantities
    )
    outcomes = {finding.outcome for finding in findings}
    outcome = FAIL if FAIL in outcomes else PASS if outcomes == {PASS} else INCONCLUSIVE
    decisive = [f for f in findings if f.outcome == outcome]
    sentence = f"{outcome}: " + "; ".join(f"{f.quantity} {f.reason} (× {f.ratio:.3f})" for f in decisive) + "."
    names = tuple(r.manifest["run_id"] for r in baseline), tuple(r.manifest["run_id"] for r in candidate)
    return SpeedVerdict(outcome, {PASS: 0, FAIL: 1, INCONCLUSIVE: 3}[outcome], sentence, key, *names, findings)


def _known(speeds: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> list[str]:
    """Quantities that every run has."""
    sides = [side for pair in speeds for side in pair]
    return [q for q in (sides[0] if sides else {}) if all(q in side for side in sides)]


def _require_same_conditions(runs: Sequence[RunLike]) -> str:
    if not runs:
        raise ComparisonError("No runs are given. Give at least three fresh-process runs of each side.")
    keys: dict[Any, str] = {}
    for run in runs:
        keys.setdefault((run.manifest.get("environment") or {}).get("hardware_key"), run.manifest["run_id"])
    if len(keys) > 1 or None in keys:
        listed = ", ".join(f"{name} on {key or 'unknown hardware'}" for key, name in keys.items())
        raise ComparisonError(
            f"Not comparable: the runs come from different or unknown hardware ({listed}). "
            "Run both sides on the same machine in the same job."
        )
    first = runs[0]
    ours = first.manifest["identity"]["tasks"]
    for run in runs[1:]:
        theirs, names = run.manifest["identity"]["tasks"], (first.manifest["run_id"], run.manifest["run_id"])
        if set(ours) != set(theirs):
            raise ComparisonError(f"{names[0]} and {names[1]} ran different tasks. Time both sides on the same ones.")
        require_comparable(mismatches(ours, theirs, list(ours)), ("prompt", "scorer"), *names)
    return str(next(iter(keys)))


def _pairs(baseline: Sequence[RunLike], candidate: Sequence[RunLike]) -> list[tuple[RunLike, RunLike]]:
    """Neighbours in time, one of each side."""
    marked = [(run.manifest["created"], "A", run) for run in baseline]
    marked += [(run.manifest["created"], "B", run) for run in candidate]
    marked.sort(key=lambda item: (item[0], item[2].manifest["run_id"]))
    order = "".join(side for _, side, _ in marked)
    pairs = []
    for i in range(0, len(marked) - 1, 2):
        couple = {side: run for _, side, run in marked[i : i + 2]}
        if len(couple) == 2:
            pairs.append((couple["A"], couple["B"]))
    if 2 * len(pairs) != len(marked):
        raise ComparisonError(
            f"The runs were started in the order {order}; pairs of neighbours must hold one of each side (A B B A). "
            "Interleave the runs, or the machine's drift is taken for a difference."
        )
    return pairs
