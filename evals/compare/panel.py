"""Several runs of the same tasks side by side, aligned unit by unit, and all their pairwise differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.compare.evidence import Evidence, RunLike, load_evidence
from evals.errors import ComparisonError
from evals.statistics import Macro, TaskNumber, difference_part, macro_mean, paired_difference, score_part

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Panel:
    """K runs on common units.

    Attributes:
        runs: run ids.
        weights: by task; tasks: by task, one evidence a run, all with the same units in the same order.
    """

    runs: tuple[str, ...]
    weights: dict[str, float]
    tasks: dict[str, list[Evidence]]


def load_panel(runs: Sequence[RunLike], tasks: Sequence[str], weights: dict[str, float] | None = None) -> Panel:
    """Read the runs' tasks and keep the units that all of them scored.

    Args:
        weights: by task; the first run's results give the ones not named.

    Raises:
        ComparisonError: a task has no unit in common.
    """
    aligned = {task: align([load_evidence(run, task) for run in runs]) for task in tasks}
    known = {task: float(runs[0].results["tasks"][task].get("weight", 1.0)) for task in tasks}
    return Panel(tuple(run.manifest["run_id"] for run in runs), known | (weights or {}), aligned)


def align(evidence: Sequence[Evidence]) -> list[Evidence]:
    """The same task of several runs, restricted to the units that all have, in the first one's order."""
    first = evidence[0]
    if all(list(other.ids) == list(first.ids) for other in evidence[1:]):
        return list(evidence)
    common = set(first.ids).intersection(*(other.ids for other in evidence[1:]))
    if not common:
        raise ComparisonError(
            f"Task {first.task!r}: the {len(evidence)} runs have no scored sample in common. "
            "Run all of them on the same data, or leave the odd one out."
        )
    kept = [key for key in first.ids if key in common]
    aligned = []
    for one in evidence:
        place = {key: i for i, key in enumerate(one.ids)}
        aligned.append(one.take([place[key] for key in kept]))
    return aligned


def macro_scores(panel: Panel) -> list[Macro]:
    """Each run's macro mean over the panel's tasks, in parts of the scale."""
    return [macro_mean([_score(panel, task, run) for task in panel.tasks]) for run in range(len(panel.runs))]


def _score(panel: Panel, task: str, run: int) -> TaskNumber:
    evidence = panel.tasks[task][run]
    return score_part(task, evidence.statistic, evidence.clusters, panel.weights[task])


def macro_difference(panel: Panel, a: int, b: int) -> Macro:
    """Macro difference of run b less run a, paired."""
    parts = []
    for task, evidence in panel.tasks.items():
        one, two = evidence[a], evidence[b]
        diff = paired_difference(one.statistic, two.statistic, one.clusters, resamples=0)
        parts.append(difference_part(task, diff.gain(), one.clusters, panel.weights[task]))
    return macro_mean(parts)


def pairwise(panel: Panel) -> tuple[Matrix, Matrix]:
    """Macro differences (row less column) and their two-sided p, shape (K, K); p is NaN where there is no test."""
    size = len(panel.runs)
    differences, p_values = np.zeros((size, size)), np.full((size, size), np.nan)
    for i in range(size):
        for j in range(i + 1, size):
            macro = macro_difference(panel, j, i)
            if macro.value is not None:
                differences[i, j], differences[j, i] = macro.value, -macro.value
            if macro.p is not None:
                p_values[i, j] = p_values[j, i] = macro.p
    return differences, p_values
