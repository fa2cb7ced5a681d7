"""One task under several presets: how much of a score is the model's, and how much the protocol's.

Each preset is a run of its own, beside the others in one folder; the model is loaded once (by workers, once a preset).
Presets that count the same units (free answers, or multiple choice asked once) are compared pairwise with the first;
circular and likelihood protocols ask something else, so they get their score and no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from evals.compare import Comparison, Options, compare_runs
from evals.runner import Item, Job, Outcome, execute
from evals.store import Run
from model_adapters.contract import ModelAdapter

MAY_DIFFER = ("task", "prompt", "generation", "scorer")  # what a preset may replace; the data must be the same


@dataclass(frozen=True, slots=True)
class PresetScore:
    """One preset's score of a task.

    Attributes:
        task, preset, protocol: names; ``statistic`` is the headline whose value, low and high follow.
        unread: share of answers that could not be read.
        difference, difference_low, difference_high, p_holm: less the first preset's score, paired; null for the first
            and where the two count different units.
        agreement: share of units answered as under the first preset.
    """

    task: str
    preset: str
    protocol: str
    statistic: str
    value: float | None
    low: float | None
    high: float | None
    scale: tuple[float | None, float | None]
    unread: float | None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_holm: float | None = None
    agreement: float | None = None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What the presets make of the tasks.

    Attributes:
        scores: task by task, the first preset first.
        spread: by task, highest less lowest value among presets with the first one's statistic.
        comparable: by task the runs that were compared, the first preset's first, and what was found.
        exit_code: the highest of the runs'.
    """

    scores: tuple[PresetScore, ...]
    spread: Mapping[str, float | None]
    comparable: Mapping[str, tuple[Sequence[Run], Sequence[Comparison]]]
    exit_code: int


def run_presets(job: Job, folder: Path, load: Callable[[], ModelAdapter]) -> Sensitivity:
    """Run each of the job's items, a task under one preset each, into ``folder/<task>-<preset>``; what is there is
    continued. A task's first preset is the one that the others are compared with.

    Raises:
        EvalError: as :func:`evals.runner.execute`.
    """
    plans: dict[str, list[Item]] = {}
    for item in job.items:
        plans.setdefault(item.spec.name, []).append(item)
    in_process = job.executor.kind == "in-process"
    load_once = cache(load)  # when the first run has checked its data
    outcomes: dict[str, list[Outcome]] = {}
    try:
        for task, items in plans.items():
            for item in items:
                out = folder / f"{task}-{item.preset}"
                one = replace(job, items=(item,), out=out, suite=None)
                outcome = execute(one, load_once, close=False) if in_process else execute(one, load)
                outcomes.setdefault(task, []).append(outcome)
                if outcome.exit_code == 130:
                    raise KeyboardInterrupt
    finally:
        if load_once.cache_info().currsize:
            load_once().close()
    return _judge(plans, outcomes)


def _judge(plans: Mapping[str, Sequence[Item]], outcomes: Mapping[str, Sequence[Outcome]]) -> Sensitivity:
    scores: list[PresetScore] = []
    spread: dict[str, float | None] = {}
    comparable: dict[str, tuple[Sequence[Run], Sequence[Comparison]]] = {}
    for task, items in plans.items():
        rows = [_score(item, outcome) for item, outcome in zip(items, outcomes[task], strict=True)]
        first = rows[0]
        alike = [i for i, row in enumerate(rows) if _counts_alike(row, first)]
        values = [value for i in alike if (value := rows[i].value) is not None]
        spread[task] = max(values) - min(values) if len(values) > 1 else None
        if len(alike) > 1:
            runs = [outcomes[task][i].run for i in alike]
            found = compare_runs(runs, Options(allow=MAY_DIFFER, categories=False))
            comparable[task] = runs, found
            for i, comparison in zip(alike[1:], found, strict=True):
                rows[i] = _with_difference(rows[i], comparison)
        scores += rows
    code = max(outcome.exit_code for found in outcomes.values() for outcome in found)
    return Sensitivity(tuple(scores), spread, comparable, code)


def _score(item: Item, outcome: Outcome) -> PresetScore:
    result = outcome.results["tasks"][item.spec.name]
    headline = result["statistics"][result["headline"]]
    unread = result["parse_failures"] / result["n_requests"] if result["n_requests"] else None
    return PresetScore(
        item.spec.name,
        item.preset,
        item.spec.protocol,
        result["headline"],
        headline["value"],
        headline["low"],
        headline["high"],
        (headline["scale"][0], headline["scale"][1]),
        unread,
    )


def _counts_alike(one: PresetScore, other: PresetScore) -> bool:
    """Same number over the same units: a circular question is a group of rows, all others are rows."""
    return one.statistic == other.statistic and (one.protocol == "circular") == (other.protocol == "circular")


def _with_difference(score: PresetScore, comparison: Comparison) -> PresetScore:
    task = comparison.tasks[0]
    found = task.difference
    return replace(
        score,
        difference=found.value,
        difference_low=found.low,
        difference_high=found.high,
        p_holm=task.p_holm,
        agreement=task.agreement,
    )


def sensitivity_json(found: Sensitivity) -> dict[str, Any]:
    """The same as plain values."""
    return {"scores": [asdict(score) for score in found.scores], "spread": dict(found.spread)}
