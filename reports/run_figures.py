"""The figures of a run: scores, stages, latency, lengths of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from reports import distributions, figures, time_tables
from reports import format as fmt
from reports.inputs import headline, title
from reports.levels import levels
from reports.plots import Plot
from reports.task_facts import TaskFacts


def plots(results: Mapping[str, Any], facts: Mapping[str, TaskFacts]) -> list[Plot]:
    """The page's figures; one that has nothing to show is left out."""
    found = []
    if dots := score_dots(results, facts):
        found.append(
            Plot(
                "scores",
                "Scores by task",
                "Scores with 95 % intervals; the same numbers are in the tables of scores and of published values.",
                partial(figures.dot_whisker, dots, axis="score, %"),
                scores_caption(dots),
            )
        )
    if bars := stage_bars(results):
        labels = [label for _, label in time_tables.STAGES]
        found.append(
            Plot(
                "stages",
                "Time by stage",
                "Mean time in each stage by task; the same numbers are in the table of stages.",
                partial(figures.stacked_bars, bars, labels, axis="ms per sample, mean"),
            )
        )
    if lines := latency_curves(results, facts):
        description = "Share of requests answered within a time; percentiles are in the table of latency."
        found.append(_ecdfs("latency", "Latency", description, lines, ("latency, ms", "answered, %")))
    for unit, lines in length_curves(results, facts).items():
        description = "Share of answers that are at most so long; percentiles are in the table of lengths."
        axes = (f"length of an answer, {unit}", "answers, %")
        found.append(_ecdfs(f"lengths-{unit}", "Lengths of answers", description, lines, axes))
    return found


def _ecdfs(name: str, title: str, description: str, lines: Sequence[figures.Curve], axes: tuple[str, str]) -> Plot:
    paint = partial(figures.curves, lines, x_axis=axes[0], y_axis=axes[1], steps=True)
    return Plot(name, title, description, paint)


def score_dots(results: Mapping[str, Any], facts: Mapping[str, TaskFacts]) -> list[figures.Dot]:
    """The tasks on the percent scale, and the macro average below them."""
    dots = []
    for name, task in results["tasks"].items():
        estimate = headline(task)
        if not fmt.is_percent(estimate["scale"]):
            continue
        held = levels(task, facts[name].confusion)
        dots.append(
            figures.Dot(
                title(name, task),
                *_shown_ends(estimate),
                floors=_percents(held.floors),
                majority=fmt.shown(held.majority, fmt.PERCENT_SCALE),
                people=_percents(held.people),
                published=_percents(held.models),
            )
        )
    macro = results.get("macro")
    if macro and macro.get("value") is not None and len(dots) > 1:
        dots.append(figures.Dot("Macro average", *_shown_ends(macro), strong=True))
    return dots


def scores_caption(dots: Sequence[figures.Dot]) -> str:
    """What the signs beside the scores stand for, those that are there."""
    signs = [
        ("a dotted tick is chance", any(dot.floors for dot in dots)),
        ("a dashed one always the most frequent right answer", any(dot.majority is not None for dot in dots)),
        ("a solid one people", any(dot.people for dot in dots)),
        ("an open diamond a published model", any(dot.published for dot in dots)),
    ]
    said = ", ".join(sign for sign, there in signs if there)
    return "Scores with 95 % intervals." + (f" {said[0].upper()}{said[1:]}." if said else "")


def _percents(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(100 * value for value in values)


def _shown_ends(estimate: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    value, low, high = (fmt.shown(estimate.get(end), fmt.PERCENT_SCALE) for end in ("value", "low", "high"))
    return value, low, high


def stage_bars(results: Mapping[str, Any]) -> list[figures.Bar]:
    """Mean time in each stage, for the tasks where some is known."""
    bars = []
    for name, task in results["tasks"].items():
        stages = (task.get("efficiency") or {}).get("stages_ms") or {}
        parts = tuple(stages.get(key) for key, _ in time_tables.STAGES)
        if any(parts):
            bars.append(figures.Bar(title(name, task), parts))
    return bars


def latency_curves(results: Mapping[str, Any], facts: Mapping[str, TaskFacts]) -> list[figures.Curve]:
    """Distribution functions of latency, in percent, for the tasks with two values or more."""
    return [
        _ecdf(title(name, task), facts[name].latencies_ms)
        for name, task in results["tasks"].items()
        if len(facts[name].latencies_ms) > 1
    ]


def length_curves(results: Mapping[str, Any], facts: Mapping[str, TaskFacts]) -> dict[str, list[figures.Curve]]:
    """Distribution functions of the lengths of answers, by unit."""
    found: dict[str, list[figures.Curve]] = {}
    for name, task in results["tasks"].items():
        if len(facts[name].lengths) > 1:
            found.setdefault(facts[name].length_unit, []).append(_ecdf(title(name, task), facts[name].lengths))
    return found


def _ecdf(label: str, values: Sequence[float]) -> figures.Curve:
    x, y = distributions.distribution(values)
    return figures.Curve(label, tuple(x), tuple(100 * share for share in y))
