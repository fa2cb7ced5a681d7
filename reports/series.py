"""Checkpoints of one training: curves with bands, and the step at which each task became better than its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from evals.compare import Ablation
from evals.compare.ablation import Point
from evals.store import Run
from reports import figures
from reports import format as fmt
from reports.inputs import headline, title
from reports.markdown import true_minus
from reports.plots import Plot
from reports.tables import Cell, Column, Table, count_cell, number_cell, table

_MOST_CURVES = 6  # as many as have a colour


@dataclass(frozen=True, slots=True)
class SeriesView:
    """The part of the page that shows a series."""

    sentence: str
    figure: Markup | None
    table: Table


def series_view(series: Ablation, runs: Sequence[Run]) -> SeriesView:
    """Curves, table and finding.

    Args:
        series: as :func:`evals.compare.ablate` gives it.
        runs: the same runs in the same order; the first names the tasks.
    """
    plot = series_plot(series, runs)
    return SeriesView(true_minus(series.sentence), plot.markup() if plot else None, step_table(series, runs[0]))


def series_plot(series: Ablation, runs: Sequence[Run]) -> Plot | None:
    """Scores over steps; None where no task is on the percent scale."""
    lines = curves(series, runs[0])
    if not lines:
        return None
    return Plot(
        "series",
        "Scores over steps",
        "Scores with 95 % bands; the same numbers are in the table of steps.",
        partial(figures.curves, lines, x_axis="step", y_axis="score, %"),
    )


def curves(series: Ablation, first: Run) -> list[figures.Curve]:
    """The macro average and the tasks on the percent scale, as many as can be told apart."""
    found = [_curve("Macro average", series.macro)]
    for curve in series.curves:
        task = first.results["tasks"][curve.task]
        if fmt.is_percent(headline(task)["scale"]):
            found.append(_curve(title(curve.task, task), curve.points))
    return [curve for curve in found if curve.x][:_MOST_CURVES]


def _curve(label: str, points: Sequence[Point]) -> figures.Curve:
    known = [p for p in points if p.value is not None]
    values = tuple(100 * p.value for p in known if p.value is not None)
    low = tuple(100 * max(p.low if p.low is not None else p.value or 0.0, 0.0) for p in known)
    high = tuple(100 * min(p.high if p.high is not None else p.value or 0.0, 1.0) for p in known)
    return figures.Curve(label, tuple(float(p.step) for p in known), values, low, high)


def step_table(series: Ablation, first: Run) -> Table:
    """One line a checkpoint; below, the first step at which each task is significantly above its start."""
    tasks = [first.results["tasks"][curve.task] for curve in series.curves]
    columns = [Column("Step"), Column("Rank", hint="places that paired tests leave possible"), Column("Macro average")]
    columns += [Column(title(curve.task, task)) for curve, task in zip(series.curves, tasks, strict=True)]
    rows = []
    for number, step in enumerate(series.steps):
        best, worst = series.ranks[number]
        row = [count_cell(step), Cell(str(best) if best == worst else f"{best} to {worst}", sort=best)]
        row.append(_cell(series.macro[number], fmt.PERCENT_SCALE))
        scales = [headline(task)["scale"] for task in tasks]
        row += [_cell(curve.points[number], scale) for curve, scale in zip(series.curves, scales, strict=True)]
        rows.append(row)
    footer = [Cell("First gain"), Cell(""), Cell("")]
    footer += [Cell(fmt.DASH if curve.first_gain is None else fmt.count(curve.first_gain)) for curve in series.curves]
    note = "First gain: the first step that is significantly above the start (one-sided paired tests, Holm, 5 %)."
    return table("steps", "Scores by step", columns, rows, note=note, footer=[footer])


def _cell(point: Point, scale: fmt.Scale) -> Cell:
    low, high = point.low, point.high
    if fmt.is_percent(scale) and low is not None and high is not None:
        low, high = max(low, 0.0), min(high, 1.0)  # a symmetric interval can reach beyond the scale
    text = fmt.score(point.value, low, high, scale)
    said = "" if low is None else fmt.interval(low, high, scale)
    return number_cell(point.value, f"{text} ({said})" if said else text)
