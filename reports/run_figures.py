"""The figures of a run: scores, stages, latency, lengths of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from reports import distributions, figures, time_tables
from reports import format as fmt
from reports.inputs import headline, published_headlines, title
from reports.plots import Plot
from reports.task_facts import TaskFacts


def plots(results: Mapping[str, Any], facts: Mapping[str, TaskFacts]) -> list[Plot]:
    """The page's figures; one that has nothing to show is left out."""
    found = []
    if dots := score_dots(results):
        found.append(
            Plot(
                "scores",
                "Scores by task",
                "Scores with 95 % intervals; the same numbers are in the table of scores.",
                partial(figures.dot_whisker, dots, axis="score, %"),
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


def score_dots(results: Mapping[str, Any]) -> list[figures.Dot]:
    """The tasks on the percent scale, and the macro average below them."""
    dots = []
    for name, task in results["tasks"].items():
        estimate = headline(task)
        if not fmt.is_percent(estimate["scale"]):
            continue
        published = [entry.get("value") for entry in published_headlines(task)]
        chance, reference = _shown(task.get("chance"), published[0] if published else None)
        dots.append(figures.Dot(title(name, task), *_shown_ends(estimate), chance, reference))
    macro = results.get("macro")
    if macro and macro.get("value") is not None and len(dots) > 1:
        dots.append(figures.Dot("Macro average", *_shown_ends(macro), strong=True))
    return dots


def _shown(first: float | None, second: float | None) -> tuple[float | None, float | None]:
    return fmt.shown(first, fmt.PERCENT_SCALE), fmt.shown(second, fmt.PERCENT_SCALE)


def _shown_ends(estimate: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    low, high = _shown(estimate.get("low"), estimate.get("high"))
    return fmt.shown(estimate.get("value"), fmt.PERCENT_SCALE), low, high


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
