"""The speed gate: several fresh-process measurements of baseline and candidate on one machine give a verdict.

A measurement is a run directory made by its own process, or one process of a profile (evals/perf). Measurements are
put in the order in which they started; neighbours are pairs. Those of different hardware are refused: a ratio across
machines says nothing about the code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.compare.batches import halving_notes
from evals.compare.evidence import RunLike
from evals.compare.identity import mismatches, require_comparable
from evals.errors import ComparisonError
from evals.gate.rule import FAIL, INCONCLUSIVE, PASS
from evals.gate.speed_rule import SpeedFinding, judge_pairs_together
from evals.perf.stored import Profile

_TIMED = {"latency_ms": "timing:batch_ms", "ttft_ms": "timing:ttft_ms", "tpot_ms": "timing:tpot_ms"}
# What of a profile's case is gated: how long one waits at batch 1, how much goes through at larger ones.
SINGLE, OFFLINE = ("ttft_ms", "tpot_ms", "e2e_ms", "energy_j_per_request"), ("requests_per_s", "energy_j_per_request")


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


@dataclass(frozen=True, slots=True)
class Timed:
    """One fresh process as the gate sees it: when it started, where it ran, and how fast it was."""

    name: str
    started: str
    hardware_key: str | None
    speed: Mapping[str, float]


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


def profile_speeds(profile: Profile) -> list[dict[str, float]]:
    """The speed of each of a profile's processes, by quantities such as ``caption b1 tpot_ms``.

    Raises:
        ComparisonError: the profile is invalid (throttled, say).
    """
    if profile.invalid:
        raise ComparisonError(
            f"{profile.path} is no valid measurement: {'; '.join(profile.invalid)}. Measure again on a quiet card."
        )
    speeds: list[dict[str, float]] = [{} for _ in profile.document["replicates"]]
    for case in profile.document["cases"]:
        for tag in SINGLE if case["batch"] == 1 else OFFLINE:
            for speed, value in zip(speeds, case["metrics"][tag]["replicates"], strict=False):
                if value is not None and value > 0:
                    speed[f"{case['name']} {tag}"] = float(value)
    return speeds


def judge_speed(
    baseline: Sequence[RunLike | Profile],
    candidate: Sequence[RunLike | Profile],
    margins: Mapping[str, float] | None = None,
) -> SpeedVerdict:
    """Judge interleaved fresh-process measurements of both sides.

    Args:
        baseline, candidate: run directories or profiles, as many processes of each; they must have been started
            alternately (A B B A ...), as ``profile --against`` does.
        margins: accepted rise by quantity, over the defaults.

    Raises:
        ComparisonError: different hardware, different tasks or settings, runs not interleaved, or nothing measured.
    """
    require_same_work([*baseline, *candidate])
    sides = timed(baseline), timed(candidate)
    key = require_same_hardware([*sides[0], *sides[1]])
    pairs = _pairs(*sides)
    quantities = _known([one.speed for pair in pairs for one in pair])
    if not quantities:
        raise ComparisonError(
            "None of the runs measured a latency or a throughput (imported runs have none). Run both sides here."
        )
    values = {q: ([a.speed[q] for a, _ in pairs], [b.speed[q] for _, b in pairs]) for q in quantities}
    findings = judge_pairs_together(values, margins)
    return verdict_of(findings, key, [one.name for one in sides[0]], [one.name for one in sides[1]])


def verdict_of(
    findings: tuple[SpeedFinding, ...], key: str, baseline: Sequence[str], candidate: Sequence[str]
) -> SpeedVerdict:
    """The verdict that findings add up to."""
    outcomes = {finding.outcome for finding in findings}
    outcome = FAIL if FAIL in outcomes else PASS if outcomes == {PASS} else INCONCLUSIVE
    decisive = [f for f in findings if f.outcome == outcome]
    sentence = f"{outcome}: " + "; ".join(f"{f.quantity} {f.reason} (× {f.ratio:.3f})" for f in decisive) + "."
    code = {PASS: 0, FAIL: 1, INCONCLUSIVE: 3}[outcome]
    return SpeedVerdict(outcome, code, sentence, key, tuple(baseline), tuple(candidate), findings)


def timed(items: Sequence[RunLike | Profile]) -> list[Timed]:
    """The fresh processes of runs or profiles."""
    found: list[Timed] = []
    for item in items:
        if isinstance(item, Profile):
            for replicate, speed in zip(item.document["replicates"], profile_speeds(item), strict=True):
                name = f"{item.name}#{replicate['index'] + 1}"
                found.append(Timed(name, replicate["started"], item.hardware_key, speed))
        else:
            key = (item.manifest.get("environment") or {}).get("hardware_key")
            found.append(Timed(item.manifest["run_id"], item.manifest["created"], key, run_speed(item)))
    return found


def require_same_hardware(processes: Sequence[Timed]) -> str:
    """The one hardware key of all.

    Raises:
        ComparisonError: there are several, or a process does not say.
    """
    if not processes:
        raise ComparisonError("No runs are given. Give at least three fresh-process runs of each side.")
    keys: dict[str | None, str] = {}
    for one in processes:
        keys.setdefault(one.hardware_key, one.name)
    if len(keys) > 1 or None in keys:
        listed = ", ".join(f"{name} on {key or 'unknown hardware'}" for key, name in keys.items())
        raise ComparisonError(
            f"Not comparable: the runs come from different or unknown hardware ({listed}). "
            "Run both sides on the same machine in the same job."
        )
    return str(next(iter(keys)))


def require_same_work(items: Sequence[RunLike | Profile]) -> None:
    """Refuse sides that were asked different things.

    Raises:
        ComparisonError: with what differs.
    """
    profiles = [item for item in items if isinstance(item, Profile)]
    runs = [item for item in items if not isinstance(item, Profile)]
    if profiles and runs:
        raise ComparisonError("Profiles and runs cannot be held against each other. Give the same kind on both sides.")
    for profile in profiles[1:]:
        if profile.document["workload"] != profiles[0].document["workload"]:
            ours, theirs = (_case_names(one) for one in (profiles[0], profile))
            differ = ", ".join(sorted(ours ^ theirs)) or "their settings"
            raise ComparisonError(
                f"{profiles[0].name} and {profile.name} measured different cases ({differ}). Measure both sides with "
                "the same scenarios and batch sizes."
            )
    for note in (line for run in runs for task in run.results["tasks"] for line in halving_notes([run], task)):
        raise ComparisonError(f"Not comparable: {note}. Measure again with --batch-size of that size or less.")
    for run in runs[1:]:
        ours, theirs = (r.manifest["identity"]["tasks"] for r in (runs[0], run))
        names = runs[0].manifest["run_id"], run.manifest["run_id"]
        if set(ours) != set(theirs):
            raise ComparisonError(f"{names[0]} and {names[1]} ran different tasks. Time both sides on the same ones.")
        require_comparable(mismatches(ours, theirs, list(ours)), ("prompt", "scorer"), *names)


def _case_names(profile: Profile) -> set[str]:
    return {case["name"] for case in profile.document["cases"]}


def _known(speeds: Sequence[Mapping[str, float]]) -> list[str]:
    """Quantities that every process has."""
    return [q for q in (speeds[0] if speeds else {}) if all(q in speed for speed in speeds)]


def _pairs(baseline: Sequence[Timed], candidate: Sequence[Timed]) -> list[tuple[Timed, Timed]]:
    """Neighbours in time, one of each side."""
    marked = [(one.started, "A", one) for one in baseline] + [(one.started, "B", one) for one in candidate]
    marked.sort(key=lambda item: (item[0], item[2].name))
    order = "".join(side for _, side, _ in marked)
    pairs = []
    for i in range(0, len(marked) - 1, 2):
        couple = {side: one for _, side, one in marked[i : i + 2]}
        if len(couple) == 2:
            pairs.append((couple["A"], couple["B"]))
    if 2 * len(pairs) != len(marked):
        raise ComparisonError(
            f"The runs were started in the order {order}; pairs of neighbours must hold one of each side (A B B A). "
            "Interleave the runs, or the machine's drift is taken for a difference."
        )
    return pairs
