"""How long requests waited in both runs of a comparison: the distributions side by side, and their percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge

from evals.compare import Comparison
from evals.store import Run
from reports import distributions, figures
from reports import format as fmt
from reports.plots import Plot
from reports.tables import Cell, Column, Table, count_cell, table, text_cell
from reports.task_facts import latencies_of
from reports.time_tables import percentile_cells, percentile_columns

ALL = "All together"


@dataclass(frozen=True, slots=True)
class Waits:
    """Times of the two runs.

    Attributes:
        names: what the runs are called.
        tasks: title and the times in A and in B, ascending, in ms; after several tasks those of all together.
    """

    names: tuple[str, str]
    tasks: tuple[tuple[str, Sequence[float], Sequence[float]], ...]


def waits_of(found: Comparison, runs: tuple[Run, Run], names: tuple[str, str]) -> Waits | None:
    """The times of the tasks whose latencies were compared, so on one hardware; None where there are none.

    Args:
        runs, names: A and B, and what they are called.
    """
    timed = [task for task in found.tasks if any(item.name == "latency_ms" for item in task.efficiency)]
    one, two = ([latencies_of(run, task.task) for task in timed] for run in runs)
    tasks: list[tuple[str, Sequence[float], Sequence[float]]] = [
        (task.title, mine, theirs) for task, mine, theirs in zip(timed, one, two, strict=True)
    ]
    if len(timed) > 1:
        tasks.append((ALL, list(merge(*one)), list(merge(*two))))
    return Waits(names, tuple(tasks)) if tasks else None


def latency_plot(waits: Waits, suffix: str) -> Plot:
    """The share of requests that were answered within a time, of both runs over all compared tasks."""
    lines = []
    for name, values in zip(waits.names, waits.tasks[-1][1:], strict=True):
        x, y = distributions.distribution(values)
        lines.append(figures.Curve(name, tuple(x), tuple(100 * share for share in y)))
    caption = "Share of requests answered within a time."
    if len(waits.tasks) > 1:
        caption += f" The requests of {fmt.plural(len(waits.tasks) - 1, 'task')} are pooled."
    return Plot(
        f"latency{suffix}",
        "Latency in both runs",
        f"{caption} Percentiles are in the table of latency.",
        partial(figures.curves, lines, x_axis="latency, ms", y_axis="answered, %", steps=True),
        caption,
    )


def latency_table(waits: Waits) -> Table:
    """Percentiles of the times of both runs, a line a task and run."""
    rows = []
    for title, *sides in waits.tasks:
        for name, values in zip(waits.names, sides, strict=True):
            apart = len(set(values)) > len(values) / 2  # else most waited in batches together
            cells: list[Cell] = [text_cell(title), text_cell(name), count_cell(len(values))]
            for percent in distributions.PERCENTILES:
                found = distributions.percentile(values, percent)
                known = found.low is not None or found.high is not None
                cells += percentile_cells(found.value if known else None, found if apart else None)
            rows.append(cells)
    columns = [Column("Task", numeric=False), Column("Run", numeric=False), Column("n"), *percentile_columns()]
    note = (
        "Time from handing a request's batch to the model to its answer. A percentile, or an end of its interval, for "
        "which there are too few requests is a dash; so is the interval where most requests shared a batch."
    )
    return table("latency", "Latency of a request in both runs, ms", columns, rows, note=note)
