"""Many checkpoints of one training: curves over steps, the best with its rank interval, and when gains became real."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from evals.compare.evidence import RunLike
from evals.compare.identity import mismatches, require_comparable
from evals.compare.panel import Panel, load_panel, macro_scores, pairwise
from evals.compare.runs import Options
from evals.errors import ComparisonError
from evals.statistics import holm, interval, paired_difference, rank_intervals, significantly_better

AnyRun = TypeVar("AnyRun", bound=RunLike)
_STEP = re.compile(r"(?:step|iter|checkpoint|ckpt|global_step)[-_= ]?0*(\d+)([kKmM]?)(?![0-9A-Za-z])")
_FACTOR = {"": 1, "k": 10**3, "m": 10**6}


@dataclass(frozen=True, slots=True)
class Point:
    """A number at a step, with its own (unpaired) interval; None where undefined."""

    step: int
    run: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """One task over steps.

    Attributes:
        first_gain: first step whose score is significantly above the first step's: one-sided paired tests, Holm over
            all later steps, 5 %; None if none is.
        p_gain: the adjusted p of each later step, in order. scale: None for an open end.
    """

    task: str
    statistic: str
    scale: tuple[float | None, float | None]
    points: tuple[Point, ...]
    first_gain: int | None
    p_gain: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Ablation:
    """Runs in order of their steps.

    Attributes:
        macro: the macro mean over steps, in parts of the scale.
        best: position of the highest macro (the earliest of equals); None where no macro is defined.
        ranks: (best, worst) rank of each run that paired tests leave possible.
        sentence: the finding in words.
    """

    runs: tuple[str, ...]
    steps: tuple[int, ...]
    curves: tuple[Curve, ...]
    macro: tuple[Point, ...]
    best: int | None
    ranks: tuple[tuple[int, int], ...]
    sentence: str


def step_of(run: RunLike) -> int | None:
    """The training step a run's checkpoint stands for: ``step`` in its manifest or model identity, else a number after
    "step", "iter", "checkpoint" or "ckpt" in the run id, the folder or the model's identity; None if there is none."""
    manifest = run.manifest
    model = manifest.get("identity", {}).get("model", {})
    for source in (manifest, model):
        if isinstance(source.get("step"), int):
            return int(source["step"])
    for text in (str(manifest.get("run_id", "")), run.path.name, *_texts(model)):
        if match := _STEP.search(text):
            return int(match[1]) * _FACTOR[match[2].lower()]
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)


def in_step_order(runs: Sequence[AnyRun]) -> list[tuple[int, AnyRun]]:
    """(step, run), ascending.

    Raises:
        ComparisonError: a run has no step, or two have the same.
    """
    found: dict[int, AnyRun] = {}
    for run in runs:
        step = step_of(run)
        if step is None:
            raise ComparisonError(
                f"{run.path}: no step number in its name or model identity. Name the run folder like `step-2000`, "
                "or compare fewer runs at a time without ordering."
            )
        if step in found:
            raise ComparisonError(f"{found[step].path} and {run.path} are both step {step}. Keep one run a step.")
        found[step] = run
    return sorted(found.items(), key=lambda item: item[0])


def is_series(runs: Sequence[RunLike]) -> bool:
    """Whether these are checkpoints of one training: three or more, each of another step."""
    steps = [step_of(run) for run in runs]
    return len(runs) > 2 and None not in steps and len(set(steps)) == len(steps)


def ablate(runs: Sequence[RunLike], options: Options | None = None) -> Ablation:
    """Order the runs by step and say how the tasks developed.

    Raises:
        ComparisonError: identities differ in a part that is not allowed to, steps are missing or double, or a task is
            not in all runs.
    """
    options = options or Options()
    ordered = in_step_order(runs)
    steps, sorted_runs = [step for step, _ in ordered], [run for _, run in ordered]
    first = sorted_runs[0]
    tasks = list(first.results["tasks"])
    for run in sorted_runs[1:]:
        lacking = sorted(set(tasks) ^ set(run.results["tasks"]))
        if lacking:
            raise ComparisonError(
                f"{first.path} and {run.path} do not have the same tasks: only one has {', '.join(lacking)}. "
                "Run the missing tasks, or compare the runs that have them."
            )
        ours, theirs = (r.manifest["identity"]["tasks"] for r in (first, run))
        require_comparable(mismatches(ours, theirs, tasks), options.allow, str(first.path), str(run.path))
    panel = load_panel(sorted_runs, tasks)
    macros = macro_scores(panel)
    macro = tuple(
        Point(step, name, m.value, m.low, m.high) for step, name, m in zip(steps, panel.runs, macros, strict=True)
    )
    ranks = tuple(rank_intervals(significantly_better(*pairwise(panel))))
    known = [i for i, point in enumerate(macro) if point.value is not None]
    best = max(known, key=lambda i: (macro[i].value or 0.0, -i)) if known else None
    curves = tuple(_curve(panel, task, steps) for task in tasks)
    return Ablation(panel.runs, tuple(steps), curves, macro, best, ranks, _sentence(macro, best, ranks))


def _curve(panel: Panel, task: str, steps: Sequence[int]) -> Curve:
    evidence = panel.tasks[task]
    points = []
    for step, name, one in zip(steps, panel.runs, evidence, strict=True):
        found = interval(one.statistic, one.clusters)
        points.append(Point(step, name, found.value, found.low, found.high))
    start = evidence[0]
    raw = []
    for later in evidence[1:]:
        diff = paired_difference(start.statistic, later.statistic, start.clusters, resamples=0).gain()
        raw.append(diff.p_rise)
    adjusted = holm(raw)
    gained = [step for step, p in zip(steps[1:], adjusted, strict=True) if p is not None and p <= 0.05]
    low, high = (end if math.isfinite(end) else None for end in start.statistic.scale)
    return Curve(task, start.statistic.name, (low, high), tuple(points), gained[0] if gained else None, tuple(adjusted))


def _sentence(macro: Sequence[Point], best: int | None, ranks: Sequence[tuple[int, int]]) -> str:
    if best is None:
        return "No macro mean is defined for these runs, so none is called best."
    point, (low, high) = macro[best], ranks[best]
    rivals = [p.run for i, p in enumerate(macro) if i != best and ranks[i][0] <= low]
    lead = f"{point.run} (step {point.step:,}) has the highest macro mean, {(point.value or 0.0) * 100:.1f} points"
    if low == high:
        return f"{lead}, and is significantly above all others."
    return f"{lead}; its rank is between {low} and {high}: no significant difference to {', '.join(rivals)}."
