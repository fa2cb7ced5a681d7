"""The figures of a run: scores, stages, latency, lengths of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reports import distributions, figures, svg, time_tables
from reports import format as fmt
from reports.inputs import headline, published_headlines, title
from reports.task_facts import TaskFacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(results: Mapping[str, Any], facts: Mapping[str, TaskFacts]) -> dict[str, Markup]:
    """The page's figures by name; one that has nothing to show is left out."""
    drawn = {}
    if dots := score_dots(results):
        drawn["scores"] = svg.responsive(
            lambda narrow: figures.dot_whisker(dots, axis="score, %", narrow=narrow),
            "fig-scores",
            "Scores by task",
            "Scores with 95 % intervals; the same numbers are in the table of scores.",
        )
    if bars := stage_bars(results):
        labels = [label for _, label in time_tables.STAGES]
        drawn["stages"] = svg.responsive(
            lambda narrow: figures.stacked_bars(bars, labels, axis="ms per sample, mean", narrow=narrow),
            "fig-stages",
            "Time by stage",
            "Mean time in each stage by task; the same numbers are in the table of stages.",
        )
    if lines := latency_curves(results, facts):
        drawn["latency"] = svg.responsive(
            lambda narrow: figures.curves(lines, x_axis="latency, ms", y_axis="answered, %", steps=True, narrow=narrow),
            "fig-latency",
            "Latency",
            "Share of requests answered within a time; percentiles are in the table of latency.",
        )
    for unit, lines in length_curves(results, facts).items():
        drawn[f"lengths-{unit}"] = svg.responsive(
            partial(_drawn_curves, lines, f"length of an answer, {unit}"),
            f"fig-lengths-{unit}",
            "Lengths of answers",
            "Share of answers that are at most so long; percentiles are in the table of lengths.",
        )
    return drawn


def _drawn_curves(lines: Sequence[figures.Curve], x_axis: str, narrow: bool) -> Figure:
    return figures.curves(lines, x_axis=x_axis, y_axis="answers, %", steps=True, narrow=narrow)


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
