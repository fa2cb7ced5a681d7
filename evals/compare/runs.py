"""Comparing runs: paired, task by task and overall, with one family of adjusted p values over everything claimed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from evals.compare.batches import halving_notes, rounding_notes
from evals.compare.efficiency import hardware_note, run_ratios, task_ratios
from evals.compare.evidence import FINISHED, Evidence, Joined, RunLike, join, load_evidence, take_units
from evals.compare.identity import Mismatch, check_allowed, mismatches, require_comparable
from evals.compare.records import CategoryComparison, Comparison, TaskComparison
from evals.compare.sentences import overall_sentence, task_sentence, verdict_of
from evals.errors import ComparisonError
from evals.statistics import (
    Macro,
    TaskNumber,
    benjamini_hochberg,
    detectable_effect,
    difference_part,
    holm,
    macro_mean,
    paired_difference,
)

EQUIVALENCE_MARGIN = 0.01  # one point: what most readers would call the same, stated in every output
CATEGORY_RESAMPLES = 500  # exploratory intervals need no more digits


@dataclass(frozen=True, slots=True)
class Options:
    """How to compare.

    Attributes:
        allow: identity parts (see :data:`evals.compare.identity.PARTS`) that may differ.
        margin: of equivalence, in parts of the scale.
        categories: whether to drill down.
    """

    allow: Collection[str] = ()
    margin: float = EQUIVALENCE_MARGIN
    categories: bool = True


def compare_runs(runs: Sequence[RunLike], options: Options | None = None) -> list[Comparison]:
    """Compare the first run (A) with each of the others (B).

    Args:
        runs: two or more, scored.

    Returns:
        One comparison for each other run; p values are Holm-adjusted over all of them together.

    Raises:
        ComparisonError: fewer than two runs, no common task or sample, or identities differ in a part not allowed.
        SpecError: an allowed part does not exist.
    """
    options = options or Options()
    if len(runs) < 2:
        raise ComparisonError("compare needs at least two runs; the first is what the others are compared with.")
    check_allowed(options.allow)
    first = runs[0]
    cache: dict[str, Evidence] = {}
    found = [_compare_two(first, other, options, cache) for other in runs[1:]]
    return _adjusted(found, options.margin)


def _compare_two(a: RunLike, b: RunLike, options: Options, cache: dict[str, Evidence]) -> Comparison:
    names = [run.manifest["run_id"] for run in (a, b)]
    identities = [run.manifest["identity"] for run in (a, b)]
    shared = [task for task in a.results["tasks"] if task in b.results["tasks"]]
    missing = tuple(sorted(set(a.results["tasks"]) ^ set(b.results["tasks"])))
    if not shared:
        raise ComparisonError(
            f"{names[0]} and {names[1]} have no task in common: {', '.join(a.results['tasks'])} against "
            f"{', '.join(b.results['tasks'])}. Compare runs of the same suite."
        )
    differing = mismatches(identities[0]["tasks"], identities[1]["tasks"], shared)
    require_comparable(differing, options.allow, *names)
    note = hardware_note(a, b)
    tasks, parts = [], []
    for task in shared:
        if task not in cache:
            cache[task] = load_evidence(a, task)
        one, two = cache[task], load_evidence(b, task)
        compared, part = _compare_task(a, one, two, options)
        tasks.append(compared if note else replace(compared, efficiency=task_ratios(a, b, one, two)))
        parts.append(part)
    notes = [line for task in ([] if note else shared) for line in halving_notes((a, b), task)]
    notes += rounding_notes(a, b, shared)
    notes += _unfinished(a, b)
    averages = [] if missing else parts
    macro, detectable = _overall(averages)
    return Comparison(
        a=names[0],
        b=names[1],
        a_model=identities[0]["model"],
        b_model=identities[1]["model"],
        tasks=tuple(tasks),
        missing=missing,
        overall=macro,
        overall_a=_level(tasks, "a") if macro else None,
        overall_b=_level(tasks, "b") if macro else None,
        overall_detectable=detectable,
        verdict="undefined",
        sentence="",
        allowed=tuple(differing),
        efficiency=() if note else run_ratios(a.results.get("efficiency", {}), b.results.get("efficiency", {})),
        efficiency_note=note,
        margin=options.margin,
        warnings=(*_warnings(tasks, differing), *notes),
    )


def _compare_task(a: RunLike, one: Evidence, two: Evidence, options: Options) -> tuple[TaskComparison, TaskNumber]:
    joined = join(one, two)
    task, result = one.task, a.results["tasks"][one.task]
    if not len(joined.a.ids) and len(one.ids) and len(two.ids):
        raise ComparisonError(
            f"Task {task!r}: the two runs have no scored sample in common ({len(one.rows)} and {len(two.rows)} asked). "
            "They were made from different data; run both on the same."
        )
    diff = paired_difference(joined.a.statistic, joined.b.statistic, joined.a.clusters)
    gain = diff.gain()
    effective = diff.effective_se
    agreed = sum(x == y for x, y in zip(joined.a.answers, joined.b.answers, strict=True) if x is not None)
    low, high = joined.a.statistic.scale
    compared = TaskComparison(
        task=task,
        title=result.get("title") or task,
        statistic=joined.a.statistic.name,
        scale=(None if low == float("-inf") else low, None if high == float("inf") else high),
        weight=float(result.get("weight", 1.0)),
        difference=diff,
        gain=gain,
        agreement=agreed / len(joined.a.ids) if len(joined.a.ids) else None,
        detectable=None if effective is None else detectable_effect(effective),
        only_a=joined.only_a,
        only_b=joined.only_b,
        unscored=joined.unscored,
        categories=compare_categories(joined) if options.categories else (),
    )
    part = difference_part(task, gain, joined.a.clusters, compared.weight)
    return compared, part if high != float("inf") else replace(part, value=None)


def compare_categories(joined: Joined, resamples: int = CATEGORY_RESAMPLES) -> tuple[CategoryComparison, ...]:
    """The paired difference within each value of each category; p adjusted later over all tasks."""
    found = []
    for column, values in joined.a.categories.items():
        units: dict[str, list[int]] = {}
        for i, value in enumerate(values):
            if value is not None:
                units.setdefault(value, []).append(i)
        for value, index in sorted(units.items(), key=lambda item: (-len(item[1]), item[0])):
            one, two = take_units(joined.a.statistic, index), take_units(joined.b.statistic, index)
            clusters = [joined.a.clusters[i] for i in index]
            found.append(CategoryComparison(column, value, paired_difference(one, two, clusters, resamples=resamples)))
    return tuple(found)


def _overall(parts: Sequence[TaskNumber]) -> tuple[Macro | None, float | None]:
    macro = macro_mean(parts)
    if macro.value is None:
        return None, None
    return macro, None if macro.se is None else detectable_effect(macro.se)


def _level(tasks: Sequence[TaskComparison], side: str) -> float | None:
    """Weighted mean of the tasks' own scores of one run, in parts of the scale."""
    total = sum(task.weight for task in tasks)
    mean = 0.0
    for task in tasks:
        value, low = getattr(task.difference, side), task.scale[0]
        if value is None or low is None:
            return None
        share = (value - low) / task.difference.span
        mean += task.weight / total * (share if task.difference.higher_is_better else 1 - share)
    return mean


def _unfinished(*runs: RunLike) -> list[str]:
    """One line for each run that was broken off: what it has answered so far is not a fair part of the data."""
    found = [(run.manifest["run_id"], run.manifest.get("status")) for run in runs]
    return [
        f"{name} has not finished (status {status}): its scores are of what it had answered until then"
        for name, status in found
        if status not in (*FINISHED, None)
    ]


def _warnings(tasks: Sequence[TaskComparison], allowed: Sequence[Mismatch]) -> tuple[str, ...]:
    lines = [f"{m.task}: {m.part} differs and was allowed ({m.detail})" for m in allowed]
    for task in tasks:
        if task.only_a or task.only_b:
            lines.append(
                f"{task.task}: {task.only_a} rows only in A, {task.only_b} only in B; compared on the common ones"
            )
        if task.unscored:
            lines.append(f"{task.task}: {task.unscored} rows have no score in one of the runs and are left out")
        if task.difference.few_clusters:
            lines.append(
                f"{task.task}: only {task.difference.n_clusters} independent clusters; intervals are optimistic"
            )
    return tuple(lines)


def _adjusted(found: Sequence[Comparison], margin: float) -> list[Comparison]:
    """Holm over all tasks, Benjamini-Hochberg over all categories, then verdicts and sentences."""
    p_holm = iter(holm([task.difference.p for c in found for task in c.tasks]))
    p_bh = iter(benjamini_hochberg([cell.difference.p for c in found for t in c.tasks for cell in t.categories]))
    finished = []
    for comparison in found:
        tasks = []
        for task in comparison.tasks:
            adjusted = replace(task, p_holm=next(p_holm))
            cells = tuple(replace(cell, p_bh=next(p_bh)) for cell in task.categories)
            tasks.append(_judged(replace(adjusted, categories=cells), margin))
        finished.append(_judged_overall(replace(comparison, tasks=tuple(tasks)), margin))
    return finished


def _judged(task: TaskComparison, margin: float) -> TaskComparison:
    gain = task.gain
    verdict = verdict_of(task.p_holm, gain.lower(0.05), gain.upper(0.05), gain.value, margin)
    sentence = task_sentence(verdict, task.difference, task.scale, task.detectable, margin)
    return replace(task, verdict=verdict, sentence=sentence)


def _judged_overall(comparison: Comparison, margin: float) -> Comparison:
    macro = comparison.overall
    why_not = "a task has no closed scale or no score"
    if comparison.missing:
        why_not = f"only one of the runs has {', '.join(comparison.missing)}"
    verdict = "undefined"
    if macro is not None:
        verdict = verdict_of(macro.p, macro.lower(0.05), macro.upper(0.05), macro.value, margin)
    sentence = overall_sentence(verdict, macro, comparison.overall_detectable, margin, why_not)
    return replace(comparison, verdict=verdict, sentence=sentence)
